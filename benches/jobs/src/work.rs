//! The worker, with the jobs of the benchmark. It ends when its input does, or when it is killed.

use std::fs::File;
use std::io::Write;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use forebay_jobs::perform::Perform;
use forebay_jobs::retry::Failure;
use forebay_jobs::run::Run;
use forebay_jobs::worker::Worker;
use forebay_signals::clock;
use serde::{Deserialize, Serialize};

use crate::{Flags, Outcome, say, stores};

/// Times from the push to the start, in microseconds.
static DELAYS: Mutex<Vec<u64>> = Mutex::new(Vec::new());
/// Where runs are noted.
static NOTES: OnceLock<File> = OnceLock::new();
static MARK: OnceLock<Duration> = OnceLock::new();

/// Does nothing.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Noop(pub(crate) u64);

impl Perform for Noop {
    const CLASS: &'static str = "Noop";

    async fn perform(self, _: &Run) -> Result<(), Failure> {
        Ok(())
    }
}

/// Says how long it was on its way.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Stamp(pub(crate) u64);

impl Perform for Stamp {
    const CLASS: &'static str = "Stamp";

    async fn perform(self, _: &Run) -> Result<(), Failure> {
        let delay = now_us().saturating_sub(self.0);
        DELAYS.lock().unwrap_or_else(PoisonError::into_inner).push(delay);
        Ok(())
    }
}

/// Notes that it began and that it ended.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Mark(pub(crate) u64);

impl Perform for Mark {
    const CLASS: &'static str = "Mark";

    async fn perform(self, _: &Run) -> Result<(), Failure> {
        note("begun", self.0)?;
        clock::sleep(MARK.get().copied().unwrap_or_default()).await;
        note("ended", self.0)
    }
}

/// Fails.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Fail(pub(crate) u64);

impl Perform for Fail {
    const CLASS: &'static str = "Fail";

    async fn perform(self, _: &Run) -> Result<(), Failure> {
        Err(Failure::new("Wanted", "it is meant to fail"))
    }
}

/// `work --store S [--queue Q] [--concurrency N] [--notes FILE] [--mark-us N]`
pub(crate) async fn run(flags: &Flags) -> Outcome {
    let store = stores::open(flags)?;
    let path: String = flags.value_or("notes", String::new())?;
    if !path.is_empty() {
        // One write of one line to the end of a file is whole, whatever becomes of the process after it.
        NOTES.get_or_init(|| {
            let opened = File::options().create(true).append(true).open(&path);
            opened.expect("the folder of the benchmark can be written")
        });
    }
    MARK.get_or_init(|| Duration::from_micros(flags.value_or("mark-us", 0).unwrap_or(0)));
    let queue = flags.value_or("queue", stores::QUEUE.to_owned())?;
    let worker = Worker::builder(store)
        .strict([queue.as_str()])
        .register::<Noop>()
        .register::<Stamp>()
        .register::<Mark>()
        .register::<Fail>()
        .concurrency(flags.value_or("concurrency", 10)?)
        .start();
    // One thread waits for the end of the input, and the jobs have all others.
    tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()))
        .await??;
    let view = worker.view();
    worker.stop(Duration::from_secs(5)).await;
    let mut delays = std::mem::take(&mut *DELAYS.lock().unwrap_or_else(PoisonError::into_inner));
    delays.sort_unstable();
    let part = |of: usize| delays.get(delays.len() * of / 1_000).copied().unwrap_or(0);
    say(&format!(
        "processed={} failed={} lost={} delays={} p50_us={} p90_us={} p99_us={} most_us={}",
        view.processed,
        view.failed,
        view.lost,
        delays.len(),
        part(500),
        part(900),
        part(990),
        delays.last().copied().unwrap_or(0)
    ));
    Ok(())
}

fn note(what: &str, number: u64) -> Result<(), Failure> {
    let Some(mut file) = NOTES.get() else { return Ok(()) };
    file.write_all(format!("{what} {number} {}\n", now_us()).as_bytes())?;
    Ok(())
}

/// Microseconds of the wall's clock: all processes of a machine share it.
pub(crate) fn now_us() -> u64 {
    let since = clock::wall().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
