//! Several processes, and what is left when one is killed. The others are this test program, started again.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};

use super::super::super::suite::run;
use super::super::super::{Finish, From, Lease, Owner, Set, Store, Then, Token, Turn};
use super::*;
use crate::job::id_of;

const PATIENCE: Duration = Duration::from_secs(60);
const ROLE: &str = "FOREBAY_TEST_ROLE";
const FILE: &str = "FOREBAY_TEST_FILE";
const NOBODY: u32 = 65_534;

fn command(program: &Path, role: &str, path: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .args(["--exact", "--ignored", "--nocapture"])
        .arg("store::sqlite::tests::process_tests::another_process")
        .env(ROLE, role)
        .env(FILE, path)
        .stdout(Stdio::piped())
        .stdin(Stdio::null());
    command
}

fn start(role: &str, path: &Path) -> Child {
    command(&std::env::current_exe().unwrap(), role, path).spawn().unwrap()
}

/// Lines that the other process says to us: those that begin with `> `.
fn lines(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    let said = BufReader::new(child.stdout.take().unwrap()).lines();
    said.map_while(Result::ok).filter_map(|line| line.strip_prefix("> ").map(str::to_owned))
}

fn say(what: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "> {what}").unwrap();
    out.flush().unwrap();
}

#[test]
#[ignore = "the process that the tests beside start"]
fn another_process() {
    let (Ok(role), Ok(path)) = (std::env::var(ROLE), std::env::var(FILE)) else { return };
    // Behind the harness's own words on this line.
    say("");
    let path = PathBuf::from(path);
    match &*role {
        "churn" => run(churn(path)),
        "work" => run(work(path)),
        "listen" => run(listen(path)),
        "open" => match Sqlite::open(&path, Options::default()) {
            Ok(_) => say("opened"),
            Err(error) => say(&format!("{error:?}")),
        },
        other => panic!("no such role: {other}"),
    }
}

/// Pushes, leases, ends, fails and gives back, until it is killed. Says what was pushed after the answer, and
/// what may be over before it asks for that.
async fn churn(path: PathBuf) {
    let store = Sqlite::open(&path, Options::default()).unwrap();
    let mut tasks = Vec::new();
    for n in 0..3 {
        let store = store.clone();
        tasks.push(tokio::spawn(async move {
            for step in 0_u64.. {
                let ids: Vec<String> = (0..=step % 7).map(|m| format!("{n}-{step}-{m}")).collect();
                let jobs: Vec<_> = ids.iter().map(|id| push_to("q", id)).collect();
                store.push(&jobs).await.unwrap();
                say(&format!("pushed {}", ids.join(" ")));
            }
        }));
    }
    let owner = Owner::named("churn");
    let queues: [Arc<str>; 1] = ["q".into()];
    store.keep(&owner).await.unwrap();
    let mut finished: Vec<Finish> = Vec::new();
    for step in 0_u64.. {
        let fresh: Vec<Token> = (step * 8..step * 8 + 8).map(Token).collect();
        let turn = Turn { owner: &owner, finished: &finished, queues: &queues, fresh: &fresh };
        let leases = store.turn(turn).await.unwrap().leases;
        let ends = leases.into_iter().map(|lease| {
            let then = match lease.token.0 % 4 {
                0 => Then::Done,
                1 => Then::Back,
                _ => Then::Wait {
                    set: Set::Retry,
                    at: Moment::from_micros(1),
                    payload: lease.payload.clone(),
                },
            };
            if then == Then::Done {
                say(&format!("ended {}", id_of(&lease.payload).unwrap()));
            }
            Finish { token: lease.token, queue: lease.queue, then, unlock: None }
        });
        finished = ends.collect();
    }
}

#[test]
fn nothing_that_was_acknowledged_is_lost_when_its_process_is_killed() {
    for seed in 0..5 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jobs.db");
        let mut child = start("churn", &path);
        let mut said = lines(&mut child);
        let (mut pushed, mut ended) = (HashSet::new(), HashSet::new());
        let mut hear = |line: String| {
            let mut words = line.split(' ').map(str::to_owned);
            match words.next().as_deref() {
                Some("pushed") => pushed.extend(words),
                Some("ended") => ended.extend(words),
                _ => {}
            }
        };
        let until = fastrand::Rng::with_seed(seed).usize(50..400);
        said.by_ref().take(until).for_each(&mut hear);
        child.kill().unwrap();
        said.for_each(&mut hear);
        assert_eq!(child.wait().unwrap().signal(), Some(9), "it had not ended by itself");
        assert!(pushed.len() > 20, "{}", pushed.len());
        run(async move {
            let retention = Retention { alive: Duration::ZERO, ..Retention::default() };
            let options = Options::default().retention(retention);
            let store = Sqlite::open(&path, options).unwrap();
            // It is dead, whatever its last word said of when that would be.
            store.leave(&Owner::named("churn")).await.unwrap();
            store.recover(10_000).await.unwrap();
            assert_eq!(store.counts().await.unwrap().leased, 0);
            let mut there = store.page("q", From::Oldest, 0, 1_000_000).await.unwrap();
            let retries = store.entries(Set::Retry, From::Oldest, 0, 1_000_000).await.unwrap();
            there.extend(retries.into_iter().map(|entry| entry.payload));
            let ids: HashSet<String> = there.iter().map(|it| id_of(it).unwrap()).collect();
            assert_eq!(ids.len(), there.len(), "seed {seed}: a job is there twice");
            let lost: Vec<_> =
                pushed.iter().filter(|id| !ids.contains(*id) && !ended.contains(*id)).collect();
            assert!(lost.is_empty(), "seed {seed}: lost {lost:?} of {}", pushed.len());
            check(&path);
        });
    }
}

/// Leases and ends until it is given the job `end`, and says what it ran.
async fn work(path: PathBuf) {
    let store = Sqlite::open(&path, Options::default()).unwrap();
    say("ready");
    for lease in drain(&store, &format!("work-{}", std::process::id())).await {
        say(&format!("ran {}", id_of(&lease.payload).unwrap()));
    }
}

async fn drain(store: &Sqlite, name: &str) -> Vec<Lease> {
    let owner = Owner::named(name);
    let queues: [Arc<str>; 2] = ["q".into(), name.into()];
    store.keep(&owner).await.unwrap();
    let (mut ran, mut finished, mut next) = (Vec::new(), Vec::new(), 0_u64);
    let mut has_ended = false;
    loop {
        let fresh: Vec<Token> = (next..next + 5).map(Token).collect();
        next += 5;
        let turn = Turn { owner: &owner, finished: &finished, queues: &queues, fresh: &fresh };
        let turned = store.turn(turn).await.unwrap();
        assert!(turned.lost.is_empty());
        if turned.leases.is_empty() && has_ended {
            return ran;
        }
        if turned.leases.is_empty() {
            store.wait(&queues, Duration::from_secs(5)).await.unwrap();
        }
        let end = |it: &Lease| Finish {
            token: it.token,
            queue: it.queue.clone(),
            then: Then::Done,
            unlock: None,
        };
        finished = turned.leases.iter().map(end).collect();
        has_ended |= turned.leases.iter().any(|it| &*it.queue == name);
        ran.extend(turned.leases.into_iter().filter(|it| &*it.queue == "q"));
    }
}

#[test]
fn two_processes_share_a_queue_and_each_job_runs_once() {
    const JOBS: usize = 3_000;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.db");
    let mut child = start("work", &path);
    let mut said = lines(&mut child);
    assert!(said.by_ref().any(|line| line == "ready"));
    let theirs_is_called = format!("work-{}", child.id());
    run(async move {
        let store = Sqlite::open(&path, Options::default()).unwrap();
        let ours = tokio::spawn({
            let store = store.clone();
            async move { drain(&store, "ours").await }
        });
        let pushers: Vec<_> = (0..4)
            .map(|n| {
                let store = store.clone();
                tokio::spawn(async move {
                    for first in (0..JOBS / 4).step_by(10) {
                        let jobs: Vec<_> =
                            (first..first + 10).map(|m| push_to("q", format!("{n}-{m}"))).collect();
                        store.push(&jobs).await.unwrap();
                    }
                })
            })
            .collect();
        for pusher in pushers {
            pusher.await.unwrap();
        }
        for queue in ["ours", &theirs_is_called] {
            store.push(&[push_to(queue, "end")]).await.unwrap();
        }
        let ours = clock::timeout(PATIENCE, ours).await.unwrap().unwrap();
        let theirs = tokio::task::spawn_blocking(move || said.collect::<Vec<_>>());
        let theirs = clock::timeout(PATIENCE, theirs).await.unwrap().unwrap();
        let theirs: Vec<&str> = theirs.iter().filter_map(|it| it.strip_prefix("ran ")).collect();
        assert!(!ours.is_empty() && !theirs.is_empty(), "{} {}", ours.len(), theirs.len());
        assert_eq!(ours.len() + theirs.len(), JOBS);
        let mut all: HashSet<String> = ours.iter().map(|it| id_of(&it.payload).unwrap()).collect();
        all.extend(theirs.into_iter().map(str::to_owned));
        assert_eq!(all.len(), JOBS);
        assert_eq!(store.counts().await.unwrap().leased, 0);
        check(&path);
    });
    assert!(child.wait().unwrap().success());
}

/// Listens without the net: nothing but the datagram can wake it.
async fn listen(path: PathBuf) {
    let bell = Bell::beside(&path);
    let changed = bell.changed().notified();
    bell.listen();
    say("listens");
    clock::timeout(PATIENCE, changed).await.expect("nobody woke it");
    say("woken");
}

#[test]
fn a_push_wakes_another_process() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.db");
    let mut child = start("listen", &path);
    let mut said = lines(&mut child);
    assert!(said.by_ref().any(|line| line == "listens"));
    run(async move {
        let store = Sqlite::open(&path, Options::default()).unwrap();
        store.push(&[push_to("q", 1)]).await.unwrap();
    });
    assert!(said.any(|line| line == "woken"));
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_file_that_cannot_be_written_is_told() {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.db");
    drop(Sqlite::open(&path, Options::default()).unwrap());
    let program = folder.path().join("test");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o444)).unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o555)).unwrap();
    let mut command = command(&program, "open", &path);
    if rustix::process::geteuid().is_root() {
        // To whom every file can be written.
        command.uid(NOBODY);
    }
    let mut child = command.spawn().unwrap();
    let said: Vec<String> = lines(&mut child).collect();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(said.iter().any(|line| line.starts_with("ReadOnly(")), "{said:?}");
}
