//! What tests of the rooms share: a store in memory, a clock that is moved by hand, a class that does as it
//! is told.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use forebay_signals::clock;
use serde::{Deserialize, Serialize};

use crate::job::Job;
use crate::perform::Perform;
use crate::push::Client;
use crate::retry::{Exhausted, Failure, Verdict};
use crate::run::Run;
use crate::store::memory::Memory;
use crate::store::{Counts, Entry, From, Retention, Set, Store};
use crate::time::{Clock, Moment};
use crate::worker::{Builder, Worker};

/// What must not take longer, in real time.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Bench {
    pub(crate) store: Arc<Memory>,
    pub(crate) clock: Clock,
    pub(crate) client: Client,
}

impl Bench {
    pub(crate) fn new() -> Bench {
        let clock = Clock::manual(Moment::from_micros(1_795_436_000_000_000));
        let store = Arc::new(Memory::new(clock.clone(), Retention::default()));
        let client = Client::builder(store.clone()).clock(clock.clone()).build();
        Bench { store, clock, client }
    }

    /// A worker that beats fast, so that no test waits for it.
    pub(crate) fn worker(&self) -> Builder {
        Worker::builder(self.store.clone())
            .clock(self.clock.clone())
            .beat_every(Duration::from_millis(50))
            .register::<Act>()
    }

    pub(crate) async fn counts(&self) -> Counts {
        self.store.counts().await.unwrap()
    }

    pub(crate) async fn entries(&self, set: Set) -> Vec<Entry> {
        self.store.entries(set, From::Oldest, 0, 10_000).await.unwrap()
    }

    /// The only job in a set.
    pub(crate) async fn only(&self, set: Set) -> (Moment, Job) {
        let entries = self.entries(set).await;
        assert_eq!(entries.len(), 1, "{entries:?}");
        (entries[0].at, Job::parse(entries[0].payload.clone()).unwrap())
    }

    pub(crate) async fn counted(&self, what: &str, is_so: impl Fn(&Counts) -> bool) -> Counts {
        let deadline = clock::now() + PATIENCE;
        loop {
            if let Ok(counts) = self.store.counts().await {
                if is_so(&counts) {
                    return counts;
                }
                assert!(clock::now() < deadline, "it was not so that {what}: {counts:?}");
            }
            clock::sleep(Duration::from_millis(1)).await;
        }
    }
}

pub(crate) async fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = clock::now() + PATIENCE;
    while !is_so() {
        assert!(clock::now() < deadline, "it was not so that {what}");
        clock::sleep(Duration::from_millis(1)).await;
    }
}

/// Runs a test on a runtime of its own.
pub(crate) fn run(test: impl Future<Output = ()>) {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
    let done = runtime.block_on(async { clock::timeout(3 * PATIENCE, test).await });
    runtime.shutdown_timeout(Duration::from_millis(100));
    assert!(done.is_ok(), "the test did not come to an end");
}

/// A class that does as it is told, and writes down what it did under a number.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Act {
    pub(crate) n: u64,
    pub(crate) what: What,
    /// Whose test it is: tests run side by side.
    pub(crate) book: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum What {
    Nothing,
    Fail,
    Panic,
    Kill,
    Discard,
    Snooze,
    /// Until it is dropped.
    Hang,
    /// Until the worker stops; then it is interrupted.
    Yield,
}

/// What was done, by book.
static BOOKS: Mutex<Vec<(u64, u64)>> = Mutex::new(Vec::new());
/// Who died, by book.
static DEAD: Mutex<Vec<(u64, u64)>> = Mutex::new(Vec::new());

impl Act {
    pub(crate) fn new(book: u64, n: u64, what: What) -> Act {
        Act { n, what, book }
    }
}

pub(crate) fn new_book() -> u64 {
    fastrand::u64(..1 << 50)
}

fn of(list: &Mutex<Vec<(u64, u64)>>, book: u64) -> Vec<u64> {
    list.lock().unwrap().iter().filter(|it| it.0 == book).map(|it| it.1).collect()
}

/// Numbers of the runs that began, in their order.
pub(crate) fn began(book: u64) -> Vec<u64> {
    of(&BOOKS, book)
}

/// Numbers of those whose hook was called.
pub(crate) fn died(book: u64) -> Vec<u64> {
    of(&DEAD, book)
}

impl Perform for Act {
    const CLASS: &'static str = "Act";

    async fn perform(self, run: &Run) -> Result<(), Failure> {
        BOOKS.lock().unwrap().push((self.book, self.n));
        let failure = |verdict| Err(Failure::new("Told", "it was told to").then(verdict));
        match self.what {
            What::Nothing => Ok(()),
            What::Fail => failure(Verdict::Retry),
            What::Kill => failure(Verdict::Kill),
            What::Discard => failure(Verdict::Discard),
            What::Snooze => failure(Verdict::Snooze(Duration::from_secs(60))),
            What::Panic => panic!("it was told to panic"),
            What::Hang => std::future::pending().await,
            What::Yield => {
                run.stopping().await;
                Err(Failure::interrupted())
            }
        }
    }

    fn died(job: &Job, _: &Failure, _: Exhausted) {
        let act: Act = crate::args::read(job.args_json()).unwrap();
        DEAD.lock().unwrap().push((act.book, act.n));
    }
}
