//! Gathers what one poll of an HTTP/2 connection writes into one write to the socket.
//!
//! The protocol engine flushes after every DATA frame it hands over. Each flush would be a TLS record
//! and a system call of its own. [`Wire`] takes the bytes and says that they are flushed; whoever
//! drives the connection calls [`Wire::poll_send`] after each poll. Beyond [`MOST_GATHERED`] it
//! writes at once and the engine feels the socket's back-pressure.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::flood::{Fault, Frames};
use super::io::Stream;

/// Bytes gathered before they are written: four full frames, four full TLS records.
const MOST_GATHERED: usize = 64 * 1024;

thread_local! {
    /// One buffer for all connections of a core: between polls hardly any of them holds bytes.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The engine's end and the driver's end of a connection: clones are the same one. Both live in one
/// task, so the lock is never waited for.
#[derive(Debug)]
pub(super) struct Wire<S> {
    shared: Arc<Mutex<Shared<S>>>,
}

#[derive(Debug)]
struct Shared<S> {
    io: S,
    /// Read before we came.
    input: BytesMut,
    output: Vec<u8>,
    sent: usize,
    frames: Frames,
    fault: Option<Fault>,
    written: u64,
    is_blocked: bool,
}

impl<S> Clone for Wire<S> {
    fn clone(&self) -> Wire<S> {
        Wire { shared: Arc::clone(&self.shared) }
    }
}

impl<S: Stream> Wire<S> {
    pub(super) fn new(io: S, input: BytesMut) -> Wire<S> {
        let mut frames = Frames::new();
        let fault = frames.receive(&input).err();
        let shared = Shared {
            io,
            input,
            output: Vec::new(),
            sent: 0,
            frames,
            fault,
            written: 0,
            is_blocked: false,
        };
        Wire { shared: Arc::new(Mutex::new(shared)) }
    }

    /// Writes what was gathered.
    pub(super) fn poll_send(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.lock().poll_send(context)
    }

    /// Adds a frame of our own.
    pub(super) fn push_goaway(&self, error_code: u32) {
        let mut shared = self.lock();
        let frame = shared.frames.goaway_frame(error_code);
        shared.gather(&[IoSlice::new(&frame)]);
    }

    pub(super) fn state(&self) -> State {
        let shared = self.lock();
        State {
            fault: shared.fault,
            goaway: shared.frames.goaway(),
            written: shared.written,
            is_blocked: shared.is_blocked,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shared<S>> {
        // A panic of the engine ends the connection; the bytes are still in order.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the driver must know.
#[derive(Debug, Clone, Copy)]
pub(super) struct State {
    /// Why we end the connection, past the engine.
    pub(super) fault: Option<Fault>,
    /// Error code of the GOAWAY that went out.
    pub(super) goaway: Option<u32>,
    /// Bytes that the socket has taken.
    pub(super) written: u64,
    /// The socket does not take more.
    pub(super) is_blocked: bool,
}

impl<S: Stream> Shared<S> {
    fn gather(&mut self, slices: &[IoSlice<'_>]) -> usize {
        if self.output.capacity() == 0 {
            self.output = SPARE.take();
            self.output.reserve(MOST_GATHERED + MOST_GATHERED / 2);
        }
        let before = self.output.len();
        for slice in slices {
            self.frames.send(slice);
            self.output.extend_from_slice(slice);
        }
        self.output.len() - before
    }

    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.is_blocked = true;
        while let Some(rest @ [_, ..]) = self.output.get(self.sent..) {
            let count = ready!(Pin::new(&mut self.io).poll_write(context, rest))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += count;
            self.written += count as u64;
        }
        if self.sent > 0 {
            ready!(Pin::new(&mut self.io).poll_flush(context))?;
            self.sent = 0;
            self.output.clear();
            SPARE.set(std::mem::take(&mut self.output));
        }
        self.is_blocked = false;
        Poll::Ready(Ok(()))
    }
}

impl<S: Stream> AsyncRead for Wire<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut shared = self.lock();
        let shared = &mut *shared;
        if shared.fault.is_some() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        if !shared.input.is_empty() {
            let length = shared.input.len().min(buffer.remaining());
            buffer.put_slice(shared.input.get(..length).unwrap_or_default());
            shared.input.advance(length);
            if shared.input.is_empty() {
                shared.input = BytesMut::new();
            }
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut shared.io).poll_read(context, buffer))?;
        let read = buffer.filled().get(before..).unwrap_or_default();
        if let Err(fault) = shared.frames.receive(read) {
            // The engine must not see these: it would answer each.
            shared.fault = Some(fault);
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: Stream> AsyncWrite for Wire<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut shared = self.lock();
        if shared.output.len() >= MOST_GATHERED {
            ready!(shared.poll_send(context))?;
        }
        Poll::Ready(Ok(shared.gather(slices)))
    }

    /// True: the engine then hands content over as it is, and it is copied once, here.
    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The driver flushes when the poll is over.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut shared = self.lock();
        ready!(shared.poll_send(context))?;
        Pin::new(&mut shared.io).poll_shutdown(context)
    }
}
