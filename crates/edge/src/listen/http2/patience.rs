//! How long a client may hold back by its windows what it has asked for.
//!
//! A client that opens a window by a byte now and then moves, and would still hold all its streams for ever,
//! with what they hold at the origin.
//! When the window of a stream is short, that stream waits; when only the connection's is, the
//! connection does, whatever share of it each stream gets: that is for the client's priorities to say.

use std::time::{Duration, Instant};

use forebay_signals::clock;

use super::frame::Code;
use super::streams::{Left, Streams};
use crate::config::listen::MIN_CONTENT_RATE;
use crate::listen::Handler;
use crate::listen::patience::Patience;

/// Bytes a second that earn as much as waiting spends: the same that we ask of an upload unless
/// told otherwise, and a quarter of what somebody gets who reads one kilobyte in a second.
pub(super) const LEAST_RATE: u32 = MIN_CONTENT_RATE;

impl<H: Handler> Streams<H> {
    /// When the first patience ends.
    pub(super) fn patience_ends(&self, limit: Duration) -> Option<Instant> {
        let streams = self.open.iter().filter_map(|stream| stream.patience.ends(limit));
        streams.chain(self.patience.ends(limit)).min()
    }

    /// The windows are not what holds the streams back.
    pub(super) fn pause_patience(&mut self) {
        self.patience.pause(clock::now);
        for stream in &mut self.open {
            stream.patience.pause(clock::now);
        }
    }

    /// Gives up the streams for which none is left. A client with nothing else is given up as a
    /// whole, by the caller.
    pub(super) fn reset_stalled(&mut self, limit: Duration) -> Left {
        let now = clock::now();
        let is_over = |patience: &Patience| patience.ends(limit).is_some_and(|ends| ends <= now);
        let are_all_over = is_over(&self.patience);
        let stalled: Vec<u32> = self
            .open
            .iter()
            .filter(|stream| is_over(&stream.patience) || (are_all_over && stream.has_rest()))
            .map(|stream| stream.id)
            .collect();
        if stalled.len() == self.open.len() {
            return Left::Nothing;
        }
        if are_all_over {
            self.patience.renew();
        }
        for id in stalled {
            self.context.counters.stalled.increment();
            tracing::debug!(stream = id, "HTTP/2 client took too little of an answer for too long");
            self.reset(id, Code::CANCEL);
        }
        Left::Streams
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    #[test]
    fn a_byte_now_and_then_runs_out_of_patience_and_a_slow_reader_does_not() {
        let lasts = |bytes: u64, every: Duration| {
            let (mut patience, mut now) = (Patience::default(), clock::now());
            (0..1_000).position(|_| {
                patience.wait(now);
                now += every;
                let is_over = patience.ends(LIMIT).is_some_and(|ends| ends <= now);
                patience.pause(|| now);
                patience.earn(bytes, LEAST_RATE);
                is_over
            })
        };
        let second = Duration::from_secs(1);
        assert_eq!(lasts(1, 29 * second), Some(1));
        assert_eq!(lasts(100, second), Some(50));
        assert_eq!(lasts(1_000, second), None);
        assert_eq!(lasts(25_000, 25 * second), None);
        assert_eq!(lasts(1_000_000, 31 * second), Some(0), "no more than at the beginning");
    }
}
