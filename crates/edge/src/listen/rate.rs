//! How slowly a client may upload.

use std::task::{Context, Poll};
use std::time::Duration;

use forebay_signals::clock;

use super::deadline::Deadline;
use super::patience::Patience;

/// Minimum rate of an upload.
#[derive(Default)]
pub(super) struct Rate {
    most: Duration,
    bytes_per_second: u32,
    patience: Patience,
    /// What had been received when patience was last earned.
    counted: u64,
    deadline: Option<Deadline>,
}

impl Rate {
    pub(super) fn new(bytes_per_second: u32, grace: Duration) -> Rate {
        Rate { most: grace, bytes_per_second, ..Rate::default() }
    }

    pub(super) fn pause(&mut self) {
        self.patience.pause(clock::now);
    }

    pub(super) fn poll_too_slow(&mut self, received: u64, context: &mut Context<'_>) -> Poll<()> {
        self.earn(received);
        self.patience.wait(clock::now());
        let Some(at) = self.patience.ends(self.most) else { return Poll::Pending };
        let deadline = self.deadline.get_or_insert_with(|| Deadline::new(at));
        deadline.set(at);
        deadline.poll_passed(context)
    }

    fn earn(&mut self, received: u64) {
        let new = received.saturating_sub(self.counted);
        self.counted += new;
        self.patience.earn(new, self.bytes_per_second);
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
        assert_eq!(rate.patience.left(grace), grace);
        let now = clock::now();
        rate.patience.wait(now);
        rate.patience.pause(|| now + grace);
        assert_eq!(rate.patience.left(grace), Duration::ZERO);
        rate.earn(10_000_240);
        assert_eq!(
            rate.patience.left(grace),
            Duration::from_secs(1),
            "the least rate earns what it takes"
        );
        rate.earn(10_000_240);
        assert_eq!(rate.patience.left(grace), Duration::from_secs(1), "nothing new earns nothing");
    }
}
