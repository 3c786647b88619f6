//! What the gate looks at before anybody parses it.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use forebay_edge::listen::detect::{PREFACE, Version, detect};
use forebay_edge::listen::proxy_protocol::{MOST_BYTES, parse};
use tokio::io::{AsyncRead, ReadBuf};

/// A header ends within what came and within the bound; no part of one is a header, and what follows it
/// changes nothing.
pub(crate) fn proxy_protocol(bytes: &[u8]) {
    match parse(bytes) {
        Ok(Some((header, length))) => {
            assert!(length <= bytes.len() && length <= MOST_BYTES);
            let (whole, _) = bytes.split_at(length);
            assert_eq!(parse(whole), Ok(Some((header, length))));
            for part in (0..length).filter_map(|end| whole.get(..end)) {
                assert_eq!(parse(part), Ok(None));
            }
        }
        Ok(None) => assert!(bytes.len() < MOST_BYTES, "waits for too much"),
        Err(_) => {
            let more = [bytes, b"\r\n"].concat();
            assert!(parse(&more).is_err(), "refused, and taken with more");
        }
    }
}

/// The preface is known by its bytes however they are cut, and nothing that was read is lost.
pub(crate) fn preface(bytes: &[u8]) {
    let common = bytes.iter().zip(PREFACE).take_while(|(read, known)| read == known).count();
    for at_once in [1, 7, usize::MAX] {
        let mut client = Client { bytes, at_once };
        let mut context = Context::from_waker(Waker::noop());
        let Poll::Ready(Ok((version, read))) = pin!(detect(&mut client)).poll(&mut context) else {
            panic!("there is nothing to wait for");
        };
        assert_eq!(version == Version::Http2, bytes.starts_with(PREFACE));
        assert_eq!([&read[..], client.bytes].concat(), bytes, "bytes are lost");
        assert!(read.len() >= common, "it was not clear yet");
        assert!(at_once > 1 || read.len() <= common + 1, "it was clear before");
    }
}

struct Client<'a> {
    bytes: &'a [u8],
    at_once: usize,
}

impl AsyncRead for Client<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let length = self.at_once.min(buffer.remaining()).min(self.bytes.len());
        let (now, later) = self.bytes.split_at(length);
        buffer.put_slice(now);
        self.bytes = later;
        Poll::Ready(Ok(()))
    }
}
