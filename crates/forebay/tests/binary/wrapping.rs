//! `forebay run -- CMD`: the application is started, waited for, and goes with us.

use std::fs;
use std::process::{Command, Stdio};

use super::support::{Origin, Running, forebay, wait_for};

#[test]
fn a_wrapped_application_is_told_its_port_and_goes_with_us() {
    let origin = Origin::start();
    let folder = tempfile::tempdir().expect("a folder");
    // The application of this test is a second forebay, which answers by asking the origin.
    let script = format!(
        "echo $$ > app.pid; exec {} run --origin {} --listen 127.0.0.1:$PORT --admin 127.0.0.1:0 \
         --log off --cores 1 2>app.log",
        env!("CARGO_BIN_EXE_forebay"),
        origin.url()
    );
    let running = Running::start_in(folder, &["--log", "off"], &["sh", "-c", &script]);
    let first = running.get("/a");
    assert!(first.starts_with("HTTP/1.1 200") && first.ends_with("/a"), "{first}");
    let pid = fs::read_to_string(running.path("app.pid")).expect("it has started");
    let proc = format!("/proc/{}", pid.trim());
    assert!(fs::exists(&proc).expect("readable"));
    running.signal("TERM");
    let end = running.end();
    assert!(end.success(), "{end}");
    wait_for("the application's end", || (!fs::exists(&proc).expect("readable")).then_some(()));
}

#[test]
fn a_signal_while_the_application_starts_leaves_nothing_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let pid_file = folder.path().join("app.pid");
    let mut process = forebay(&["run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
        .args(["--", "sh", "-c", "echo $$ > app.tmp; mv app.tmp app.pid; exec sleep 600"])
        .current_dir(folder.path())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let app = wait_for("the application", || fs::read_to_string(&pid_file).ok());
    let sent = Command::new("kill").arg(process.id().to_string()).status().expect("kill is there");
    assert!(sent.success());
    let end = wait_for("its end", || process.try_wait().expect("ours"));
    assert!(end.success(), "{end}");
    assert!(!fs::exists(format!("/proc/{}", app.trim())).expect("readable"), "it is left behind");
}

#[test]
fn the_application_keeps_the_limit_of_file_descriptors_that_we_were_given() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = "until [ $(ulimit -S -n) = 300 ]; do :; done; touch limited; exec sleep 600";
    let mut process = Command::new("prlimit")
        .args(["--nofile=300:2000", env!("CARGO_BIN_EXE_forebay")])
        .args([
            "run",
            "--listen",
            "127.0.0.1:0",
            "--admin",
            "127.0.0.1:0",
            "--",
            "sh",
            "-c",
            script,
        ])
        .current_dir(folder.path())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let limited = folder.path().join("limited");
    wait_for("the limit", || fs::exists(&limited).expect("readable").then_some(()));
    let sent = Command::new("kill").arg(process.id().to_string()).status().expect("kill is there");
    assert!(sent.success());
    wait_for("its end", || process.try_wait().expect("ours"));
}

#[test]
fn signals_for_applications_reach_the_application_and_a_second_one_ends_the_wait() {
    let origin = Origin::start();
    let folder = tempfile::tempdir().expect("a folder");
    let script = format!(
        "trap 'echo usr1 >> heard' USR1; trap '' TERM; {} run --origin {} --listen 127.0.0.1:$PORT \
         --admin 127.0.0.1:0 --log off --cores 1 2>app.log & while :; do wait; done",
        env!("CARGO_BIN_EXE_forebay"),
        origin.url()
    );
    let mut running = Running::start_in(folder, &["--log", "off"], &["sh", "-c", &script]);
    running.signal("USR1");
    let heard = running.path("heard");
    wait_for("the signal", || fs::read_to_string(&heard).ok().filter(|text| text.contains("usr1")));
    assert!(running.is_running(), "it is not ours to die of");
    running.signal("TERM");
    let readyz = running.admin.clone();
    wait_for("the drain", || match std::net::TcpStream::connect(&readyz) {
        Ok(_) => super::support::ask(running.admin_port(), "localhost", "/readyz")
            .contains("draining")
            .then_some(()),
        Err(_) => Some(()),
    });
    // The application does not hear TERM: it would be waited for.
    running.signal("INT");
    assert_eq!(running.end().code(), Some(1));
}
