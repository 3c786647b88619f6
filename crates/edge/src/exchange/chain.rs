//! Content made of other contents, one after the other.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::Body;
use crate::error::Error;

/// Contents in order; their length is known.
#[derive(Debug)]
pub struct Chain {
    parts: VecDeque<Body>,
    left: u64,
}

impl Chain {
    /// `parts`, which have `length` bytes together.
    pub fn new(parts: VecDeque<Body>, length: u64) -> Chain {
        Chain { parts, left: length }
    }
}

impl HttpBody for Chain {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        loop {
            let Some(first) = self.parts.front_mut() else { return Poll::Ready(None) };
            let Some(frame) = ready!(Pin::new(first).poll_frame(context)) else {
                self.parts.pop_front();
                continue;
            };
            if let Ok(frame) = &frame {
                let length = frame.data_ref().map_or(0, |data| data.len() as u64);
                self.left = self.left.saturating_sub(length);
            }
            return Poll::Ready(Some(frame));
        }
    }

    fn is_end_stream(&self) -> bool {
        self.parts.iter().all(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
