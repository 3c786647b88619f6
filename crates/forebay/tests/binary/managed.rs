//! Under a service manager: sockets from `systemd-socket-activate`, and what a manager is told.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::support::{Origin, Running, config, wait_for, write};

/// A datagram socket that a manager would hear on.
fn ears(folder: &std::path::Path) -> UnixDatagram {
    let ears = UnixDatagram::bind(folder.join("notify")).expect("bound");
    ears.set_read_timeout(Some(Duration::from_secs(30))).expect("a deadline");
    ears
}

fn heard(ears: &UnixDatagram) -> String {
    let mut bytes = [0; 256];
    let length = ears.recv(&mut bytes).expect("it says something in time");
    String::from_utf8_lossy(&bytes[..length]).into_owned()
}

/// The next that is no sign of life.
fn told(ears: &UnixDatagram) -> String {
    loop {
        match heard(ears) {
            alive if alive == "WATCHDOG=1" => {}
            told => return told,
        }
    }
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port()
}

#[test]
fn sockets_of_systemd_are_served_and_the_application_knows_nothing_of_it() {
    let origin = Origin::start();
    let folder = tempfile::tempdir().expect("a folder");
    let ears = ears(folder.path());
    let port = free_port();
    // The application of this test notes what it was given, and is then a second forebay.
    let script = format!(
        "env > app.env; ls -l /proc/self/fd > app.fds; exec {} run --origin {} --cores 1 \
         --listen 127.0.0.1:$PORT --admin 127.0.0.1:0 --log off 2>app.log",
        env!("CARGO_BIN_EXE_forebay"),
        origin.url()
    );
    let mut command = Command::new("systemd-socket-activate");
    command
        .arg(format!("--listen=127.0.0.1:{port}"))
        .args(["--fdname=web", "-E", "NOTIFY_SOCKET=notify", env!("CARGO_BIN_EXE_forebay")])
        .args(["run", "--cores", "2", "--admin", "127.0.0.1:0", "--log", "off"])
        .args(["--listen", "systemd:web", "--", "sh", "-c", &script]);
    // It starts its program with the first client, who waits for the answer.
    let first = std::thread::spawn(move || {
        let mut stream = wait_for("the socket", || TcpStream::connect(("127.0.0.1", port)).ok());
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a deadline");
        let asked = b"GET /first HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n";
        stream.write_all(asked).expect("written");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    });
    let running = Running::started(folder, command);
    assert_eq!(running.port, port);
    let first = first.join().expect("the client does not panic");
    assert!(first.starts_with("HTTP/1.1 200") && first.ends_with("/first"), "{first}");
    for turn in 0..6 {
        let path = format!("/{turn}");
        assert!(running.get(&path).ends_with(&path));
    }
    assert_eq!(told(&ears), "READY=1\nSTATUS=serving on 2 cores");
    let environment = fs::read_to_string(running.path("app.env")).expect("it has started");
    for name in ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "NOTIFY_SOCKET"] {
        assert!(!environment.contains(name), "{environment}");
    }
    let descriptors = fs::read_to_string(running.path("app.fds")).expect("it has started");
    assert!(!descriptors.contains("socket:"), "{descriptors}");
    running.signal("TERM");
    assert_eq!(told(&ears), "STOPPING=1\nSTATUS=draining");
    assert!(running.end().success());
}

#[test]
fn a_manager_is_told_of_reloads_and_hears_that_every_core_lives() {
    let origin = Origin::start();
    let folder = tempfile::tempdir().expect("a folder");
    let ears = ears(folder.path());
    let notify = folder.path().join("notify").to_string_lossy().into_owned();
    let file = folder.path().join("forebay.toml");
    write(&file, &config(&origin, ""));
    let mut command = super::support::forebay(&["run", "--cores", "2", "--admin", "127.0.0.1:0"]);
    command.arg("--config").arg(&file);
    command.env("NOTIFY_SOCKET", &notify).env("WATCHDOG_USEC", "200000");
    let running = Running::started(folder, command);
    assert!(told(&ears).starts_with("READY=1"));
    for _ in 0..5 {
        assert_eq!(heard(&ears), "WATCHDOG=1");
    }
    assert_eq!(running.operate(&["reload"]).code, Some(0));
    assert_eq!(told(&ears), "RELOADING=1");
    assert_eq!(told(&ears), "READY=1");
    running.signal("TERM");
    assert!(told(&ears).starts_with("STOPPING=1"));
    assert!(running.end().success());
}

#[test]
fn a_reload_while_it_starts_does_not_say_that_it_is_ready() {
    let origin = Origin::start();
    let folder = tempfile::tempdir().expect("a folder");
    let ears = ears(folder.path());
    let file = folder.path().join("forebay.toml");
    write(&file, &config(&origin, ""));
    let admin = format!("127.0.0.1:{}", free_port());
    // The application of this test serves once it is allowed to.
    let script = format!(
        "touch begun; until [ -e go ]; do sleep 0.05; done; exec {} run --origin {} --cores 1 \
         --listen 127.0.0.1:$PORT --admin 127.0.0.1:0 --log off 2>app.log",
        env!("CARGO_BIN_EXE_forebay"),
        origin.url()
    );
    let mut process = super::support::forebay(&["run", "--admin", &admin, "--config"])
        .arg(&file)
        .args(["--", "sh", "-c", &script])
        .env("NOTIFY_SOCKET", "notify")
        .current_dir(folder.path())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let begun = folder.path().join("begun");
    wait_for("the application", || fs::exists(&begun).expect("readable").then_some(()));
    let reloaded = super::support::outcome(&["reload", "--admin", &admin]);
    assert_eq!(reloaded.code, Some(0), "{reloaded:?}");
    write(&folder.path().join("go"), "");
    assert_eq!(told(&ears).lines().next(), Some("READY=1"));
    let pid = process.id().to_string();
    assert!(Command::new("kill").arg(&pid).status().expect("kill is there").success());
    assert!(told(&ears).starts_with("STOPPING=1"));
    assert!(process.wait().expect("ours").success());
}

#[test]
fn descriptors_that_are_not_there_are_told_and_nothing_is_closed() {
    // The environment names two, and there are none.
    let script = format!(
        "LISTEN_PID=$$ LISTEN_FDS=2 exec {} run --origin http://127.0.0.1:1 --listen systemd:web",
        env!("CARGO_BIN_EXE_forebay")
    );
    let outcome = Command::new("sh").args(["-c", &script]).output().expect("it runs");
    let talk = String::from_utf8_lossy(&outcome.stderr);
    assert_eq!(outcome.status.code(), Some(1), "{talk}");
    assert!(talk.contains("descriptor 3 was not handed over"), "{talk}");
}

#[test]
fn a_socket_that_was_not_handed_over_is_told() {
    let outcome = super::support::outcome(&[
        "run",
        "--origin",
        "http://127.0.0.1:1",
        "--listen",
        "systemd:web",
        "--admin",
        "127.0.0.1:0",
    ]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.talk.contains("cannot listen on `systemd:web`"), "{outcome:?}");
    assert!(outcome.talk.contains("`FileDescriptorName=web`"), "{outcome:?}");
}
