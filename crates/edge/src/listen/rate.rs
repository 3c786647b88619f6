//! How slowly a client may upload.

use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use forebay_signals::clock;

use super::deadline::Deadline;

/// Minimum rate of an upload. Only time spent waiting for the client counts.
#[derive(Default)]
pub(super) struct Rate {
    grace: Duration,
    bytes_per_second: u32,
    waited: Duration,
    waiting_since: Option<Instant>,
    deadline: Option<Deadline>,
}

impl Rate {
    pub(super) fn new(bytes_per_second: u32, grace: Duration) -> Rate {
        Rate { grace, bytes_per_second, ..Rate::default() }
    }

    pub(super) fn pause(&mut self) {
        if let Some(since) = self.waiting_since.take() {
            self.waited += clock::now().saturating_duration_since(since);
        }
    }

    pub(super) fn poll_too_slow(&mut self, received: u64, context: &mut Context<'_>) -> Poll<()> {
        let now = clock::now();
        let since = *self.waiting_since.get_or_insert(now);
        let rate = u64::from(self.bytes_per_second.max(1));
        let earned = Duration::from_millis(received.saturating_mul(1_000) / rate);
        let at = since + (self.grace + earned).saturating_sub(self.waited);
        let deadline = self.deadline.get_or_insert_with(|| Deadline::new(at));
        deadline.set(at);
        deadline.poll_passed(context)
    }
}
