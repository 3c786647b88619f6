//! Small things that every kind of connection needs.

use std::future::{Future, poll_fn};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use forebay_signals::clock;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::progress::Progress;

/// What a connection runs on: a TCP or Unix socket, with or without TLS.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for S {}

/// Sends these bytes and behind them some of a file: from where, and how many. It is tried at once, past the
/// runtime, which alone waits. Says how much was taken of both together.
pub(super) type SendFile<S> = fn(&S, &[u8], BorrowedFd<'_>, (u64, usize)) -> io::Result<usize>;

/// A client's socket.
#[derive(Debug)]
pub struct Socket<S> {
    pub(super) io: S,
    /// What was read from it before.
    pub(super) input: BytesMut,
    /// What it takes, where writes do not tell.
    pub(super) progress: Option<Progress>,
    /// How it sends from files, where nothing stands between it and the network.
    pub(super) send_file: Option<SendFile<S>>,
}

impl<S> Socket<S> {
    /// One from which `input` was read before.
    pub fn new(io: S, input: BytesMut) -> Socket<S> {
        Socket { io, input, progress: None, send_file: None }
    }
}

/// What a client may still send after our last words before we close on it.
const MOST_UNREAD: usize = 256 * 1024;

/// Closes so that the client still reads our last words: a close with unread input is a reset.
/// Whoever does not go within `limit` is closed on.
pub(super) async fn linger<S: AsyncRead + AsyncWrite + Unpin>(io: &mut S, limit: Duration) {
    let closing = async {
        poll_fn(|context| Pin::new(&mut *io).poll_shutdown(context)).await?;
        let mut left = MOST_UNREAD;
        while left > 0 {
            let read = poll_fn(|context| poll_discard(io, context)).await?;
            left = if read == 0 { 0 } else { left.saturating_sub(read) };
        }
        io::Result::Ok(())
    };
    drop(clock::timeout(limit, closing).await);
}

fn poll_discard<S: AsyncRead + Unpin>(
    io: &mut S,
    context: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let mut space = [const { MaybeUninit::uninit() }; 4096];
    let mut buffer = ReadBuf::uninit(&mut space);
    ready!(Pin::new(io).poll_read(context, &mut buffer))?;
    Poll::Ready(Ok(buffer.filled().len()))
}

/// A panic was caught.
#[derive(Debug)]
pub(super) struct Panicked;

/// Runs `call`; a panic in it harms nobody else. What it touched is dropped by the caller, so that
/// nobody sees it half-changed.
pub(super) fn caught<T>(call: impl FnOnce() -> T) -> Result<T, Panicked> {
    // The panic's message has been printed by the hook already.
    catch_unwind(AssertUnwindSafe(call)).map_err(|_| Panicked)
}

/// The same for a future, which is not polled again after a panic. It is pinned by the caller: taken
/// by value it would lie in memory twice.
pub(super) async fn caught_future<F: Future + ?Sized>(
    mut future: Pin<&mut F>,
) -> Result<F::Output, Panicked> {
    poll_fn(|context| match caught(|| future.as_mut().poll(context)) {
        Ok(poll) => poll.map(Ok),
        Err(panicked) => Poll::Ready(Err(panicked)),
    })
    .await
}
