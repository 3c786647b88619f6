//! What processes say of themselves, what is wanted of them, and what the dead leave.

use std::sync::Arc;

use bytes::Bytes;

use super::{Entry, Metrics, Owner, Ran};
use crate::time::Moment;

/// What a process says of itself with each beat.
/// Made by a [`Worker`](crate::worker::Worker). Shown at [`Process`].
#[derive(Debug, Clone)]
pub struct Beat<'a> {
    /// Who.
    pub owner: &'a Owner,
    /// What is shown of it: the JSON object `info` of Sidekiq.
    pub info: &'a str,
    /// Jobs that it runs at once at most.
    pub concurrency: usize,
    /// What runs.
    pub work: &'a [Work],
    /// True if it takes no more.
    pub is_quiet: bool,
    /// Its memory that lies in RAM, in KiB: `rss` of Sidekiq.
    pub rss_kb: u64,
    /// Time that a round trip to the store took the last time, in microseconds: `rtt_us` of Sidekiq.
    pub rtt_us: u64,
    /// Jobs that ended since the last beat that was answered.
    pub processed: u64,
    /// Those of them that failed.
    pub failed: u64,
    /// The same by class, each class once.
    pub ran: &'a [Ran],
    /// How these are written for Ruby to read.
    pub metrics: Metrics,
}

/// A job that runs. Made by a [`Worker`](crate::worker::Worker). Shown at [`Process`].
#[derive(Debug, Clone)]
pub struct Work {
    /// Which of its process's it is: any short text that is unique there.
    pub thread: Arc<str>,
    /// Queue that it came from.
    pub queue: Arc<str>,
    /// The job.
    pub payload: Bytes,
    /// Since when.
    pub since: Moment,
}

/// What somebody wants of a process. Shown at [`Handle::ended`](crate::worker::Handle::ended).
///
/// ```
/// use forebay_jobs::store::{Owner, Signal, Store, StoreError};
/// async fn quiet(store: &dyn Store, process: &Owner) -> Result<(), StoreError> {
///     store.signal(process, Signal::Quiet).await
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// `TSTP`: take no more jobs.
    Quiet,
    /// `TERM`: end.
    Stop,
    /// `TTIN`: say what runs.
    Dump,
}

/// A process at a glance.
///
/// ```
/// use forebay_jobs::store::Store;
/// # use {std::sync::Arc, forebay_jobs::{store::memory::Memory, worker::Worker}};
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// # let store = Arc::new(Memory::default());
/// let worker = Worker::builder(store.clone()).concurrency(3).start();
/// while store.processes().await?.is_empty() {
///     tokio::task::yield_now().await; // until its first beat
/// }
/// assert_eq!(store.processes().await?[0].concurrency, 3);
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Who.
    pub owner: Owner,
    /// What it says of itself: a JSON object.
    pub info: String,
    /// Jobs that it runs at once at most.
    pub concurrency: u64,
    /// Jobs that it runs.
    pub busy: u64,
    /// Its last beat.
    pub beat: Moment,
    /// True if it takes no more.
    pub is_quiet: bool,
}

/// What was taken over from the dead.
///
/// ```
/// use forebay_jobs::store::{Owner, Store, Token, Turn};
/// # use {std::sync::Arc, forebay_jobs::{push::Client, store::memory::Memory}};
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// # let client = Client::new(Arc::new(Memory::default()));
/// let (store, dead) = (client.store(), Owner::named("web-1:4711:0a1b2c3d4e5f"));
/// client.push_raw("A", &()).await?;
/// let queues = ["default".into()];
/// store.turn(Turn { owner: &dead, finished: &[], queues: &queues, fresh: &[Token(1)] }).await?;
/// let found = store.recover(10).await?; // nobody said that it lives
/// assert_eq!((found.moved(), found.back, store.counts().await?.enqueued), (1, 1, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recovered {
    /// Jobs that are in their queues again.
    pub back: u64,
    /// Jobs that took their process with them too often and are dead now, as they lie in
    /// [`Set::Dead`](super::Set::Dead).
    pub poisoned: Vec<Entry>,
    /// Owners that had died.
    pub owners: u64,
}

impl Recovered {
    /// Jobs that were taken over. Shown at [`Recovered`].
    pub fn moved(&self) -> usize {
        usize::try_from(self.back).unwrap_or(usize::MAX).saturating_add(self.poisoned.len())
    }
}
