//! What all runs of a worker share.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use forebay_signals::clock;
use forebay_signals::drain::Drain;

use super::classes::Classes;
use super::handler::{Handler, Middleware, Unknown};
use crate::job::Job;
use crate::retry::{Exhausted, Failure};
use crate::store::{Pause, Store, StoreError};
use crate::time::{Clock, Form, Moment};
use crate::view::Runs;

/// Called when a job has failed for good.
pub(crate) type OnDeath = Arc<dyn Fn(&Job, &Failure, Exhausted) + Send + Sync>;

/// What all runs share.
pub(crate) struct Engine {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) classes: HashMap<Box<str>, Arc<dyn Handler>>,
    /// For classes that are not among them.
    pub(crate) otherwise: Arc<dyn Handler>,
    pub(crate) middleware: Vec<Arc<dyn Middleware>>,
    pub(crate) deadline: Option<Duration>,
    pub(crate) on_death: Vec<OnDeath>,
    pub(crate) form: Form,
    pub(crate) time: Time,
    pub(crate) drain: Drain,
    pub(crate) paused: Paused,
    pub(crate) tally: Tally,
    pub(crate) classes_ran: Classes,
    pub(crate) runs: Arc<Runs>,
}

impl Engine {
    /// With nothing registered.
    pub(crate) fn new(store: Arc<dyn Store>) -> Engine {
        Engine {
            store,
            classes: HashMap::new(),
            otherwise: Arc::new(Unknown),
            middleware: Vec::new(),
            deadline: None,
            on_death: Vec::new(),
            form: Form::default(),
            time: Time::default(),
            drain: Drain::default(),
            paused: Paused::default(),
            tally: Tally::default(),
            classes_ran: Classes::default(),
            runs: Arc::default(),
        }
    }

    pub(crate) fn handler(&self, class: &str) -> &dyn Handler {
        &**self.classes.get(class).unwrap_or(&self.otherwise)
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("classes", &self.classes.keys()).finish_non_exhaustive()
    }
}

/// The store's time without asking it: our clock, set right now and then. What is due is due by its time.
#[derive(Debug, Default)]
pub(crate) struct Time {
    pub(crate) clock: Clock,
    ahead_micros: AtomicI64,
}

impl Time {
    pub(crate) fn new(clock: Clock) -> Time {
        Time { clock, ahead_micros: AtomicI64::new(0) }
    }

    pub(crate) fn now(&self) -> Moment {
        let ours = self.clock.now().as_micros();
        Moment::from_micros(ours.saturating_add(self.ahead_micros.load(Ordering::Relaxed)))
    }

    /// Asks the store.
    pub(crate) async fn set(&self, store: &dyn Store) -> Result<(), StoreError> {
        /// Less than this is the way of the answer, not a clock that is wrong.
        const MATTERS: u64 = 50_000;
        let asked = clock::now();
        let theirs = store.now().await?;
        let way = clock::now().saturating_duration_since(asked) / 2;
        let ahead = theirs.after(way).as_micros().saturating_sub(self.clock.now().as_micros());
        let ahead = if ahead.unsigned_abs() < MATTERS { 0 } else { ahead };
        self.ahead_micros.store(ahead, Ordering::Relaxed);
        Ok(())
    }
}

/// Classes that are paused, as known here.
#[derive(Debug, Default)]
pub(crate) struct Paused {
    /// Nearly always none are: then nothing is locked.
    is_any: AtomicBool,
    classes: RwLock<HashSet<Arc<str>>>,
}

impl Paused {
    pub(crate) fn set(&self, pauses: Vec<Pause>) {
        let classes = pauses.into_iter().filter_map(|pause| match pause {
            Pause::Class(class) => Some(class),
            Pause::Queue(_) | Pause::Timetable(_) => None,
        });
        let mut known = self.classes.write().unwrap_or_else(PoisonError::into_inner);
        *known = classes.collect();
        self.is_any.store(!known.is_empty(), Ordering::Release);
    }

    /// The class, if it is paused.
    pub(crate) fn find(&self, class: &str) -> Option<Arc<str>> {
        if !self.is_any.load(Ordering::Acquire) {
            return None;
        }
        let known = self.classes.read().unwrap_or_else(PoisonError::into_inner);
        known.get(class).cloned()
    }
}

/// What became of jobs, counted.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Ran, failures with them; not yet told the store.
    pub(crate) processed: AtomicU64,
    /// Failed; not yet told the store.
    pub(crate) failed: AtomicU64,
    pub(crate) all_processed: AtomicU64,
    pub(crate) all_failed: AtomicU64,
    pub(crate) expired: AtomicU64,
    pub(crate) cancelled: AtomicU64,
    pub(crate) malformed: AtomicU64,
    pub(crate) dead: AtomicU64,
    /// Ended here after they had been taken over.
    pub(crate) lost: AtomicU64,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// As it should.
    Done,
    /// It failed, and is tried again or gone.
    Failed,
    /// It failed for good.
    Died,
    /// It could not be read.
    Malformed,
    /// It was too late.
    Expired,
    /// Somebody wanted it to end.
    Cancelled,
    /// It did not come to its end, and that is no failure.
    Later,
}

impl Tally {
    pub(crate) fn count(&self, ending: Ending) {
        let add = |counter: &AtomicU64| {
            counter.fetch_add(1, Ordering::Relaxed);
        };
        let has_failed = matches!(ending, Ending::Failed | Ending::Died | Ending::Malformed);
        if has_failed || ending == Ending::Done {
            add(&self.processed);
            add(&self.all_processed);
        }
        if has_failed {
            add(&self.failed);
            add(&self.all_failed);
        }
        match ending {
            Ending::Died => add(&self.dead),
            Ending::Malformed => add(&self.malformed),
            Ending::Expired => add(&self.expired),
            Ending::Cancelled => add(&self.cancelled),
            Ending::Done | Ending::Failed | Ending::Later => {}
        }
    }
}
