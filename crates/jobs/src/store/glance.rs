//! What a store shows of itself, and how it is asked.

use std::sync::Arc;

use bytes::Bytes;

use super::Set;

/// Which way a list is read.
///
/// ```
/// use forebay_jobs::store::{From, Store};
/// # use {std::sync::Arc, forebay_jobs::{push::Client, store::memory::Memory}};
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// # let client = Client::new(Arc::new(Memory::default()));
/// client.push_raw_bulk("A", &[1, 2]).await?;
/// let last = client.store().page("default", From::Newest, 0, 1).await?;
/// assert!(std::str::from_utf8(&last[0])?.contains(r#""args":[2]"#));
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// What comes first, or came first.
    Oldest,
    /// What comes last, or came last.
    Newest,
}

/// A queue at a glance.
///
/// ```
/// use forebay_jobs::store::Store;
/// # use {std::sync::Arc, forebay_jobs::{push::Client, store::memory::Memory}};
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// # let client = Client::new(Arc::new(Memory::default()));
/// client.push_raw("A", &()).await?;
/// let queues = client.store().queues().await?;
/// assert_eq!((&*queues[0].name, queues[0].depth, queues[0].is_paused), ("default", 1, false));
/// assert_eq!(client.store().clear_queue("default").await?, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueView {
    /// Its name.
    pub name: Arc<str>,
    /// Jobs that wait.
    pub depth: u64,
    /// The one that waits longest.
    pub oldest: Option<Bytes>,
    /// True if nothing is taken from it.
    pub is_paused: bool,
}

/// Numbers that cost the same at any depth.
///
/// ```
/// use forebay_jobs::store::{Counts, Store, memory::Memory};
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let store = Memory::default();
/// assert_eq!(store.counts().await?, Counts::default()); // zeros before the first job
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Jobs that ran, failures with them, since the store was made.
    pub processed: u64,
    /// Those that failed.
    pub failed: u64,
    /// Entries of [`Set::Schedule`].
    pub scheduled: u64,
    /// Entries of [`Set::Retry`].
    pub retries: u64,
    /// Entries of [`Set::Dead`].
    pub dead: u64,
    /// Jobs in all queues.
    pub enqueued: u64,
    /// Jobs that are leased.
    pub leased: u64,
    /// Processes that are alive.
    pub processes: u64,
}

/// How much room a store has left.
///
/// ```
/// # use forebay_jobs::store::{Store, memory::Memory};
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let store = Memory::default();
/// store.limit(Some(1 << 20));
/// assert_eq!(store.room().await?.of, Some(1 << 20));
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Room {
    /// Bytes that are used.
    pub used: u64,
    /// Bytes that there are, where there is a bound.
    pub of: Option<u64>,
    /// True if it makes room by throwing away what it holds: jobs too.
    pub evicts: bool,
}

/// Where a job is looked for.
///
/// ```
/// use forebay_jobs::store::{Store, Within};
/// # use {std::sync::Arc, forebay_jobs::{push::Client, store::memory::Memory}};
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// # let client = Client::new(Arc::new(Memory::default()));
/// let done = client.push_raw("A", &()).await?;
/// let found = client.store().find(Within::Queue("default"), done.id().unwrap_or_default()).await?;
/// assert!(found.is_some());
/// assert!(client.store().remove_queued("default", done.id().unwrap_or_default()).await?);
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Within<'a> {
    /// In a set.
    Set(Set),
    /// In a queue.
    Queue(&'a str),
}
