//! What is kept beside a job in the store, and for how long.

use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);

/// How far an interruptible job has come.
pub(crate) const CURSOR: &str = "cursor";
/// As long as Sidekiq keeps those of its iterable jobs.
pub(crate) const CURSOR_FOR: Duration = Duration::from_secs(30 * 86_400);
/// Once the job is done: long enough that a second run, by a worker that missed the first, does nothing.
pub(crate) const CURSOR_AFTER: Duration = Duration::from_secs(3_600);
/// How much is done: `{"done":3,"of":10}`.
pub(crate) const PROGRESS: &str = "progress";
/// Its last lines.
pub(crate) const LOG: &str = "log";
pub(crate) const SHOWN_FOR: Duration = DAY;
/// Somebody wants it to end.
pub(crate) const CANCELLED: &str = "cancelled";
pub(crate) const CANCELLED_FOR: Duration = DAY;
