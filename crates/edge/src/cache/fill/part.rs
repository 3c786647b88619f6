//! A part of an answer that is still arriving.

use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};

use crate::error::Error;

/// Gives the bytes of `range` of a body and ends; trailers speak of the whole and are left out.
#[derive(Debug)]
pub struct Part<B> {
    /// `None` once all of the part has come: whoever reads no more holds up nobody.
    inner: Option<B>,
    skip: u64,
    left: u64,
}

impl<B> Part<B> {
    /// A part of `inner`.
    pub fn new(inner: B, range: Range<u64>) -> Part<B> {
        Part { inner: Some(inner), skip: range.start, left: range.end.saturating_sub(range.start) }
    }

    fn take(&mut self, mut data: Bytes) -> Bytes {
        let skipped = self.skip.min(data.len() as u64);
        self.skip -= skipped;
        data.advance(usize::try_from(skipped).unwrap_or(data.len()));
        data.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.left -= data.len() as u64;
        data
    }
}

impl<B: Body<Data = Bytes, Error = Error> + Unpin> Body for Part<B> {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        loop {
            let Some(inner) = &mut self.inner else { return Poll::Ready(None) };
            let frame = match ready!(Pin::new(inner).poll_frame(context)) {
                Some(Ok(frame)) => frame,
                other => return Poll::Ready(other),
            };
            let Ok(data) = frame.into_data() else { continue };
            let data = self.take(data);
            if self.left == 0 {
                self.inner = None;
            }
            if !data.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, Full};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_part_is_that_slice_of_the_whole(length in 1..200_u64, a in 0..200_u64, b in 0..200_u64) {
            let whole: Vec<u8> = (0..length).map(|n| n.to_le_bytes()[0]).collect();
            let (start, end) = (a.min(b).min(length), a.max(b).min(length));
            let body = Full::new(Bytes::from(whole.clone())).map_err(|never| match never {});
            let part = Part::new(body, start..end);
            prop_assert_eq!(part.size_hint().exact(), Some(end - start));
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let read = runtime.block_on(part.collect()).unwrap().to_bytes();
            let (start, end) = (usize::try_from(start).unwrap(), usize::try_from(end).unwrap());
            prop_assert_eq!(&read[..], &whole[start..end]);
        }
    }
}
