//! An answer's content on its way from an origin: it holds the connection and gives it back.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use forebay_signals::clock;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;

use super::deadline::WaitLimit;
use super::message;
use super::pool::{Http1, Stream};
use super::upstream::Ticket;
use crate::error::{Error, ErrorKind};

/// What an answer's content keeps busy.
pub(super) enum Lease {
    /// All of a connection.
    Http1(Http1),
    /// A stream of one. Content that is dropped resets the stream.
    Http2(#[expect(dead_code, reason = "held for its drop")] Stream),
}

/// Content of an answer. Dropped before its end, it closes the connection or resets the stream.
pub(super) struct Content {
    incoming: Incoming,
    held: Option<(Lease, Ticket)>,
    limit: WaitLimit,
}

impl Content {
    pub(super) fn new(incoming: Incoming, lease: Lease, ticket: Ticket) -> Content {
        let limit = WaitLimit::new(ticket.settings().content_idle_timeout);
        Content { incoming, held: Some((lease, ticket)), limit }
    }

    fn fail(&mut self, kind: ErrorKind, detail: &'static str) -> Error {
        let error = Error::new(kind, detail);
        if let Some((_closed_by_drop, ticket)) = self.held.take() {
            ticket.broke_off(&error);
        }
        error
    }
}

/// Gives back what an answer held, now that it was read to its end.
pub(super) fn finish(lease: Lease, ticket: &Ticket) {
    if let Lease::Http1(connection) = lease {
        let most = ticket.settings().pool_max_idle;
        ticket.server().pool.give_back(connection, clock::now(), most);
    }
}

impl HttpBody for Content {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if self.held.is_none() {
            return Poll::Ready(None);
        }
        let frame = match Pin::new(&mut self.incoming).poll_frame(context) {
            Poll::Pending if self.limit.poll_passed(context).is_ready() => {
                let error = self.fail(ErrorKind::OriginTimeout, "the content stood still");
                return Poll::Ready(Some(Err(error)));
            }
            Poll::Pending => return Poll::Pending,
            Poll::Ready(frame) => frame,
        };
        self.limit.rest();
        let mut frame = match frame {
            Some(Ok(frame)) => Some(frame),
            Some(Err(source)) => {
                let error = self.fail(ErrorKind::OriginProtocol, "the answer broke off");
                return Poll::Ready(Some(Err(error.because(source))));
            }
            None => None,
        };
        if let Some(trailers) = frame.as_mut().and_then(Frame::trailers_mut) {
            message::clean_trailers(trailers);
        }
        // With a known length nobody asks again after the last byte.
        if (frame.is_none() || self.incoming.is_end_stream())
            && let Some((lease, ticket)) = self.held.take()
        {
            finish(lease, &ticket);
        }
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.held.is_none() || self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
