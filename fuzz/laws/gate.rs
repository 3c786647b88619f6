//! What the gate looks at before anybody parses it.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use forebay_edge::listen::detect::{PREFACE, Version, detect};
use tokio::io::{AsyncRead, ReadBuf};

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
