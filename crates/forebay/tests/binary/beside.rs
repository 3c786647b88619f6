//! The worker beside the edge: started by `[jobs]`, changed by a reload, ended in order, and never in the way.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use forebay_redis::server::Server;
use forebay_signals::clock;
use serde_json::Value;

use super::metrics::page;
use super::support::{Origin, Running, config, forebay, wait_for, write};

/// What runs jobs: writes down which one it was.
const NOTES: &str = "echo \"$FOREBAY_JOB_QUEUE $FOREBAY_JOB_CLASS\" >> ran";

/// A file with `[jobs]`, whose jobs are run by a script of the shell.
fn with_jobs(origin: &Origin, jobs: &str, script: &str) -> String {
    let command = serde_json::json!(["sh", "-c", script]);
    config(origin, &format!("[jobs]\n{jobs}\n[jobs.exec]\ncommand = {command}\n"))
}

/// A verb of jobs that goes by the same file; it must end well.
fn jobs(running: &Running, words: &[&str]) -> String {
    let file = running.path("forebay.toml");
    let file = file.to_string_lossy();
    let args = [&["jobs"], words, &["--config", &file]].concat();
    let output = forebay(&args).current_dir(running.folder.path()).output().expect("it starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

fn stats(running: &Running) -> Value {
    serde_json::from_str(&jobs(running, &["stats", "--json"])).expect("JSON")
}

fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

fn ran(running: &Running) -> Vec<String> {
    lines(&running.path("ran"))
}

fn worker(running: &Running) -> Value {
    running.status()["jobs"].clone()
}

#[test]
fn jobs_run_beside_the_edge_and_end_in_order() {
    let origin = Origin::start();
    let script = format!("{NOTES}; [ \"$FOREBAY_JOB_CLASS\" != Slow ] || exec sleep 600");
    let text = with_jobs(&origin, "concurrency = 3\ngrace = \"100ms\"\n", &script);
    let running = Running::with_config(&text);
    jobs(&running, &["push", "Quick"]);
    wait_for("the job", || (ran(&running) == ["default Quick"]).then_some(()));
    assert!(running.get("/a").ends_with("/a"));
    jobs(&running, &["push", "Slow"]);
    let seen = wait_for("the slow one", || {
        let seen = worker(&running);
        (seen["busy"] == 1).then_some(seen)
    });
    assert_eq!((&seen["state"], &seen["concurrency"]), (&"running".into(), &3.into()));
    assert_eq!((&seen["processed"], &seen["trouble"]), (&1.into(), &Value::Null));
    let once = running.operate(&["status", "--once"]).data;
    assert!(
        once.contains("jobs running · 1 of 3 busy · 1 ran, 0 failed, 0 dead · default from"),
        "{once}"
    );
    assert_eq!(stats(&running)["processes"], 1);
    running.signal("TERM");
    let folder = running.folder.path().to_owned();
    // The rest goes back: the store outlives the process, and so must what the test looks at.
    let kept = tempfile::tempdir().expect("a folder");
    let mut running = running;
    wait_for("the end", || (!running.is_running()).then_some(()));
    for name in ["forebay.db", "forebay.db-wal"] {
        drop(fs::copy(folder.join(name), kept.path().join(name)));
    }
    let store = kept.path().join("forebay.db");
    let args = ["jobs", "stats", "--json", "--store", &store.to_string_lossy()];
    let output = forebay(&args).output().expect("it starts");
    let left: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(
        (&left["enqueued"], &left["running"], &left["processes"]),
        (&1.into(), &0.into(), &0.into())
    );
    assert!(running.end().success());
}

#[test]
fn a_reload_changes_the_worker_and_loses_nothing() {
    let origin = Origin::start();
    let running = Running::with_config(&with_jobs(&origin, "", NOTES));
    let file = running.path("forebay.toml");
    for n in 0..40 {
        let queue = ["default", "mail"][n % 2];
        jobs(&running, &["push", "Job", "--queue", queue]);
        if n == 20 {
            write(
                &file,
                &with_jobs(&origin, "queues = [\"mail\", \"default\"]\nconcurrency = 2\n", NOTES),
            );
            let said = running.operate(&["reload"]);
            assert!(said.data.contains("jobs are run as it says now"), "{said:?}");
        }
    }
    wait_for("all of them", || (ran(&running).len() == 40).then_some(()));
    assert_eq!(worker(&running)["concurrency"], 2);
    wait_for("the end of the old one", || (stats(&running)["processes"] == 1).then_some(()));

    // What cannot be leaves everything as it is, the edge too.
    write(&file, &with_jobs(&origin, "store = \"/no/such/folder/x.db\"\n", NOTES));
    let said = running.operate(&["reload"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.talk.contains("cannot open the job store `/no/such/folder/x.db`"), "{said:?}");
    write(&file, &with_jobs(&origin, "queus = []\n", NOTES));
    let said = running.operate(&["reload"]);
    assert!(said.talk.contains("unknown key `queus` in `jobs`"), "{said:?}");
    assert_eq!(worker(&running)["queues"], serde_json::json!(["mail", "default"]));

    // Without the section nobody works; with it again somebody does.
    write(&file, &config(&origin, ""));
    let said = running.operate(&["reload"]);
    assert!(said.data.contains("jobs are not run here any more"), "{said:?}");
    assert_eq!(worker(&running), Value::Null);
    write(&file, &with_jobs(&origin, "", NOTES));
    jobs(&running, &["push", "Late"]);
    assert_eq!(running.operate(&["reload"]).code, Some(0));
    wait_for("the late one", || ran(&running).contains(&"default Late".to_owned()).then_some(()));
    let store = running.path("forebay.db");
    running.signal("TERM");
    drop(store);
    assert!(running.end().success());
}

#[test]
fn a_store_that_is_away_keeps_nobody_from_serving() {
    let origin = Origin::start();
    let mut server = Server::start(&[]);
    server.kill();
    let store = format!("store = \"unix://{}\"\n", server.socket().display());
    let running = Running::with_config(&with_jobs(&origin, &store, NOTES));
    assert!(running.get("/a").ends_with("/a"));
    let trouble =
        wait_for("what is wrong", || worker(&running)["trouble"].as_str().map(str::to_owned));
    assert!(trouble.contains("the job store does not answer"), "{trouble}");
    let once = running.operate(&["status", "--once"]).data;
    assert!(once.contains("WARNING: jobs: the job store does not answer"), "{once}");
    server.revive(&[]);
    wait_for("no trouble", || worker(&running)["trouble"].is_null().then_some(()));
    jobs(&running, &["push", "Job"]);
    wait_for("the job", || (ran(&running) == ["default Job"]).then_some(()));
    server.kill();
    wait_for("trouble again", || worker(&running)["trouble"].is_string().then_some(()));
    assert!(running.get("/b").ends_with("/b"));
    running.signal("TERM");
    assert!(running.end().success());
}

#[test]
fn a_file_that_cannot_be_opened_is_opened_once_it_can() {
    let origin = Origin::start();
    let text = with_jobs(&origin, "store = \"later/jobs.db\"\n", NOTES);
    let running = Running::with_config(&text);
    assert!(running.get("/a").ends_with("/a"));
    wait_for("what is wrong", || worker(&running)["trouble"].is_string().then_some(()));
    assert_eq!(worker(&running)["state"], "waiting");
    fs::create_dir(running.path("later")).expect("a folder");
    wait_for("the worker", || (worker(&running)["state"] == "running").then_some(()));
    jobs(&running, &["push", "Job"]);
    wait_for("the job", || (ran(&running) == ["default Job"]).then_some(()));
}

#[test]
fn jobs_are_delivered_through_the_edge_itself() {
    let origin = Origin::start();
    let port =
        TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("free").port();
    let text = config(&origin, &format!("[jobs.http]\nurl = \"http://127.0.0.1:{port}/jobs\"\n"))
        .replace("127.0.0.1:0", &format!("127.0.0.1:{port}"));
    let running = Running::with_config(&text);
    for _ in 0..20 {
        jobs(&running, &["push", "Job"]);
    }
    wait_for("all of them", || (origin.asked() == 20).then_some(()));
    wait_for("their ends", || (worker(&running)["processed"] == 20).then_some(()));
    assert_eq!(worker(&running)["failed"], 0);
    let routes = running.status()["routes"].clone();
    assert_eq!(routes[0]["requests"], 20, "{routes}");
}

#[test]
fn timetables_of_the_file_fire() {
    let origin = Origin::start();
    let timetable = "[[jobs.timetable]]\nname = \"each second\"\ncron = \"* * * * * *\"\nclass = \"Tick\"\nqueue = \"low\"\n";
    let text = with_jobs(&origin, "queues = { low = 1 }\n", NOTES)
        .replace("[jobs.exec]", &format!("{timetable}[jobs.exec]"));
    let running = Running::with_config(&text);
    let began = clock::now();
    wait_for("two ticks", || (ran(&running).len() >= 2).then_some(()));
    assert!(clock::now() - began >= Duration::from_secs(1));
    assert!(ran(&running).iter().all(|line| line == "low Tick"));
}

#[test]
fn timetables_are_listed_paused_and_fired() {
    let origin = Origin::start();
    let timetables = "[[jobs.timetable]]\nname = \"each second\"\ncron = \"* * * * * *\"\nclass = \"Tick\"\n\n\
                      [[jobs.timetable]]\nname = \"yearly\"\ncron = \"0 12 24 12 *\"\nzone = \"Europe/Berlin\"\nclass = \"Gift\"\n\n";
    let text =
        with_jobs(&origin, "", NOTES).replace("[jobs.exec]", &format!("{timetables}[jobs.exec]"));
    let running = Running::with_config(&text);
    wait_for("a tick", || (!ran(&running).is_empty()).then_some(()));
    jobs(&running, &["cron", "pause", "each second"]);
    let listed =
        || -> Value { serde_json::from_str(&jobs(&running, &["cron", "--json"])).expect("JSON") };
    let all = listed();
    assert_eq!((&all[0]["paused"], &all[1]["paused"]), (&true.into(), &false.into()), "{all}");
    assert!(
        all[0]["last"].is_string()
            && all[1]["next"].as_str().is_some_and(|it| it.ends_with("-12-24T11:00:00Z")),
        "{all}"
    );
    let shown = jobs(&running, &["cron"]);
    assert!(
        shown.contains("each second")
            && shown.contains("paused")
            && shown.contains("-12-24 12:00:00"),
        "{shown}"
    );
    // Ticks go by; what is paused pushes nothing.
    let last = wait_for("a tick that is over", || {
        let now = listed();
        (now[0]["last"] != all[0]["last"]).then(|| now[0]["last"].clone())
    });
    let before = ran(&running).len();
    wait_for("another", || (listed()[0]["last"] != last).then_some(()));
    assert_eq!(ran(&running).len(), before);
    jobs(&running, &["cron", "fire", "yearly"]);
    wait_for("what was fired", || ran(&running).contains(&"default Gift".to_owned()).then_some(()));
    jobs(&running, &["cron", "resume", "each second"]);
    wait_for("its next tick", || (ran(&running).len() > before + 1).then_some(()));
    let output = forebay(&["jobs", "cron", "fire", "yearli", "--config"])
        .arg(running.path("forebay.toml"))
        .current_dir(running.folder.path())
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("the settings have no timetable `yearli`; did you mean `yearly`?"),
        "{said}"
    );
}

#[test]
fn numbers_of_jobs_are_exported_beside_the_edges() {
    let origin = Origin::start();
    let script = format!("{NOTES}; [ \"$FOREBAY_JOB_CLASS\" != Fails ]");
    let running = Running::with_config(&with_jobs(&origin, "", &script));
    jobs(&running, &["push", "Waits", "--queue", "idle"]);
    jobs(&running, &["push", "Later", "--in", "1h"]);
    for class in ["Works", "Works", "Fails"] {
        jobs(&running, &["push", class]);
    }
    let of = |name: &str, label: &str| -> Option<f64> {
        let families = page(&running);
        let has = |labels: &std::collections::BTreeMap<String, String>| {
            label.is_empty()
                || labels.iter().any(|(name, value)| format!("{name}={value}") == label)
        };
        let samples = families.into_values().flat_map(|family| family.samples);
        let sums: Vec<f64> =
            samples.filter(|(it, labels, _)| it == name && has(labels)).map(|it| it.2).collect();
        (!sums.is_empty()).then(|| sums.iter().sum())
    };
    wait_for("their ends", || (of("forebay_jobs_runs_total", "") == Some(3.0)).then_some(()));
    assert_eq!(of("forebay_jobs_runs_total", "class=Works"), Some(2.0));
    assert_eq!(of("forebay_jobs_runs_total", "end=failed"), Some(1.0));
    assert_eq!(of("forebay_jobs_run_seconds_count", "class=Works"), Some(2.0));
    wait_for("it is idle", || (of("forebay_jobs_worker_busy", "") == Some(0.0)).then_some(()));
    assert_eq!(of("forebay_jobs_store_answers", ""), Some(1.0));
    // The numbers of the store are collected each ten seconds.
    // The first look may have come between two pushes.
    wait_for("the waiting ones", || {
        let depth = of("forebay_jobs_queue_depth", "queue=idle");
        (depth == Some(1.0) && of("forebay_jobs_waiting", "set=scheduled") == Some(1.0))
            .then_some(())
    });
    assert!(of("forebay_jobs_queue_latency_seconds", "queue=idle").is_some_and(|it| it > 0.0));
    assert!(of("forebay_edge_connections", "").is_some());
}

#[test]
fn check_says_that_a_store_is_away_and_that_is_no_fault_of_the_settings() {
    let origin = Origin::start();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("forebay.toml");
    let check = |store: &str, more: &[&str]| {
        write(&file, &with_jobs(&origin, &format!("store = \"{store}\"\n"), NOTES));
        let name = file.to_string_lossy();
        let mut command = forebay(&[&["check", "--config", &name], more].concat());
        let output = command.output().expect("it starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    assert_eq!(check("jobs.db", &[]), (Some(0), "ok: 1 route\n".into(), String::new()));
    assert!(!folder.path().join("jobs.db").exists(), "to look makes no file");
    let (code, said, note) = check("redis://127.0.0.1:1/0", &[]);
    assert_eq!((code, &*said), (Some(0), "ok: 1 route\n"));
    assert!(note.contains("note: the job store `127.0.0.1:1` does not answer now"), "{note}");
    let (_, said, _) = check("redis://127.0.0.1:1/0", &["--json"]);
    let answer: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!((&answer["ok"], &answer["jobs"]["answers"]), (&true.into(), &false.into()));
    let (code, _, said) = check("ftp://a", &[]);
    assert!(
        code == Some(1) && said.contains("forebay.toml:12:9: `jobs.store` names no Redis"),
        "{said}"
    );
}
