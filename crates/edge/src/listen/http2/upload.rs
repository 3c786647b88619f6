//! A request's content on its way from the connection to whoever reads it.
//!
//! [`Feed`] is the connection's end, [`Upload`] the reader's. Between them lies no more than the
//! stream's window, in one piece however small the client's frames are: it grows again only as the
//! reader takes from it, so a slow origin slows the client.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::error::{Error, ErrorKind};
use crate::exchange::Body;
use crate::listen::http1;
use crate::listen::rate::Rate;

/// Content handed to the reader at once.
const PIECE_BYTES: usize = 64 * 1024;

struct Shared {
    content: BytesMut,
    trailers: Option<HeaderMap>,
    end: Option<Result<(), Error>>,
    /// Bytes that were taken and not yet granted anew.
    taken: usize,
    is_wanted: bool,
    is_left: bool,
    reader: Option<Waker>,
    feeder: Waker,
}

type Queue = Arc<Mutex<Shared>>;

fn lock(queue: &Queue) -> MutexGuard<'_, Shared> {
    // Nothing that runs under this lock can panic half-way.
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The connection's end.
pub(super) struct Feed {
    queue: Queue,
    /// Content that the head announced, less what has come.
    missing: Option<u64>,
    owes_continue: bool,
}

/// What the reader's side has done since the last look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Progress {
    /// Bytes that the reader has taken.
    pub(super) taken: usize,
    /// The client waits for a `100` and the reader wants the content.
    pub(super) wants_continue: bool,
}

/// There is more or less content than the head announced (RFC 9113 §8.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WrongLength;

/// Opens both ends. `feeder` is woken when the reader has taken something.
pub(super) fn open(
    length: Option<u64>,
    owes_continue: bool,
    feeder: Waker,
    settings: &http1::Settings,
) -> (Feed, Body) {
    let queue = Arc::new(Mutex::new(Shared {
        content: BytesMut::new(),
        trailers: None,
        end: None,
        taken: 0,
        is_wanted: false,
        is_left: false,
        reader: None,
        feeder,
    }));
    let feed = Feed { queue: Arc::clone(&queue), missing: length, owes_continue };
    let body = Body::stream(Upload {
        queue,
        remaining: length,
        received: 0,
        most: settings.max_content_bytes,
        rate: Rate::new(settings.min_content_rate, settings.content_grace),
        has_failed: false,
    });
    (feed, body)
}

impl Feed {
    /// Takes content; says how much of it nobody will read.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<usize, WrongLength> {
        if let Some(missing) = &mut self.missing {
            *missing = missing.checked_sub(bytes.len() as u64).ok_or(WrongLength)?;
        }
        // What has begun to come needs no `100`.
        self.owes_continue &= bytes.is_empty();
        let mut shared = lock(&self.queue);
        if shared.is_left {
            return Ok(bytes.len());
        }
        if !bytes.is_empty() {
            shared.content.extend_from_slice(bytes);
            wake(&mut shared.reader);
        }
        Ok(0)
    }

    /// The content is complete.
    pub(super) fn finish(&mut self, trailers: Option<HeaderMap>) -> Result<(), WrongLength> {
        if self.missing.is_some_and(|missing| missing > 0) {
            return Err(WrongLength);
        }
        let mut shared = lock(&self.queue);
        shared.trailers = trailers;
        shared.end.get_or_insert(Ok(()));
        wake(&mut shared.reader);
        Ok(())
    }

    pub(super) fn progress(&mut self) -> Progress {
        let mut shared = lock(&self.queue);
        let wants_continue = self.owes_continue && shared.is_wanted;
        self.owes_continue &= !wants_continue;
        Progress { taken: std::mem::take(&mut shared.taken), wants_continue }
    }

    /// Bytes that lie here, or were taken and are not granted: they count against the connection.
    pub(super) fn held(&self) -> usize {
        let shared = lock(&self.queue);
        shared.content.len() + shared.taken
    }
}

impl Drop for Feed {
    /// The stream is gone; a reader that still waits is told.
    fn drop(&mut self) {
        let mut shared = lock(&self.queue);
        if shared.end.is_none() {
            // Nobody counts it any more, and a part of it is of no use.
            shared.content = BytesMut::new();
            let why = "stream broke inside the content";
            shared.end = Some(Err(Error::new(ErrorKind::ClientGone, why)));
        }
        wake(&mut shared.reader);
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

/// The reader's end: no slower and no larger than allowed.
struct Upload {
    queue: Queue,
    remaining: Option<u64>,
    received: u64,
    most: u64,
    rate: Rate,
    has_failed: bool,
}

impl Upload {
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
        let this = &mut *self;
        let mut shared = lock(&this.queue);
        if !std::mem::replace(&mut shared.is_wanted, true) {
            shared.feeder.wake_by_ref();
        }
        if !shared.content.is_empty() {
            let length = shared.content.len().min(PIECE_BYTES);
            let piece = shared.content.split_to(length).freeze();
            shared.taken += length;
            shared.feeder.wake_by_ref();
            drop(shared);
            this.rate.pause();
            this.received += length as u64;
            this.remaining = this.remaining.map(|left| left.saturating_sub(length as u64));
            if this.received > this.most {
                let error = Error::new(ErrorKind::ContentTooLarge, "content larger than allowed");
                return this.fail(error);
            }
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        if let Some(trailers) = shared.trailers.take() {
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        match shared.end.take() {
            Some(Ok(())) => {
                shared.end = Some(Ok(()));
                return Poll::Ready(None);
            }
            Some(Err(error)) => {
                drop(shared);
                return this.fail(error);
            }
            None => shared.reader = Some(context.waker().clone()),
        }
        drop(shared);
        if this.rate.poll_too_slow(this.received, context).is_pending() {
            return Poll::Pending;
        }
        this.fail(Error::new(ErrorKind::ClientTimeout, "content arrives too slowly"))
    }

    fn is_end_stream(&self) -> bool {
        let shared = lock(&self.queue);
        let is_complete = matches!(shared.end, Some(Ok(())));
        self.has_failed || (is_complete && shared.content.is_empty() && shared.trailers.is_none())
    }

    fn size_hint(&self) -> SizeHint {
        self.remaining.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let mut shared = lock(&self.queue);
        shared.is_left = true;
        shared.taken += shared.content.len();
        shared.content = BytesMut::new();
        shared.feeder.wake_by_ref();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::admit::Admit;
    use crate::config::listen::Listen;
    use crate::listen::settings::Settings;

    #[test]
    fn what_a_broken_stream_has_left_is_given_up() {
        let settings = Settings::new(&Listen::default(), &Admit::default()).http1;
        let (mut feed, body) = open(None, false, Waker::noop().clone(), &settings);
        assert_eq!(feed.take(b"part"), Ok(0));
        let held = Arc::clone(&feed.queue);
        drop(feed);
        assert_eq!(lock(&held).content.capacity(), 0);
        let Body::Stream(mut body) = body else { panic!("a stream") };
        let polled = body.as_mut().poll_frame(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(polled, Poll::Ready(Some(Err(_)))), "{polled:?}");
    }
}
