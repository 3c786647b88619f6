//! A request's content on its way to a server.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use forebay_signals::clock;
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::error::{Error, ErrorKind};
use crate::exchange::Body;

/// In place of a time: the client is waited for.
const AWAITED: u64 = u64::MAX;

/// What the client does with a request's content.
#[derive(Debug)]
pub(super) struct Sender {
    broke: OnceLock<(ErrorKind, &'static str)>,
    made: Instant,
    /// When the client was waited for last, in microseconds since `made`; or [`AWAITED`].
    awaited_us: AtomicU64,
}

impl Sender {
    fn new() -> Sender {
        Sender { broke: OnceLock::new(), made: clock::now(), awaited_us: AtomicU64::new(0) }
    }

    /// Why the content broke off.
    pub(super) fn broke(&self) -> Option<(ErrorKind, &'static str)> {
        self.broke.get().copied()
    }

    /// Since when the server has all that came; none while it waits for the client. That time is not the
    /// server's, and `listen` bounds it.
    pub(super) fn awaited_until(&self) -> Option<Instant> {
        match self.awaited_us.load(Ordering::Relaxed) {
            AWAITED => None,
            us => Some(self.made + Duration::from_micros(us)),
        }
    }

    fn saw(&self, is_awaited: bool) {
        if is_awaited {
            self.awaited_us.store(AWAITED, Ordering::Relaxed);
        } else if self.awaited_us.load(Ordering::Relaxed) == AWAITED {
            let us = clock::now().saturating_duration_since(self.made).as_micros();
            let us = u64::try_from(us).unwrap_or(AWAITED - 1);
            self.awaited_us.store(us, Ordering::Relaxed);
        }
    }
}

/// A request's content; a streamed one says afterwards whether it was the client who broke it off.
pub(super) struct Upload {
    pub(super) body: Body,
    pub(super) sender: Option<Arc<Sender>>,
}

impl Upload {
    pub(super) fn new(body: Body) -> Upload {
        let sender = matches!(body, Body::Stream(_)).then(|| Arc::new(Sender::new()));
        Upload { body, sender }
    }
}

impl HttpBody for Upload {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Some(sender) = &self.sender {
            sender.saw(polled.is_pending());
        }
        let frame = ready!(polled);
        if let (Some(Err(error)), Some(sender)) = (&frame, &self.sender) {
            sender.broke.get_or_init(|| (error.kind(), error.detail()));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
