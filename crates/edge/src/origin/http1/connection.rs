//! A connection to a server, and the request that holds it.

use std::future::{Future, poll_fn};
use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use forebay_signals::clock;
use http_body::Frame;
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};

use super::head::{AnswerHead, BadHead, Ends, HeadParser};
use super::sending::{Sending, Unsendable};
use crate::error::{Error, ErrorKind, Source};
use crate::exchange::Upgraded;
use crate::http1::Framing;
use crate::http1::chunked::{Decoded, Decoder};
use crate::origin::connect::Home;
use crate::origin::deadline::WaitLimit;
use crate::origin::message::Outgoing;
use crate::origin::wire::Wire;

/// First read of an answer: most pages with their head. Read beside the buffer and copied, so that small
/// answers hold what they need and the room stays warm.
const FIRST_READ: usize = 16 * 1024;
/// Less room than this is not worth a call to the system.
const LEAST_READ: usize = 4 * 1024;
/// Largest read of content; what one slow client may make us hold.
const MOST_READ: usize = 128 * 1024;

/// A connection that one request holds. Dropped, it is closed.
pub(in crate::origin) struct Http1 {
    wire: Wire,
    input: BytesMut,
    sending: Sending,
    content: Content,
    keeps_alive: bool,
    /// The last read took all that there was room for.
    was_full: bool,
    /// Room for the next answer's first read: servers tend to send the same kind of answers.
    first_read: usize,
    limit: WaitLimit,
    home: Option<Arc<Home>>,
}

/// What is still to come of an answer.
enum Content {
    Framed(Decoder),
    UntilClosed,
    Ended,
}

/// Why there is no answer.
pub(in crate::origin) enum Failure {
    /// Nothing of the request was sent.
    Unsent(Error),
    /// It was sent, in part at least.
    Sent(Error),
    /// What came back is no answer.
    Garbled(Error),
}

impl Failure {
    pub(in crate::origin) fn into_error(self) -> Error {
        match self {
            Failure::Unsent(error) | Failure::Sent(error) | Failure::Garbled(error) => error,
        }
    }
}

impl Http1 {
    pub(in crate::origin) fn new(wire: Wire, home: Option<Arc<Home>>) -> Http1 {
        Http1 {
            wire,
            input: BytesMut::new(),
            sending: Sending::default(),
            content: Content::Ended,
            keeps_alive: true,
            was_full: false,
            first_read: FIRST_READ,
            limit: WaitLimit::default(),
            home,
        }
    }

    /// Sends a request and waits for its answer's head, until `until`. While the client is still sending,
    /// the server's time stands still, and begins anew after it: a slow upload is not its failure, and
    /// `listen` has a limit for it.
    pub(in crate::origin) async fn ask(
        &mut self,
        outgoing: &mut Outgoing,
        until: Instant,
    ) -> Result<AnswerHead, Failure> {
        let patience = until.saturating_duration_since(clock::now());
        self.sending.begin(outgoing);
        // Until its answer is read, it is not to be used by anybody else.
        self.keeps_alive = false;
        (self.content, self.was_full) = (Content::Ended, false);
        self.limit.begin(until);
        let mut parser = HeadParser::telling(outgoing.hints().cloned());
        poll_fn(|context| {
            let head = self.poll_head(&mut parser, outgoing, context);
            if head.is_pending() && self.sending.waits_for_client() {
                self.limit.rest();
                return Poll::Pending;
            }
            if head.is_pending() {
                ready!(self.limit.poll_passed(patience, context));
                let late = Error::new(ErrorKind::OriginTimeout, "no answer in time");
                return Poll::Ready(Err(Failure::Sent(late)));
            }
            self.limit.rest();
            head
        })
        .await
    }

    /// The next piece of the answer's content; `None` after the last.
    pub(in crate::origin) fn poll_content(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<Frame<Bytes>>, Error>> {
        self.poll_sending(context)?;
        loop {
            match self.decode()? {
                Decoded::Data(data) => return Poll::Ready(Ok(Some(Frame::data(data)))),
                Decoded::Done(trailers) => {
                    self.content = Content::Ended;
                    return Poll::Ready(Ok(trailers.map(Frame::trailers)));
                }
                Decoded::More => {}
            }
            match ready!(self.poll_read(context)) {
                Ok(0) if matches!(self.content, Content::UntilClosed) => {
                    self.content = Content::Ended;
                }
                Ok(0) => {
                    return Poll::Ready(Err(broke_off(io::Error::from(
                        io::ErrorKind::UnexpectedEof,
                    ))));
                }
                Ok(_) => {}
                Err(error) => return Poll::Ready(Err(broke_off(error))),
            }
        }
    }

    /// The answer's content, if all of it has been read with the head.
    pub(in crate::origin) fn whole_content(&mut self) -> Option<Bytes> {
        let Content::Framed(decoder) = &self.content else { return None };
        let length = usize::try_from(decoder.remaining()?).ok()?;
        if length > self.input.len() || !self.sending.is_done() {
            return None;
        }
        self.content = Content::Ended;
        Some(self.input.split_to(length).freeze())
    }

    /// True once the answer was read to its end.
    pub(in crate::origin) fn is_at_end(&self) -> bool {
        match &self.content {
            Content::Framed(decoder) => decoder.is_done(),
            Content::UntilClosed => false,
            Content::Ended => true,
        }
    }

    /// Bytes of content still to come, where the framing tells.
    pub(in crate::origin) fn remaining(&self) -> Option<u64> {
        match &self.content {
            Content::Framed(decoder) => decoder.remaining(),
            Content::UntilClosed => None,
            Content::Ended => Some(0),
        }
    }

    /// Limit of the waits for the answer.
    pub(in crate::origin) fn limit(&mut self) -> &mut WaitLimit {
        &mut self.limit
    }

    /// Makes it ready for the next request; false if there must be none.
    pub(in crate::origin) fn settle(&mut self) -> bool {
        let is_clean = self.is_at_end() && self.sending.is_done() && self.input.is_empty();
        // An unused connection holds no buffer.
        self.input = BytesMut::new();
        self.keeps_alive && is_clean && self.leads_home()
    }

    /// True while the server has neither closed an unused connection nor said anything on it, and its
    /// name still points there.
    pub(in crate::origin) fn is_quiet(&mut self) -> bool {
        self.leads_home() && self.wire.is_quiet()
    }

    fn leads_home(&self) -> bool {
        !self.home.as_ref().is_some_and(|home| home.is_left())
    }

    /// The stream behind a 101, with what was read after its head.
    pub(in crate::origin) fn into_upgraded(self) -> Upgraded {
        if self.input.is_empty() {
            Box::new(self.wire)
        } else {
            let Http1 { wire, input, .. } = self;
            let (read, write) = tokio::io::split(wire);
            Box::new(tokio::io::join(io::Cursor::new(input).chain(read), write))
        }
    }

    fn poll_head(
        &mut self,
        parser: &mut HeadParser,
        outgoing: &mut Outgoing,
        context: &mut Context<'_>,
    ) -> Poll<Result<AnswerHead, Failure>> {
        match self.sending.poll(&mut self.wire, context) {
            Poll::Ready(Err(Unsendable::Content(error))) => {
                return Poll::Ready(Err(Failure::Sent(error)));
            }
            Poll::Ready(Err(Unsendable::Io(error))) => {
                if self.sending.take_back(outgoing) {
                    return Poll::Ready(Err(Failure::Unsent(no_answer(error))));
                }
                // The server may have answered before it closed.
                self.sending.give_up();
            }
            Poll::Ready(Ok(())) | Poll::Pending => {}
        }
        loop {
            match ready!(self.poll_read(context)) {
                Ok(0) => {
                    let ended = io::Error::from(io::ErrorKind::UnexpectedEof);
                    return Poll::Ready(Err(Failure::Sent(no_answer(ended))));
                }
                Ok(_) => {}
                Err(error) => return Poll::Ready(Err(Failure::Sent(no_answer(error)))),
            }
            match parser.take(&mut self.input, outgoing.method()) {
                Ok(None) => {}
                Ok(Some(head)) => {
                    self.begin_content(&head);
                    return Poll::Ready(Ok(head));
                }
                Err(bad) => return Poll::Ready(Err(Failure::Garbled(garbled(bad)))),
            }
        }
    }

    fn begin_content(&mut self, head: &AnswerHead) {
        self.keeps_alive = head.keeps_alive;
        let is_large =
            matches!(head.ends, Ends::Framed(Framing::Length(n)) if n > FIRST_READ as u64);
        self.first_read = if is_large { MOST_READ } else { FIRST_READ };
        self.content = match head.ends {
            Ends::Framed(framing) => Content::Framed(Decoder::new(framing)),
            Ends::WithConnection => Content::UntilClosed,
        };
    }

    /// Goes on with the request while the answer is read; its fault is the client's.
    fn poll_sending(&mut self, context: &mut Context<'_>) -> Result<(), Error> {
        if self.sending.is_done() {
            return Ok(());
        }
        match self.sending.poll(&mut self.wire, context) {
            Poll::Ready(Err(Unsendable::Content(error))) => Err(error),
            Poll::Ready(Err(Unsendable::Io(_))) => {
                self.sending.give_up();
                Ok(())
            }
            Poll::Ready(Ok(())) | Poll::Pending => Ok(()),
        }
    }

    fn decode(&mut self) -> Result<Decoded, Error> {
        match &mut self.content {
            Content::Framed(decoder) => decoder.decode(&mut self.input).map_err(broke_off),
            Content::UntilClosed if self.input.is_empty() => Ok(Decoded::More),
            Content::UntilClosed => Ok(Decoded::Data(self.input.split().freeze())),
            Content::Ended => Ok(Decoded::Done(None)),
        }
    }

    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.input.capacity() - self.input.len() < LEAST_READ {
            let room = self.room();
            if room <= FIRST_READ {
                return self.poll_read_beside(context);
            }
            self.input.reserve(room);
        }
        let room = self.input.capacity() - self.input.len();
        let count = ready!(pin!(self.wire.read_buf(&mut self.input)).poll(context))?;
        self.was_full = count == room;
        Poll::Ready(Ok(count))
    }

    fn poll_read_beside(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut space = [const { MaybeUninit::uninit() }; FIRST_READ];
        let mut buffer = ReadBuf::uninit(&mut space);
        ready!(Pin::new(&mut self.wire).poll_read(context, &mut buffer))?;
        let came = buffer.filled();
        self.was_full = came.len() == FIRST_READ;
        self.input.extend_from_slice(came);
        Poll::Ready(Ok(came.len()))
    }

    /// Room for the next read: what is still to come, or as much as seems to come at once.
    fn room(&self) -> usize {
        let left = match &self.content {
            Content::Framed(decoder) => decoder.remaining(),
            Content::UntilClosed | Content::Ended => None,
        };
        let guess = if self.was_full { MOST_READ } else { self.first_read };
        // One byte more than announced: a read that is not filled tells that there is no more, and
        // spares the look at the connection before it is used again.
        let left = left.map(|left| usize::try_from(left).unwrap_or(MOST_READ).saturating_add(1));
        let room = left.unwrap_or(guess).saturating_sub(self.input.len());
        room.clamp(LEAST_READ, MOST_READ)
    }
}

fn no_answer(source: io::Error) -> Error {
    let detail = "the connection ended before an answer";
    Error::new(ErrorKind::OriginProtocol, detail).because(source)
}

fn garbled(bad: BadHead) -> Error {
    let detail = match bad {
        BadHead::TooLarge | BadHead::TooManyInterim => "the answer's head is too large",
        _ => "the answer is not HTTP",
    };
    Error::new(ErrorKind::OriginProtocol, detail).because(bad)
}

fn broke_off(source: impl Into<Source>) -> Error {
    Error::new(ErrorKind::OriginProtocol, "the answer broke off").because(source)
}
