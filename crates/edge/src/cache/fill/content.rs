//! The part of a body that a fill holds.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};

/// Smaller pieces are copied together: a dripping origin must not cost a read buffer a byte.
const SMALL_BYTES: usize = 1 << 10;
/// How much is copied together.
const TAIL_BYTES: usize = 16 << 10;

/// Pieces of a body in order, from where the slowest reader stands (or from the beginning).
#[derive(Debug)]
pub(super) struct Content {
    pieces: VecDeque<Piece>,
    tail: BytesMut,
    /// Position of the first byte held.
    start: u64,
    /// Position after the last byte.
    end: u64,
    held_by_all: Arc<AtomicU64>,
    /// What is held counts in `held_by_all`.
    is_counted: bool,
}

#[derive(Debug)]
struct Piece {
    start: u64,
    bytes: Bytes,
}

impl Content {
    pub(super) fn new(held_by_all: Arc<AtomicU64>) -> Content {
        Content {
            pieces: VecDeque::new(),
            tail: BytesMut::new(),
            start: 0,
            end: 0,
            held_by_all,
            is_counted: true,
        }
    }

    /// Appends; returns how much all fills hold now.
    pub(super) fn push(&mut self, data: Bytes) -> u64 {
        let len = data.len() as u64;
        if data.len() < SMALL_BYTES {
            if self.tail.len() + data.len() > TAIL_BYTES {
                self.seal();
            }
            self.tail.extend_from_slice(&data);
        } else {
            self.seal();
            self.pieces.push_back(Piece { start: self.end, bytes: data });
        }
        self.end += len;
        self.held_by_all.fetch_add(len, Ordering::Relaxed) + len
    }

    /// What stands at `position`, as far as it is in one piece.
    pub(super) fn read(&self, position: u64) -> Option<Bytes> {
        if position < self.start || position >= self.end {
            return None;
        }
        let tail_start = self.end - self.tail.len() as u64;
        if position >= tail_start {
            let from = usize::try_from(position - tail_start).ok()?;
            return self.tail.get(from..).map(Bytes::copy_from_slice);
        }
        let after = self.pieces.partition_point(|piece| piece.start <= position);
        let piece = self.pieces.get(after.checked_sub(1)?)?;
        let from = usize::try_from(position - piece.start).ok()?;
        (from < piece.bytes.len()).then(|| piece.bytes.slice(from..))
    }

    /// Lets go of what lies before `position`, by whole pieces.
    pub(super) fn release(&mut self, position: u64) {
        let before = self.start;
        while let Some(piece) = self.pieces.front() {
            let end = piece.start + piece.bytes.len() as u64;
            if end > position {
                break;
            }
            self.start = end;
            self.pieces.pop_front();
        }
        if self.pieces.is_empty() && position >= self.end {
            self.start = self.end;
            self.tail.clear();
        }
        if self.is_counted {
            self.held_by_all.fetch_sub(self.start - before, Ordering::Relaxed);
        }
    }

    /// The whole body, if nothing of it was let go.
    pub(super) fn whole(&mut self) -> Option<Vec<Bytes>> {
        self.seal();
        (self.start == 0).then(|| self.pieces.iter().map(|piece| piece.bytes.clone()).collect())
    }

    /// From now on it lies in `stored`, which is counted by the store: what slow readers still wait for
    /// keeps no room from other fills.
    pub(super) fn lie_in(&mut self, stored: Bytes) {
        if self.start > 0 || stored.len() as u64 != self.end {
            return;
        }
        self.pieces.clear();
        self.tail = BytesMut::new();
        self.pieces.push_back(Piece { start: 0, bytes: stored });
        self.held_by_all.fetch_sub(self.end, Ordering::Relaxed);
        self.is_counted = false;
    }

    pub(super) fn start(&self) -> u64 {
        self.start
    }

    /// Position after the first piece held: who stands before it keeps it from being let go.
    pub(super) fn first_end(&self) -> u64 {
        self.pieces.front().map_or(self.end, |piece| piece.start + piece.bytes.len() as u64)
    }

    pub(super) fn end(&self) -> u64 {
        self.end
    }

    fn seal(&mut self) {
        if !self.tail.is_empty() {
            let start = self.end - self.tail.len() as u64;
            self.pieces.push_back(Piece { start, bytes: self.tail.split().freeze() });
        }
    }
}

impl Drop for Content {
    fn drop(&mut self) {
        if self.is_counted {
            self.held_by_all.fetch_sub(self.end - self.start, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pieces_of_any_size_read_as_one_body(
            sizes in proptest::collection::vec(0..5_000_usize, 0..60),
            let_go in 0..100_000_u64,
        ) {
            let held = Arc::new(AtomicU64::new(0));
            let mut content = Content::new(Arc::clone(&held));
            let mut body = Vec::new();
            for size in sizes {
                let piece: Vec<u8> = (body.len()..).take(size).map(|n| n.to_le_bytes()[0]).collect();
                body.extend_from_slice(&piece);
                content.push(piece.into());
            }
            prop_assert_eq!(content.end(), body.len() as u64);
            let mut read = Vec::new();
            while let Some(bytes) = content.read(read.len() as u64) {
                read.extend_from_slice(&bytes);
            }
            prop_assert!(read == body);
            prop_assert_eq!(content.whole().map(|pieces| pieces.concat()), Some(body));
            content.release(let_go);
            prop_assert!(content.start() <= let_go);
            prop_assert_eq!(held.load(Ordering::Relaxed), content.end() - content.start());
            if content.start() > 0 {
                prop_assert!(content.whole().is_none());
            }
            drop(content);
            prop_assert_eq!(held.load(Ordering::Relaxed), 0);
        }
    }
}
