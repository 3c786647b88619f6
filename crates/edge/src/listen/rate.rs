//! How slowly a client may upload.

use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use forebay_signals::clock;

use super::deadline::Deadline;

/// Minimum rate of an upload. Only time spent waiting for the client counts.
///
/// Waiting spends patience and content earns it, but never beyond what there was at the beginning: who
/// sends ten megabytes at once has not bought hours of silence with them, in which he would hold a place
/// at the origin.
#[derive(Default)]
pub(super) struct Rate {
    most: Duration,
    bytes_per_second: u32,
    left: Duration,
    /// What had been received when patience was last earned.
    counted: u64,
    waiting_since: Option<Instant>,
    deadline: Option<Deadline>,
}

impl Rate {
    pub(super) fn new(bytes_per_second: u32, grace: Duration) -> Rate {
        Rate { most: grace, bytes_per_second, left: grace, ..Rate::default() }
    }

    pub(super) fn pause(&mut self) {
        if let Some(since) = self.waiting_since.take() {
            self.left = self.left.saturating_sub(clock::now().saturating_duration_since(since));
        }
    }

    pub(super) fn poll_too_slow(&mut self, received: u64, context: &mut Context<'_>) -> Poll<()> {
        self.earn(received);
        let now = clock::now();
        let at = *self.waiting_since.get_or_insert(now) + self.left;
        let deadline = self.deadline.get_or_insert_with(|| Deadline::new(at));
        deadline.set(at);
        deadline.poll_passed(context)
    }

    fn earn(&mut self, received: u64) {
        let new = received.saturating_sub(self.counted);
        if new == 0 {
            return;
        }
        self.counted = received;
        let rate = u64::from(self.bytes_per_second.max(1));
        let earned = Duration::from_millis(new.saturating_mul(1_000) / rate);
        self.left = (self.left + earned).min(self.most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn much_content_buys_no_more_than_the_grace() {
        let grace = Duration::from_secs(5);
        let mut rate = Rate::new(240, grace);
        rate.earn(10_000_000);
        assert_eq!(rate.left, grace);
        rate.left = Duration::ZERO;
        rate.earn(10_000_240);
        assert_eq!(rate.left, Duration::from_secs(1), "the least rate earns what it takes");
        rate.earn(10_000_240);
        assert_eq!(rate.left, Duration::from_secs(1), "nothing new earns nothing");
    }
}
