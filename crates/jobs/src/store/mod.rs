//! Where jobs are kept, and the contract that every store keeps.
//!
//! # What a store promises
//!
//! 1. **Nothing acknowledged is lost.** When [`Store::push`] has answered, the jobs are in the store as far
//!    as its own durability goes (`SQLite`: on disk; Redis: what `appendfsync` says). A call that fails may
//!    still have taken effect: whoever pushes again may push twice, and must not lose.
//! 2. **A job is moved, not popped.** [`Store::turn`] takes jobs out of queues and into leases of the owner
//!    in one atomic step. A lease has no end of its own: it is finished by its owner, or taken over from an
//!    owner that is no longer alive ([`Store::recover`]).
//! 3. **A lease is finished once.** Finishing one that was taken over changes nothing and is told: what has
//!    become of the job is then decided by whoever holds it now. A retry, a death and a removal are one
//!    atomic step with the end of the lease.
//! 4. **First in, first out** within a queue; what is given back is next.
//! 5. **Payloads are bytes.** They come back as they went in; the store reads nothing in them.
//! 6. **Every step is bounded**: by what the caller asks for, and by [`MOST_A_STEP`]. Nothing costs more
//!    because a queue is deep, but for what says so ([`Store::find`], [`Store::remove_queued`]).
//! 7. **A set is ordered by time**; what is due at the same moment has no order. A payload that lies in a
//!    set already may be there once or twice after it is put there again: payloads differ by their ids.
//! 8. **Time is the store's**: all who share it go by one clock.
//!
//! One suite of tests, `suite`, runs on every store.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

pub use self::glance::*;
pub use self::processes::*;
pub use self::ran::*;
pub use self::terms::*;
use crate::time::Moment;

mod glance;
pub mod memory;
mod processes;
mod ran;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(feature = "sqlite")]
pub mod sqlite;
#[cfg(test)]
mod suite;
mod terms;

/// Most entries that any one step moves.
///
/// ```
/// use forebay_jobs::store::{MOST_A_STEP, Set, Store, StoreError};
/// async fn first_due(store: &dyn Store) -> Result<usize, StoreError> {
///     Ok(store.due(Set::Retry, MOST_A_STEP).await?.len())
/// }
/// ```
pub const MOST_A_STEP: usize = 100;

/// What a store's call answers with.
///
/// ```
/// use forebay_jobs::store::{Reply, Store};
/// fn waiting(store: &dyn Store) -> Reply<'_, u64> {
///     Box::pin(async move { Ok(store.counts().await?.enqueued) })
/// }
/// ```
pub type Reply<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Why a store did not answer.
///
/// ```
/// use forebay_jobs::store::{Store, StoreError, memory::{Fault, Memory}};
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let store = Memory::default();
/// store.fail(Some(Fault::Away));
/// assert!(matches!(store.counts().await, Err(StoreError::Away(_))));
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// It cannot be reached, or does not answer in time. What was asked for may have been done.
    #[error("the job store does not answer")]
    Away(#[source] Cause),
    /// It has no room. What was asked for was not done.
    #[error("the job store has no room")]
    Full(#[source] Cause),
    /// It refuses to write, being a copy or a file that cannot be written. It was not done.
    #[error("the job store cannot be written")]
    ReadOnly(#[source] Cause),
    /// It holds something that this version does not understand, or answers what makes no sense.
    #[error("the job store is not what it should be")]
    Broken(#[source] Cause),
}

/// What lies behind an error of a store.
///
/// ```
/// use forebay_jobs::store::StoreError;
/// let cause = std::io::Error::other("connection refused");
/// assert_eq!(StoreError::Away(std::sync::Arc::new(cause)).to_string(), "the job store does not answer");
/// ```
pub type Cause = Arc<dyn std::error::Error + Send + Sync>;

/// A place for jobs. See the [module](self) for what it promises.
///
/// The way of a job through it, which [`Worker`](crate::worker::Worker) goes for its users:
///
/// ```
/// use forebay_jobs::store::{Finish, Owner, Push, Store, Then, Token, Turn, memory::Memory};
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let (store, me) = (Memory::default(), Owner::named("web-1:4711:0a1b2c3d4e5f"));
/// let payload = r#"{"class":"A","args":[],"jid":"1"}"#.into();
/// store.push(&[Push { queue: "mail".into(), payload, at: None, unique: None }]).await?;
///
/// store.keep(&me).await?; // it lives; without this what it leases is taken over
/// let queues = ["mail".into()];
/// let asks = Turn { owner: &me, finished: &[], queues: &queues, fresh: &[Token(1)] };
/// let lease = store.turn(asks.clone()).await?.leases.remove(0);
/// assert_eq!((store.counts().await?.enqueued, store.counts().await?.leased), (0, 1));
///
/// let ends = [Finish { token: lease.token, queue: lease.queue, then: Then::Done, unlock: None }];
/// let turned = store.turn(Turn { finished: &ends, fresh: &[], ..asks }).await?;
/// assert!(turned.lost.is_empty()); // nobody had taken it over
/// assert_eq!(store.counts().await?.leased, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
///
/// # Errors
/// Those of [`StoreError`], from every call.
pub trait Store: Send + Sync + 'static {
    /// Stores jobs: those of now at the end of their queues, the others in [`Set::Schedule`]. In slices of
    /// [`MOST_A_STEP`] or more; a slice is stored whole or not at all. Shown at [`Push`].
    fn push<'a>(&'a self, jobs: &'a [Push]) -> Reply<'a, Vec<Pushed>>;

    /// Ends leases and takes new ones. Nothing is taken from a queue that is paused. Shown at [`Store`].
    fn turn<'a>(&'a self, turn: Turn<'a>) -> Reply<'a, Turned>;

    /// Returns when one of the queues may hold something, when a pause changed, or after `at_most`; early
    /// at times, late never by more than a second.
    fn wait<'a>(&'a self, queues: &'a [Arc<str>], at_most: Duration) -> Reply<'a, ()>;

    /// Says that an owner is alive, before its first turn and every third of [`Retention::alive`]. False if
    /// it was taken to be dead meanwhile: it goes on under another name. Once all that it held has been taken
    /// over a store may forget the name and say true: tokens are used once, so that nothing is finished twice.
    /// Shown at [`Store`].
    fn keep<'a>(&'a self, owner: &'a Owner) -> Reply<'a, bool>;

    /// Takes over what the dead had leased, at most so many jobs: back to where they came from, next in
    /// their queues; or, too often, to the dead set. Safe to call from every process at any time.
    /// Shown at [`Recovered`].
    fn recover(&self, most: usize) -> Reply<'_, Recovered>;

    /// Leases that an owner holds: for one that lost an answer on its way.
    fn leases<'a>(&'a self, owner: &'a Owner) -> Reply<'a, Vec<Lease>>;

    /// What is due in a set, the earliest first, at most so many. Shown at [`Due`].
    fn due(&self, set: Set, most: usize) -> Reply<'_, Vec<Entry>>;

    /// Moves entries to the end of their queues, each if it is still there, and says how many that were.
    /// Shown at [`Due`].
    fn promote<'a>(&'a self, set: Set, due: &'a [Due]) -> Reply<'a, usize>;

    /// A page of a set. Shown at [`Entry`].
    fn entries(&self, set: Set, from: From, skip: usize, most: usize) -> Reply<'_, Vec<Entry>>;

    /// Takes an entry out of a set, and puts it into another if `to` names one. False if it is not there.
    /// Shown at [`Entry`].
    fn take<'a>(&'a self, set: Set, entry: &'a Entry, to: Option<(Set, Entry)>) -> Reply<'a, bool>;

    /// Empties a set and says how many entries that were. Shown at [`Set`].
    fn clear(&self, set: Set) -> Reply<'_, u64>;

    /// Finds a job by its id in the sets, or in a queue. **Goes through what it looks at**, in steps that
    /// hold nobody up. Shown at [`Within`].
    fn find<'a>(&'a self, within: Within<'a>, id: &'a str) -> Reply<'a, Option<Entry>>;

    /// All queues that there ever were, by name. Shown at [`QueueView`].
    fn queues(&self) -> Reply<'_, Vec<QueueView>>;

    /// A page of a queue. Shown at [`From`].
    fn page<'a>(
        &'a self,
        queue: &'a str,
        from: From,
        skip: usize,
        most: usize,
    ) -> Reply<'a, Vec<Bytes>>;

    /// Empties a queue and says how many jobs that were. Shown at [`QueueView`].
    fn clear_queue<'a>(&'a self, queue: &'a str) -> Reply<'a, u64>;

    /// Takes a job out of a queue by its id, without a walk of the store through the queue. False if it is
    /// known not to be there. Shown at [`Within`].
    fn remove_queued<'a>(&'a self, queue: &'a str, id: &'a str) -> Reply<'a, bool>;

    /// Pauses, or ends a pause. What was parked for a class goes back, next in its queue, in bounded steps.
    /// Shown at [`Pause`].
    fn pause<'a>(&'a self, what: &'a Pause, is_paused: bool) -> Reply<'a, ()>;

    /// What is paused. Shown at [`Pause`].
    fn pauses(&self) -> Reply<'_, Vec<Pause>>;

    /// Numbers. Shown at [`Counts`].
    fn counts(&self) -> Reply<'_, Counts>;

    /// Says what a process does, counts what it did, and brings it the next thing that somebody wants of it.
    fn beat<'a>(&'a self, beat: Beat<'a>) -> Reply<'a, Option<Signal>>;

    /// Forgets a process that ends in order. What it still holds may be taken over at once.
    fn leave<'a>(&'a self, owner: &'a Owner) -> Reply<'a, ()>;

    /// What ran of each class in the last so many minutes, by name: what beats told. No more than
    /// [`RAN_KEPT`] is known; times of single runs ([`Ran::took`]) are not told here. Shown at [`RAN_KEPT`].
    fn ran(&self, within: Duration) -> Reply<'_, Vec<Ran>>;

    /// Processes that beat of late. Shown at [`Process`].
    fn processes(&self) -> Reply<'_, Vec<Process>>;

    /// Tells a process something with its next beat. Shown at [`Signal`].
    fn signal<'a>(&'a self, owner: &'a Owner, signal: Signal) -> Reply<'a, ()>;

    /// Takes or keeps a role that one process has at a time. True if it is this one's until `ttl` is over.
    ///
    /// ```
    /// use std::time::Duration;
    /// use forebay_jobs::store::{Owner, Store, memory::Memory};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let (store, ttl) = (Memory::default(), Duration::from_secs(15));
    /// assert!(store.lead("sweeper", &Owner::named("a:1:1"), ttl).await?);
    /// assert!(!store.lead("sweeper", &Owner::named("b:2:2"), ttl).await?);
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    fn lead<'a>(&'a self, role: &'a str, owner: &'a Owner, ttl: Duration) -> Reply<'a, bool>;

    /// Fires a tick of a timetable: stores the jobs if no tick as late as this was fired before. One atomic
    /// step: of all who try, one does.
    ///
    /// ```
    /// use forebay_jobs::store::{Store, memory::Memory};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let store = Memory::default();
    /// let tick = forebay_jobs::time::Moment::from_micros(60_000_000);
    /// assert!(store.fire("report", tick, &[]).await?);
    /// assert!(!store.fire("report", tick, &[]).await?); // somebody did
    /// assert_eq!(store.fired("report").await?, Some(tick));
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    fn fire<'a>(&'a self, timetable: &'a str, tick: Moment, jobs: &'a [Push]) -> Reply<'a, bool>;

    /// The last tick of a timetable that was fired. Shown at [`Store::fire`].
    fn fired<'a>(&'a self, timetable: &'a str) -> Reply<'a, Option<Moment>>;

    /// Frees a lock if its holder is this one.
    fn unlock<'a>(&'a self, lock: &'a Lock) -> Reply<'a, bool>;

    /// Keeps something small beside a job for a time: a cursor, its progress, a wish to cancel it. Nothing
    /// for `value` takes it away.
    ///
    /// ```
    /// use forebay_jobs::store::{Store, memory::Memory};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let store = Memory::default();
    /// let minute = std::time::Duration::from_secs(60);
    /// store.note("73be174b8b6c448481692f0c", "seen", Some(b"yes"), minute).await?;
    /// assert_eq!(store.noted("73be174b8b6c448481692f0c", "seen").await?.unwrap(), "yes");
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    fn note<'a>(
        &'a self,
        id: &'a str,
        field: &'a str,
        value: Option<&'a [u8]>,
        ttl: Duration,
    ) -> Reply<'a, ()>;

    /// What is kept beside a job. Shown at [`Store::note`].
    fn noted<'a>(&'a self, id: &'a str, field: &'a str) -> Reply<'a, Option<Bytes>>;

    /// Its room. Shown at [`Room`].
    fn room(&self) -> Reply<'_, Room>;

    /// Its time.
    fn now(&self) -> Reply<'_, Moment>;
}
