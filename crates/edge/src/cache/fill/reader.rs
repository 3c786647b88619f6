//! The end of a fill that a client reads.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::state::{Came, Fill};
use crate::error::Error;
use crate::trace::SpanContext;

/// Why a reader gets no answer.
#[derive(Debug, thiserror::Error)]
pub enum Missed {
    /// The answer belongs to somebody else: ask for one's own, now, without joining again.
    #[error("the answer is not for everybody")]
    NotShareable,
    /// The origin could not be asked, or failed.
    #[error(transparent)]
    Failed(Error),
}

/// Reads an answer while it arrives. As a body it gives the content; dropping it is leaving.
#[derive(Debug)]
pub struct FillReader<H> {
    fill: Arc<Fill<H>>,
    id: u64,
    came: Came,
    left: Option<u64>,
    is_over: bool,
}

/// The end of a fill: the answer is stored by then, if it ever is.
#[derive(Debug)]
pub struct Settlement<H>(Arc<Fill<H>>);

impl<H> Settlement<H> {
    /// Waits for it. The leader ends it in any case; a caller with a shorter patience sets its own.
    pub async fn reached(&self) {
        poll_fn(|context| self.0.poll_settled(context)).await;
    }
}

impl<H> FillReader<H> {
    pub(super) fn new(fill: Arc<Fill<H>>, id: u64, came: Came) -> FillReader<H> {
        FillReader { fill, id, came, left: None, is_over: false }
    }

    /// True if the answer was on its way already when this reader joined: its time has run since.
    pub fn is_late(&self) -> bool {
        self.came == Came::AfterHead
    }

    /// The span of the question that is read along with, if it is traced; known when the head is there.
    pub fn question(&self) -> Option<SpanContext> {
        self.fill.question().get().copied()
    }

    /// To wait until it is known what became of the whole, without being one of its readers.
    pub fn settlement(&self) -> Settlement<H> {
        Settlement(Arc::clone(&self.fill))
    }

    pub(super) fn fill(&self) -> &Arc<Fill<H>> {
        &self.fill
    }

    /// Waits for the head. Bounded by the deadlines of the leader, who ends it in any case; a caller
    /// with a shorter patience sets its own.
    pub async fn head(&mut self) -> Result<Arc<H>, Missed> {
        let (head, length) = poll_fn(|context| self.fill.poll_head(self.id, context)).await?;
        self.left = length;
        Ok(head)
    }
}

impl<H> Body for FillReader<H> {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let frame = ready!(self.fill.poll_frame(self.id, context));
        let data = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref());
        if let Some(data) = data {
            self.left = self.left.map(|left| left.saturating_sub(data.len() as u64));
        } else {
            // Trailers, an error or the end: nothing comes after it.
            self.is_over = true;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.is_over
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map(SizeHint::with_exact).unwrap_or_default()
    }
}

impl<H> Drop for FillReader<H> {
    fn drop(&mut self) {
        self.fill.leave(self.id);
    }
}
