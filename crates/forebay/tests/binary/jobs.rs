//! `forebay jobs` on a file and on a real Redis server: the same words, the same answers.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use forebay_redis::server::Server;
use forebay_signals::clock;
use serde_json::Value;
use tempfile::TempDir;

use super::support::forebay;

/// What dies must run again within 30 s; under load it may take its time.
const PATIENCE: Duration = Duration::from_secs(90);

/// Where jobs are.
struct Place {
    folder: TempDir,
    store: String,
    /// It ends with this.
    _server: Option<Server>,
}

impl Place {
    fn file() -> Place {
        let folder = tempfile::tempdir().expect("a folder");
        let store = folder.path().join("jobs.db").display().to_string();
        Place { folder, store, _server: None }
    }

    fn redis() -> Place {
        let server = Server::start(&["--appendonly", "yes", "--appendfsync", "always"]);
        let store = format!("unix://{}", server.socket().display());
        Place { folder: tempfile::tempdir().expect("a folder"), store, _server: Some(server) }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = forebay(&[&["jobs"], args].concat());
        command.env("FOREBAY_JOBS_STORE", &self.store).current_dir(self.folder.path());
        command
    }

    /// What it prints; it must end well.
    fn said(&self, args: &[&str]) -> String {
        let output = self.command(args).output().expect("it starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    fn json(&self, args: &[&str]) -> Value {
        let said = self.said(&[args, &["--json"]].concat());
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{args:?}: {error}: {said}"))
    }

    /// Exit code and what it said of it.
    fn refused(&self, args: &[&str]) -> (Option<i32>, String) {
        let output = self.command(args).output().expect("it starts");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    fn bulk(&self, class: &str, lines: &str) -> String {
        let mut command = self.command(&["bulk", class]);
        let mut process =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
        let mut stdin = process.stdin.take().expect("piped");
        stdin.write_all(lines.as_bytes()).expect("it reads");
        drop(stdin);
        let output = process.wait_with_output().expect("it ends");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// A worker that runs each job by a script of the shell, and takes its jobs with it when it is killed.
    fn worker(&self, script: &str) -> Worker {
        let how = ["setpriv", "--pdeathsig", "KILL", "sh", "-c", script];
        let mut command = self.command(&[&["work", "--"], &how[..]].concat());
        Worker(command.stderr(Stdio::null()).spawn().expect("it starts"))
    }

    fn lines(&self, file: &str) -> Vec<String> {
        let text = fs::read_to_string(self.folder.path().join(file)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn counts(&self, names: &[&str]) -> Vec<u64> {
        let stats = self.json(&["stats"]);
        names.iter().map(|name| stats[name].as_u64().expect("a number")).collect()
    }
}

/// Killed when it is dropped.
struct Worker(Child);

impl Worker {
    fn signal(&self, name: &str) {
        let id = self.0.id().to_string();
        let done = Command::new("kill").args(["-s", name, &id]).status().expect("kill runs");
        assert!(done.success());
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn until(what: &str, is_true: impl Fn() -> bool) {
    let deadline = clock::now() + PATIENCE;
    while !is_true() {
        assert!(clock::now() < deadline, "in vain: {what}");
        clock::block_for(Duration::from_millis(20));
    }
}

fn on_both(test: impl Fn(&Place)) {
    for place in [Place::file(), Place::redis()] {
        test(&place);
    }
}

#[test]
fn jobs_are_pushed_shown_and_changed() {
    on_both(|place| {
        let zeros = ["processed", "failed", "enqueued", "running", "scheduled", "retries", "dead"];
        assert_eq!(place.counts(&zeros), [0; 7], "before any job");
        let id = place.said(&["push", "Welcome", "7", "\"text\""]).trim().to_owned();
        assert_eq!(id.len(), 24, "{id}");
        let later = place.json(&["push", "Later", "--in", "1h", "--queue", "low"]);
        let later = later["jid"].as_str().expect("an id").to_owned();
        assert_eq!(place.bulk("Report", "[1]\n\n[2,{}]\n"), "2 pushed, 0 there already\n");
        assert_eq!(place.counts(&["enqueued", "scheduled"]), [3, 1]);

        let list = place.json(&["list"]);
        let jobs = list.as_array().expect("a list");
        assert_eq!((jobs.len(), jobs[0]["job"]["jid"].as_str()), (3, Some(&*id)));
        assert_eq!(jobs[0]["job"]["args"], serde_json::json!([7, "text"]));
        assert!(jobs[0]["job"]["enqueued_at"].is_f64(), "float seconds");
        let newest = place.json(&["list", "--newest", "--limit", "1"]);
        assert_eq!(newest[0]["job"]["args"], serde_json::json!([2, {}]));
        assert_eq!(place.json(&["show", &later])["in"], "scheduled");
        assert_eq!(place.json(&["show", &id, "--queue", "default"])["in"], "queue:default");

        assert_eq!(place.said(&["retry", &later]), "1 retried\n");
        assert_eq!(place.json(&["show", &later, "--queue", "low"])["in"], "queue:low");
        assert_eq!(place.said(&["delete", &id, "--queue", "default"]), "1 deleted\n");
        assert_eq!(place.counts(&["enqueued", "scheduled"]), [3, 0]);

        let (code, why) = place.refused(&["delete", "--queue", "default", "--all"]);
        assert!(code == Some(1) && why.contains("needs a yes"), "{why}");
        assert_eq!(
            place.json(&["delete", "--queue", "default", "--all", "--dry-run"])["deleted"],
            2
        );
        assert_eq!(place.said(&["delete", "--queue", "default", "--all", "--yes"]), "2 deleted\n");
        assert_eq!(place.counts(&["enqueued"]), [1]);
    });
}

#[test]
fn what_is_wrong_is_said_with_its_remedy() {
    let place = Place::file();
    for (args, code, words) in [
        (&["push", "A", "x"][..], 1, "the argument `x` is no JSON"),
        (&["push", "A", "--retry", "often"], 1, "`--retry often` is no number of times"),
        (&["push", "A", "--at", "soon"], 1, "`--at soon` is no time"),
        (&["retry", "nowhere"], 1, "no job `nowhere` in the sets"),
        (&["kill", "--set", "dead", "--all"], 1, "what is dead is not killed again"),
        (&["work", "--queue", "a=x", "--", "true"], 1, "`--queue a=x` has no weight"),
        (&["stats", "--store", "redis://127.0.0.1:1"], 2, "the job store does not answer"),
        (&["stats", "--store", "ftp://a"], 1, "flag `--store`: `jobs.store` names no Redis server"),
    ] {
        let (found, said) = place.refused(args);
        assert!(found == Some(code) && said.contains(words), "{args:?}: {found:?} {said}");
        assert!(said.contains("\nhint: "), "{args:?}: {said}");
    }
    fs::write(place.folder.path().join("text"), "no database\n".repeat(100)).expect("written");
    let (code, said) = place.refused(&["stats", "--store", "text"]);
    assert!(code == Some(2) && said.starts_with("error: "), "{said}");
    let text = fs::read_to_string(place.folder.path().join("text")).expect("it is there");
    assert_eq!(text.len(), 1_200, "it is left as it is");
}

#[test]
fn a_worker_runs_jobs_retries_what_fails_and_stops_in_order() {
    on_both(|place| {
        place.bulk("Good", &"[1]\n".repeat(30));
        place.said(&["push", "Bad"]);
        place.said(&["push", "Never", "--retry", "0"]);
        let worker = place.worker(
            "cat >> payloads; echo >> payloads; [ $FOREBAY_JOB_CLASS = Good ] || { echo no >&2; exit 3; }",
        );
        until("all have run", || place.counts(&["processed", "failed"]) == [32, 2]);
        assert_eq!(place.counts(&["enqueued", "running", "retries", "dead"]), [0, 0, 1, 1]);
        assert_eq!(place.lines("payloads").len(), 32);
        let retry = place.json(&["list", "--set", "retry"]);
        let job = &retry[0]["job"];
        assert_eq!((&job["error_class"], &job["error_message"]), (&"Exit 3".into(), &"no".into()));
        assert_eq!(place.said(&["retry", "--set", "retry", "--all", "--yes"]), "1 retried\n");
        until("it has failed again", || place.counts(&["failed", "retries"]) == [3, 1]);
        worker.signal("TERM");
        let mut worker = worker;
        assert!(worker.0.wait().expect("it ends").success());
        assert_eq!(place.counts(&["processes"]), [0]);
    });
}

#[test]
fn a_paused_class_waits() {
    on_both(|place| {
        assert_eq!(place.said(&["pause", "--class", "Slow"]), "class `Slow` is paused\n");
        place.said(&["push", "Slow"]);
        place.said(&["push", "Fast"]);
        let _worker = place.worker("echo $FOREBAY_JOB_CLASS >> ran");
        until("the other one has run", || place.lines("ran") == ["Fast"]);
        assert_eq!(place.json(&["stats"])["paused_classes"], serde_json::json!(["Slow"]));
        assert_eq!(place.said(&["resume", "--class", "Slow"]), "class `Slow` goes on\n");
        until("it runs", || place.lines("ran") == ["Fast", "Slow"]);
    });
}

/// Ten of forty run when their worker is killed: none is lost, and no more than these ten run again.
fn killed(place: &Place) {
    const SCRIPT: &str = "echo $FOREBAY_JOB_ID >> begun; \
        until [ -e go ]; do sleep 0.05; done; echo $FOREBAY_JOB_ID >> ended";
    place.bulk("Job", &"[1]\n".repeat(40));
    let first = place.worker(SCRIPT);
    until("ten run", || place.lines("begun").len() == 10);
    first.signal("KILL");
    drop(first);
    fs::write(place.folder.path().join("go"), "").expect("written");
    let killed_at = clock::now();
    let _second = place.worker(SCRIPT);
    until("all have ended", || place.lines("ended").len() >= 40);
    let took = clock::now() - killed_at;
    let mut begun = BTreeMap::new();
    for id in place.lines("begun") {
        *begun.entry(id).or_insert(0) += 1;
    }
    assert_eq!(begun.len(), 40, "each began");
    let again: Vec<_> = begun.values().filter(|times| **times > 1).collect();
    assert!(again.len() <= 10, "{again:?}");
    until("all are over", || place.counts(&["enqueued", "running"]) == [0, 0]);
    let ended = place.lines("ended");
    assert_eq!(ended.len(), 40, "each ended once: those that were killed had not");
    assert!(took < PATIENCE, "{took:?}");
}

#[test]
fn a_worker_that_is_killed_loses_nothing_in_a_file() {
    killed(&Place::file());
}

#[test]
fn a_worker_that_is_killed_loses_nothing_on_redis() {
    killed(&Place::redis());
}

#[test]
fn many_processes_may_open_a_file_at_once_that_is_not_there_yet() {
    const PROCESSES: u64 = 6;
    for _ in 0..8 {
        let place = Place::file();
        let push = || {
            let mut command = place.command(&["push", "A"]);
            command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts")
        };
        let pushes: Vec<Child> = (0..PROCESSES).map(|_| push()).collect();
        for push in pushes {
            let output = push.wait_with_output().expect("it ends");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{said}");
        }
        assert_eq!(place.counts(&["enqueued"]), [PROCESSES]);
    }
}

#[test]
fn the_environment_wins_over_the_file_and_is_told_where_it_is_wrong() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("forebay.toml");
    let check = |text: &str, variables: &[(&str, &str)]| {
        fs::write(
            &file,
            format!("[[origin]]\nname = \"app\"\nservers = [\"http://127.0.0.1:9\"]\n{text}"),
        )
        .expect("written");
        let mut command = forebay(&["check", "--explain", "--config", &file.to_string_lossy()]);
        let output = command.envs(variables.iter().copied()).output().expect("it starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let jobs = "[jobs]\nstore = \"jobs.db\"\nconcurrency = 3\n[jobs.redis]\ntimeout = \"3s\"\n";
    let (code, said, _) = check(
        jobs,
        &[("RAILS_MAX_THREADS", "7"), ("REDIS_TIMEOUT", "0.25"), ("FOREBAY_JOBS_STORE", "x.db")],
    );
    assert_eq!(code, Some(0));
    for (key, value, whence) in [
        ("jobs.store ", "\"x.db\"", "environment FOREBAY_JOBS_STORE"),
        ("jobs.concurrency ", "7", "environment RAILS_MAX_THREADS"),
        ("jobs.redis.timeout ", "\"250ms\"", "environment REDIS_TIMEOUT"),
        ("jobs.redis.pool_size ", "7", "environment RAILS_MAX_THREADS"),
    ] {
        let line = said
            .lines()
            .find(|line| line.starts_with(key))
            .unwrap_or_else(|| panic!("{key}: {said}"));
        assert!(line.contains(value) && line.ends_with(whence), "{line}");
    }
    // What means nothing to a file is not held against it, and nothing is without `[jobs]`.
    let odd = [("REDIS_TIMEOUT", "soon")];
    assert_eq!(check(jobs, &odd).0, Some(0));
    assert_eq!(check("", &[("RAILS_MAX_THREADS", "many")]).0, Some(0));
    let (code, _, said) = check(&jobs.replace("jobs.db", "redis://127.0.0.1:1"), &odd);
    assert!(code == Some(1) && said.contains("`REDIS_TIMEOUT` is `soon`"), "{said}");
    let (code, _, said) = check(jobs, &[("RAILS_MAX_THREADS", "many")]);
    assert!(code == Some(1) && said.contains("`RAILS_MAX_THREADS` is `many`"), "{said}");
}
