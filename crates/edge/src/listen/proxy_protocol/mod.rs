//! The PROXY protocol: a load balancer that passes bytes says first for whom it does so.
//!
//! In: the first bytes of a connection from a peer that `listen.proxy_protocol` names. Out: the client's
//! address, or that the balancer speaks for itself, and what was read beyond the header. Such a peer must
//! send a header, and nobody else's is read: where both were taken, a client could choose its own address.

mod parse;

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use forebay_signals::clock;
use tokio::io::{AsyncRead, ReadBuf};

pub use parse::{Header, MOST_BYTES, Malformed, parse};

/// Why nobody was introduced.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unintroduced {
    /// What came is no header.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The peer closed, with or without a part of one.
    #[error("closed before its PROXY header was complete")]
    Closed,
    /// It took too long.
    #[error("no PROXY header in time")]
    Late,
    /// The socket failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Reads the header within `limit`. Out: the client, `None` if the balancer speaks for itself, and what was
/// read behind the header. At most [`MOST_BYTES`] are waited for.
pub(super) async fn read<S: AsyncRead + Unpin>(
    io: &mut S,
    limit: Duration,
) -> Result<(Option<SocketAddr>, BytesMut), Unintroduced> {
    clock::timeout(limit, header(io)).await.unwrap_or(Err(Unintroduced::Late))
}

async fn header<S: AsyncRead + Unpin>(
    io: &mut S,
) -> Result<(Option<SocketAddr>, BytesMut), Unintroduced> {
    let mut read = BytesMut::new();
    loop {
        if let Some((header, length)) = parse(&read)? {
            read.advance(length);
            return Ok((header.source(), read));
        }
        let is_closed = poll_fn(|context| {
            let mut space = [const { MaybeUninit::uninit() }; MOST_BYTES];
            let mut buffer = ReadBuf::uninit(&mut space);
            ready!(Pin::new(&mut *io).poll_read(context, &mut buffer))?;
            read.extend_from_slice(buffer.filled());
            Poll::Ready(io::Result::Ok(buffer.filled().is_empty()))
        });
        if is_closed.await? {
            return Err(Unintroduced::Closed);
        }
    }
}
