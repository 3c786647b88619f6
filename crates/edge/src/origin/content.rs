//! An answer's content on its way from an origin: it holds the connection and gives it back.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use forebay_signals::clock;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;

use super::deadline::WaitLimit;
use super::http1::Http1;
use super::message;
use super::pool::Stream;
use super::upstream::Ticket;
use crate::error::{Error, ErrorKind, Side};

/// What an answer's content comes from and keeps busy.
pub(super) enum Lease {
    /// All of a connection.
    Http1(Box<Http1>),
    /// A stream of one. Content that is dropped resets the stream.
    Http2(Http2Content),
}

/// A stream of an HTTP/2 connection.
pub(super) struct Http2Content {
    incoming: Incoming,
    limit: WaitLimit,
    _stream: Stream,
}

impl Http2Content {
    pub(super) fn new(incoming: Incoming, stream: Stream) -> Http2Content {
        Http2Content { incoming, limit: WaitLimit::default(), _stream: stream }
    }
}

impl Lease {
    /// The content, if all of it came with the head.
    pub(super) fn take_whole(&mut self) -> Option<Bytes> {
        match self {
            Lease::Http1(connection) => connection.whole_content(),
            Lease::Http2(_) => None,
        }
    }

    /// True if no content is to come any more.
    pub(super) fn is_at_end(&self) -> bool {
        match self {
            Lease::Http1(connection) => connection.is_at_end(),
            Lease::Http2(content) => content.incoming.is_end_stream(),
        }
    }

    fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<Frame<Bytes>>, Error>> {
        match self {
            Lease::Http1(connection) => connection.poll_content(context),
            Lease::Http2(content) => {
                let frame = Pin::new(&mut content.incoming).poll_frame(context);
                frame.map(Option::transpose).map_err(|source| {
                    Error::new(ErrorKind::OriginProtocol, "the answer broke off").because(source)
                })
            }
        }
    }

    fn limit(&mut self) -> &mut WaitLimit {
        match self {
            Lease::Http1(connection) => connection.limit(),
            Lease::Http2(content) => &mut content.limit,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Lease::Http1(connection) => {
                connection.remaining().map_or_else(SizeHint::default, SizeHint::with_exact)
            }
            Lease::Http2(content) => content.incoming.size_hint(),
        }
    }
}

/// Content of an answer. Dropped before its end, it closes the connection or resets the stream.
pub(super) struct Content {
    held: Option<(Lease, Ticket)>,
}

impl Content {
    pub(super) fn new(lease: Lease, ticket: Ticket) -> Content {
        Content { held: Some((lease, ticket)) }
    }

    /// Ends it; what was held is closed by its drop.
    fn fail(&mut self, error: Error) -> Error {
        if let Some((_, ticket)) = self.held.take()
            && error.facts().side != Side::Client
        {
            ticket.broke_off(&error);
        }
        error
    }
}

/// Gives back what an answer held, now that it was read to its end.
pub(super) fn finish(lease: Lease, ticket: &Ticket, now: Instant) {
    if let Lease::Http1(connection) = lease {
        let most = ticket.settings().pool_max_idle;
        ticket.server().pool.give_back(connection, now, most);
    }
}

impl HttpBody for Content {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Some((lease, ticket)) = &mut self.held else { return Poll::Ready(None) };
        let frame = match lease.poll_frame(context) {
            Poll::Pending => {
                ready!(lease.limit().poll_passed(ticket.settings().content_idle_timeout, context));
                Err(Error::new(ErrorKind::OriginTimeout, "the content stood still"))
            }
            Poll::Ready(frame) => frame,
        };
        lease.limit().rest();
        let mut frame = match frame {
            Ok(frame) => frame,
            Err(error) => return Poll::Ready(Some(Err(self.fail(error)))),
        };
        if let Some(trailers) = frame.as_mut().and_then(Frame::trailers_mut) {
            message::clean_trailers(trailers);
        }
        // With a known length nobody asks again after the last byte.
        if (frame.is_none() || lease.is_at_end())
            && let Some((lease, ticket)) = self.held.take()
        {
            finish(lease, &ticket, clock::now());
        }
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.held.as_ref().is_none_or(|(lease, _)| lease.is_at_end())
    }

    fn size_hint(&self) -> SizeHint {
        self.held.as_ref().map_or_else(|| SizeHint::with_exact(0), |(lease, _)| lease.size_hint())
    }
}
