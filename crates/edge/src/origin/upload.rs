//! A request's content on its way to a server.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::error::{Error, ErrorKind};
use crate::exchange::Body;

/// Why a request's content broke off.
pub(super) type Breach = Arc<OnceLock<(ErrorKind, &'static str)>>;

/// A request's content; a streamed one says afterwards whether it was the client who broke it off.
pub(super) struct Upload {
    pub(super) body: Body,
    pub(super) breach: Option<Breach>,
}

impl Upload {
    pub(super) fn new(body: Body) -> Upload {
        let breach = matches!(body, Body::Stream(_)).then(Breach::default);
        Upload { body, breach }
    }
}

impl HttpBody for Upload {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let (Some(Err(error)), Some(breach)) = (&frame, &self.breach) {
            breach.get_or_init(|| (error.kind(), error.detail()));
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
