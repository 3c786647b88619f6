//! The end of a fill that asks the origin.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use forebay_signals::clock;
use http::HeaderMap;

use super::state::{Fill, Pushed};
use super::{Fills, Keep};
use crate::error::{Error, ErrorKind};
use crate::trace::SpanContext;

/// Nobody reads this answer any more and it will not be stored: stop asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("nobody waits for the answer")]
pub struct Abandoned;

/// Held by the task that asks the origin. If it is dropped before [`FillLead::finish`] or
/// [`FillLead::fail`], by a panic or with its runtime, the readers are told that it failed.
#[derive(Debug)]
pub struct FillLead<H> {
    fills: Arc<Fills<H>>,
    fill: Arc<Fill<H>>,
    /// How long slow readers have held up others until now.
    held_up: Duration,
}

impl<H> FillLead<H> {
    pub(super) fn new(fills: Arc<Fills<H>>, fill: Arc<Fill<H>>) -> FillLead<H> {
        FillLead { fills, fill, held_up: Duration::ZERO }
    }

    /// Key of the fill.
    pub fn key(&self) -> &[u8] {
        self.fill.key()
    }

    /// Notes which span the question has; once, and before the head.
    pub fn asks_in(&self, span: SpanContext) {
        self.fill.question().get_or_init(|| span);
    }

    /// Gives the readers the head. With [`Keep::Own`] and [`Keep::StoreForAsker`] everybody but the one who asked is sent on alone
    /// at once; the caller marks the key so that the next do not wait in vain. Returns what will be
    /// done: an answer whose `length` says that it is too large is not stored.
    pub fn head(&mut self, head: Arc<H>, keep: Keep, length: Option<u64>) -> Keep {
        let keep = self.fill.set_head(head, keep, length);
        if keep != Keep::Store {
            self.fills.close(&self.fill);
        }
        keep
    }

    /// Gives the readers more of the body. What is to be stored is taken without waiting; what only
    /// passes through waits for the slowest reader, for as long as nobody else suffers from it.
    pub async fn push(&mut self, data: Bytes) -> Result<(), Abandoned> {
        match self.fill.push(data) {
            Pushed::Held => return Ok(()),
            Pushed::Abandoned => return Err(Abandoned),
            Pushed::TurnedLarge => self.fills.close(&self.fill),
            Pushed::Passing => {}
        }
        self.wait_for_room().await;
        Ok(())
    }

    /// Ready when nobody reads what nobody will store; a fill that may be stored goes on without
    /// readers. Beside the wait for the origin, so that an endless answer does not outlive its client.
    pub async fn abandoned(&self) {
        poll_fn(|context| self.fill.poll_abandoned(context)).await;
    }

    /// Ready when nobody reads, whatever may become of the answer; from then on nobody joins. For answers of
    /// which it is known before they come that they are not stored.
    pub async fn unread(&self) {
        poll_fn(|context| self.fill.poll_unread(context)).await;
    }

    /// The body is whole. `store` gets its pieces if it is to be stored, and has stored it when it
    /// returns the body as it lies in the store, from where slow readers then read: until then further requests find this fill, afterwards the object.
    pub fn finish(
        self,
        trailers: Option<HeaderMap>,
        store: impl FnOnce(&[Bytes]) -> Option<Bytes>,
    ) -> Result<(), Error> {
        if let Some(pieces) = self.fill.finish(trailers)? {
            let stored = store(&pieces);
            drop(pieces);
            self.fills.close(&self.fill);
            self.fill.settle(stored);
        }
        Ok(())
    }

    /// It went wrong; everybody who reads is told so. The error itself stays with the caller to log.
    pub fn fail(self, error: &Error) {
        self.fill.fail(error.kind(), error.detail());
    }

    async fn wait_for_room(&mut self) {
        let limit = self.fill.limits().lag;
        loop {
            let began = clock::now();
            let left = limit.saturating_sub(self.held_up);
            let room = poll_fn(|context| self.fill.poll_room(context));
            let is_over = clock::timeout(left, room).await.is_ok();
            // A single slow reader holds up nobody: how long it may take is for `listen` to say.
            if self.fill.is_anybody_starving() {
                self.held_up += clock::now().saturating_duration_since(began);
            } else if !is_over {
                self.held_up = Duration::ZERO;
            }
            if is_over {
                return;
            }
            if self.held_up >= limit {
                self.fill.cut_laggards();
                self.held_up = Duration::ZERO;
            }
        }
    }
}

impl<H> Drop for FillLead<H> {
    fn drop(&mut self) {
        // Changes nothing if it ended in order.
        self.fill.fail(ErrorKind::Internal, "the fill was dropped before its end");
        self.fills.close(&self.fill);
    }
}
