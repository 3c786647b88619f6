//! The worker beside the edge: on threads of its own, changed by a reload, ended in order.
//!
//! The edge's threads know nothing of it: a burst of jobs, a store that hangs or a handler that never awaits takes
//! time from these threads alone, and they step back behind those that serve.

mod tend;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use forebay_edge::error::with_causes;
use forebay_edge::trace::Tracer;
use forebay_jobs::store::Store;
use forebay_jobs::view::{Collector, Runs};
use forebay_jobs::worker::Seen;
use forebay_signals::clock;
use forebay_signals::drain::Drain;
use forebay_signals::journal::Journal;
use forebay_signals::prometheus::Page;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use super::config::Jobs;
use super::metrics;
use super::open::{self, Runner};
use crate::report::Problem;

/// Threads that run jobs: a job mostly waits, for an application or for a command.
const THREADS: usize = 2;
/// Their niceness, and that of commands that they start.
const NICENESS: i32 = 5;
/// After the grace: what is given back is told to the store, which may be slow.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// The worker, as the rest of the process sees it.
pub(crate) struct Beside {
    shared: Arc<Shared>,
    /// Ends with the thread, if there ever was one.
    over: Drain,
    has_thread: Mutex<bool>,
}

struct Shared {
    journal: Arc<Journal>,
    state: Mutex<State>,
    /// The newest order stands; older ones that nobody has looked at are void.
    order: Mutex<Option<Order>>,
    rung: Notify,
    /// Counts of all workers of this process, one after the other.
    runs: Arc<Runs>,
    /// Makes spans of runs, if somebody collects them.
    tracer: Option<Arc<Tracer>>,
}

#[derive(Default)]
struct State {
    in_force: Option<Arc<Jobs>>,
    store: Option<Arc<dyn Store>>,
    seen: Option<Seen>,
    collector: Option<Arc<Collector>>,
    trouble: Option<String>,
    /// Somebody ended it by a word through its store; a reload starts it again.
    is_over: bool,
}

enum Order {
    Run(Box<Prepared>),
    Stop,
    End,
}

/// What a reload wants of the worker, checked.
pub(crate) enum Change {
    /// It stays as it is.
    Nothing,
    /// It ends.
    Stop,
    /// It is another from now on.
    Run(Box<Prepared>),
}

/// A worker that can be started.
pub(crate) struct Prepared {
    jobs: Arc<Jobs>,
    runner: Runner,
    /// None if it is opened when it can be.
    store: Option<Arc<dyn Store>>,
}

/// When a store has to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opening {
    /// Now: else there is no change.
    Now,
    /// Once it can be opened. The edge does not wait for it.
    Later,
}

/// The worker at a glance.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct View {
    /// `running`, `quiet`, `stopped` by a word through its store, or `waiting` for that.
    pub(crate) state: String,
    /// Where its jobs are.
    pub(crate) store: String,
    /// Its queues.
    pub(crate) queues: Vec<String>,
    /// Jobs at once, at most.
    pub(crate) concurrency: usize,
    /// Jobs that run.
    pub(crate) busy: usize,
    /// Jobs that ran here, failures with them.
    pub(crate) processed: u64,
    /// Those that failed.
    pub(crate) failed: u64,
    /// Those that failed for good.
    pub(crate) dead: u64,
    /// Its name in the store.
    pub(crate) owner: Option<String>,
    /// What is wrong.
    pub(crate) trouble: Option<String>,
}

impl Beside {
    /// Nobody works, and there is no thread.
    pub(crate) fn new(journal: Arc<Journal>, tracer: Option<Arc<Tracer>>) -> Beside {
        let shared = Shared {
            journal,
            state: Mutex::default(),
            order: Mutex::default(),
            rung: Notify::new(),
            runs: Arc::default(),
            tracer,
        };
        Beside { shared: Arc::new(shared), over: Drain::default(), has_thread: Mutex::default() }
    }

    /// Checks what is wanted, as far as that goes without changing anything.
    pub(crate) fn prepare(&self, jobs: Option<Jobs>, opening: Opening) -> Result<Change, Problem> {
        let (in_force, is_over) = {
            let state = self.shared.state();
            (state.in_force.clone(), state.is_over)
        };
        let Some(jobs) = jobs.filter(Jobs::wants_worker) else {
            return Ok(if in_force.is_some() { Change::Stop } else { Change::Nothing });
        };
        if in_force.as_deref() == Some(&jobs) && !is_over {
            return Ok(Change::Nothing);
        }
        let runner = Runner::new(&jobs)?;
        let is_same_place =
            in_force.is_some_and(|it| it.store == jobs.store && it.retention == jobs.retention);
        let known = self.shared.state().store.clone().filter(|_| is_same_place);
        let store = match (known, opening) {
            (Some(store), _) => Some(store),
            (None, Opening::Later) => None,
            (None, Opening::Now) => Some(open::store(&jobs).map_err(|error| {
                Problem::new(format!("cannot open the job store `{}`", jobs.store)).because(error)
            })?),
        };
        self.start_thread()?;
        Ok(Change::Run(Box::new(Prepared { jobs: Arc::new(jobs), runner, store })))
    }

    /// Does it, and says it.
    pub(crate) fn apply(&self, change: Change) -> Option<&'static str> {
        let (order, said) = match change {
            Change::Nothing => return None,
            Change::Stop => (Order::Stop, "jobs are not run here any more"),
            Change::Run(prepared) => {
                let is_new = self.shared.state().in_force.is_none();
                let said = if is_new { "jobs are run" } else { "jobs are run as it says now" };
                self.shared.state().in_force = Some(Arc::clone(&prepared.jobs));
                (Order::Run(prepared), said)
            }
        };
        if matches!(order, Order::Stop) {
            self.shared.state().in_force = None;
        }
        self.shared.tell(order);
        Some(said)
    }

    /// Takes no more jobs, and returns when those that run have ended, or gone back after their grace.
    pub(crate) async fn end(&self) {
        if !*self.has_thread() {
            return;
        }
        let grace = self.shared.state().in_force.as_ref().map_or(Duration::ZERO, |it| it.grace);
        self.shared.tell(Order::End);
        if clock::timeout(grace + LAST_WORDS, self.over.begun()).await.is_err() {
            tracing::error!("the worker did not end; others take over what it holds");
        }
    }

    /// Writes its metrics; nothing if there is none. Everything is known already: nobody is asked and waited for.
    pub(crate) fn write(&self, page: &mut Page) {
        let (seen, numbers) = {
            let state = self.shared.state();
            if state.in_force.is_none() {
                return;
            }
            let numbers = state.collector.as_ref().and_then(|it| it.newest());
            (state.seen.as_ref().map(Seen::view), numbers)
        };
        metrics::write_worker(page, seen.as_ref(), &self.shared.runs.classes());
        if let Some(numbers) = numbers {
            metrics::write_store(page, &numbers);
        }
    }

    /// What it does; nothing if there is none.
    pub(crate) fn view(&self) -> Option<View> {
        let state = self.shared.state();
        let jobs = state.in_force.as_ref()?;
        let seen = state.seen.as_ref().map(Seen::view);
        let word = match &seen {
            None => "waiting",
            Some(_) if state.is_over => "stopped",
            Some(seen) if seen.is_quiet => "quiet",
            Some(_) => "running",
        };
        let trouble = seen.as_ref().and_then(|seen| seen.trouble.as_ref());
        let count = |of: fn(&forebay_jobs::worker::WorkerView) -> u64| seen.as_ref().map_or(0, of);
        Some(View {
            state: word.into(),
            store: jobs.store.to_string(),
            queues: jobs.order.names().iter().map(ToString::to_string).collect(),
            concurrency: jobs.concurrency,
            busy: seen.as_ref().map_or(0, |seen| seen.runs.len()),
            processed: count(|seen| seen.processed),
            failed: count(|seen| seen.failed),
            dead: count(|seen| seen.dead),
            owner: seen.as_ref().map(|seen| seen.owner.as_str().to_owned()),
            trouble: trouble.map(|it| with_causes(it)).or_else(|| state.trouble.clone()),
        })
    }

    fn has_thread(&self) -> MutexGuard<'_, bool> {
        self.has_thread.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A process without jobs has no threads for them.
    fn start_thread(&self) -> Result<(), Problem> {
        let mut has_thread = self.has_thread();
        if *has_thread {
            return Ok(());
        }
        let failed = |error| Problem::ours("cannot start the worker's threads").because(error);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("jobs")
            .on_thread_start(step_back)
            .enable_all()
            .build()
            .map_err(failed)?;
        let (shared, over) = (Arc::clone(&self.shared), self.over.clone());
        std::thread::Builder::new()
            .name("jobs".into())
            .spawn(move || {
                step_back();
                runtime.block_on(tend::tend(&shared));
                // A handler that never awaits must not keep the process.
                runtime.shutdown_background();
                over.begin();
            })
            .map_err(failed)?;
        *has_thread = true;
        Ok(())
    }
}

fn step_back() {
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        tracing::debug!(%error, "threads of jobs do not step back");
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, order: Order) {
        let mut slot = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        // After the end there is nothing that could be wanted.
        if !matches!(*slot, Some(Order::End)) {
            *slot = Some(order);
        }
        drop(slot);
        self.rung.notify_one();
    }

    fn told(&self) -> Option<Order> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
