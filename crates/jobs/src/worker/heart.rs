//! Says that the process is alive and what it does, and hears what is wanted of it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use forebay_signals::clock;
use tokio::task::JoinSet;

use super::{Shared, identity};
use crate::fetch::{Outage, Phase, too_late};
use crate::run::{Wish, notes};
use crate::store::{Beat, Signal, StoreError, Work};

/// Looks at what changes often, between two beats.
const GLANCES: u32 = 5;
/// How long the store may take for one thing; the next beat must not be late.
const PATIENCE: Duration = Duration::from_secs(4);

/// The part of the worker that keeps it alive.
pub(super) struct Heart {
    shared: Arc<Shared>,
    outage: Outage,
    rtt: Duration,
}

impl Heart {
    pub(super) fn new(shared: Arc<Shared>) -> Heart {
        Heart { shared, outage: Outage::default(), rtt: Duration::ZERO }
    }

    /// From the first word to the last: the tasks of the worker run within.
    pub(super) async fn run(mut self, start: impl FnOnce(&mut JoinSet<()>) + Send) {
        // Nothing is leased under a name that the store has not heard of: it would be taken for dead.
        while let Err(error) = self.begin().await {
            let pause = self.outage.begin(&error);
            *self.shared.trouble() = Some(error);
            if matches!(self.shared.phase(), Phase::Stops(_)) {
                return;
            }
            clock::sleep(pause).await;
        }
        *self.shared.trouble() = None;
        self.look_at_the_room().await;
        let mut tasks = JoinSet::new();
        start(&mut tasks);
        let (glance, mut glances) = (self.shared.beat_every / GLANCES, 0_u32);
        while !tasks.is_empty() {
            match clock::timeout(glance, tasks.join_next()).await {
                Ok(Some(Err(error))) if error.is_panic() => {
                    tracing::error!(%error, "a part of the worker panicked: it stops");
                    self.shared.stop(Duration::ZERO);
                    continue;
                }
                Ok(_) => continue,
                Err(_) => glances = glances.wrapping_add(1),
            }
            let done = self.glance().await;
            let done = if glances % GLANCES == 0 { done.and(self.beat().await) } else { done };
            match done {
                Ok(()) => drop(self.outage.end()),
                Err(ref error) => drop(self.outage.begin(error)),
            }
            *self.shared.trouble() = done.err();
        }
        self.leave().await;
    }

    /// A store that throws jobs away keeps none of the promises made here.
    async fn look_at_the_room(&self) {
        let room = clock::timeout(PATIENCE, self.shared.engine.store.room()).await;
        if let Ok(Ok(room)) = room
            && room.evicts
        {
            tracing::error!(
                "this server throws jobs away when its memory is full: set `maxmemory-policy noeviction`"
            );
        }
    }

    async fn begin(&mut self) -> Result<(), StoreError> {
        let shared = Arc::clone(&self.shared);
        let store = &*shared.engine.store;
        in_time(shared.engine.time.set(store)).await?;
        self.keep().await?;
        self.glance().await?;
        self.beat().await
    }

    /// What is paused, and what runs say of themselves.
    async fn glance(&mut self) -> Result<(), StoreError> {
        let engine = &self.shared.engine;
        engine.paused.set(in_time(engine.store.pauses()).await?);
        for run in self.shared.board.all() {
            if let Some(id) = crate::job::id_of(&run.lease.payload) {
                run.state.tell(&*engine.store, &id).await;
            }
        }
        self.cancelled().await
    }

    /// Ends runs that somebody wants to end. Those that began just now are asked about the next time: most
    /// jobs are over before, and cost nothing.
    async fn cancelled(&mut self) -> Result<(), StoreError> {
        let engine = &self.shared.engine;
        let old = engine.time.now().before(self.shared.beat_every / GLANCES);
        for run in self.shared.board.all().into_iter().filter(|run| run.since <= old) {
            let Some(id) = crate::job::id_of(&run.lease.payload) else { continue };
            if in_time(engine.store.noted(&id, notes::CANCELLED)).await?.is_some() {
                run.drop_it(Wish::Cancel);
            }
        }
        Ok(())
    }

    /// Is alive; under another name if it was taken for dead.
    async fn keep(&mut self) -> Result<(), StoreError> {
        let shared = &self.shared;
        let owner = shared.owner();
        if in_time(shared.engine.store.keep(&owner)).await? {
            return Ok(());
        }
        let fresh = identity::fresh(&shared.host);
        tracing::warn!(
            was = owner.as_str(),
            now = fresh.as_str(),
            "this worker was taken for dead"
        );
        // Kept before anybody leases under it.
        if in_time(shared.engine.store.keep(&fresh)).await? {
            shared.owner.send_replace(fresh);
            drop(in_time(shared.engine.store.leave(&owner)).await);
        }
        Ok(())
    }

    async fn beat(&mut self) -> Result<(), StoreError> {
        self.keep().await?;
        let shared = Arc::clone(&self.shared);
        let tally = &shared.engine.tally;
        let processed = tally.processed.load(Ordering::Acquire);
        let failed = tally.failed.load(Ordering::Acquire);
        let ran = shared.engine.classes_ran.untold();
        let work = shared.board.all().into_iter().map(|run| Work {
            thread: format!("{:x}", run.lease.token.0).into(),
            queue: run.lease.queue,
            payload: run.lease.payload,
            since: run.since,
        });
        let (work, owner, info) = (work.collect::<Vec<_>>(), shared.owner(), shared.info());
        let beat = Beat {
            owner: &owner,
            info: &info,
            concurrency: shared.concurrency,
            work: &work,
            is_quiet: shared.phase() != Phase::Runs,
            rss_kb: identity::rss_kb(),
            rtt_us: u64::try_from(self.rtt.as_micros()).unwrap_or(u64::MAX),
            processed,
            failed,
            ran: &ran,
            metrics: shared.engine.classes_ran.metrics,
        };
        let asked = clock::now();
        let signal = in_time(shared.engine.store.beat(beat)).await?;
        self.rtt = clock::now().saturating_duration_since(asked);
        // Only now: what the store has not taken is handed over with the next.
        tally.processed.fetch_sub(processed, Ordering::AcqRel);
        tally.failed.fetch_sub(failed, Ordering::AcqRel);
        shared.engine.classes_ran.told(&ran);
        match signal {
            Some(Signal::Quiet) => shared.quiet(),
            Some(Signal::Stop) => shared.stop(shared.grace),
            Some(Signal::Dump) => self.dump(),
            None => {}
        }
        in_time(shared.engine.time.set(&*shared.engine.store)).await
    }

    /// Says what runs.
    fn dump(&self) {
        let now = self.shared.engine.time.now();
        for run in self.shared.board.all() {
            let id = crate::job::id_of(&run.lease.payload);
            let for_s = now.since(run.since).as_secs_f64();
            tracing::info!(id, queue = &*run.lease.queue, for_s, "a job runs");
        }
    }

    async fn leave(&mut self) {
        if let Err(error) = self.beat().await {
            tracing::warn!(%error, "the job store was not told of the last counts");
        }
        let (store, owner) = (&self.shared.engine.store, self.shared.owner());
        drop(in_time(store.leave(&owner)).await);
        tracing::info!(owner = owner.as_str(), "the worker has stopped");
    }
}

async fn in_time<T>(answer: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    clock::timeout(PATIENCE, answer).await.unwrap_or_else(|_| Err(too_late()))
}
