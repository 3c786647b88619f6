//! What goes to the client: gathered while the connection works, written at once.
//!
//! Each write is a system call, and over TLS a record of its own.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};

use super::super::io::Stream;

/// Bytes gathered before they are written: four full frames, four full TLS records.
pub(super) const MOST_GATHERED: usize = 64 * 1024;

/// Room for the frames of one poll, so that they are seldom moved.
const USUAL_BYTES: usize = MOST_GATHERED / 2;

/// Content from this size on stays where it lies: to copy it costs more than another slice.
const WORTH_A_SLICE: usize = 2 * 1024;

/// Slices of one write: the frames of one poll, mostly.
const MOST_SLICES: usize = 17;

thread_local! {
    /// One buffer for all connections of a core: between polls hardly any of them holds bytes.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// One connection's outbound bytes.
#[derive(Debug, Default)]
pub(super) struct Output {
    /// Frames, but for content that stays where it lies.
    bytes: Vec<u8>,
    /// Such content, and how many of `bytes` stand before it.
    contents: VecDeque<(usize, Bytes)>,
    /// Bytes of all contents.
    content_bytes: usize,
    /// How many of `bytes` are sent.
    sent: usize,
    written: u64,
    is_blocked: bool,
}

impl Output {
    /// Where frames are appended.
    pub(super) fn bytes(&mut self) -> &mut Vec<u8> {
        if self.bytes.capacity() == 0 {
            self.bytes = SPARE.take();
            self.bytes.reserve(USUAL_BYTES);
        }
        &mut self.bytes
    }

    /// Appends content, behind the head of its frame.
    pub(super) fn push_content(&mut self, content: Bytes) {
        if content.len() < WORTH_A_SLICE {
            self.bytes().extend_from_slice(&content);
            return;
        }
        self.content_bytes += content.len();
        self.contents.push_back((self.bytes.len(), content));
    }

    /// Enough has been gathered: what comes now waits.
    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() + self.content_bytes >= MOST_GATHERED
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Bytes that the socket has taken.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// The socket does not take more.
    pub(super) fn is_blocked(&self) -> bool {
        self.is_blocked
    }

    /// Takes everything, in one piece.
    pub(super) fn take(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        while !self.is_sent() {
            let front = self.front();
            all.extend_from_slice(front);
            let length = front.len();
            self.advance(length);
        }
        self.clear();
        all
    }

    /// Writes what was gathered.
    pub(super) fn poll_send<S: Stream>(
        &mut self,
        io: &mut S,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if self.bytes.is_empty() {
            return Poll::Ready(Ok(()));
        }
        self.is_blocked = true;
        while !self.is_sent() {
            let count = ready!(self.poll_write(io, context))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(count);
            self.written += count as u64;
        }
        ready!(Pin::new(io).poll_flush(context))?;
        self.clear();
        self.is_blocked = false;
        Poll::Ready(Ok(()))
    }

    fn poll_write<S: Stream>(
        &self,
        io: &mut S,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if self.contents.is_empty() || !io.is_write_vectored() {
            return Pin::new(io).poll_write(context, self.front());
        }
        let mut slices = [IoSlice::new(&[]); MOST_SLICES];
        let mut places = slices.iter_mut();
        let mut at = self.sent;
        for (before, content) in &self.contents {
            let own = self.bytes.get(at..*before).unwrap_or_default();
            // Both or none: what follows must not overtake what finds no place.
            let (Some(first), Some(second)) = (places.next(), places.next()) else { break };
            (*first, *second) = (IoSlice::new(own), IoSlice::new(content));
            at = *before;
        }
        if let Some(last) = places.next() {
            *last = IoSlice::new(self.bytes.get(at..).unwrap_or_default());
        }
        Pin::new(io).poll_write_vectored(context, &slices)
    }

    /// What is next, as far as it lies together.
    fn front(&self) -> &[u8] {
        match self.contents.front() {
            Some((before, content)) if *before == self.sent => content,
            Some((before, _)) => self.bytes.get(self.sent..*before).unwrap_or_default(),
            None => self.bytes.get(self.sent..).unwrap_or_default(),
        }
    }

    fn is_sent(&self) -> bool {
        self.contents.is_empty() && self.sent == self.bytes.len()
    }

    /// So many more bytes have gone.
    fn advance(&mut self, mut count: usize) {
        while count > 0 {
            let taken = match self.contents.front_mut() {
                Some((before, content)) if *before == self.sent => {
                    let taken = count.min(content.len());
                    content.advance(taken);
                    self.content_bytes -= taken;
                    if content.is_empty() {
                        self.contents.pop_front();
                    }
                    taken
                }
                front => {
                    let end = front.map_or(self.bytes.len(), |(before, _)| *before);
                    let taken = count.min(end - self.sent);
                    self.sent += taken;
                    taken
                }
            };
            debug_assert!(taken > 0, "more than there was");
            count = if taken == 0 { 0 } else { count - taken };
        }
    }

    fn clear(&mut self) {
        self.sent = 0;
        self.bytes.clear();
        SPARE.set(std::mem::take(&mut self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::AsyncReadExt;

    use super::*;

    proptest! {
        /// What goes out is what came in, in that order, however little the socket takes at once.
        #[test]
        fn everything_leaves_in_order(
            pieces in proptest::collection::vec((any::<bool>(), 0_usize..9_000), 1..40),
            room in 1_usize..20_000,
        ) {
            let mut output = Output::default();
            let mut expected = Vec::new();
            for (nth, (is_content, length)) in pieces.into_iter().enumerate() {
                let piece = vec![u8::try_from(nth).expect("few"); length];
                expected.extend_from_slice(&piece);
                if is_content {
                    // A frame's head stands before its content.
                    output.bytes().push(b'h');
                    expected.insert(expected.len() - length, b'h');
                    output.push_content(piece.into());
                } else {
                    output.bytes().extend_from_slice(&piece);
                }
            }
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            let received = runtime.expect("a runtime starts").block_on(async {
                let (mut near, mut far) = tokio::io::duplex(room);
                let sending = async {
                    std::future::poll_fn(|context| output.poll_send(&mut near, context))
                        .await
                        .expect("it is read");
                    drop(near);
                };
                let mut received = Vec::new();
                let ((), read) = tokio::join!(sending, far.read_to_end(&mut received));
                read.expect("it is written");
                received
            });
            prop_assert!(received == expected, "{} of {}", received.len(), expected.len());
            prop_assert!(output.is_empty() && !output.is_full());
        }
    }
}
