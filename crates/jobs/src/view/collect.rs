//! One process of all collects the numbers.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use forebay_signals::clock;
use forebay_signals::drain::Drain;

use super::Snapshot;
use crate::fetch::too_late;
use crate::store::{Owner, Store, StoreError};
use crate::worker::fresh_owner;

/// Between two collections: as often as is scraped.
const SHORTEST: Duration = Duration::from_secs(10);
/// Between two where each takes long.
const LONGEST: Duration = Duration::from_secs(300);
/// Longest that one may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// A collection is followed by a pause of so many times what it took: a fiftieth of the store's time at most.
const SHARE: u32 = 50;
const ROLE: &str = "metrics";

/// Collects the numbers of a store as long as no other process does.
///
/// Only who collects shows them. Were they shown by every process, a sum over processes would count each job many
/// times, and the numbers of all but one would be old by an unknown time. When the leader ends in order another
/// follows at its next look; when it dies, after three pauses.
///
/// ```
/// use std::sync::Arc;
/// use forebay_jobs::{store::memory::Memory, view::Collector};
/// use forebay_signals::drain::Drain;
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let (collector, drain) = (Arc::new(Collector::new(Arc::new(Memory::default()))), Drain::default());
/// let task = tokio::spawn({
///     let (collector, drain) = (collector.clone(), drain.clone());
///     async move { collector.run(&drain).await }
/// });
/// while collector.newest().is_none() {
///     tokio::task::yield_now().await;
/// }
/// drain.begin();
/// task.await?;
/// assert!(collector.newest().is_none()); // another may collect now
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
pub struct Collector {
    store: Arc<dyn Store>,
    owner: Owner,
    latest: Mutex<Option<Latest>>,
}

struct Latest {
    snapshot: Arc<Snapshot>,
    /// After this it is old, and not shown.
    until: Instant,
}

impl Collector {
    /// For this store.
    ///
    /// ```
    /// use forebay_jobs::{store::memory::Memory, view::Collector};
    /// let collector = Collector::new(std::sync::Arc::new(Memory::default()));
    /// assert!(collector.newest().is_none()); // nothing before it runs
    /// ```
    pub fn new(store: Arc<dyn Store>) -> Collector {
        Collector { store, owner: fresh_owner(), latest: Mutex::default() }
    }

    /// Collects until the drain begins; then another may. Shown at [`Collector`].
    pub async fn run(&self, until: &Drain) {
        let mut slow = SHORTEST;
        while !until.has_begun() {
            let answer = tokio::select! {
                answer = clock::timeout(PATIENCE, self.step(slow)) => answer,
                () = until.begun() => break,
            };
            slow = match answer.unwrap_or_else(|_| Err(too_late())) {
                Ok(took) => took.saturating_mul(SHARE).clamp(SHORTEST, LONGEST),
                Err(error) => {
                    // The worker tells of a store that is away; once is enough.
                    tracing::debug!(%error, "numbers of jobs were not collected");
                    slow.saturating_mul(2).min(LONGEST)
                }
            };
            drop(clock::timeout(slow, until.begun()).await);
        }
        *self.latest() = None;
        let free = self.store.lead(ROLE, &self.owner, Duration::ZERO);
        drop(clock::timeout(PATIENCE, free).await);
    }

    /// Collects once if it is this one's turn, and says how long that took.
    ///
    /// # Errors
    /// The store does not answer.
    pub(super) async fn step(&self, pause: Duration) -> Result<Duration, StoreError> {
        // Longer than the longest pause that can follow, so that who leads goes on leading.
        let ttl = pause.saturating_mul(2).saturating_add(SHORTEST + PATIENCE);
        if !self.store.lead(ROLE, &self.owner, ttl).await? {
            *self.latest() = None;
            return Ok(Duration::ZERO);
        }
        let snapshot = Snapshot::take(&*self.store).await?;
        let took = snapshot.took;
        let until = clock::now() + ttl;
        *self.latest() = Some(Latest { snapshot: Arc::new(snapshot), until });
        Ok(took)
    }

    /// The newest numbers. Nothing if another process collects, or the store has not answered for long.
    /// Shown at [`Collector`].
    pub fn newest(&self) -> Option<Arc<Snapshot>> {
        let latest = self.latest();
        let latest = latest.as_ref().filter(|latest| clock::now() < latest.until)?;
        Some(Arc::clone(&latest.snapshot))
    }

    fn latest(&self) -> MutexGuard<'_, Option<Latest>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
