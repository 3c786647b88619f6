//! How much a client may steer without getting on.
//!
//! Frames that carry no request and no content cost a token; time and answers give tokens back: a
//! client that works may steer as much as it needs, one that only steers is a flood.

use std::time::{Duration, Instant};

use forebay_signals::clock;

use super::frame::Code;
use super::inbound::Fault;

/// Control frames that a new connection may send at once.
const CONTROL_TOKENS: u32 = 200;
/// Streams that a client may take back at once, or break so that we must: a page that is left, a map
/// that is dragged (rapid reset, CVE-2023-44487; `MadeYouReset`, CVE-2025-8671).
const RESET_TOKENS: u32 = 200;
/// Tokens saved up by answers; more would let a flood ride on one long download.
const MOST_TOKENS: u32 = 2_000;
/// Time in which one token comes back.
const TOKEN_EVERY: Duration = Duration::from_millis(100);

const FLOOD: Fault = Fault(Code::ENHANCE_YOUR_CALM);

/// The tokens of one connection.
#[derive(Debug)]
pub(super) struct Budget {
    control: Bucket,
    resets: Bucket,
}

impl Budget {
    pub(super) fn new() -> Budget {
        Budget { control: Bucket::new(CONTROL_TOKENS), resets: Bucket::new(RESET_TOKENS) }
    }

    /// A frame that only steers.
    pub(super) fn steer(&mut self) -> Result<(), Fault> {
        self.control.take()
    }

    /// A stream that ends before its time because of the client.
    pub(super) fn reset(&mut self) -> Result<(), Fault> {
        self.resets.take()
    }

    /// An answer has begun.
    pub(super) fn answered(&mut self) {
        self.sent(0);
        self.resets.give(1);
    }

    /// A frame of so many bytes went out: a client answers each with a `WINDOW_UPDATE` or two. It pays
    /// for no reset: a client chooses by its windows how small frames are, and how many.
    pub(super) fn sent(&mut self, bytes: usize) {
        self.control.give(2 + u32::try_from(bytes / 2048).unwrap_or(u32::MAX));
    }
}

/// Tokens that come back with time. The clock is asked only when none is left.
#[derive(Debug)]
struct Bucket {
    left: u32,
    /// When time was last turned into tokens.
    counted: Instant,
    most: u32,
}

impl Bucket {
    fn new(tokens: u32) -> Bucket {
        Bucket { left: tokens, counted: clock::now(), most: tokens }
    }

    fn take(&mut self) -> Result<(), Fault> {
        if self.left == 0 {
            let now = clock::now();
            let elapsed = now.saturating_duration_since(self.counted);
            let earned = elapsed.as_millis() / TOKEN_EVERY.as_millis();
            self.left = u32::try_from(earned).unwrap_or(u32::MAX).min(self.most);
            self.counted = now;
        }
        self.left = self.left.checked_sub(1).ok_or(FLOOD)?;
        Ok(())
    }

    fn give(&mut self, tokens: u32) {
        self.left = self.left.saturating_add(tokens).min(MOST_TOKENS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_only_steers_runs_dry_and_who_works_does_not() {
        let mut budget = Budget::new();
        let spent = (0..10_000).take_while(|_| budget.steer().is_ok()).count();
        assert!((200..300).contains(&spent), "{spent}");
        for _ in 0..1_000 {
            budget.answered();
            assert_eq!(budget.steer(), Ok(()));
            assert_eq!(budget.reset(), Ok(()));
        }
    }
}
