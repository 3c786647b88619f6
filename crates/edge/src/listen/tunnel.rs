//! Upgraded connections: bytes both ways, as they are.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use forebay_signals::clock;
use forebay_signals::drain::Drain;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::deadline::Deadline;

/// Bytes on the way in one direction.
const BUFFER_BYTES: usize = 16 * 1024;

/// How long a tunnel may live.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Silence in both directions.
    pub(super) idle: Duration,
    /// Time that is left once a drain has begun.
    pub(super) drain: Duration,
}

/// Copies both ways until both sides have ended, one breaks, or a limit passes. One that ends its
/// half is passed on and may still receive. `input` was read from the client before.
pub(super) async fn run<C, O>(
    client: C,
    input: BytesMut,
    origin: O,
    limits: Limits,
    drain: &Drain,
) -> io::Result<()>
where
    C: AsyncRead + AsyncWrite + Unpin,
    O: AsyncRead + AsyncWrite + Unpin,
{
    let _guard = drain.guard();
    let (mut client, mut origin) = (client, origin);
    let mut up = Way::new(input);
    let mut down = Way::new(BytesMut::new());
    let mut idle = Deadline::new(clock::now() + limits.idle);
    let mut moved = 0;
    let mut draining = pin!(async {
        drain.begun().await;
        clock::sleep(limits.drain).await;
    });
    poll_fn(|context| {
        let upward = up.poll(&mut client, &mut origin, context)?;
        let downward = down.poll(&mut origin, &mut client, context)?;
        if upward.is_ready() && downward.is_ready() {
            return Poll::Ready(Ok(()));
        }
        if moved != up.moved + down.moved {
            moved = up.moved + down.moved;
            idle.set(clock::now() + limits.idle);
        }
        if idle.poll_passed(context).is_pending() {
            ready!(draining.as_mut().poll(context));
        }
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    })
    .await
}

/// One direction.
struct Way {
    buffer: BytesMut,
    at_end: bool,
    needs_flush: bool,
    is_shut: bool,
    moved: u64,
}

impl Way {
    fn new(buffer: BytesMut) -> Way {
        Way { buffer, at_end: false, needs_flush: false, is_shut: false, moved: 0 }
    }

    /// Ready when this direction has ended and the end was passed on.
    fn poll<R, W>(
        &mut self,
        from: &mut R,
        to: &mut W,
        context: &mut Context<'_>,
    ) -> io::Result<Poll<()>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        loop {
            while !self.buffer.is_empty() {
                let count = match Pin::new(&mut *to).poll_write(context, &self.buffer) {
                    Poll::Ready(count) => count?,
                    Poll::Pending => return Ok(Poll::Pending),
                };
                if count == 0 {
                    return Err(io::ErrorKind::WriteZero.into());
                }
                self.buffer.advance(count);
                self.moved += count as u64;
                self.needs_flush = true;
            }
            if self.at_end {
                if !self.is_shut && Pin::new(&mut *to).poll_shutdown(context)?.is_pending() {
                    return Ok(Poll::Pending);
                }
                self.is_shut = true;
                return Ok(Poll::Ready(()));
            }
            if self.poll_fill(from, context)?.is_pending() {
                // Quiet: what is under way must not wait for the next bytes, and no buffer is held.
                if self.needs_flush {
                    self.needs_flush = Pin::new(&mut *to).poll_flush(context)?.is_pending();
                }
                self.buffer = BytesMut::new();
                return Ok(Poll::Pending);
            }
        }
    }

    fn poll_fill<R: AsyncRead + Unpin>(
        &mut self,
        from: &mut R,
        context: &mut Context<'_>,
    ) -> io::Result<Poll<()>> {
        let mut space = [const { std::mem::MaybeUninit::uninit() }; BUFFER_BYTES];
        let mut read = ReadBuf::uninit(&mut space);
        if Pin::new(from).poll_read(context, &mut read)?.is_pending() {
            return Ok(Poll::Pending);
        }
        self.at_end = read.filled().is_empty();
        self.buffer.extend_from_slice(read.filled());
        Ok(Poll::Ready(()))
    }
}

#[cfg(test)]
#[path = "tunnel_tests.rs"]
mod tests;
