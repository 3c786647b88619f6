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
#[must_use = "the worker ends when its handle is dropped"]
pub struct Handle {
    pub(super) shared: Arc<Shared>,
    task: JoinHandle<()>,
}

/// A worker at a glance.
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

    /// Takes no more jobs; what runs goes on.
    pub fn quiet(&self) {
        self.shared.quiet();
    }

    /// Ends it: no more jobs are taken, what runs may come to its end for so long, and the rest goes back.
    /// Returns when all of that is done, some seconds after the grace at the latest.
    pub async fn stop(mut self, grace: Duration) {
        self.shared.stop(grace);
        self.ended().await;
    }

    /// Waits until it has ended, by whoever's wish.
    pub async fn ended(&mut self) {
        if !self.task.is_finished() {
            drop((&mut self.task).await);
        }
    }

    /// Drops the run of a job at its next await; the job is over. False if it does not run here.
    pub fn cancel(&self, id: &str) -> bool {
        self.shared.board.cancel(id)
    }

    /// What it does.
    pub fn view(&self) -> WorkerView {
        self.seen().view()
    }

    /// The same, for somebody who looks at it from elsewhere.
    pub fn seen(&self) -> Seen {
        Seen(Arc::clone(&self.shared))
    }

    /// The store that it works on.
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
    pub fn runs(&self) -> Arc<Runs> {
        Arc::clone(&self.0.engine.runs)
    }

    /// What it does.
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
