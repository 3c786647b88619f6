//! Content of both directions as the engine and the rooms want it.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;

use super::activity::{Piece, Ticket};
use crate::error::{Error, ErrorKind};
use crate::exchange::Body;
use crate::listen::http1;
use crate::listen::io::caught;
use crate::listen::rate::Rate;

/// Content handed to the engine at once: four full frames. Less would cost more rounds, more would
/// lie in memory for a client that does not take it.
const PIECE_BYTES: usize = 64 * 1024;

/// What a client uploads, no slower and no larger than allowed.
pub(super) struct Upload {
    content: Incoming,
    rate: Rate,
    received: u64,
    most: u64,
    has_failed: bool,
}

impl Upload {
    pub(super) fn open(content: Incoming, settings: &http1::Settings) -> Body {
        if content.is_end_stream() {
            return Body::Empty;
        }
        Body::stream(Upload {
            content,
            rate: Rate::new(settings.min_content_rate, settings.content_grace),
            received: 0,
            most: settings.max_content_bytes,
            has_failed: false,
        })
    }

    fn fail(&mut self, error: Error) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        self.has_failed = true;
        Poll::Ready(Some(Err(error)))
    }
}

impl HttpBody for Upload {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if self.has_failed {
            return Poll::Ready(None);
        }
        let frame = match Pin::new(&mut self.content).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => frame,
            Poll::Ready(Some(Err(error))) => {
                let error = Error::new(ErrorKind::ClientGone, "stream broke inside the content")
                    .because(error);
                return self.fail(error);
            }
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Pending => {
                let received = self.received;
                if self.rate.poll_too_slow(received, context).is_pending() {
                    return Poll::Pending;
                }
                let error = Error::new(ErrorKind::ClientTimeout, "content arrives too slowly");
                return self.fail(error);
            }
        };
        self.rate.pause();
        self.received += frame.data_ref().map_or(0, |data| data.len() as u64);
        if self.received > self.most {
            let error = Error::new(ErrorKind::ContentTooLarge, "content larger than allowed");
            return self.fail(error);
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.has_failed || self.content.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.content.size_hint()
    }
}

/// What a client downloads, in pieces that are counted.
pub(super) struct Download {
    body: Body,
    /// Rest of a frame that was too large for one piece.
    rest: Bytes,
    ticket: Ticket,
}

impl Download {
    pub(super) fn new(body: Body, mut ticket: Ticket) -> Download {
        let (body, rest) = match body {
            Body::Whole(bytes) => (Body::Empty, bytes),
            body => (body, Bytes::new()),
        };
        if !rest.is_empty() {
            ticket.owe();
        }
        Download { body, rest, ticket }
    }
}

impl HttpBody for Download {
    type Data = Piece;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, Error>>> {
        let this = &mut *self;
        if this.rest.is_empty() {
            let body = Pin::new(&mut this.body);
            let polled = caught(|| body.poll_frame(context)).unwrap_or_else(|_| {
                this.ticket.activity().counters().panics.increment();
                let error = Error::new(ErrorKind::Internal, "panic while the content was made");
                Poll::Ready(Some(Err(error)))
            });
            // Whatever comes, the client has taken all there was.
            this.ticket.settle();
            let frame = match polled {
                Poll::Ready(Some(Ok(frame))) => frame,
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            };
            match frame.into_data() {
                Ok(data) => this.rest = data,
                Err(frame) => {
                    let trailers = frame.into_trailers().unwrap_or_default();
                    return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
                }
            }
        }
        let length = this.rest.len().min(PIECE_BYTES);
        let piece = this.rest.split_to(length);
        if this.rest.is_empty() {
            this.ticket.settle();
        } else {
            this.ticket.owe();
        }
        Poll::Ready(Some(Ok(Frame::data(this.ticket.piece(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.len() as u64;
        let hint = self.body.size_hint();
        let mut sum = SizeHint::new();
        sum.set_lower(hint.lower() + rest);
        if let Some(upper) = hint.upper() {
            sum.set_upper(upper + rest);
        }
        sum
    }
}
