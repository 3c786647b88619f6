//! What goes to the client: gathered while the connection works, written at once.
//!
//! Each write is a system call, and over TLS a record of its own.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::super::io::Stream;

/// Bytes gathered before they are written: four full frames, four full TLS records.
const MOST_GATHERED: usize = 64 * 1024;

thread_local! {
    /// One buffer for all connections of a core: between polls hardly any of them holds bytes.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// One connection's outbound bytes.
#[derive(Debug, Default)]
pub(super) struct Output {
    bytes: Vec<u8>,
    sent: usize,
    written: u64,
    is_blocked: bool,
}

impl Output {
    /// Where frames are appended.
    pub(super) fn bytes(&mut self) -> &mut Vec<u8> {
        if self.bytes.capacity() == 0 {
            self.bytes = SPARE.take();
            self.bytes.reserve(MOST_GATHERED + MOST_GATHERED / 2);
        }
        &mut self.bytes
    }

    /// Enough has been gathered: what comes now waits.
    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() >= MOST_GATHERED
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
        while let Some(rest @ [_, ..]) = self.bytes.get(self.sent..) {
            let count = ready!(Pin::new(&mut *io).poll_write(context, rest))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += count;
            self.written += count as u64;
        }
        ready!(Pin::new(io).poll_flush(context))?;
        self.sent = 0;
        self.bytes.clear();
        SPARE.set(std::mem::take(&mut self.bytes));
        self.is_blocked = false;
        Poll::Ready(Ok(()))
    }
}
