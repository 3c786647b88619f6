//! How long a client may hold back by its windows what it has asked for.
//!
//! Waiting spends patience, what is taken earns it: a client that opens a window by a byte now and
//! then moves, and would still hold all its streams for ever, with what they hold at the origin.
//! When the window of a stream is short, that stream waits; when only the connection's is, the
//! connection does, whatever share of it each stream gets: that is for the client's priorities to say.

use std::time::{Duration, Instant};

use forebay_signals::clock;

use super::frame::Code;
use super::streams::{Left, Streams};
use crate::listen::Handler;

/// Bytes a second that earn as much as waiting spends: the same that we ask of an upload unless
/// told otherwise, and a quarter of what somebody gets who reads one kilobyte in a second.
const LEAST_RATE: u32 = 240;

/// The patience with one stream, or with all of them.
#[derive(Debug, Default)]
pub(super) struct Patience {
    spent: Duration,
    /// Since when it is spent, if it is.
    since: Option<Instant>,
}

impl Patience {
    /// A window holds content back from now on, unless it does already.
    pub(super) fn wait(&mut self, now: Instant) {
        self.since.get_or_insert(now);
    }

    /// No window does.
    pub(super) fn pause(&mut self, now: impl FnOnce() -> Instant) {
        if let Some(since) = self.since.take() {
            self.spent += now().saturating_duration_since(since);
        }
    }

    /// So many bytes were taken. More than was spent is never earned: who takes a megabyte at once
    /// has not bought an hour.
    pub(super) fn earn(&mut self, bytes: usize) {
        if !self.spent.is_zero() {
            let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
            self.spent = self.spent.saturating_sub(Duration::from_secs(1) * bytes / LEAST_RATE);
        }
    }

    /// All that there was is taken.
    pub(super) fn renew(&mut self) {
        *self = Patience::default();
    }

    /// When it ends, if nothing is taken.
    fn ends(&self, limit: Duration) -> Option<Instant> {
        self.since.map(|since| since + limit.saturating_sub(self.spent))
    }
}

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
        let lasts = |bytes: usize, every: Duration| {
            let (mut patience, mut now) = (Patience::default(), clock::now());
            (0..1_000).position(|_| {
                patience.wait(now);
                now += every;
                let is_over = patience.ends(LIMIT).is_some_and(|ends| ends <= now);
                patience.pause(|| now);
                patience.earn(bytes);
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
