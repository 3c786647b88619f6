//! The name of an origin that moves, by the resolver of the system: in a mount namespace of its own the
//! process sees a hosts file that the test writes.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::support::{Running, wait_for, write};

/// How a mount namespace is had: as root, or as root of a user namespace of one's own.
const WAYS: [&[&str]; 2] = [&["--mount"], &["--user", "--map-root-user", "--mount"]];

fn unshare() -> Option<Command> {
    let works = |way: &&&[&str]| {
        let mut command = Command::new("unshare");
        command.args(**way).arg("true").stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    WAYS.iter().find(works).map(|way| {
        let mut command = Command::new("unshare");
        command.args(*way);
        command
    })
}

/// A server that answers with its name, and how many of its connections are open.
struct Place {
    listener: TcpListener,
    open: Arc<AtomicUsize>,
}

impl Place {
    fn serve(self, name: &'static str) -> Arc<AtomicUsize> {
        let open = Arc::clone(&self.open);
        std::thread::spawn(move || {
            for stream in self.listener.incoming().flatten() {
                self.open.fetch_add(1, Ordering::SeqCst);
                let open = Arc::clone(&self.open);
                std::thread::spawn(move || {
                    // It ends when the edge closes.
                    drop(answer(stream, name));
                    open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        open
    }
}

fn answer(mut stream: TcpStream, name: &str) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    while lines.read_line(&mut line)? > 0 {
        if line == "\r\n" {
            let length = name.len();
            let head =
                format!("HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: {length}");
            stream.write_all(format!("{head}\r\n\r\n{name}").as_bytes())?;
        }
        line.clear();
    }
    Ok(())
}

/// Two addresses with one port: all of 127.0.0.0/8 is this machine.
fn places() -> (Place, Place, u16) {
    wait_for("a port that is free at both", || {
        let first = TcpListener::bind("127.0.0.2:0").ok()?;
        let port = first.local_addr().ok()?.port();
        let second = TcpListener::bind(("127.0.0.3", port)).ok()?;
        let place = |listener| Place { listener, open: Arc::default() };
        Some((place(first), place(second), port))
    })
}

/// Starts forebay where `hosts` is the hosts file, and no name server answers.
fn started(mut command: Command, config: &str, hosts: &Path) -> Running {
    let folder = tempfile::tempdir().expect("a folder");
    write(&folder.path().join("forebay.toml"), config);
    let resolver = folder.path().join("resolv.conf");
    // Nobody listens there: what is not in the hosts file is not found, at once.
    write(&resolver, "nameserver 127.0.0.99\noptions attempts:1 timeout:1\n");
    let mounts = "mount --bind \"$1\" /etc/hosts && mount --bind \"$2\" /etc/resolv.conf || exit 3\n\
                  shift 2; exec \"$@\"";
    command.args(["sh", "-c", mounts, "sh"]).arg(hosts).arg(&resolver);
    command.arg(env!("CARGO_BIN_EXE_forebay")).args(["run", "--cores", "1"]);
    command.args(["--config", "forebay.toml", "--admin", "127.0.0.1:0"]).stdin(Stdio::null());
    Running::started(folder, command)
}

#[test]
fn a_name_that_moves_is_followed_and_one_that_goes_away_is_kept() {
    let Some(command) = unshare() else {
        let mut talk = std::io::stderr();
        writeln!(talk, "not tested: this user may have no mount namespace").expect("it is heard");
        return;
    };
    let (old, new, port) = places();
    let (old, new) = (old.serve("old"), new.serve("new"));
    let folder = tempfile::tempdir().expect("a folder");
    let hosts = folder.path().join("hosts");
    let is_at = |address: &str| write(&hosts, &format!("{address} app.moving.test\n"));
    is_at("127.0.0.2");
    let config = format!(
        "[listen]\non = [\"127.0.0.1:0\"]\n[log]\nformat = \"off\"\n\n[[origin]]\nname = \"app\"\n\
         servers = [\"http://app.moving.test:{port}\"]\nresolve_every = \"20ms\"\n"
    );
    let running = started(command, &config, &hosts);
    let server = || running.status()["origins"][0]["servers"][0].clone();
    assert!(running.get("/a").ends_with("\r\n\r\nold"));

    is_at("127.0.0.3");
    wait_for("requests to follow the name", || {
        running.get("/a").ends_with("\r\n\r\nnew").then_some(())
    });
    for _ in 0..10 {
        assert!(running.get("/a").ends_with("\r\n\r\nnew"), "nothing goes back");
    }
    wait_for("the old connection to close", || (old.load(Ordering::SeqCst) == 0).then_some(()));
    assert_eq!(server()["resolved"], serde_json::json!([format!("127.0.0.3:{port}")]));

    write(&hosts, "127.0.0.1 localhost\n");
    wait_for("a look-up to fail", || server()["last_error"].is_object().then_some(()));
    assert!(running.get("/a").ends_with("\r\n\r\nnew"), "the last address is kept");
    assert!(new.load(Ordering::SeqCst) >= 1, "with its connection");
}
