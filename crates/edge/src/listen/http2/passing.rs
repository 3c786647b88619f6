//! Content that still comes when its answer is out (RFC 9113 §8.1): let pass for a while, unread.
//!
//! A client that uploads much hears a 401 or 413 long before it has sent all. A reset right behind the
//! answer tells it to stop, but some clients read it before they have handed on the answer, and drop
//! that. So the stream stays for a moment in which the client may end it itself, and its window
//! comes back; what is too much or takes too long is cut by the reset after all. Meanwhile the
//! stream counts as open, for both sides.

use std::time::{Duration, Instant};

use forebay_signals::clock;

use super::STREAM_WINDOW;
use super::frame::{self, Code, kind};
use super::streams::{Streams, find};
use crate::listen::Handler;

/// Content that is let pass: an upload that is nearly through may end, a large one may not go on.
const MOST_PASSED: usize = 1024 * 1024;

/// What is let pass of one stream.
pub(super) struct Passing {
    left: usize,
    /// When the answer had left, as far as we know.
    since: Option<Instant>,
}

impl<H: Handler> Streams<H> {
    /// The answer is out: the stream ends, or what comes of its content passes by.
    pub(super) fn finish(&mut self, id: u32) {
        let Some(stream) = find(&mut self.open, id) else { return };
        if stream.has_ended {
            return self.remove(id);
        }
        stream.passing = Some(Passing { left: MOST_PASSED, since: None });
        self.head_bytes -= std::mem::take(&mut stream.weight);
        // Its reader is told that there is no more, and its window is given back.
        let held = stream.feed.take().map_or(0, |feed| feed.held());
        self.grant(held);
        self.let_pass(id, 0);
    }

    /// A frame of content that nobody reads counts so many bytes.
    pub(super) fn let_pass(&mut self, id: u32, counts: usize) {
        let Some(stream) = find(&mut self.open, id) else { return };
        let Some(passing) = &mut stream.passing else { return };
        let Some(left) = passing.left.checked_sub(counts) else {
            return self.reset(id, Code::NO_ERROR);
        };
        passing.left = left;
        let credit = (STREAM_WINDOW as usize).saturating_sub(stream.room);
        if credit < STREAM_WINDOW as usize / 2 {
            return;
        }
        stream.room += credit;
        let bytes = u32::try_from(credit).unwrap_or(STREAM_WINDOW).to_be_bytes();
        frame::write(self.output.bytes(), kind::WINDOW_UPDATE, 0, id, &bytes);
    }

    /// Since when the first of those streams lets content pass. Called while all that was made has
    /// left: from then on it is the client's time.
    pub(super) fn passing_since(&mut self) -> Option<Instant> {
        let all = self.open.iter_mut().filter_map(|stream| stream.passing.as_mut());
        all.map(|passing| *passing.since.get_or_insert_with(clock::now)).min()
    }

    /// Ends those that have done so for so long.
    pub(super) fn end_passing(&mut self, limit: Duration) {
        let now = clock::now();
        let is_over = |passing: &Passing| passing.since.is_some_and(|since| since + limit <= now);
        let all = self.open.iter().filter(|stream| stream.passing.as_ref().is_some_and(is_over));
        let over: Vec<u32> = all.map(|stream| stream.id).collect();
        for id in over {
            self.reset(id, Code::NO_ERROR);
        }
    }
}
