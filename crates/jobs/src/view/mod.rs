//! The reading door: an engine's numbers at one moment, and what this process ran.
//!
//! - What is this room for: to show and export, in every form, without a walk through anything.
//! - In: a store; runs that ended. Out: a [`Snapshot`], taken by one process at a time ([`Collector`]); counts and
//!   times by class ([`Runs`]).
//! - Never: a number that costs more because a queue is deep. Each is a length, an end of a list, or was counted
//!   when it was written; all of them together are as many as there are queues and processes.

mod collect;
mod runs;

use std::sync::Arc;
use std::time::Duration;

use forebay_signals::clock;

pub use self::collect::Collector;
pub use self::runs::{ClassView, Runs};
use crate::job::Job;
use crate::store::{Counts, Pause, Room, Store, StoreError};
use crate::time::Moment;

/// The numbers of an engine, whichever processes work for it.
///
/// ```
/// use forebay_jobs::push::Client;
/// use forebay_jobs::store::{Store, memory::Memory};
/// use forebay_jobs::view::Snapshot;
/// use std::sync::Arc;
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let store = Arc::new(Memory::default());
/// Client::new(store.clone()).push_raw("Welcome", &(7,)).queue("mail").await.unwrap();
/// let seen = Snapshot::take(&*store).await?;
/// assert_eq!((seen.counts.enqueued, seen.queues[0].depth), (1, 1));
/// # Ok::<(), forebay_jobs::store::StoreError>(()) }).unwrap();
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// When, by the store's time.
    pub at: Moment,
    /// Numbers that are kept.
    pub counts: Counts,
    /// Jobs that processes say they run.
    pub busy: u64,
    /// Jobs that processes would run at once at most.
    pub slots: u64,
    /// All queues, by name.
    pub queues: Vec<QueueNumbers>,
    /// What is paused.
    pub pauses: Vec<Pause>,
    /// The room of the store.
    pub room: Room,
    /// How long it took to ask for all of this.
    pub took: Duration,
}

/// The numbers of a queue.
///
/// ```
/// use forebay_jobs::view::Snapshot;
/// fn late(seen: &Snapshot) -> Vec<&str> {
///     let minute = std::time::Duration::from_secs(60);
///     seen.queues.iter().filter(|it| it.latency > minute).map(|it| &*it.name).collect()
/// }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct QueueNumbers {
    /// Its name.
    pub name: Arc<str>,
    /// Jobs that wait.
    pub depth: u64,
    /// For how long the one that waits longest does.
    pub latency: Duration,
    /// True if nothing is taken from it.
    pub is_paused: bool,
}

impl Snapshot {
    /// Asks a store for all of them.
    ///
    /// ```
    /// use forebay_jobs::{store::memory::Memory, view::Snapshot};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let seen = Snapshot::take(&Memory::default()).await?;
    /// assert_eq!((seen.busy, seen.slots, seen.queues.len()), (0, 0, 0)); // no worker is there
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// It does not answer.
    pub async fn take(store: &dyn Store) -> Result<Snapshot, StoreError> {
        let began = clock::now();
        let at = store.now().await?;
        let counts = store.counts().await?;
        let queues = store.queues().await?.into_iter().map(|queue| {
            // What cannot be read has waited for no time that is known.
            let oldest = queue.oldest.and_then(|payload| Job::parse(payload).ok());
            let since = oldest.and_then(|job| job.enqueued_at());
            QueueNumbers {
                name: queue.name,
                depth: queue.depth,
                latency: since.map_or(Duration::ZERO, |since| at.since(since)),
                is_paused: queue.is_paused,
            }
        });
        let queues = queues.collect();
        let processes = store.processes().await?;
        Ok(Snapshot {
            at,
            counts,
            busy: processes.iter().map(|it| it.busy).sum(),
            slots: processes.iter().map(|it| it.concurrency).sum(),
            queues,
            pauses: store.pauses().await?,
            room: store.room().await?,
            took: clock::now().saturating_duration_since(began),
        })
    }
}

#[cfg(test)]
mod tests;
