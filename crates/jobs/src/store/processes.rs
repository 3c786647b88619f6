//! What processes say of themselves, what is wanted of them, and what the dead leave.

use std::sync::Arc;

use bytes::Bytes;

use super::{Entry, Metrics, Owner, Ran};
use crate::time::Moment;

/// What a process says of itself with each beat.
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
    /// Its memory.
    pub rss_kb: u64,
    /// Time that a round trip to the store took the last time.
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

/// A job that runs.
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

/// What somebody wants of a process.
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
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recovered {
    /// Jobs that are in their queues again.
    pub back: u64,
    /// Jobs that took their process with them too often and are dead now, as they lie in [`Set::Dead`](super::Set::Dead).
    pub poisoned: Vec<Entry>,
    /// Owners that had died.
    pub owners: u64,
}

impl Recovered {
    /// Jobs that were taken over.
    pub fn moved(&self) -> usize {
        usize::try_from(self.back).unwrap_or(usize::MAX).saturating_add(self.poisoned.len())
    }
}
