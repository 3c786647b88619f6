//! The worker beside the edge: on threads of its own, changed by a reload, ended in order.
//!
//! The edge's threads know nothing of it: a burst of jobs, a store that hangs or a handler that never awaits takes
//! time from these threads alone, and they step back behind those that serve.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use forebay_edge::error::with_causes;
use forebay_jobs::store::Store;
use forebay_jobs::view::{Collector, Runs};
use forebay_jobs::worker::{Handle, Seen};
use forebay_signals::clock;
use forebay_signals::drain::Drain;
use forebay_signals::journal::Journal;
use forebay_signals::prometheus::Page;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::config::Jobs;
use super::metrics;
use super::open::{self, Runner};
use crate::report::Problem;

/// Threads that run jobs: a job mostly waits, for an application or for a command.
const THREADS: usize = 2;
/// Their niceness, and that of commands that they start.
const NICENESS: i32 = 5;
/// Between two tries to open a store.
const PAUSE: Duration = Duration::from_secs(2);
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
    Run(Prepared),
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
    Run(Prepared),
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
    pub(crate) fn new(journal: Arc<Journal>) -> Beside {
        let shared = Shared {
            journal,
            state: Mutex::default(),
            order: Mutex::default(),
            rung: Notify::new(),
            runs: Arc::default(),
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
        Ok(Change::Run(Prepared { jobs: Arc::new(jobs), runner, store }))
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
            queues: jobs.order.names().iter().map(|name| name.to_string()).collect(),
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
                runtime.block_on(tend(&shared));
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

/// What runs.
struct Running {
    handle: Handle,
    grace: Duration,
    /// Ends the collecting of its store's numbers.
    gone: Drain,
}

/// Until it is told to end.
async fn tend(shared: &Arc<Shared>) {
    let (mut running, mut waits) = (None::<Running>, None::<Prepared>);
    let mut leaving = JoinSet::new();
    loop {
        tokio::select! {
            () = shared.rung.notified() => {}
            () = ended(&mut running) => {
                // Left so until somebody reloads: to start it again would be against that wish.
                if let Some(over) = running.take() {
                    over.gone.begin();
                }
                shared.state().is_over = true;
                shared.journal.write("jobs", "the worker was told through its store to end");
            }
            () = clock::sleep(PAUSE), if waits.is_some() => {}
            Some(_) = leaving.join_next() => {}
        }
        match shared.told() {
            None => {}
            Some(Order::Run(prepared)) => waits = Some(prepared),
            Some(Order::Stop) => {
                waits = None;
                shared.journal.write("jobs", "jobs are not run here any more");
                let mut state = shared.state();
                *state = State::default();
                drop(state);
                leaving.spawn(stop(running.take()));
            }
            Some(Order::End) => {
                leaving.spawn(stop(running.take()));
                break;
            }
        }
        if let Some(prepared) = waits.take() {
            waits = begin(shared, prepared, &mut running, &mut leaving).await;
        }
    }
    while leaving.join_next().await.is_some() {}
}

/// Starts the new worker, then ends the old one; between the two nobody takes a job under old settings. What
/// cannot be started yet is handed back.
async fn begin(
    shared: &Shared,
    prepared: Prepared,
    running: &mut Option<Running>,
    leaving: &mut JoinSet<()>,
) -> Option<Prepared> {
    let Prepared { jobs, runner, store } = prepared;
    let opened = match store {
        Some(store) => Ok(store),
        None => opened(Arc::clone(&jobs)).await,
    };
    let store = match opened {
        Ok(store) => store,
        Err(why) => {
            let mut state = shared.state();
            if state.trouble.as_deref() != Some(&why) {
                tracing::warn!(store = %jobs.store, error = why, "the job store cannot be opened");
                shared.journal.write("jobs", format!("the store cannot be opened: {why}"));
                state.trouble = Some(why);
            }
            return Some(Prepared { jobs, runner, store: None });
        }
    };
    if let Some(old) = running {
        old.gone.begin();
        old.handle.quiet();
    }
    let handle = runner.worker(&jobs, Arc::clone(&store)).runs(Arc::clone(&shared.runs)).start();
    let (collector, gone) = (Arc::new(Collector::new(Arc::clone(&store))), Drain::default());
    let (collecting, until) = (Arc::clone(&collector), gone.clone());
    leaving.spawn(async move { collecting.run(&until).await });
    let mut state = shared.state();
    (state.seen, state.store, state.trouble) = (Some(handle.seen()), Some(store), None);
    state.collector = Some(collector);
    state.is_over = false;
    drop(state);
    let queues: Vec<&str> = jobs.order.names().iter().map(|name| &**name).collect();
    let said = format!(
        "running jobs of {} from {}, {} at once",
        queues.join(", "),
        jobs.store,
        jobs.concurrency
    );
    shared.journal.write("jobs", said);
    let old = running.replace(Running { handle, grace: jobs.grace, gone });
    leaving.spawn(stop(old));
    None
}

/// A file may lie on a disk that hangs: it is opened aside.
async fn opened(jobs: Arc<Jobs>) -> Result<Arc<dyn Store>, String> {
    match tokio::task::spawn_blocking(move || open::store(&jobs)).await {
        Ok(Ok(store)) => Ok(store),
        Ok(Err(error)) => Err(with_causes(&error)),
        Err(error) => Err(error.to_string()),
    }
}

async fn ended(running: &mut Option<Running>) {
    match running {
        Some(running) => running.handle.ended().await,
        None => std::future::pending().await,
    }
}

async fn stop(running: Option<Running>) {
    if let Some(Running { handle, grace, gone }) = running {
        gone.begin();
        handle.stop(grace).await;
    }
}
