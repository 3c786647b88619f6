//! What leader and readers of one fill share. Every method takes the lock once, and wakes after it.

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;

use super::content::Content;
use super::place::{Place, Role};
use super::reader::Missed;
use super::{Keep, Limits, lock};
use crate::error::{Error, ErrorKind};
use crate::trace::SpanContext;

/// One answer on its way.
#[derive(Debug)]
pub(super) struct Fill<H> {
    key: Box<[u8]>,
    limits: Limits,
    /// The span of the question, if that is traced.
    question: OnceLock<SpanContext>,
    state: Mutex<State<H>>,
}

/// When a reader joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Came {
    BeforeHead,
    /// The answer was on its way already, and may have been for long.
    AfterHead,
}

/// The head, and how long the body is if it says so.
pub(super) type Head<H> = (Arc<H>, Option<u64>);

#[derive(Debug)]
struct State<H> {
    head: Option<Head<H>>,
    /// Before the head is there it may still turn out storable.
    keep: Keep,
    content: Content,
    end: Option<End>,
    readers: HashMap<u64, Place>,
    next_reader: u64,
    lead: Option<Waker>,
    /// Told when the answer is stored, or turns out not to be.
    awaiting_store: Vec<Waker>,
}

#[derive(Debug)]
enum End {
    Whole(Option<HeaderMap>),
    /// Kind and detail; the source stays with the leader, who logs it.
    Failed(ErrorKind, &'static str),
}

impl Keep {
    pub(super) fn stores(self) -> bool {
        matches!(self, Keep::Store | Keep::StoreForAsker)
    }

    fn is_for_asker(self) -> bool {
        matches!(self, Keep::StoreForAsker | Keep::Own)
    }
}

/// What [`Fill::push`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pushed {
    /// The body is still held from its beginning.
    Held,
    /// From now on it only passes through.
    TurnedLarge,
    /// It passes through already.
    Passing,
    /// Nobody wants it.
    Abandoned,
}

impl<H> Fill<H> {
    pub(super) fn new(key: &[u8], limits: Limits, held_by_all: Arc<AtomicU64>) -> Fill<H> {
        let state = State {
            head: None,
            keep: Keep::Store,
            content: Content::new(held_by_all),
            end: None,
            readers: HashMap::new(),
            next_reader: 0,
            lead: None,
            awaiting_store: Vec::new(),
        };
        Fill { key: key.into(), limits, question: OnceLock::new(), state: Mutex::new(state) }
    }

    pub(super) fn key(&self) -> &[u8] {
        &self.key
    }

    pub(super) fn limits(&self) -> Limits {
        self.limits
    }

    pub(super) fn question(&self) -> &OnceLock<SpanContext> {
        &self.question
    }

    pub(super) fn register(&self, role: Role) -> u64 {
        lock(&self.state).register(role)
    }

    /// Takes a follower, unless it is too late for one; says when it came.
    pub(super) fn admit(&self) -> Option<(u64, Came)> {
        let mut state = lock(&self.state);
        let is_open = state.keep == Keep::Store && !matches!(state.end, Some(End::Failed(..)));
        let came = if state.head.is_some() { Came::AfterHead } else { Came::BeforeHead };
        is_open.then(|| (state.register(Role::Follower), came))
    }

    pub(super) fn leave(&self, id: u64) {
        let woken = {
            let mut state = lock(&self.state);
            state.readers.remove(&id);
            state.release();
            state.lead.take()
        };
        wake(woken);
    }

    /// Says what the answer is; returns whether further followers may come.
    pub(super) fn set_head(&self, head: Arc<H>, keep: Keep, length: Option<u64>) -> Keep {
        let (keep, woken) = {
            let mut state = lock(&self.state);
            let is_large = length.is_some_and(|length| length > self.limits.max_object_bytes);
            // Readers of one stream wait for the slowest of them: what is too large to hold is better
            // asked for by each.
            state.keep = if keep.stores() && is_large { Keep::Own } else { keep };
            state.head = Some((head, length));
            (state.keep, state.wakers())
        };
        woken.into_iter().for_each(Waker::wake);
        keep
    }

    pub(super) fn push(&self, data: Bytes) -> Pushed {
        let (pushed, woken) = {
            let mut state = lock(&self.state);
            if state.is_abandoned() {
                return Pushed::Abandoned;
            }
            let held_by_all = state.content.push(data);
            let is_large = state.content.end() > self.limits.max_object_bytes
                || held_by_all > self.limits.max_held_bytes;
            let pushed = match state.keep {
                Keep::Store if is_large => {
                    state.keep = Keep::Share;
                    Pushed::TurnedLarge
                }
                Keep::StoreForAsker if is_large => {
                    state.keep = Keep::Own;
                    Pushed::TurnedLarge
                }
                Keep::Store | Keep::StoreForAsker => Pushed::Held,
                Keep::Share | Keep::Own => Pushed::Passing,
            };
            (pushed, state.wakers())
        };
        woken.into_iter().for_each(Waker::wake);
        pushed
    }

    /// Ends the body; gives it back whole if it is to be stored.
    pub(super) fn finish(&self, trailers: Option<HeaderMap>) -> Result<Option<Vec<Bytes>>, Error> {
        let (result, woken) = {
            let mut state = lock(&self.state);
            let expected = state.head.as_ref().and_then(|(_, length)| *length);
            let is_short = expected.is_some_and(|length| length != state.content.end());
            // Places who wait for a head must not wait for ever.
            let is_short = is_short || state.head.is_none();
            let result = if is_short {
                let detail = "the content is not as long as its content-length";
                state.end = Some(End::Failed(ErrorKind::OriginProtocol, detail));
                Err(Error::new(ErrorKind::OriginProtocol, detail))
            } else {
                state.end = Some(End::Whole(trailers));
                Ok(if state.keep.stores() { state.content.whole() } else { None })
            };
            (result, state.wakers())
        };
        woken.into_iter().for_each(Waker::wake);
        result
    }

    pub(super) fn fail(&self, kind: ErrorKind, detail: &'static str) {
        let woken = {
            let mut state = lock(&self.state);
            if state.end.is_some() {
                return;
            }
            state.end = Some(End::Failed(kind, detail));
            state.wakers()
        };
        woken.into_iter().for_each(Waker::wake);
    }

    pub(super) fn poll_head(
        &self,
        id: u64,
        context: &mut Context<'_>,
    ) -> Poll<Result<Head<H>, Missed>> {
        let mut state = lock(&self.state);
        let keep = state.keep;
        let Some(reader) = state.readers.get_mut(&id) else { return Poll::Pending };
        if keep.is_for_asker() && reader.role == Role::Follower {
            return Poll::Ready(Err(Missed::NotShareable));
        }
        reader.wait(context);
        match (&state.head, &state.end) {
            (Some((head, length)), _) => Poll::Ready(Ok((Arc::clone(head), *length))),
            (None, Some(End::Failed(kind, detail))) => {
                Poll::Ready(Err(Missed::Failed(Error::new(*kind, detail))))
            }
            // No answer ends without a head.
            (None, Some(End::Whole(_)) | None) => Poll::Pending,
        }
    }

    pub(super) fn poll_frame(
        &self,
        id: u64,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let (frame, woken) = {
            let mut state = lock(&self.state);
            let frame = state.poll_frame(id, context);
            let is_free = !state.keep.stores() && state.has_room(self.limits.window_bytes);
            (frame, if is_free { state.lead.take() } else { None })
        };
        wake(woken);
        frame
    }

    /// Ready when the slowest reader is near enough for more.
    pub(super) fn poll_room(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = lock(&self.state);
        state.release();
        if state.has_room(self.limits.window_bytes) || state.is_abandoned() {
            return Poll::Ready(());
        }
        state.lead = Some(context.waker().clone());
        Poll::Pending
    }

    /// Ready when nobody reads what nobody will store.
    pub(super) fn poll_abandoned(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = lock(&self.state);
        if state.is_abandoned() {
            return Poll::Ready(());
        }
        state.lead = Some(context.waker().clone());
        Poll::Pending
    }

    /// Ready when nobody reads, whatever may become of the answer; from then on nobody joins.
    pub(super) fn poll_unread(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = lock(&self.state);
        if state.readers.is_empty() {
            state.end = Some(End::Failed(ErrorKind::Internal, "nobody waits for it any more"));
            return Poll::Ready(());
        }
        state.lead = Some(context.waker().clone());
        Poll::Pending
    }

    /// The object is stored and nobody joins any more: what is left goes as it is read.
    pub(super) fn settle(&self, stored: Option<Bytes>) {
        let woken = {
            let mut state = lock(&self.state);
            state.keep = if state.keep == Keep::StoreForAsker { Keep::Own } else { Keep::Share };
            if let Some(stored) = stored {
                state.content.lie_in(stored);
            }
            state.release();
            std::mem::take(&mut state.awaiting_store)
        };
        woken.into_iter().for_each(Waker::wake);
    }

    /// Ready when the body is whole and what becomes of it is done.
    pub(super) fn poll_settled(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = lock(&self.state);
        let is_over = match state.end {
            Some(End::Whole(_)) => !state.keep.stores(),
            Some(End::Failed(..)) => true,
            None => false,
        };
        if is_over {
            return Poll::Ready(());
        }
        state.awaiting_store.push(context.waker().clone());
        Poll::Pending
    }

    /// True if a reader has everything that came and waits for another.
    pub(super) fn is_anybody_starving(&self) -> bool {
        let state = lock(&self.state);
        state.readers.values().any(|reader| reader.position == state.content.end())
    }

    /// Gives up readers that are further behind than the window.
    pub(super) fn cut_laggards(&self) {
        let woken: Vec<_> = {
            let mut state = lock(&self.state);
            let near = state.content.end().saturating_sub(self.limits.window_bytes);
            let near = near.max(state.content.first_end());
            let laggards = state.readers.values_mut().filter(|reader| reader.position < near);
            let woken = laggards
                .filter_map(|reader| {
                    reader.is_cut = true;
                    reader.waker.take()
                })
                .collect();
            state.release();
            woken
        };
        woken.into_iter().for_each(Waker::wake);
    }
}

impl<H> State<H> {
    fn register(&mut self, role: Role) -> u64 {
        self.next_reader += 1;
        self.readers.insert(self.next_reader, Place::new(role));
        self.next_reader
    }

    fn poll_frame(
        &mut self,
        id: u64,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Some(reader) = self.readers.get_mut(&id) else { return Poll::Ready(None) };
        if reader.is_cut {
            let error = Error::new(ErrorKind::ClientTimeout, "too slow for those who read along");
            return Poll::Ready(Some(Err(error)));
        }
        if self.keep.is_for_asker() && reader.role == Role::Follower {
            return Poll::Ready(Some(Err(Error::new(ErrorKind::Internal, "not shared"))));
        }
        if let Some(bytes) = self.content.read(reader.position) {
            let before = reader.position;
            reader.position += bytes.len() as u64;
            if !self.keep.stores() && before <= self.content.start() {
                self.release();
            }
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        match &self.end {
            Some(End::Whole(trailers)) => {
                Poll::Ready(trailers.clone().map(|trailers| Ok(Frame::trailers(trailers))))
            }
            Some(End::Failed(kind, detail)) => Poll::Ready(Some(Err(Error::new(*kind, detail)))),
            None => {
                reader.wait(context);
                Poll::Pending
            }
        }
    }

    /// Lets go of what everybody has read, unless it is to be stored.
    fn release(&mut self) {
        if self.keep.stores() {
            return;
        }
        let wanted = self.readers.values().filter(|reader| self.is_for(reader));
        let slowest = wanted.map(|reader| reader.position).min();
        self.content.release(slowest.unwrap_or(self.content.end()));
    }

    fn has_room(&self, window_bytes: u64) -> bool {
        self.content.end() - self.content.start() <= window_bytes
    }

    fn is_abandoned(&self) -> bool {
        !self.keep.stores() && !self.readers.values().any(|reader| self.is_for(reader))
    }

    fn is_for(&self, reader: &Place) -> bool {
        !reader.is_cut && (!self.keep.is_for_asker() || reader.role == Role::Asker)
    }

    fn wakers(&mut self) -> Vec<Waker> {
        self.readers.values_mut().filter_map(|reader| reader.waker.take()).collect()
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
