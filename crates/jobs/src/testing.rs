//! For tests of applications: run what was pushed, here and now; look at what was pushed.

use std::sync::Arc;

use crate::job::Job;
use crate::run::{self, Ending, State};
use crate::store::Store;
use crate::store::{From, Owner, StoreError, Token, Turn};
use crate::worker::Worker;

/// Most runs of one [`drain`]: jobs that push jobs for ever are a bug that a test should show.
const MOST_RUNS: usize = 100_000;
/// Jobs of one page.
const PAGE: usize = 100;

/// What [`drain`] did.
///
/// ```
/// # use {std::sync::Arc, forebay_jobs::{push::Client, store::memory::Memory, testing, worker::Worker}};
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// # let store = Arc::new(Memory::default()); let client = Client::new(store.clone());
/// client.push_raw_bulk("Unknown", &[1, 2]).await?;
/// let drained = testing::drain(&Worker::builder(store).build()).await?;
/// assert_eq!(drained, testing::Drained { failed: 2, ..Default::default() });
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Drained {
    /// Jobs that did what they should.
    pub done: usize,
    /// Runs that failed: their jobs wait to be tried again, are dead or gone.
    pub failed: usize,
    /// Jobs that were not run: too late, paused, put off by themselves.
    pub other: usize,
}

/// Runs all jobs in the queues of a worker that is not started, one after the other in this task, and those
/// that they push, until the queues are empty. What waits for its time is left where it is.
///
/// ```
/// use std::sync::Arc;
/// use forebay_jobs::perform::Perform;
/// use forebay_jobs::push::Client;
/// use forebay_jobs::retry::Failure;
/// use forebay_jobs::run::Run;
/// use forebay_jobs::store::memory::Memory;
/// use forebay_jobs::testing;
/// use forebay_jobs::worker::Worker;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Double(u64);
///
/// impl Perform for Double {
///     const CLASS: &'static str = "Double";
///     async fn perform(self, _: &Run) -> Result<(), Failure> {
///         self.0.checked_mul(2).map(drop).ok_or_else(|| Failure::new("Overflow", "too large"))
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let store = Arc::new(Memory::default());
/// let client = Client::new(store.clone());
/// client.push_bulk(&[Double(7), Double(u64::MAX)]).await?;
/// assert_eq!(testing::pushed(&*store, "default").await?.len(), 2);
///
/// let worker = Worker::builder(store).register::<Double>().build();
/// let drained = testing::drain(&worker).await?;
/// assert_eq!((drained.done, drained.failed), (1, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
///
/// # Errors
/// The store does not answer.
///
/// # Panics
/// Jobs push jobs without an end.
pub async fn drain(worker: &Worker) -> Result<Drained, StoreError> {
    let (engine, names) = (&worker.engine, worker.order.names());
    let store = &engine.store;
    let owner = Owner::named(&format!("testing:{}:{:012x}", std::process::id(), fastrand::u64(..)));
    store.keep(&owner).await?;
    engine.paused.set(store.pauses().await?);
    let (mut drained, mut finished) = (Drained::default(), Vec::new());
    for token in 0.. {
        assert!(token < MOST_RUNS as u64, "jobs push jobs without an end");
        let fresh = [Token(token)];
        let turn = Turn { owner: &owner, finished: &finished, queues: names, fresh: &fresh };
        let turned = store.turn(turn).await?;
        let Some(lease) = turned.leases.into_iter().next() else { break };
        let ended = run::job(engine, lease, Arc::<State>::default()).await;
        engine.tally.count(ended.ending);
        match ended.ending {
            Ending::Done => drained.done += 1,
            Ending::Failed | Ending::Died | Ending::Malformed => drained.failed += 1,
            Ending::Expired | Ending::Cancelled | Ending::Later => drained.other += 1,
        }
        finished = vec![ended.finish];
    }
    store.leave(&owner).await?;
    Ok(drained)
}

/// The jobs in a queue, the next first. What is no job is left out.
///
/// ```
/// # use {std::sync::Arc, forebay_jobs::{push::Client, store::memory::Memory, testing}};
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// # let client = Client::new(Arc::new(Memory::default()));
/// client.push_raw("Welcome", &(7, "en")).await?;
/// let jobs = testing::pushed(&**client.store(), "default").await?;
/// assert_eq!(jobs[0].args::<(u64, String)>()?, (7, "en".to_owned()));
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
///
/// # Errors
/// The store does not answer.
pub async fn pushed(store: &dyn Store, queue: &str) -> Result<Vec<Job>, StoreError> {
    let mut jobs = Vec::new();
    loop {
        let page = store.page(queue, From::Oldest, jobs.len(), PAGE).await?;
        let is_last = page.len() < PAGE;
        jobs.extend(page.into_iter().map(Job::parse));
        if is_last {
            return Ok(jobs.into_iter().filter_map(Result::ok).collect());
        }
    }
}
