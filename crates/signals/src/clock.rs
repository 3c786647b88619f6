//! The one clock: monotonic for ages and deadlines, wall time for dates that leave the process.

#![expect(clippy::disallowed_methods, reason = "this is the place the ban points to")]

use std::future::Future;
use std::time::{Duration, Instant, SystemTime};

/// A deadline passed before the future was ready.
pub use tokio::time::error::Elapsed;

/// Monotonic time. In a test with tokio's paused clock it is the paused time.
pub fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Wall time: for `Date`, logs and parsed dates. Never for ages; it may jump.
pub fn wall() -> SystemTime {
    SystemTime::now()
}

/// Waits for `duration`.
pub async fn sleep(duration: Duration) {
    tokio::time::sleep(duration).await;
}

/// Waits until `deadline`.
pub async fn sleep_until(deadline: Instant) {
    tokio::time::sleep_until(deadline.into()).await;
}

/// Waits for `future`, at most `duration`.
pub async fn timeout<F: Future>(duration: Duration, future: F) -> Result<F::Output, Elapsed> {
    tokio::time::timeout(duration, future).await
}

/// Blocks this thread for `duration`: for threads of their own, never on a runtime.
pub fn block_for(duration: Duration) {
    std::thread::sleep(duration);
}
