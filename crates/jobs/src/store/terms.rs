//! The terms of the contract: what goes into a store and what comes out.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::time::Moment;

/// A process that leases jobs: `host:pid:nonce`, never used twice.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Owner(Arc<str>);

impl Owner {
    /// The owner of this name.
    pub fn named(name: &str) -> Owner {
        Owner(name.into())
    }

    /// Its name, as Sidekiq's `identity`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A job to be pushed.
#[derive(Debug, Clone)]
pub struct Push {
    /// Queue that it is for.
    pub queue: Arc<str>,
    /// What is stored.
    pub payload: Bytes,
    /// When it is to be put in its queue, if that is not now.
    pub at: Option<Moment>,
    /// Keeps out others like it.
    pub unique: Option<Lock>,
}

/// A lock of a unique job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    /// What is the same for those that are alike.
    pub key: Arc<str>,
    /// Id of the job that takes it.
    pub holder: Arc<str>,
    /// It ends by itself after this.
    pub ttl: Duration,
}

/// What became of a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pushed {
    /// It is in its queue, or waits for its time.
    Stored,
    /// Another like it holds the lock: nothing was stored.
    Duplicate {
        /// Id of that one.
        of: Arc<str>,
    },
}

/// Names a lease among those of its owner. Chosen by the owner, used once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token(pub u64);

/// A job that is leased.
#[derive(Debug, Clone)]
pub struct Lease {
    /// Its name.
    pub token: Token,
    /// Queue that it came from.
    pub queue: Arc<str>,
    /// The job.
    pub payload: Bytes,
}

/// The end of a lease.
#[derive(Debug, Clone)]
pub struct Finish {
    /// Which one.
    pub token: Token,
    /// Queue that the job came from.
    pub queue: Arc<str>,
    /// What becomes of the job.
    pub then: Then,
    /// The lock that ends with it, if its holder is this job.
    pub unlock: Option<Lock>,
}

/// What becomes of a job whose lease ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Then {
    /// It is over.
    Done,
    /// It waits in a set.
    Wait {
        /// In which.
        set: Set,
        /// Until when; in [`Set::Dead`] since when.
        at: Moment,
        /// As what.
        payload: Bytes,
    },
    /// It goes back to its queue unchanged, and is next there.
    Back,
    /// It waits beside its queue for as long as its class is paused.
    Park {
        /// Its class.
        class: Arc<str>,
    },
}

/// The sorted sets beside the queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Set {
    /// What waits for its time.
    Schedule,
    /// What failed and waits to be tried again.
    Retry,
    /// What failed for good; bounded in number and age.
    Dead,
}

impl Set {
    /// Its key on Redis.
    pub const fn key(self) -> &'static str {
        match self {
            Set::Schedule => "schedule",
            Set::Retry => "retry",
            Set::Dead => "dead",
        }
    }
}

/// What a worker asks for in one step.
#[derive(Debug, Clone)]
pub struct Turn<'a> {
    /// Who asks.
    pub owner: &'a Owner,
    /// Leases that end.
    pub finished: &'a [Finish],
    /// Queues in the order in which they are looked at.
    pub queues: &'a [Arc<str>],
    /// Names for new leases: as many as are wanted at most.
    pub fresh: &'a [Token],
}

/// What it gets.
#[derive(Debug, Clone, Default)]
pub struct Turned {
    /// New leases, at most as many as were wanted and no more than [`MOST_A_STEP`](super::MOST_A_STEP).
    pub leases: Vec<Lease>,
    /// Leases that were to end and had been taken over before.
    pub lost: Vec<Token>,
}

/// An entry of a sorted set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its place.
    pub at: Moment,
    /// The job.
    pub payload: Bytes,
}

/// A due entry and what it becomes.
#[derive(Debug, Clone)]
pub struct Due {
    /// What lies in the set: it is moved only if it still does.
    pub entry: Entry,
    /// Queue that it goes to.
    pub queue: Arc<str>,
    /// What is put there.
    pub payload: Bytes,
}

/// What is paused.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pause {
    /// A queue: nothing is taken from it.
    Queue(Arc<str>),
    /// A class of jobs, in every queue.
    Class(Arc<str>),
    /// A timetable: it pushes nothing, and its ticks are over without it.
    Timetable(Arc<str>),
}

/// Bounds of what a store keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Most entries of [`Set::Dead`].
    pub dead_most: u64,
    /// Longest that they stay there.
    pub dead_age: Duration,
    /// How long a process is taken to be alive after it last said so.
    pub alive: Duration,
    /// How often a job may take its process with it before it is dead.
    pub poison: u32,
    /// For how long such deaths are counted together.
    pub poison_window: Duration,
}

impl Default for Retention {
    fn default() -> Retention {
        Retention {
            // As Sidekiq does.
            dead_most: 10_000,
            dead_age: Duration::from_secs(180 * 86_400),
            // Three beats may be missed; what died runs again within 30 s.
            alive: Duration::from_secs(15),
            poison: 3,
            poison_window: Duration::from_secs(72 * 3_600),
        }
    }
}
