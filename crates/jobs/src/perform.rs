//! A class of jobs in Rust: what it is called, what it takes, what it does.

use std::future::Future;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::job::{DEFAULT_RETRIES, Job, Retry};
use crate::retry::{Exhausted, Failure};
use crate::run::Run;

/// A class of jobs. The value is its arguments; how they are written says [`Client::push`].
///
/// ```
/// use forebay_jobs::perform::Perform;
/// use forebay_jobs::retry::Failure;
/// use forebay_jobs::run::Run;
/// use serde::{Deserialize, Serialize};
///
/// // `[7,"en"]` on the wire: a Ruby process may push it, too.
/// #[derive(Serialize, Deserialize)]
/// struct Greet(u64, String);
///
/// impl Perform for Greet {
///     const CLASS: &'static str = "Greet";
///     const QUEUE: &'static str = "mail";
///
///     async fn perform(self, run: &Run) -> Result<(), Failure> {
///         let count: u32 = "12".parse()?; // any error is a failure, tried again later
///         run.log(format_args!("user {} greeted {count} times", self.0));
///         Ok(())
///     }
/// }
/// ```
///
/// [`Client::push`]: crate::push::Client::push
pub trait Perform: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Its name on the wire.
    const CLASS: &'static str;
    /// Queue that its jobs are pushed to, if nobody says otherwise.
    const QUEUE: &'static str = "default";
    /// How often its jobs are tried again, if they do not say.
    const RETRY: Retry = Retry::Times(DEFAULT_RETRIES);
    /// How long one run may take; it is dropped at its next await then, and has failed.
    const DEADLINE: Option<Duration> = None;

    /// Does the work. The future may be dropped at any await: when the job is cancelled, when its deadline
    /// is over, when the process must end. A job may run more than once.
    fn perform(self, run: &Run) -> impl Future<Output = Result<(), Failure>> + Send;

    /// How long it waits after a failure that says nothing of it; `None` for Sidekiq's backoff. `failures`
    /// counts those before this one. As `sidekiq_retry_in`.
    ///
    /// ```
    /// # use {std::time::Duration, forebay_jobs::{job::Job, perform::Perform, retry::{Exhausted, Failure}, run::Run}};
    /// #[derive(serde::Serialize, serde::Deserialize)]
    /// struct Charge(u64);
    ///
    /// impl Perform for Charge {
    ///     const CLASS: &'static str = "Charge";
    ///     const DEADLINE: Option<Duration> = Some(Duration::from_secs(30));
    ///
    ///     async fn perform(self, _: &Run) -> Result<(), Failure> {
    ///         Err(Failure::new("Busy", "the bank said 503"))
    ///     }
    ///
    ///     fn retry_in(failure: &Failure, failures: u32) -> Option<Duration> {
    ///         (failure.class == "Busy").then(|| Duration::from_secs(60) * (failures + 1))
    ///     }
    ///
    ///     fn died(job: &Job, failure: &Failure, _: Exhausted) {
    ///         eprintln!("{} is not charged: {}", job.id(), failure.message);
    ///     }
    /// }
    /// ```
    fn retry_in(_failure: &Failure, _failures: u32) -> Option<Duration> {
        None
    }

    /// Called when a job has failed for good. As `sidekiq_retries_exhausted`. Shown at [`Perform::retry_in`].
    fn died(_job: &Job, _failure: &Failure, _why: Exhausted) {}
}
