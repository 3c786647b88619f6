//! What waits for its time, and what comes again and again.
//!
//! - What is this room for: to move due jobs to their queues, to fire timetables, to take over what the dead
//!   had leased.
//! - In: the store's sets, timetables, the store's time.
//! - Out: jobs in their queues, each in one step with its leaving the set; a crash between two steps loses nothing.
//! - Never: a tick that is fired twice. One process leads, so that the others need not look; that it is one only
//!   is kept by the store, step by step, and not by the lead.

mod cron;
mod poison;
mod promote;
#[cfg(test)]
mod tests;
mod timetable;

use std::sync::Arc;
use std::time::{Duration, Instant};

use forebay_signals::clock;
use tokio::sync::watch;

pub use self::cron::{Cron, CronError};
pub use self::timetable::{Missed, Timetable};
use crate::fetch::{Outage, too_late};
use crate::run::Engine;
use crate::store::{MOST_A_STEP, Owner, Set, StoreError};

/// How often sets are looked at when nothing is known to be due, as Sidekiq.
const POLL: Duration = Duration::from_secs(5);
/// What is due is not looked at more often than this.
const SHORTEST: Duration = Duration::from_millis(5);
/// The lead: three looks may be missed.
const ROLE: &str = "timer";
const LEADS_FOR: Duration = Duration::from_secs(15);
/// How often it is looked whether somebody has died.
const SWEEP: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(15);

/// The task.
pub(crate) struct Timer {
    engine: Arc<Engine>,
    owner: watch::Receiver<Owner>,
    timetables: Vec<Timetable>,
    swept: Option<Instant>,
    outage: Outage,
}

impl Timer {
    pub(crate) fn new(
        engine: Arc<Engine>,
        owner: watch::Receiver<Owner>,
        timetables: Vec<Timetable>,
    ) -> Timer {
        Timer { engine, owner, timetables, swept: None, outage: Outage::default() }
    }

    /// Until the worker stops; then the lead is free at once.
    pub(crate) async fn run(mut self) {
        let drain = self.engine.drain.clone();
        while !drain.has_begun() {
            // Dropped in the midst it has done its steps whole, or not at all.
            let answer = tokio::select! {
                answer = clock::timeout(PATIENCE, self.step()) => answer,
                () = drain.begun() => break,
            };
            let pause = match answer.unwrap_or_else(|_| Err(too_late())) {
                Ok(pause) => {
                    self.outage.end();
                    pause
                }
                Err(error) => self.outage.begin(&error),
            };
            drop(clock::timeout(pause, drain.begun()).await);
        }
        let owner = self.owner.borrow().clone();
        let store = &self.engine.store;
        let free = async {
            // Only who leads may give it up: to take it for no time would take it from nobody else.
            drop(store.lead(ROLE, &owner, Duration::ZERO).await);
        };
        drop(clock::timeout(POLL, free).await);
    }

    /// Does what is due, and says how long nothing is.
    pub(crate) async fn step(&mut self) -> Result<Duration, StoreError> {
        self.sweep().await?;
        let owner = self.owner.borrow().clone();
        let engine = Arc::clone(&self.engine);
        // Not all at once: processes that were started together are spread.
        let poll = POLL.mul_f64(0.5 + fastrand::f64() / 2.0);
        if !engine.store.lead(ROLE, &owner, LEADS_FOR).await? {
            // What another has fired meanwhile is asked for anew.
            self.timetables.iter_mut().for_each(|it| it.last = None);
            return Ok(poll);
        }
        let mut next = engine.time.now().after(poll);
        for set in [Set::Retry, Set::Schedule] {
            next = promote::all_due(&engine, set).await?.map_or(next, |at| at.min(next));
        }
        for timetable in &mut self.timetables {
            let now = engine.time.now();
            let due = timetable.step(&*engine.store, engine.form, now).await?;
            next = due.map_or(next, |at| at.min(next));
        }
        Ok(next.since(engine.time.now()).clamp(SHORTEST, poll))
    }

    /// Takes over what the dead had leased. Every process does: the leader may be the one that died.
    async fn sweep(&mut self) -> Result<(), StoreError> {
        const MOST_STEPS: usize = 100;
        let now = clock::now();
        if self.swept.is_some_and(|last| now.saturating_duration_since(last) < SWEEP / 2) {
            return Ok(());
        }
        for _ in 0..MOST_STEPS {
            let found = self.engine.store.recover(MOST_A_STEP).await?;
            let moved = found.moved();
            if moved > 0 {
                let (back, poisoned, owners) = (found.back, found.poisoned.len(), found.owners);
                tracing::warn!(
                    back,
                    poisoned,
                    owners,
                    "jobs of processes that died were taken over"
                );
            }
            for entry in found.poisoned {
                poison::explain(&self.engine, entry).await?;
            }
            if moved < MOST_A_STEP {
                break;
            }
        }
        self.swept = Some(now);
        Ok(())
    }
}
