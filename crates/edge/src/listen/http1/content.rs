//! A request's content on its way from the socket to whoever reads it.
//!
//! [`Content`] is the connection's end, [`ContentBody`] the reader's. Between them lie at most
//! [`MOST_QUEUED`] bytes: a slow origin slows the client (back-pressure), never fills memory.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::Settings;
use super::chunked::{Decoded, Decoder};
use super::head::Framing;
use crate::error::{Error, ErrorKind};
use crate::exchange::Body;
use crate::listen::rate::Rate;

/// Bytes between socket and reader.
const MOST_QUEUED: usize = 64 * 1024;
/// What a piece costs besides its bytes: a client that sends chunks of one byte fills no more than others.
const PIECE_BYTES: usize = 128;
/// Unwanted content that is read to keep a connection; more than that and closing is cheaper.
const MOST_DISCARDED: u64 = 256 * 1024;

#[derive(Default)]
struct Shared {
    frames: VecDeque<Frame<Bytes>>,
    queued: usize,
    end: Option<Result<(), Error>>,
    is_wanted: bool,
    reader_is_gone: bool,
    reader: Option<Waker>,
    feeder: Option<Waker>,
}

type Queue = Arc<Mutex<Shared>>;

fn lock(queue: &Queue) -> MutexGuard<'_, Shared> {
    // Nothing that runs under this lock can panic half-way.
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the connection does next for the content.
pub(super) enum Step {
    NeedsInput,
    Settled,
}

/// The connection's end.
pub(super) struct Content {
    decoder: Decoder,
    queue: Option<Queue>,
    has_failed: bool,
    owes_continue: bool,
    received: u64,
    most: u64,
    discarded: Option<u64>,
    rate: Rate,
}

/// Opens both ends for a message framed like this.
pub(super) fn open(
    framing: Framing,
    expects_continue: bool,
    settings: &Settings,
) -> (Content, Body) {
    let decoder = Decoder::new(framing);
    if decoder.is_done() {
        return (Content::none(), Body::Empty);
    }
    let queue = Queue::default();
    let length = decoder.remaining();
    let content = Content {
        decoder,
        queue: Some(Arc::clone(&queue)),
        has_failed: false,
        owes_continue: expects_continue,
        received: 0,
        most: settings.max_content_bytes,
        discarded: None,
        rate: Rate::new(settings.min_content_rate, settings.content_grace),
    };
    (content, Body::stream(ContentBody { queue, remaining: length }))
}

impl Content {
    /// Content of a message that has none.
    pub(super) fn none() -> Content {
        Content {
            decoder: Decoder::new(Framing::None),
            queue: None,
            has_failed: false,
            owes_continue: false,
            received: 0,
            most: 0,
            discarded: None,
            rate: Rate::default(),
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.decoder.is_done()
    }

    pub(super) fn is_settled(&self) -> bool {
        self.has_failed || self.is_done()
    }

    /// True if the connection can be used after this message without reading too much for it.
    pub(super) fn can_finish(&self) -> bool {
        let left = self.decoder.remaining().unwrap_or(0);
        self.is_done() || (!self.has_failed && !self.owes_continue && left <= MOST_DISCARDED)
    }

    /// True once, when the reader wants content that the client holds back for our `100`.
    pub(super) fn takes_continue(&mut self) -> bool {
        let wanted =
            self.owes_continue && self.queue.as_ref().is_some_and(|queue| lock(queue).is_wanted);
        self.owes_continue &= !wanted;
        wanted
    }

    /// From here on no `100` goes out: it would land inside the answer. What the client sends without one
    /// is read all the same.
    pub(super) fn answer_begins(&mut self) {
        self.owes_continue = false;
    }

    /// From here on content is read and thrown away.
    pub(super) fn discard(&mut self) {
        self.discarded.get_or_insert(0);
    }

    /// Tells the reader that the content will not be complete.
    pub(super) fn fail(&mut self, kind: ErrorKind, why: &'static str) {
        self.has_failed = true;
        self.finish(Err(Error::new(kind, why)));
    }

    /// Decodes what `input` holds and hands it over.
    pub(super) fn poll_deliver(
        &mut self,
        input: &mut BytesMut,
        context: &mut Context<'_>,
    ) -> Poll<Step> {
        loop {
            if self.is_settled() {
                return Poll::Ready(Step::Settled);
            }
            if !self.has_room(context) {
                self.rate.pause();
                return Poll::Pending;
            }
            match self.decoder.decode(input) {
                Ok(Decoded::More) => return Poll::Ready(Step::NeedsInput),
                Ok(Decoded::Data(data)) => self.deliver(data),
                Ok(Decoded::Done(trailers)) => {
                    if let (Some(trailers), Some(queue)) = (trailers, &self.queue) {
                        lock(queue).frames.push_back(Frame::trailers(trailers));
                    }
                }
                Err(_) => self.fail(ErrorKind::BadMessage, "broken framing inside the content"),
            }
            if self.decoder.is_done() && !self.has_failed {
                self.finish(Ok(()));
            }
        }
    }

    /// Ready when the client sends slower than it must. Called while the socket has nothing.
    pub(super) fn poll_too_slow(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.rate.poll_too_slow(self.received, context)
    }

    fn deliver(&mut self, data: Bytes) {
        self.rate.pause();
        self.received += data.len() as u64;
        if self.received > self.most {
            return self.fail(ErrorKind::ContentTooLarge, "content larger than allowed");
        }
        if let Some(discarded) = &mut self.discarded {
            *discarded += data.len() as u64;
            if *discarded > MOST_DISCARDED {
                self.fail(ErrorKind::ContentTooLarge, "too much content that nobody reads");
            }
            return;
        }
        let Some(queue) = &self.queue else { return };
        let mut shared = lock(queue);
        shared.queued += data.len() + PIECE_BYTES;
        shared.frames.push_back(Frame::data(data));
        wake(shared.reader.take());
    }

    fn has_room(&mut self, context: &mut Context<'_>) -> bool {
        let Some(queue) = &self.queue else { return true };
        let mut shared = lock(queue);
        if shared.reader_is_gone {
            drop(shared);
            self.discard();
        } else if self.discarded.is_none()
            && (shared.queued >= MOST_QUEUED || (self.owes_continue && !shared.is_wanted))
        {
            shared.feeder = Some(context.waker().clone());
            return false;
        }
        true
    }

    fn finish(&mut self, end: Result<(), Error>) {
        let Some(queue) = &self.queue else { return };
        let mut shared = lock(queue);
        if shared.end.is_none() {
            shared.end = Some(end);
        }
        wake(shared.reader.take());
    }
}

impl Drop for Content {
    /// A connection that goes takes the hope of its reader with it.
    fn drop(&mut self) {
        if !self.is_settled() {
            self.fail(ErrorKind::ClientGone, "the connection closed inside the content");
        }
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// The reader's end.
struct ContentBody {
    queue: Queue,
    remaining: Option<u64>,
}

impl HttpBody for ContentBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let mut shared = lock(&self.queue);
        shared.is_wanted = true;
        wake(shared.feeder.take());
        let Some(frame) = shared.frames.pop_front() else {
            return match shared.end.take() {
                Some(Ok(())) => {
                    shared.end = Some(Ok(()));
                    Poll::Ready(None)
                }
                Some(Err(error)) => Poll::Ready(Some(Err(error))),
                None => {
                    shared.reader = Some(context.waker().clone());
                    Poll::Pending
                }
            };
        };
        let length = frame.data_ref().map_or(0, Bytes::len);
        let counted = frame.data_ref().map_or(0, |data| data.len() + PIECE_BYTES);
        shared.queued = shared.queued.saturating_sub(counted);
        drop(shared);
        self.remaining = self.remaining.map(|left| left.saturating_sub(length as u64));
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        let shared = lock(&self.queue);
        shared.frames.is_empty() && matches!(shared.end, Some(Ok(())))
    }

    fn size_hint(&self) -> SizeHint {
        self.remaining.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for ContentBody {
    fn drop(&mut self) {
        let mut shared = lock(&self.queue);
        shared.reader_is_gone = true;
        shared.frames.clear();
        shared.queued = 0;
        wake(shared.feeder.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_of_one_byte_fill_no_more_memory_than_large_ones() {
        let (mut content, _body) = open(Framing::Chunked, false, &Settings::default());
        let sent = 100_000;
        let mut input = BytesMut::from("1\r\nx\r\n".repeat(sent).as_bytes());
        let mut context = Context::from_waker(Waker::noop());
        assert!(
            content.poll_deliver(&mut input, &mut context).is_pending(),
            "it waits for a reader"
        );
        let queue = content.queue.as_ref().expect("there is content");
        let pieces = lock(queue).frames.len();
        assert!(pieces <= 600, "{pieces} pieces lie in the queue");
        assert!(input.len() / 6 >= sent - pieces - 1, "the rest waits in the socket");
    }
}
