//! How long a client may keep us waiting for what it is to send or to take.
//!
//! Waiting spends patience, and bytes earn it, but never beyond what there was at the beginning: who moves
//! ten megabytes at once has not bought hours of silence with them, in which he would hold a place at the
//! origin. Time in which it is not the client that is waited for does not count.

use std::time::{Duration, Instant};

/// The patience with one client, or with one thing that it does.
#[derive(Debug, Default)]
pub(super) struct Patience {
    spent: Duration,
    /// Since when it is spent, if it is.
    since: Option<Instant>,
}

impl Patience {
    /// The client is waited for from now on, unless it is already.
    pub(super) fn wait(&mut self, now: Instant) {
        self.since.get_or_insert(now);
    }

    /// It is not.
    pub(super) fn pause(&mut self, now: impl FnOnce() -> Instant) {
        if let Some(since) = self.since.take() {
            self.spent += now().saturating_duration_since(since);
        }
    }

    /// So many bytes came or went; at `per_second` they earn what waiting spends. More than was spent is
    /// never earned.
    pub(super) fn earn(&mut self, bytes: u64, per_second: u32) {
        if !self.spent.is_zero() {
            let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
            let earned = Duration::from_secs(1) * bytes / per_second.max(1);
            self.spent = self.spent.saturating_sub(earned);
        }
    }

    /// There is all of it again.
    pub(super) fn renew(&mut self) {
        *self = Patience::default();
    }

    /// When it ends, if nothing moves.
    pub(super) fn ends(&self, limit: Duration) -> Option<Instant> {
        self.since.map(|since| since + self.left(limit))
    }

    /// What there was when the waiting began.
    pub(super) fn left(&self, limit: Duration) -> Duration {
        limit.saturating_sub(self.spent)
    }
}
