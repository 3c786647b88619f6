//! What operators type while it serves.

use std::io::Read;
use std::process::Stdio;

use super::support::{Origin, Running, config, forebay, outcome, wait_for, write};

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
    let all = purge(&["--all"]);
    assert_eq!(all.code, Some(1), "without a terminal it needs a yes: {all:?}");
    assert!(all.talk.contains("--yes"), "{all:?}");
    let all = purge(&["--all", "--yes", "--json"]);
    let all: serde_json::Value = serde_json::from_str(&all.data).expect("JSON");
    assert_eq!((&all["purged"], &all["soft"]), (&1.into(), &false.into()));
    why("miss");
    running.get("/a");
    for (words, count) in [
        (&["--prefix", "http://shop.example/"][..], 1),
        (&["--prefix", "http://shop.example/b"], 0),
        (&["--host", "shop.example"], 1),
        (&["--tag", "shelf", "--tag", "none"], 0),
        (&["http://shop.example/b", asked], 1),
    ] {
        let said = purge(&[words, &["--dry-run"]].concat());
        assert_eq!(said.data, format!("{count} would be purged\n"), "{words:?}");
        let said = purge(words);
        assert_eq!(said.code, Some(1), "more than one address needs a yes: {said:?}");
    }
    let soft = purge(&["--prefix", "http://shop.example/", "--soft", "--yes"]);
    assert_eq!(soft.data, "1 made stale\n");
    assert!(why("validate").contains("rule       stale"));
    let journal = running.status()["journal"].to_string();
    assert!(journal.contains("made prefix `http://shop.example/` stale: 1 answer"), "{journal}");
    assert_eq!(purge(&["--prefix", "shop.example/"]).code, Some(1));
}

#[test]
fn maintenance_is_begun_and_ended_by_a_word() {
    let origin = Origin::start();
    let running = Running::before(&origin);
    let maintenance = |words: &[&str]| running.operate(&[&["maintenance"], words].concat());
    assert_eq!(maintenance(&["on"]).data, "in maintenance: default\n");
    let answer = running.get("/a");
    assert!(answer.contains("503") && answer.contains("forebay-error: maintenance"), "{answer}");
    assert!(running.operate(&["status", "--once"]).data.contains("IN MAINTENANCE: default\n"));
    let unknown = maintenance(&["off", "--route", "shop"]);
    assert_eq!(unknown.code, Some(1), "{unknown:?}");
    assert!(unknown.talk.contains("no route is named `shop`"), "{unknown:?}");
    assert_eq!(maintenance(&["off"]).data, "no route is in maintenance\n");
    assert!(running.get("/a").contains("200"));
}

#[test]
fn a_mark_stands_in_the_journal_and_in_the_status_until_the_next() {
    let origin = Origin::start();
    let running = Running::before(&origin);
    assert_eq!(running.status()["mark"], serde_json::Value::Null);
    let said = running.operate(&["mark", "v41 deployed"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.data.starts_with("marked as entry "), "{said:?}");
    running.operate(&["mark", " v42 deployed ", "--by", "deploy-bot"]);
    for _ in 0..12 {
        // Newer entries push it out of what the status shows of the journal.
        assert_eq!(running.operate(&["reload"]).code, Some(0));
    }
    let status = running.status();
    let mark = &status["mark"];
    assert_eq!((&mark["what"], &mark["who"]), (&"mark: v42 deployed".into(), &"deploy-bot".into()));
    assert!(mark["at_ms"].as_u64().is_some_and(|at| at > 0), "{mark}");
    assert!(!status["journal"].to_string().contains("mark: "), "{status}");
    let shown = running.operate(&["status", "--once"]).data;
    assert!(shown.contains("mark: v42 deployed, by deploy-bot, "), "{shown}");
    for bad in ["", "two\nlines", &"x".repeat(201)] {
        let refused = running.operate(&["mark", bad]);
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.talk.contains("one line"), "{refused:?}");
    }
    assert_eq!(
        running.status()["mark"]["what"],
        "mark: v42 deployed",
        "what is refused marks nothing"
    );
}

#[test]
fn why_is_honest_about_routes_that_answer_themselves_and_answers_not_seen() {
    let origin = Origin::start();
    let own = "[[route]]\nname = \"gone\"\npath = \"/gone\"\nanswer = { status = 410, text = \"gone\" }\n\n\
               [[route]]\nname = \"moved\"\npath = \"/old/*rest\"\nredirect = { status = 308, to = \"/new/{rest}\" }\n\n\
               [rate.all]\nrequests = 9\n\n\
               [policy.shared]\nextends = \"html\"\nttl = \"60s\"\nquery = \"drop\"\nkey_cookies = [\"theme\"]\nstrip_set_cookie = true\n\n\
               [[route]]\nname = \"shared\"\npath = \"/shared\"\norigin = \"app\"\npolicy = \"shared\"\nrates = [\"all\"]\n";
    let running = Running::with_config(&config(&origin, own));
    let why = |path: &str, more: &[&str]| {
        let url = format!("http://shop.example{path}");
        running.operate(&[&["cache", "why", &url], more].concat()).data
    };
    for (path, route, parts) in
        [("/gone", "gone", ["410", "a fixed text"]), ("/old/a", "moved", ["308", "`/new/a`"])]
    {
        let said = why(path, &[]);
        assert!(said.contains("decision   own"), "{said}");
        assert!(said.contains(&format!("route      {route}")), "{said}");
        assert!(parts.iter().all(|part| said.contains(part)), "{said}");
    }
    let said = why("/shared?q=1", &["-H", "Cache-Control: no-cache, max-stale=5, no-store"]);
    for part in [
        "rate `all` may refuse it",
        "the policy grants 60 s where an answer says nothing",
        "the key has nothing of the query",
        "the key has the cookie `theme`",
        "a stale answer that says nothing itself is used 30 s while it is fetched anew",
        "an error that says nothing itself is fresh for 1 s",
        "an exception: `Set-Cookie` is taken off and the rest stored",
        "`no-cache` of the request is ignored by the policy",
        "`max-stale=5` of the request is obeyed",
        "`no-store` of the request: its answer is not stored",
    ] {
        assert!(said.contains(&format!("part       {part}\n")), "{part}: {said}");
    }
    let unseen = why("/a", &[]);
    assert!(unseen.contains("not known before it has come"), "{unseen}");
    let personal = why("/a", &["-H", "Authorization: Basic x"]);
    assert!(personal.contains("decision   miss"), "{personal}");
    assert!(personal.contains("the request carried Authorization"), "{personal}");
    assert_eq!(origin.asked(), 0);
}

#[test]
fn the_status_names_who_fails_to_say_who_may_come_in_and_where_copies_go() {
    let origin = Origin::start();
    let more = "[[origin]]\nname = \"gone\"\nservers = [\"unix:/no/such/socket\"]\n\n\
                [forward_auth.sso]\norigin = \"gone\"\npath = \"/verify\"\n\n\
                [[route]]\nname = \"closed\"\npath = \"/closed\"\norigin = \"app\"\nforward_auth = \"sso\"\n\n\
                [[route]]\nname = \"copied\"\npath = \"/copied\"\norigin = \"app\"\nmirror = { origin = \"gone\" }\n";
    let running = Running::with_config(&config(&origin, more));
    let refused = running.get("/closed");
    assert!(refused.contains("forebay-error: unverified"), "{refused}");
    assert_eq!(origin.asked(), 0, "nobody is let in unasked");
    running.get("/copied");
    let line = |of: &str| {
        let shown = running.operate(&["status", "--once"]).data;
        let line = shown.lines().find(|line| line.starts_with(of)).map(str::to_owned);
        line.unwrap_or_else(|| panic!("{of} is missing: {shown}"))
    };
    let fails = line("sso ");
    assert!(fails.contains(" 1 ") && fails.ends_with("  FAILS"), "{fails}");
    let copies = line("copied to gone ");
    assert_eq!(copies.split_whitespace().nth(3), Some("0.0"), "{copies}");
    let told = running.operate(&["status", "--once"]).data;
    assert!(told.contains("forward_auth `sso` fails, requests are refused: "), "{told}");
}

#[test]
fn check_speaks_json_whatever_fails_and_opens_the_log_without_making_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let file = path("forebay.toml");
    let check = |text: &str, more: &[&str]| {
        write(file.as_ref(), text);
        outcome(&[&["check", "--config", &file, "--json"], more].concat())
    };
    let plain = "[[origin]]\nname = \"app\"\nservers = [\"http://127.0.0.1:9\"]\n";
    let log = |path: &str| format!("{plain}[log]\npath = {path:?}\n");
    for (text, part) in [
        (plain.replace("127.0.0.1", "no-such-host.invalid"), "no-such-host.invalid"),
        (
            format!("{plain}[listen]\ncertificates = [{{ chain = {file:?}, key = {file:?} }}]\n"),
            "forebay.toml",
        ),
        (log(&path("no/such/folder.log")), "no/such/folder.log"),
        (log(&path("")), "cannot open the access log"),
    ] {
        let refused = check(&text, &[]);
        assert_eq!(refused.code, Some(1), "{refused:?}");
        let json: serde_json::Value = serde_json::from_str(&refused.data).expect("JSON");
        assert_eq!(json["ok"], false, "{json:#}");
        let problem = json["problems"][0]["problem"].as_str().expect("text");
        assert!(problem.contains(part), "{part:?} is missing in {problem}");
        assert!(json["problems"][0]["hint"].is_string(), "{json:#}");
    }
    let new = path("new.log");
    let good = check(&log(&new), &[]);
    assert_eq!(good.code, Some(0), "{good:?}");
    assert!(!std::path::Path::new(&new).exists(), "it would belong to whoever checked");
    write(new.as_ref(), "a line\n");
    assert_eq!(check(&log(&new), &[]).code, Some(0));
    assert_eq!(std::fs::read_to_string(&new).expect("it is there"), "a line\n");
}

#[test]
fn a_config_for_a_wrapped_application_can_be_checked() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("forebay.toml");
    write(&file, "[[route]]\nname = \"all\"\norigin = \"app\"\n");
    let name = file.to_string_lossy().into_owned();
    let bare = outcome(&["check", "--config", &name]);
    assert_eq!(bare.code, Some(1), "{bare:?}");
    let wrapped = outcome(&["check", "--config", &name, "--", "no-such-program"]);
    assert_eq!((wrapped.code, wrapped.data.as_str()), (Some(0), "ok: 1 route\n"), "{wrapped:?}");
    write(
        &file,
        "[[origin]]\nname = \"else\"\nservers = [\"http://127.0.0.1:9\"]\n\n[[route]]\norigin = \"else\"\n",
    );
    let unused = outcome(&["check", "--config", &name, "--", "no-such-program"]);
    assert!(unused.talk.contains("no route asks the application of the command"), "{unused:?}");
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
    write(&file, &config(&origin, ""));
    running.signal("HUP");
    wait_for("the reload", || (running.status()["reloads"] == 2).then_some(()));
    let heard = || std::fs::read_to_string(running.path("stderr")).unwrap_or_default();
    wait_for("its words", || {
        heard().contains("forebay: reloaded: 1 route in force\n").then_some(())
    });
    assert!(running.get("/new").ends_with("/new"));
}

#[test]
fn a_reload_refuses_names_that_nobody_knows() {
    let origin = Origin::start();
    let running = Running::with_config(&config(&origin, ""));
    let file = running.path("forebay.toml");
    let text = config(&origin, "");
    write(&file, &text.replace(&origin.url(), "http://no-such-host.invalid"));
    let reload = running.operate(&["reload"]);
    assert_eq!(reload.code, Some(1), "{reload:?}");
    assert!(reload.talk.contains("no-such-host.invalid"), "{reload:?}");
    assert_eq!(reload.talk.matches("error: ").count(), 1, "{reload:?}");
    assert!(running.get("/a").ends_with("/a"), "nothing has changed");
}

#[test]
fn a_reload_of_the_log_loses_no_line_and_mixes_none() {
    let origin = Origin::start();
    let running = Running::with_config(&config(&origin, ""));
    let (file, log) = (running.path("forebay.toml"), running.path("access.log"));
    running.get("/before");
    let to = |format: &str| format!("format = \"{format}\"\npath = \"{}\"", log.display());
    write(&file, &config(&origin, "").replace("format = \"off\"", &to("json")));
    assert_eq!(running.operate(&["reload"]).code, Some(0));
    running.get("/json");
    write(&file, &config(&origin, "").replace("format = \"off\"", &to("common")));
    assert_eq!(running.operate(&["reload"]).code, Some(0));
    running.get("/common");
    let lines = wait_for("both lines", || {
        let text = std::fs::read_to_string(&log).ok()?;
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        (lines.len() == 2).then_some(lines)
    });
    assert!(lines.iter().any(|line| line.starts_with('{') && line.contains("/json")), "{lines:?}");
    assert!(
        lines.iter().any(|line| !line.starts_with('{') && line.contains("/common")),
        "{lines:?}"
    );
}

#[test]
fn standard_error_that_is_full_or_closed_ends_nothing() {
    let origin = Origin::start();
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr());
    let port = port.expect("a free port").port();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("it is there");
    let mut process = forebay(&["run", "--origin", &origin.url(), "--admin", "127.0.0.1:0"])
        .args(["--log", "off", "--listen", &format!("127.0.0.1:{port}")])
        .stderr(full)
        .spawn()
        .expect("it starts");
    wait_for("its socket", || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
    assert!(super::support::get(port, "/a").ends_with("/a"));
    assert!(process.try_wait().expect("ours").is_none(), "it serves on");
    process.kill().expect("ours");
    process.wait().expect("ours");
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
