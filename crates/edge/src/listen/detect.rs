//! Which protocol a client speaks on a port without TLS (RFC 9113 §3.3, prior knowledge).

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Poll, ready};

use bytes::BytesMut;
use tokio::io::{AsyncRead, ReadBuf};

/// What an HTTP/2 client sends first (RFC 9113 §3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The protocol of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.1, or what is not yet known to be anything.
    Http1,
    /// HTTP/2.
    Http2,
}

/// Reads until it is clear; what was read stands in the buffer. No request line of HTTP/1 begins
/// like the preface: `PRI` is reserved. The deadline is the caller's.
///
/// # Errors
/// Those of the connection.
pub async fn detect<S: AsyncRead + Unpin>(io: &mut S) -> io::Result<(Version, BytesMut)> {
    let mut read = BytesMut::new();
    loop {
        let length = read.len().min(PREFACE.len());
        if read.get(..length) != PREFACE.get(..length) {
            return Ok((Version::Http1, read));
        }
        if length == PREFACE.len() {
            return Ok((Version::Http2, read));
        }
        if poll_fn(|context| {
            let mut space = [const { MaybeUninit::uninit() }; 4096];
            let mut buffer = ReadBuf::uninit(&mut space);
            ready!(Pin::new(&mut *io).poll_read(context, &mut buffer))?;
            read.extend_from_slice(buffer.filled());
            Poll::Ready(io::Result::Ok(buffer.filled().is_empty()))
        })
        .await?
        {
            return Ok((Version::Http1, read));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detected(pieces: &[&[u8]]) -> (Version, BytesMut) {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.expect("a runtime starts").block_on(async {
            let (mut client, mut server) = tokio::io::duplex(64);
            let sends = async {
                for piece in pieces {
                    tokio::io::AsyncWriteExt::write_all(&mut client, piece).await.expect("written");
                    tokio::task::yield_now().await;
                }
                drop(client);
            };
            let (found, ()) = tokio::join!(detect(&mut server), sends);
            found.expect("read")
        })
    }

    #[test]
    fn the_preface_is_known_however_it_is_cut_and_nothing_read_is_lost() {
        let (version, read) = detected(&[b"PRI * HT", b"TP/2.0\r\n\r\nSM\r\n\r\nrest"]);
        assert_eq!(
            (version, &read[..]),
            (Version::Http2, &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nrest"[..])
        );
        for (pieces, all) in [
            (&[&b"GET / HTTP/1.1\r\n"[..]][..], &b"GET / HTTP/1.1\r\n"[..]),
            (&[b"P", b"OST"], b"POST"),
            (&[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\rX"], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\rX"),
            (&[b"PRI"], b"PRI"),
            (&[], b""),
        ] {
            let (version, read) = detected(pieces);
            assert_eq!((version, &read[..]), (Version::Http1, all));
        }
    }
}
