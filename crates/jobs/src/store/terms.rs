//! The terms of the contract: what goes into a store and what comes out.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::time::Moment;

/// A process that leases jobs: `host:pid:nonce`, never used twice.
///
/// ```
/// use forebay_jobs::store::Owner;
/// assert_eq!(Owner::named("web-1:4711:0a1b2c3d4e5f").as_str(), "web-1:4711:0a1b2c3d4e5f");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Owner(Arc<str>);

impl Owner {
    /// The owner of this name. Shown at [`Owner`].
    pub fn named(name: &str) -> Owner {
        Owner(name.into())
    }

    /// Its name, as Sidekiq's `identity`. Shown at [`Owner`].
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A job to be pushed.
///
/// ```
/// use forebay_jobs::store::{Lock, Push, Pushed, Store, memory::Memory};
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let store = Memory::default();
/// let lock = Lock { key: "report".into(), holder: "1".into(), ttl: std::time::Duration::from_secs(60) };
/// let one = Push { queue: "q".into(), payload: "{}".into(), at: None, unique: Some(lock.clone()) };
/// let two = Push { unique: Some(Lock { holder: "2".into(), ..lock }), ..one.clone() };
/// let became = store.push(&[one, two]).await?;
/// assert_eq!(became, [Pushed::Stored, Pushed::Duplicate { of: "1".into() }]);
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
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

/// A lock of a unique job. Shown at [`Push`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    /// What is the same for those that are alike.
    pub key: Arc<str>,
    /// Id of the job that takes it.
    pub holder: Arc<str>,
    /// It ends by itself after this.
    pub ttl: Duration,
}

/// What became of a push. Shown at [`Push`].
///
/// ```
/// use forebay_jobs::store::Pushed;
/// fn is_new(pushed: &Pushed) -> bool {
///     *pushed == Pushed::Stored
/// }
/// assert!(!is_new(&Pushed::Duplicate { of: "73be174b8b6c448481692f0c".into() }));
/// ```
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

/// Names a lease among those of its owner. Chosen by the owner, used once. Shown at [`Store`](super::Store).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token(pub u64);

/// A job that is leased. Shown at [`Store`](super::Store).
#[derive(Debug, Clone)]
pub struct Lease {
    /// Its name.
    pub token: Token,
    /// Queue that it came from.
    pub queue: Arc<str>,
    /// The job.
    pub payload: Bytes,
}

/// The end of a lease. Shown at [`Store`](super::Store).
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

/// What becomes of a job whose lease ends. Shown at [`Store`](super::Store).
///
/// ```
/// use forebay_jobs::{store::{Set, Then}, time::Moment};
/// let at = Moment::from_micros(1_795_436_000_000_000);
/// let tried_again = Then::Wait { set: Set::Retry, at, payload: r#"{"class":"A"}"#.into() };
/// assert_ne!(tried_again, Then::Back);
/// ```
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

/// The sorted sets beside the queues. Shown at [`Entry`].
///
/// ```
/// use forebay_jobs::store::{Set, Store, memory::Memory};
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let store = Memory::default();
/// for set in [Set::Schedule, Set::Retry, Set::Dead] {
///     assert_eq!(store.clear(set).await?, 0);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
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
    ///
    /// ```
    /// assert_eq!(forebay_jobs::store::Set::Schedule.key(), "schedule");
    /// ```
    pub const fn key(self) -> &'static str {
        match self {
            Set::Schedule => "schedule",
            Set::Retry => "retry",
            Set::Dead => "dead",
        }
    }
}

/// What a worker asks for in one step. Shown at [`Store`](super::Store).
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

/// What it gets. Shown at [`Store`](super::Store).
///
/// ```
/// use forebay_jobs::store::{Owner, Store, Turn, memory::Memory};
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let (store, me) = (Memory::default(), Owner::named("web-1:4711:0a1b2c3d4e5f"));
/// let turned = store.turn(Turn { owner: &me, finished: &[], queues: &[], fresh: &[] }).await?;
/// assert!(turned.leases.is_empty() && turned.lost.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[derive(Debug, Clone, Default)]
pub struct Turned {
    /// New leases, at most as many as were wanted and no more than [`MOST_A_STEP`](super::MOST_A_STEP).
    pub leases: Vec<Lease>,
    /// Leases that were to end and had been taken over before.
    pub lost: Vec<Token>,
}

/// An entry of a sorted set.
///
/// ```
/// use forebay_jobs::store::{From, Set, Store};
/// # use {std::sync::Arc, forebay_jobs::{push::Client, store::memory::Memory}};
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// # let client = Client::new(Arc::new(Memory::default()));
/// client.push_raw("A", &()).delay(std::time::Duration::from_secs(60)).await?;
/// let entry = client.store().entries(Set::Schedule, From::Oldest, 0, 1).await?.remove(0);
/// assert!(client.store().take(Set::Schedule, &entry, Some((Set::Dead, entry.clone()))).await?);
/// assert_eq!(client.store().counts().await?.dead, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its place.
    pub at: Moment,
    /// The job.
    pub payload: Bytes,
}

/// A due entry and what it becomes.
///
/// ```
/// use forebay_jobs::store::{Due, Push, Set, Store, memory::Memory};
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let store = Memory::default();
/// let at = Some(store.now().await?.after(std::time::Duration::from_millis(1)));
/// store.push(&[Push { queue: "q".into(), payload: "{}".into(), at, unique: None }]).await?;
/// while let Some(entry) = store.due(Set::Schedule, 1).await?.pop() {
///     let due = Due { queue: "q".into(), payload: entry.payload.clone(), entry };
///     assert_eq!(store.promote(Set::Schedule, &[due]).await?, 1);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
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
///
/// ```
/// use forebay_jobs::store::{Pause, Store, memory::Memory};
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let store = Memory::default();
/// store.pause(&Pause::Class("Report".into()), true).await?;
/// assert_eq!(store.pauses().await?, [Pause::Class("Report".into())]);
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
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
///
/// ```
/// use forebay_jobs::{store::{Retention, memory::Memory}, time::Clock};
/// let store = Memory::new(Clock::wall(), Retention { dead_most: 100, ..Retention::default() });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Most entries of [`Set::Dead`]; 10,000 if nobody says: `dead_max_jobs` of Sidekiq.
    pub dead_most: u64,
    /// Longest that they stay there; 180 days if nobody says: `dead_timeout_in_seconds` of Sidekiq.
    pub dead_age: Duration,
    /// How long a process is taken to be alive after it last said so; 15 s if nobody says.
    pub alive: Duration,
    /// How often a job may take its process with it before it is dead; 3 times if nobody says.
    pub poison: u32,
    /// For how long such deaths are counted together; 72 hours if nobody says.
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
