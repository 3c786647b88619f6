//! Measures the store in a file: `cargo run --release -p forebay-jobs --features sqlite --example sqlite_speed
//! [FOLDER] [DEPTH]`. The file lies in a fresh folder below `FOLDER`; beside the figures stands how often a
//! second its disk says that 4 KiB are safe.

#![expect(clippy::print_stdout, reason = "it prints what it measured")]

use std::error::Error;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use forebay_jobs::store::sqlite::{Options, Sqlite};
use forebay_jobs::store::{Finish, Owner, Push, Store, Then, Token, Turn};
use forebay_jobs::time::Clock;
use forebay_signals::clock;

const PAYLOAD_BYTES: usize = 250;
const CALL: usize = 10_000;
const RUN: usize = 300_000;
const PROBES: usize = 300;

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Outcome {
    let mut arguments = std::env::args().skip(1);
    let first = arguments.next();
    if first.as_deref() == Some("worker") {
        let path = arguments.next().ok_or("the file is not named")?;
        return runtime()?.block_on(work_for_another(Path::new(&path)));
    }
    let below = first.unwrap_or_else(|| ".".to_owned());
    let depth = arguments.next().map_or(Ok(1_000_000), |it| it.parse())?;
    let folder = tempfile::tempdir_in(below)?;
    println!("fsync rate of the disk: {:.0}/s", fsync_rate(folder.path())?);
    let path = folder.path().join("jobs.db");
    runtime()?.block_on(async {
        let store = Sqlite::open(&path, Options::default())?;
        at_depth(&store, 1_000, RUN).await?;
        at_depth(&store, depth, RUN).await?;
        println!("the file: {} MB", std::fs::metadata(&path)?.len() >> 20);
        let cleared = clock::now();
        let count = store.clear_queue("q").await?;
        println!("emptied of {count} in {:.1?}", clock::now() - cleared);
        across_processes(&store).await
    })
}

fn runtime() -> Outcome<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?)
}

/// How often a second 4 KiB at the end of a file are brought to the disk.
fn fsync_rate(folder: &Path) -> Outcome<f64> {
    const FOR: Duration = Duration::from_secs(1);
    let mut file = File::create(folder.join("fsync"))?;
    let (began, mut count) = (clock::now(), 0_u32);
    while clock::now() - began < FOR {
        file.write_all(&[7; 4_096])?;
        file.sync_data()?;
        count += 1;
    }
    Ok(f64::from(count) / (clock::now() - began).as_secs_f64())
}

/// Fills the queue to a depth; then as many are run as are pushed beside, so that the depth stays.
async fn at_depth(store: &Sqlite, depth: usize, run: usize) -> Outcome {
    let there = usize::try_from(store.counts().await?.enqueued)?;
    let missing = depth.saturating_sub(there).max(CALL);
    let began = Began::now();
    for first in (0..missing).step_by(CALL) {
        store.push(&jobs(CALL.min(missing - first))).await?;
    }
    began.report(depth, "enqueue in bulk, one caller", missing);
    let began = Began::now();
    let pushers = (0..4).map(|_| {
        let store = store.clone();
        tokio::spawn(async move {
            for _ in 0..run / 4 / 1_000 {
                store.push(&jobs(1_000)).await?;
            }
            Outcome::Ok(())
        })
    });
    for pusher in pushers.collect::<Vec<_>>() {
        pusher.await??;
    }
    began.report(depth, "enqueue by 1,000, four callers", run / 4_000 * 4_000);
    for workers in [1, 4] {
        let began = Began::now();
        let each = run / 2 / workers;
        let tasks = (0..workers).map(|n| {
            let (store, name) = (store.clone(), format!("w:{depth}:{workers}:{n}"));
            tokio::spawn(async move { work(&store, &Owner::named(&name), each).await })
        });
        let mut done = 0;
        for task in tasks.collect::<Vec<_>>() {
            done += task.await??;
        }
        began.report(depth, &format!("lease by 100 and end, {workers} in flight"), done);
    }
    Ok(())
}

/// When something began, and what the process had taken of its processors until then.
struct Began(Instant, f64);

impl Began {
    fn now() -> Began {
        Began(clock::now(), cpu_seconds())
    }

    /// On a machine that is busy with other things, the time on a processor says more than the rate.
    fn report(&self, depth: usize, what: &str, count: usize) {
        #[expect(clippy::cast_precision_loss, reason = "a figure to be read")]
        let count = count as f64;
        let rate = count / (clock::now() - self.0).as_secs_f64();
        let cpu = (cpu_seconds() - self.1) * 1e6 / count;
        println!(
            "depth {depth:>9}: {what:<34} {rate:>9.0} jobs/s, {cpu:>5.1} us of a processor a job"
        );
    }
}

fn cpu_seconds() -> f64 {
    const TICKS: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let fields = after_name.split_whitespace().skip(11).take(2);
    fields.filter_map(|it| it.parse::<f64>().ok()).sum::<f64>() / TICKS
}

/// Leases and ends at least so many jobs, or all that there are.
async fn work(store: &Sqlite, owner: &Owner, count: usize) -> Outcome<usize> {
    let queues: [Arc<str>; 1] = ["q".into()];
    let (mut done, mut next) = (0, 0);
    let mut finished: Vec<Finish> = Vec::new();
    store.keep(owner).await?;
    loop {
        let fresh: Vec<Token> = (next..next + 100).map(Token).collect();
        next += 100;
        let wanted = if done < count { &fresh[..] } else { &[] };
        let turn = Turn { owner, finished: &finished, queues: &queues, fresh: wanted };
        let turned = store.turn(turn).await?;
        if turned.leases.is_empty() {
            store.leave(owner).await?;
            return Ok(done);
        }
        done += turned.leases.len();
        let end = |token, queue| Finish { token, queue, then: Then::Done, unlock: None };
        finished = turned.leases.into_iter().map(|it| end(it.token, it.queue)).collect();
    }
}

fn jobs(count: usize) -> Vec<Push> {
    let queue: Arc<str> = "q".into();
    let job = |_| Push { queue: Arc::clone(&queue), payload: payload(), at: None, unique: None };
    (0..count).map(job).collect()
}

fn payload() -> Bytes {
    let id = format!("{:012x}{:012x}", fastrand::u64(..1 << 48), fastrand::u64(..1 << 48));
    let json = format!(r#"{{"class":"Work","args":[1,"x"],"retry":true,"queue":"q","jid":"{id}""#);
    let pad = PAYLOAD_BYTES.saturating_sub(json.len() + 10);
    format!(r#"{json},"pad":"{}"}}"#, "x".repeat(pad)).into()
}

/// A process that waits and one that pushes. The waiting one says when it had the job, by the wall.
async fn across_processes(store: &Sqlite) -> Outcome {
    let own = std::env::current_exe()?;
    let mut worker = std::process::Command::new(own).arg("worker").arg(store.path()).spawn()?;
    let mut calls = Vec::new();
    let mut answers = Vec::new();
    for n in 0..=PROBES {
        // What makes the other wait again is seen, not slept for.
        let ready = format!("ready-{n}");
        while store.noted("probe", &ready).await?.is_none() {
            clock::sleep(Duration::from_millis(1)).await;
        }
        clock::sleep(Duration::from_millis(3)).await;
        let job = Push { queue: "probe".into(), payload: payload(), at: None, unique: None };
        let called = now();
        store.push(&[job]).await?;
        let answered = now();
        let started = loop {
            if let Some(at) = store.noted("probe", &format!("at-{n}")).await? {
                break std::str::from_utf8(&at)?.parse::<i64>()?;
            }
            clock::sleep(Duration::from_millis(1)).await;
        };
        // The first one warms both up.
        if n > 0 {
            calls.push(started - called);
            answers.push((started - answered).max(0));
        }
    }
    worker.wait()?;
    for (what, mut times) in [("push called", calls), ("push answered", answers)] {
        times.sort_unstable();
        let (p50, p99) = (times[times.len() / 2], times[times.len() * 99 / 100]);
        println!("idle to leased across processes, since {what}: p50 {p50} us, p99 {p99} us");
    }
    Ok(())
}

async fn work_for_another(path: &Path) -> Outcome {
    const HOUR: Duration = Duration::from_secs(3_600);
    let store = Sqlite::open(path, Options::default())?;
    let owner = Owner::named("probe");
    let queues: [Arc<str>; 1] = ["probe".into()];
    store.keep(&owner).await?;
    for n in 0..=PROBES {
        store.note("probe", &format!("ready-{n}"), Some(b"1"), HOUR).await?;
        let token = Token(u64::try_from(n)?);
        loop {
            store.wait(&queues, Duration::from_secs(10)).await?;
            let turn = Turn { owner: &owner, finished: &[], queues: &queues, fresh: &[token] };
            if !store.turn(turn).await?.leases.is_empty() {
                break;
            }
        }
        let at = now().to_string();
        store.note("probe", &format!("at-{n}"), Some(at.as_bytes()), HOUR).await?;
        let end = Finish { token, queue: "probe".into(), then: Then::Done, unlock: None };
        let turn = Turn { owner: &owner, finished: &[end], queues: &queues, fresh: &[] };
        store.turn(turn).await?;
    }
    Ok(())
}

fn now() -> i64 {
    Clock::wall().now().as_micros()
}
