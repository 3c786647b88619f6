//! How much content a request may have.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::error::{Error, ErrorKind};
use crate::exchange::{Body, BoxedBody};

/// Refuses content that is too large, and holds to `most` what does not say how large it is.
pub(super) fn hold(body: &mut Body, most: u64) -> Result<(), Error> {
    let hint = body.size_hint();
    if hint.lower() > most {
        return Err(too_large());
    }
    // What announces its length is held to that by `listen`.
    if hint.exact().is_none()
        && let Body::Stream(inner) = std::mem::take(body)
    {
        *body = Body::stream(Bounded { inner, left: Some(most) });
    }
    Ok(())
}

fn too_large() -> Error {
    Error::new(ErrorKind::ContentTooLarge, "content larger than allowed")
}

/// Content that ends with an error once it is too large.
struct Bounded {
    inner: BoxedBody,
    /// Bytes that may still come; `None` once there were more.
    left: Option<u64>,
}

impl HttpBody for Bounded {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Some(left) = self.left else { return Poll::Ready(None) };
        let frame = ready!(self.inner.as_mut().poll_frame(context));
        if let Some(Ok(frame)) = &frame {
            let length = frame.data_ref().map_or(0, |data| data.len() as u64);
            self.left = left.checked_sub(length);
            if self.left.is_none() {
                return Poll::Ready(Some(Err(too_large())));
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
