use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use http_body::{Body as HttpBody, Frame};
use http_body_util::BodyExt;

use super::compress_tests::{decode, text};
use super::*;
use crate::error::{Error, ErrorKind};
use crate::exchange::{Body, Encoding};

const CODED: [Encoding; 3] = [Encoding::Gzip, Encoding::Brotli, Encoding::Zstd];

/// What an origin does next: sends, ends with trailers, breaks off, or keeps quiet for a while.
enum Act {
    Sends(Bytes),
    Trails(HeaderMap),
    Breaks,
    IsQuiet,
}

struct Origin(VecDeque<Act>);

impl HttpBody for Origin {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        Poll::Ready(match self.0.pop_front() {
            Some(Act::Sends(data)) => Some(Ok(Frame::data(data))),
            Some(Act::Trails(fields)) => Some(Ok(Frame::trailers(fields))),
            Some(Act::Breaks) => Some(Err(Error::new(ErrorKind::OriginProtocol, "broke off"))),
            Some(Act::IsQuiet) => return Poll::Pending,
            None => None,
        })
    }
}

fn encoder(acts: impl IntoIterator<Item = Act>, encoding: Encoding) -> StreamEncoder {
    let origin = Origin(acts.into_iter().collect());
    StreamEncoder::new(Body::stream(origin), encoding).expect("there is an encoder")
}

struct Quiet;

impl Wake for Quiet {
    fn wake(self: Arc<Self>) {}
}

fn poll(encoder: &mut StreamEncoder) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
    let waker = Waker::from(Arc::new(Quiet));
    Pin::new(encoder).poll_frame(&mut Context::from_waker(&waker))
}

#[test]
fn a_body_of_any_pieces_decodes_to_what_it_was() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for piece in [1, 700, 20_000, 400_000] {
        let whole = text(400_000.min(piece * 3_000));
        for encoding in CODED {
            let pieces = whole.chunks(piece).map(|p| Act::Sends(Bytes::copy_from_slice(p)));
            let collected = runtime.block_on(encoder(pieces, encoding).collect()).unwrap();
            let encoded = collected.to_bytes();
            assert!(decode(&encoded, encoding) == whole, "{encoding:?} by {piece}");
            assert!(encoded.len() < whole.len() / 2, "{encoding:?} by {piece}");
        }
    }
}

#[test]
fn what_a_slow_origin_has_sent_is_not_held_back() {
    for encoding in CODED {
        let events = ["data: one\n\n", "data: two\n\n"];
        let acts = events
            .into_iter()
            .flat_map(|event| [Act::Sends(Bytes::from_static(event.as_bytes())), Act::IsQuiet]);
        let mut encoder = encoder(acts, encoding);
        let (mut seen, mut sent) = (Vec::new(), String::new());
        for event in events {
            sent.push_str(event);
            let Poll::Ready(Some(Ok(frame))) = poll(&mut encoder) else {
                panic!("{encoding:?} holds `{event}` back")
            };
            seen.extend_from_slice(&frame.into_data().unwrap());
            // The client can read it now, though nothing else has come.
            assert_eq!(decode(&seen, encoding), sent.as_bytes(), "{encoding:?}");
        }
        let Poll::Ready(Some(Ok(frame))) = poll(&mut encoder) else { panic!("no end") };
        seen.extend_from_slice(&frame.into_data().unwrap());
        assert!(matches!(poll(&mut encoder), Poll::Ready(None)));
        assert_eq!(decode(&seen, encoding), sent.as_bytes());
    }
}

#[test]
fn nothing_is_flushed_twice() {
    let acts = [Act::Sends(text(100)), Act::IsQuiet, Act::IsQuiet, Act::IsQuiet];
    let mut encoder = encoder(acts, Encoding::Gzip);
    assert!(matches!(poll(&mut encoder), Poll::Ready(Some(Ok(_)))));
    assert!(poll(&mut encoder).is_pending());
    assert!(poll(&mut encoder).is_pending());
}

#[test]
fn trailers_come_after_the_last_of_the_content() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for encoding in CODED {
        let mut trailers = HeaderMap::new();
        trailers.insert("server-timing", HeaderValue::from_static("db"));
        let acts = [Act::Sends(text(2_000)), Act::Trails(trailers.clone())];
        let collected = runtime.block_on(encoder(acts, encoding).collect()).unwrap();
        assert_eq!(collected.trailers(), Some(&trailers));
        assert_eq!(decode(&collected.to_bytes(), encoding), text(2_000));
    }
}

#[test]
fn an_answer_that_breaks_off_does_not_look_whole() {
    for encoding in CODED {
        let mut encoder = encoder([Act::Sends(text(2_000)), Act::Breaks], encoding);
        let mut seen = Vec::new();
        let error = loop {
            match poll(&mut encoder) {
                Poll::Ready(Some(Ok(frame))) => seen.extend_from_slice(&frame.into_data().unwrap()),
                Poll::Ready(Some(Err(error))) => break error,
                Poll::Ready(None) => panic!("{encoding:?} hides the error"),
                Poll::Pending => {}
            }
        };
        assert_eq!(error.kind(), ErrorKind::OriginProtocol);
        assert!(matches!(poll(&mut encoder), Poll::Ready(None)));
        assert!(decode(&seen, encoding).len() < 2_000);
    }
}

#[test]
fn a_large_body_gives_others_their_turn() {
    // Three megabytes at once are many turns, however little comes out of each.
    for encoding in CODED {
        let zeros = Bytes::from(vec![0; 3 << 20]);
        let mut encoder = encoder([Act::Sends(zeros)], encoding);
        let mut turns = 0;
        while !matches!(poll(&mut encoder), Poll::Ready(None)) {
            turns += 1;
        }
        assert!(turns >= 24, "{encoding:?} took {turns} turns");
    }
}
