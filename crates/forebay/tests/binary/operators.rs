//! What operators type while it serves.

use std::io::Read;
use std::process::Stdio;

use super::support::{Origin, Running, config, forebay, outcome, write};

#[test]
fn why_and_purge_tell_what_is_stored() {
    let origin = Origin::start();
    let running = Running::before(&origin);
    let url = format!("http://shop.example:{}/a", running.port);
    let asked = "http://shop.example/a";
    let why = |decision: &str| {
        let why = running.operate(&["cache", "why", asked]);
        assert_eq!(why.code, Some(0), "{why:?}");
        assert!(why.data.contains(&format!("decision   {decision}")), "{}", why.data);
        why.data
    };
    why("miss");
    running.get("/a");
    assert!(why("hit").contains("key        http://shop.example/a"));
    let json = running.operate(&["cache", "why", asked, "--json", "-H", "Accept: text/html"]);
    let json: serde_json::Value = serde_json::from_str(&json.data).expect("JSON");
    assert_eq!((&json["decision"], &json["rule"]), (&"hit".into(), &"s-maxage".into()));
    let purge = |words: &[&str]| running.operate(&[&["cache", "purge"], words].concat());
    assert_eq!(purge(&[&url]).data, "0 purged\n", "another port is another site");
    assert_eq!(purge(&[asked, "--dry-run"]).data, "1 would be purged\n");
    why("hit");
    assert_eq!(purge(&[asked]).data, "1 purged\n");
    why("miss");
    running.get("/a");
    let all = purge(&["--everything"]);
    assert_eq!(all.code, Some(1), "without a terminal it needs a yes: {all:?}");
    assert!(all.talk.contains("--yes"), "{all:?}");
    let all = purge(&["--everything", "--yes", "--json"]);
    let all: serde_json::Value = serde_json::from_str(&all.data).expect("JSON");
    assert_eq!(all["purged"], 1);
    why("miss");
}

#[test]
fn a_reload_takes_effect_whole_or_not_at_all() {
    let origin = Origin::start();
    let running = Running::with_config(&config(&origin, ""));
    let file = running.path("forebay.toml");
    assert!(running.get("/new").ends_with("/new"));
    let fixed =
        "[[route]]\nname = \"new\"\npath = \"/new\"\nanswer = { status = 410, text = \"gone\" }\n";
    write(&file, &config(&origin, fixed));
    let reload = running.operate(&["reload"]);
    assert_eq!(reload.code, Some(0), "{reload:?}");
    assert!(running.get("/new").starts_with("HTTP/1.1 410"), "{}", running.get("/new"));
    write(&file, &config(&origin, &fixed.replace("410", "99999")));
    let reload = running.operate(&["reload"]);
    assert_eq!(reload.code, Some(1), "{reload:?}");
    assert!(reload.talk.contains("99999"), "the value is named: {reload:?}");
    assert!(running.get("/new").starts_with("HTTP/1.1 410"), "nothing has changed");
    assert_eq!(running.status()["reloads"], 1);
    running.signal("HUP");
    write(&file, &config(&origin, ""));
    running.operate(&["reload"]);
    assert!(running.get("/new").ends_with("/new"));
}

#[test]
fn status_has_a_table_for_people_and_json_for_programs() {
    let origin = Origin::start();
    let running = Running::before(&origin);
    running.get("/a");
    running.get("/a");
    let status = running.status();
    assert_eq!(status["state"], "serving");
    let route = &status["routes"][0];
    assert_eq!((&route["hits"], &route["misses"]), (&1.into(), &1.into()), "{status:#}");
    let once = running.operate(&["status", "--once"]);
    assert_eq!(once.code, Some(0));
    assert!(once.data.contains("serving"), "{}", once.data);
    assert!(!once.data.contains('\x1b'), "no colour without a terminal: {:?}", once.data);
}

#[test]
fn explain_says_where_each_value_comes_from() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("forebay.toml");
    write(&file, &config(&Origin::start(), "[cache]\nmemory = \"64MiB\"\n"));
    let name = file.to_string_lossy().into_owned();
    let output = forebay(&["check", "--explain", "--config", &name, "--log", "common"])
        .env("FOREBAY_ADMIN", "127.0.0.1:7999")
        .output()
        .expect("it starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    for (value, origin) in [
        ("64MiB", "forebay.toml:"),
        ("common", "--log"),
        ("7999", "FOREBAY_ADMIN"),
        ("cache", "default"),
    ] {
        let found = text.lines().any(|line| line.contains(value) && line.contains(origin));
        assert!(found, "{value} from {origin} is missing in:\n{text}");
    }
}

#[test]
fn readers_pages_come_out_whole_and_a_broken_pipe_is_no_error() {
    assert!(outcome(&["version"]).data.starts_with("forebay "));
    assert!(outcome(&["man"]).data.contains(".TH"));
    for shell in ["bash", "zsh", "fish"] {
        assert!(outcome(&["completions", shell]).data.contains("forebay"), "{shell}");
    }
    let mut process =
        forebay(&["man"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("ok");
    drop(process.stdout.take());
    let mut talk = String::new();
    process.stderr.take().expect("piped").read_to_string(&mut talk).expect("text");
    assert!(process.wait().expect("ours").success(), "{talk}");
    assert_eq!(talk, "");
}
