//! Who runs a job: the class that it names, with middleware around it.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::args;
use crate::job::{DEFAULT_RETRIES, Job, Retry};
use crate::perform::Perform;
use crate::retry::{Exhausted, Failure, Verdict};

use super::Run;

/// The work of a job.
///
/// ```
/// # use forebay_jobs::{retry::Failure, run::Run};
/// use forebay_jobs::run::Performing;
/// fn log_only(run: &Run) -> Performing<'_> {
///     Box::pin(async move {
///         run.log("done");
///         Ok::<(), Failure>(())
///     })
/// }
/// ```
pub type Performing<'r> = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send + 'r>>;

/// Runs jobs of a class, or of any: for those who learn of their classes when they run. A Rust type
/// implements [`Perform`] instead.
///
/// ```
/// use forebay_jobs::run::{Handler, Performing, Run};
/// struct Prints;
/// impl Handler for Prints {
///     fn handle<'r>(&'r self, run: &'r Run) -> Performing<'r> {
///         Box::pin(async move {
///             run.log(format_args!("{} with {:?}", run.job().class(), run.job().args_json()));
///             Ok(())
///         })
///     }
/// }
/// ```
pub trait Handler: Send + Sync + 'static {
    /// Does the work.
    fn handle<'r>(&'r self, run: &'r Run) -> Performing<'r>;

    /// How often jobs that do not say are tried again.
    fn retry(&self) -> Retry {
        Retry::Times(DEFAULT_RETRIES)
    }

    /// How long one run may take, if it is not what the worker says.
    fn deadline(&self, _job: &Job) -> Option<Duration> {
        None
    }

    /// How long a job waits after a failure that says nothing of it; `None` for Sidekiq's backoff.
    fn retry_in(&self, _failure: &Failure, _failures: u32) -> Option<Duration> {
        None
    }

    /// Called when a job has failed for good.
    fn died(&self, _job: &Job, _failure: &Failure, _why: Exhausted) {}
}

/// A class in Rust.
pub(crate) struct Typed<J>(PhantomData<fn() -> J>);

impl<J> Default for Typed<J> {
    fn default() -> Typed<J> {
        Typed(PhantomData)
    }
}

impl<J: Perform> Handler for Typed<J> {
    fn handle<'r>(&'r self, run: &'r Run) -> Performing<'r> {
        match args::read::<J>(run.job().args_json()) {
            Ok(job) => Box::pin(job.perform(run)),
            Err(error) => {
                // The next deploy may understand them: it is tried again as any failure is.
                let failure = Failure::new("ArgumentError", error.to_string());
                Box::pin(std::future::ready(Err(failure)))
            }
        }
    }

    fn retry(&self) -> Retry {
        J::RETRY
    }

    fn deadline(&self, _job: &Job) -> Option<Duration> {
        J::DEADLINE
    }

    fn retry_in(&self, failure: &Failure, failures: u32) -> Option<Duration> {
        J::retry_in(failure, failures)
    }

    fn died(&self, job: &Job, failure: &Failure, why: Exhausted) {
        J::died(job, failure, why);
    }
}

/// Server middleware: stands around each run.
///
/// ```
/// use forebay_jobs::run::{Middleware, Next, Performing, Run};
/// struct Counts(std::sync::atomic::AtomicU64);
/// impl Middleware for Counts {
///     fn around<'r>(&'r self, run: &'r Run, next: Next<'r>) -> Performing<'r> {
///         Box::pin(async move {
///             self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
///             next.run(run).await
///         })
///     }
/// }
/// ```
pub trait Middleware: Send + Sync + 'static {
    /// Does something before or after the rest, or in place of it.
    fn around<'r>(&'r self, run: &'r Run, next: Next<'r>) -> Performing<'r>;
}

/// The rest of the way.
///
/// ```
/// use forebay_jobs::run::{Middleware, Next, Performing, Run};
/// struct Logs;
/// impl Middleware for Logs {
///     fn around<'r>(&'r self, run: &'r Run, next: Next<'r>) -> Performing<'r> {
///         Box::pin(async move {
///             let ended = next.run(run).await;
///             run.log(if ended.is_ok() { "done" } else { "failed" });
///             ended
///         })
///     }
/// }
/// ```
pub struct Next<'r> {
    pub(super) middleware: &'r [Arc<dyn Middleware>],
    pub(super) handler: &'r dyn Handler,
}

impl<'r> Next<'r> {
    /// Goes it.
    ///
    /// ```
    /// # use forebay_jobs::run::{Next, Performing, Run};
    /// fn around<'r>(run: &'r Run, next: Next<'r>) -> Performing<'r> {
    ///     next.run(run) // what is not called does not run, and the job is done with whatever is returned
    /// }
    /// ```
    pub fn run(self, run: &'r Run) -> Performing<'r> {
        match self.middleware.split_first() {
            Some((first, rest)) => {
                first.around(run, Next { middleware: rest, handler: self.handler })
            }
            None => self.handler.handle(run),
        }
    }
}

/// In place of a class that this process does not know. Another process, or the next deploy, may: so it is
/// a failure that is tried again.
pub(super) struct Unknown;

impl Handler for Unknown {
    fn handle<'r>(&'r self, run: &'r Run) -> Performing<'r> {
        let message = format!("this worker has no class `{}`", run.job().class());
        let failure = Failure::new("UnknownClass", message).then(Verdict::Retry);
        Box::pin(std::future::ready(Err(failure)))
    }
}
