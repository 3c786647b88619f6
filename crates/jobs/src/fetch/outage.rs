//! The store does not answer: told once when it begins and once when it ends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use forebay_signals::clock;

use crate::store::StoreError;

const SHORTEST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(5);

/// Where one stands with the store.
#[derive(Debug, Default)]
pub(crate) struct Outage {
    since: Option<Instant>,
    failures: u32,
    /// A call may have done what its answer did not tell.
    is_in_doubt: bool,
}

impl Outage {
    /// It did not answer: how long to wait before it is asked again.
    pub(crate) fn begin(&mut self, error: &StoreError) -> Duration {
        self.is_in_doubt = true;
        if self.since.is_none() {
            self.since = Some(clock::now());
            let cause = std::error::Error::source(error).map(ToString::to_string);
            tracing::warn!(%error, cause, "the job store does not answer as it should");
        }
        let pause = SHORTEST.saturating_mul(1 << self.failures.min(7)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        pause.mul_f64(0.5 + fastrand::f64() / 2.0)
    }

    /// It answered. True if it had not before.
    pub(crate) fn end(&mut self) -> bool {
        self.failures = 0;
        let Some(since) = self.since.take() else { return false };
        let away_s = clock::now().saturating_duration_since(since).as_secs_f64();
        tracing::info!(away_s, "the job store answers again");
        true
    }

    /// True once after each failure.
    pub(crate) fn take_doubt(&mut self) -> bool {
        std::mem::take(&mut self.is_in_doubt)
    }

    /// It is not known yet.
    pub(crate) fn doubt(&mut self) {
        self.is_in_doubt = true;
    }
}

/// An answer that did not come in time.
pub(crate) fn too_late() -> StoreError {
    StoreError::Away(Arc::new(TooLate))
}

#[derive(Debug, thiserror::Error)]
#[error("no answer in time")]
struct TooLate;
