//! A worker that runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;

use super::Shared;
use crate::fetch::Phase;
use crate::job::Job;
use crate::store::{Owner, Store, StoreError};
use crate::time::Moment;
use crate::view::Runs;

/// A worker that runs. When it is dropped the worker is as a process that was killed: what it held is taken
/// over by others some seconds later. [`Handle::stop`] ends it in order.
///
/// ```
/// # use {std::sync::Arc, forebay_jobs::{store::memory::Memory, worker::Worker}};
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// # let store = Arc::new(Memory::default());
/// # use std::time::Duration;
/// let worker = Worker::builder(store).start();
/// // … until somebody wants it to end …
/// worker.quiet();
/// worker.stop(Duration::from_secs(25)).await;
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[must_use = "the worker ends when its handle is dropped"]
pub struct Handle {
    pub(super) shared: Arc<Shared>,
    task: JoinHandle<()>,
}

/// A worker at a glance.
///
/// ```
/// # use {std::sync::Arc, forebay_jobs::{store::memory::Memory, worker::Worker}};
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// # let store = Arc::new(Memory::default());
/// let worker = Worker::builder(store).concurrency(3).start();
/// let view = worker.view();
/// assert!(view.runs.len() <= view.concurrency && view.trouble.is_none());
/// assert_eq!((view.processed, view.failed, view.is_quiet), (0, 0, false));
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct WorkerView {
    /// Its name in the store.
    pub owner: Owner,
    /// Why the store does not answer, while it does not.
    pub trouble: Option<StoreError>,
    /// True if it takes no more jobs.
    pub is_quiet: bool,
    /// Jobs that it runs at once at most.
    pub concurrency: usize,
    /// What runs.
    pub runs: Vec<RunView>,
    /// Jobs that ran here, failures with them.
    pub processed: u64,
    /// Those that failed.
    pub failed: u64,
    /// Failures that were the last of their jobs, and are kept.
    pub dead: u64,
    /// Payloads that were no jobs.
    pub malformed: u64,
    /// Jobs that were too late to be run.
    pub expired: u64,
    /// Jobs that were ended by somebody's wish.
    pub cancelled: u64,
    /// Jobs that ended here after others had taken them over.
    pub lost: u64,
}

/// A run at a glance.
///
/// ```
/// use forebay_jobs::worker::Handle;
/// fn show(worker: &Handle) {
///     for run in worker.view().runs {
///         println!("{} {} of {} since {}", run.id, run.class, run.queue, run.since);
///     }
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunView {
    /// Id of the job.
    pub id: String,
    /// Its class.
    pub class: String,
    /// Queue that it came from.
    pub queue: Arc<str>,
    /// Since when.
    pub since: Moment,
}

impl Handle {
    pub(super) fn new(shared: Arc<Shared>, task: JoinHandle<()>) -> Handle {
        Handle { shared, task }
    }

    /// Takes no more jobs; what runs goes on. As `TSTP` of Sidekiq.
    ///
    /// ```
    /// # use {std::sync::Arc, forebay_jobs::{store::memory::Memory, worker::Worker}};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let store = Arc::new(Memory::default());
    /// let worker = Worker::builder(store).start();
    /// worker.quiet();
    /// assert!(worker.view().is_quiet);
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn quiet(&self) {
        self.shared.quiet();
    }

    /// Ends it: no more jobs are taken, what runs may come to its end for so long, and the rest goes back.
    /// Returns when all of that is done, some seconds after the grace at the latest. As `TERM` of Sidekiq.
    ///
    /// ```
    /// # use {std::sync::Arc, forebay_jobs::{store::memory::Memory, worker::Worker}};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let store = Arc::new(Memory::default());
    /// let worker = Worker::builder(store).start();
    /// worker.stop(std::time::Duration::from_secs(25)).await; // no longer than it must: nothing runs
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub async fn stop(mut self, grace: Duration) {
        self.shared.stop(grace);
        self.ended().await;
    }

    /// Waits until it has ended, by whoever's wish.
    ///
    /// ```
    /// # use {std::sync::Arc, forebay_jobs::{store::memory::Memory, worker::Worker}};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let store = Arc::new(Memory::default());
    /// use std::time::Duration;
    /// use forebay_jobs::store::{Signal, Store};
    /// let mut worker = Worker::builder(store.clone()).beat_every(Duration::from_millis(10)).start();
    /// store.signal(&worker.view().owner, Signal::Stop).await?; // a button of a screen elsewhere
    /// worker.ended().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub async fn ended(&mut self) {
        if !self.task.is_finished() {
            drop((&mut self.task).await);
        }
    }

    /// Drops the run of a job at its next await; the job is over. False if it does not run here.
    /// For a job that may run elsewhere, see [`Client::cancel`](crate::push::Client::cancel).
    ///
    /// ```
    /// # use {std::sync::Arc, forebay_jobs::{store::memory::Memory, worker::Worker}};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let store = Arc::new(Memory::default());
    /// let worker = Worker::builder(store).start();
    /// assert!(!worker.cancel("73be174b8b6c448481692f0c")); // it does not run here
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn cancel(&self, id: &str) -> bool {
        self.shared.board.cancel(id)
    }

    /// What it does.
    ///
    /// ```
    /// # use {std::sync::Arc, forebay_jobs::{store::memory::Memory, worker::Worker}};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let store = Arc::new(Memory::default());
    /// let worker = Worker::builder(store).start();
    /// assert_eq!(worker.view().processed, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn view(&self) -> WorkerView {
        self.seen().view()
    }

    /// The same, for somebody who looks at it from elsewhere.
    ///
    /// ```
    /// # use {std::sync::Arc, forebay_jobs::{store::memory::Memory, worker::Worker}};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let store = Arc::new(Memory::default());
    /// let worker = Worker::builder(store).start();
    /// let seen = worker.seen(); // for the task that draws a screen
    /// assert_eq!(seen.view().owner, worker.view().owner);
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn seen(&self) -> Seen {
        Seen(Arc::clone(&self.shared))
    }

    /// The store that it works on.
    ///
    /// ```
    /// # use {std::sync::Arc, forebay_jobs::{store::memory::Memory, worker::Worker}};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let store = Arc::new(Memory::default());
    /// use forebay_jobs::{push::Client, store::Store};
    /// let worker = Worker::builder(store).start();
    /// Client::new(worker.store().clone()).push_raw("Report", &()).await?;
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.shared.engine.store
    }
}

/// A worker as others see it; it does not keep the worker alive.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use forebay_jobs::store::memory::Memory;
/// use forebay_jobs::worker::Worker;
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let worker = Worker::builder(Arc::new(Memory::default())).concurrency(3).start();
/// let seen = worker.seen();
/// worker.stop(Duration::ZERO).await;
/// assert_eq!((seen.view().concurrency, seen.view().is_quiet), (3, true));
/// # });
/// ```
#[derive(Clone)]
pub struct Seen(Arc<Shared>);

impl Seen {
    /// What it ran, by class.
    ///
    /// ```
    /// # use {std::sync::Arc, forebay_jobs::{store::memory::Memory, worker::Worker}};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let store = Arc::new(Memory::default());
    /// let worker = Worker::builder(store).start();
    /// assert!(worker.seen().runs().classes().is_empty()); // nothing has run yet
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn runs(&self) -> Arc<Runs> {
        Arc::clone(&self.0.engine.runs)
    }

    /// What it does.
    ///
    /// ```
    /// # use {std::sync::Arc, forebay_jobs::{store::memory::Memory, worker::Worker}};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let store = Arc::new(Memory::default());
    /// let worker = Worker::builder(store).start();
    /// assert_eq!(worker.seen().view().processed, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn view(&self) -> WorkerView {
        let Seen(shared) = self;
        let tally = &shared.engine.tally;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let runs = shared.board.all().into_iter().map(|run| {
            let job = Job::parse(run.lease.payload).ok();
            RunView {
                id: job.as_ref().map(|job| job.id().to_owned()).unwrap_or_default(),
                class: job.as_ref().map(|job| job.class().to_owned()).unwrap_or_default(),
                queue: run.lease.queue,
                since: run.since,
            }
        });
        WorkerView {
            runs: runs.collect(),
            owner: shared.owner(),
            trouble: shared.trouble().clone(),
            is_quiet: shared.phase() != Phase::Runs,
            concurrency: shared.concurrency,
            processed: read(&tally.all_processed),
            failed: read(&tally.all_failed),
            dead: read(&tally.dead),
            malformed: read(&tally.malformed),
            expired: read(&tally.expired),
            cancelled: read(&tally.cancelled),
            lost: read(&tally.lost),
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // Its parts are tasks of this one and end with it.
        self.task.abort();
    }
}
