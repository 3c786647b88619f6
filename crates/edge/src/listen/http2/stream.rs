//! One stream: a request on its way in, its answer on its way out (RFC 9113 §5).

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use forebay_signals::drain::Guard;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame};

use super::STREAM_WINDOW;
use super::passing::Passing;
use super::priority::Priority;
use super::upload::Feed;
use super::wakes::Wakes;
use crate::error::{Error, ErrorKind};
use crate::exchange::{Body, BoxedBody};
use crate::listen::io::caught;
use crate::listen::patience::Patience;
use crate::listen::{Coming, Counters};

/// What is known of a stream before there is one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Opening {
    pub(super) id: u32,
    pub(super) is_head: bool,
    pub(super) priority: Priority,
    /// Bytes of its head.
    pub(super) weight: usize,
}

/// A stream that is not closed yet.
pub(super) struct Stream {
    pub(super) id: u32,
    pub(super) is_head: bool,
    /// Bytes of its head, which lives until the answer is out: the access log reads it.
    pub(super) weight: usize,
    /// Content of the request; `None` if it has none.
    pub(super) feed: Option<Feed>,
    /// The client has said all.
    pub(super) has_ended: bool,
    /// Content that the client may still send.
    pub(super) room: usize,
    /// Bytes of content that were read and not yet granted anew.
    pub(super) credit: usize,
    /// Set once the answer is out though content still comes.
    pub(super) passing: Option<Passing>,
    pub(super) answer: Progress,
    /// What the client takes. Its settings may make it negative (§6.9.2).
    pub(super) window: i64,
    /// With its window, while there is content.
    pub(super) patience: Patience,
    pub(super) priority: Priority,
    waker: Option<Waker>,
    _guard: Guard,
}

/// How far the answer is.
pub(super) enum Progress {
    /// It is waited for.
    Waiting(Coming),
    /// Its head is out.
    Content(Content),
}

impl Stream {
    pub(super) fn new(opening: Opening, window: i64, guard: Guard) -> Stream {
        let Opening { id, is_head, priority, weight } = opening;
        Stream {
            id,
            is_head,
            weight,
            feed: None,
            has_ended: true,
            room: STREAM_WINDOW as usize,
            credit: 0,
            passing: None,
            answer: Progress::Content(Content::of(Bytes::new())),
            window,
            patience: Patience::default(),
            priority,
            waker: None,
            _guard: guard,
        }
    }

    /// Wakes the connection for this stream.
    pub(super) fn waker(&mut self, wakes: &Arc<Wakes>) -> Waker {
        self.waker.get_or_insert_with(|| wakes.waker(self.id)).clone()
    }

    /// True if there is, or may be, something to send.
    pub(super) fn has_content(&self) -> bool {
        matches!(&self.answer, Progress::Content(content) if content.is_awake) || self.has_rest()
    }

    /// True if there is something to send that lies here.
    pub(super) fn has_rest(&self) -> bool {
        matches!(&self.answer, Progress::Content(content) if !content.rest.is_empty())
    }
}

/// Content of an answer, as far as it is not sent.
pub(super) struct Content {
    rest: Bytes,
    source: Option<BoxedBody>,
    /// What is still to come if its length was announced.
    left: Option<u64>,
    /// The source may have something.
    is_awake: bool,
}

/// What the content has for its client.
pub(super) enum Piece {
    /// So many bytes at the front, and more later.
    Some(usize),
    /// The last ones.
    Last(usize),
    /// Fields behind the content.
    Trailers(HeaderMap),
    /// The source is quiet.
    Quiet,
    /// It will never be whole.
    Broken(Error),
}

impl Content {
    pub(super) fn new(body: Body) -> Content {
        match body {
            Body::Empty => Content::of(Bytes::new()),
            Body::Whole(bytes) => Content::of(bytes),
            Body::Stream(source) => {
                let left = source.size_hint().exact();
                Content { rest: Bytes::new(), source: Some(source), left, is_awake: true }
            }
        }
    }

    fn of(rest: Bytes) -> Content {
        let left = Some(rest.len() as u64);
        Content { rest, source: None, left, is_awake: false }
    }

    /// The source has said that there is something.
    pub(super) fn wake(&mut self) {
        self.is_awake = self.source.is_some();
    }

    /// Takes so many bytes of it, which go out now.
    pub(super) fn take(&mut self, bytes: usize) -> Bytes {
        self.left = self.left.map(|left| left.saturating_sub(bytes as u64));
        self.rest.split_to(bytes.min(self.rest.len()))
    }

    /// Looks what there is; asks the source if nothing lies here.
    pub(super) fn poll_piece(&mut self, counters: &Counters, context: &mut Context<'_>) -> Piece {
        while self.rest.is_empty() {
            let Some(source) = &mut self.source else { return Piece::Last(0) };
            if !self.is_awake {
                return Piece::Quiet;
            }
            match poll_source(source, counters, context) {
                Poll::Pending => {
                    self.is_awake = false;
                    return Piece::Quiet;
                }
                Poll::Ready(None) if self.left.is_some_and(|left| left > 0) => {
                    let why = "the answer is shorter than its content-length";
                    return Piece::Broken(Error::new(ErrorKind::Internal, why));
                }
                Poll::Ready(None) => {
                    self.source = None;
                    self.is_awake = false;
                }
                Poll::Ready(Some(Err(error))) => return Piece::Broken(error),
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(frame) => {
                        return Piece::Trailers(frame.into_trailers().unwrap_or_default());
                    }
                },
            }
            if self.left.is_some_and(|left| left < self.rest.len() as u64) {
                let why = "the answer is longer than its content-length";
                return Piece::Broken(Error::new(ErrorKind::Internal, why));
            }
        }
        if self.source.as_ref().is_some_and(HttpBody::is_end_stream) {
            self.source = None;
            self.is_awake = false;
        }
        match self.source {
            None => Piece::Last(self.rest.len()),
            Some(_) => Piece::Some(self.rest.len()),
        }
    }
}

fn poll_source(
    source: &mut BoxedBody,
    counters: &Counters,
    context: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
    let source: Pin<&mut dyn HttpBody<Data = Bytes, Error = Error>> = source.as_mut();
    caught(|| source.poll_frame(context)).unwrap_or_else(|_| {
        counters.panics.increment();
        let error = Error::new(ErrorKind::Internal, "panic while the content was made");
        Poll::Ready(Some(Err(error)))
    })
}
