//! A request's content on its way to a server.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::error::{Error, ErrorKind};
use crate::exchange::Body;

/// What the client does with a request's content.
#[derive(Debug, Default)]
pub(super) struct Sender {
    broke: OnceLock<(ErrorKind, &'static str)>,
    is_awaited: AtomicBool,
}

impl Sender {
    /// Why the content broke off.
    pub(super) fn broke(&self) -> Option<(ErrorKind, &'static str)> {
        self.broke.get().copied()
    }

    /// True while the server waits for the client: that time is not the server's, and `listen` bounds it.
    pub(super) fn is_awaited(&self) -> bool {
        self.is_awaited.load(Ordering::Relaxed)
    }
}

/// A request's content; a streamed one says afterwards whether it was the client who broke it off.
pub(super) struct Upload {
    pub(super) body: Body,
    pub(super) sender: Option<Arc<Sender>>,
}

impl Upload {
    pub(super) fn new(body: Body) -> Upload {
        let sender = matches!(body, Body::Stream(_)).then(Arc::default);
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
            sender.is_awaited.store(polled.is_pending(), Ordering::Relaxed);
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
