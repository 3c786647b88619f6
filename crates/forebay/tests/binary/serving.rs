//! Serving without a config file, and its end.

use std::fs;
use std::sync::Arc;

use super::support::{Limits, Origin, Running, ask, config, get, wait_for};

#[test]
fn it_stands_before_an_application_by_one_flag() {
    let origin = Origin::start();
    let running = Running::before(&origin);
    let miss = running.get("/a");
    assert!(miss.starts_with("HTTP/1.1 200") && miss.ends_with("/a"), "{miss}");
    assert!(miss.contains("cache-status: Forebay; fwd=uri-miss; fwd-status=200; stored"), "{miss}");
    let hit = running.get("/a");
    assert!(hit.contains("cache-status: Forebay; hit; ttl="), "{hit}");
    assert_eq!(origin.asked(), 1);
}

#[test]
fn the_limit_of_file_descriptors_is_raised_as_far_as_it_goes() {
    let origin = Origin::start();
    let (url, folder) = (origin.url(), tempfile::tempdir().expect("a folder"));
    let limits = Limits { soft: 300, hard: 2_000 };
    let running = Running::start_limited(folder, &["--origin", &url, "--log", "off"], limits);
    let found = fs::read_to_string(format!("/proc/{}/limits", running.pid())).expect("Linux");
    let line = found.lines().find(|line| line.starts_with("Max open files")).expect("a line");
    let soft = line.split_whitespace().nth(3);
    assert_eq!(soft, Some("2000"), "{found}");
    assert!(running.said.contains("admit.max_connections"), "{}", running.said);
}

#[test]
fn a_drain_cuts_no_request() {
    let origin = Origin::start();
    let running = Running::before(&origin);
    let port = running.port;
    let slow = std::thread::spawn(move || get(port, "/slow"));
    wait_for("the request", || (origin.asked() == 1).then_some(()));
    running.signal("TERM");
    let ready = running.admin.parse().map(|admin: std::net::SocketAddr| admin.port());
    let ready = ready.expect("an address");
    wait_for("the drain", || {
        ask(ready, "localhost", "/readyz").starts_with("HTTP/1.1 503").then_some(())
    });
    origin.release();
    let answer = slow.join().expect("no panic");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("/slow"), "{answer}");
    let end = running.end();
    assert!(end.success(), "{end}");
}

#[test]
fn a_full_log_disk_loses_lines_and_serves_on() {
    let origin = Origin::start();
    let text =
        config(&origin, "").replace("format = \"off\"", "format = \"json\"\npath = \"/dev/full\"");
    let mut running = Running::with_config(&text);
    for _ in 0..50 {
        assert!(running.get("/a").starts_with("HTTP/1.1 200"));
    }
    wait_for("lost lines", || running.status()["log_lines_lost"].as_u64().filter(|lost| *lost > 0));
    assert!(running.get("/a").starts_with("HTTP/1.1 200"));
    assert!(running.is_running());
}

#[test]
fn the_access_log_has_a_line_a_request() {
    let origin = Origin::start();
    let log = Arc::new(tempfile::tempdir().expect("a folder"));
    let path = log.path().join("access.log");
    let to = format!("format = \"json\"\npath = \"{}\"", path.display());
    let running = Running::with_config(&config(&origin, "").replace("format = \"off\"", &to));
    running.get("/a?b=c");
    let line = wait_for("a line", || {
        fs::read_to_string(&path).ok().and_then(|text| text.lines().next().map(str::to_owned))
    });
    let line: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(line["status"], 200);
    assert!(line.to_string().contains("/a"), "{line}");
}
