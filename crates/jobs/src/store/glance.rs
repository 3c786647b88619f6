//! What a store shows of itself, and how it is asked.

use std::sync::Arc;

use bytes::Bytes;

use super::Set;

/// Which way a list is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// What comes first, or came first.
    Oldest,
    /// What comes last, or came last.
    Newest,
}

/// A queue at a glance.
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Within<'a> {
    /// In a set.
    Set(Set),
    /// In a queue.
    Queue(&'a str),
}
