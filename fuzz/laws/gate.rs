//! What the gate looks at before anybody parses it.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use forebay_edge::listen::detect::{PREFACE, Version, detect};
use forebay_edge::listen::flood::{Fault, Frames};
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

/// Verdicts on frames do not depend on the packets, and are those of a plain walk over the frames.
pub(crate) fn frames(bytes: &[u8]) {
    let inbound = [PREFACE, bytes].concat();
    let (mut whole, mut pieces) = (Frames::new(), Frames::new());
    let verdict = whole.receive(&inbound);
    assert_eq!(verdict, inbound.chunks(1).try_for_each(|byte| pieces.receive(byte)));
    assert_eq!(whole.goaway_frame(11), pieces.goaway_frame(11));
    assert_eq!(walk(bytes).map_err(Fault), verdict.map(|()| last_stream(&whole)));

    let (mut whole, mut pieces) = (Frames::new(), Frames::new());
    whole.send(bytes);
    bytes.chunks(3).for_each(|bytes| pieces.send(bytes));
    let goaway = each_frame(bytes).filter(|frame| frame.kind == 7).last();
    let code = goaway.map(|frame| match frame.payload {
        [_, _, _, _, a, b, c, d, ..] => u32::from_be_bytes([*a, *b, *c, *d]),
        _ => 0,
    });
    assert_eq!((whole.goaway(), pieces.goaway()), (code, code));
    let mut reader = Frames::new();
    reader.send(&whole.goaway_frame(3));
    assert_eq!(reader.goaway(), Some(3), "our own frame is read");
}

fn last_stream(frames: &Frames) -> u32 {
    let [_, _, _, _, _, _, _, _, _, a, b, c, d, ..] = frames.goaway_frame(0);
    u32::from_be_bytes([a, b, c, d])
}

struct Frame<'a> {
    length: usize,
    kind: u8,
    flags: u8,
    stream: u32,
    /// What of it is there.
    payload: &'a [u8],
}

/// Frames of which enough is there to judge them: SETTINGS and GOAWAY are read to their 60th byte.
fn each_frame(mut bytes: &[u8]) -> impl Iterator<Item = Frame<'_>> {
    std::iter::from_fn(move || {
        let [a, b, c, kind, flags, s0, s1, s2, s3, rest @ ..] = bytes else { return None };
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        if matches!(kind, 4 | 7) && rest.len() < length.min(60) {
            return None;
        }
        bytes = rest.get(length..).unwrap_or_default();
        let stream = u32::from_be_bytes([s0 & 0x7f, *s1, *s2, *s3]);
        let payload = &rest[..length.min(rest.len())];
        Some(Frame { length, kind: *kind, flags: *flags, stream, payload })
    })
}

/// The largest stream that was opened, or the code of the first fault.
fn walk(bytes: &[u8]) -> Result<u32, u32> {
    let (mut last, mut steering, mut resets) = (0, 0, 0);
    for (at, frame) in each_frame(bytes).enumerate() {
        let Frame { length, kind, flags, stream, payload } = frame;
        if at == 0 && kind != 4 {
            return Err(1);
        }
        match kind {
            1 => last = stream.max(last),
            9 => {}
            0 if length > 0 || flags & 1 == 1 => {}
            3 => resets += 1,
            _ => steering += 1,
        }
        if steering > 200 || resets > 200 {
            return Err(11);
        }
        let is_sized = match kind {
            3 | 8 => length == 4,
            6 => length == 8,
            4 if flags & 1 == 1 => length == 0,
            4 => length.is_multiple_of(6),
            _ => true,
        };
        if !is_sized {
            return Err(6);
        }
        let mut settings = payload.chunks_exact(6).take(10);
        if kind == 4 && settings.any(|one| one[..2] == [0, 4] && one[2] >= 0x80) {
            return Err(3);
        }
    }
    Ok(last)
}
