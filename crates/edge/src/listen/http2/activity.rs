//! What a connection is busy with: the engine does not say, so we count.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;

use bytes::{Buf, Bytes};
use forebay_signals::drain::Guard;

use crate::listen::Counters;

/// Counts of one connection, shared with its streams.
#[derive(Debug, Default)]
pub(super) struct Activity {
    counters: Arc<Counters>,
    /// Requests that ever came.
    requests: AtomicU64,
    /// Streams, and pieces of content that the engine still holds after its stream's task has ended.
    busy: AtomicUsize,
    /// Of these, how many wait for the client alone.
    owed: AtomicUsize,
    /// Grows while the client takes content.
    progress: AtomicU64,
    /// The connection is being polled: it looks by itself afterwards.
    is_driven: AtomicBool,
    driver: Mutex<Option<Waker>>,
}

impl Activity {
    pub(super) fn new(counters: Arc<Counters>) -> Activity {
        Activity { counters, ..Activity::default() }
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.counters
    }

    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Relaxed)
    }

    pub(super) fn is_idle(&self) -> bool {
        self.busy.load(Relaxed) == 0
    }

    /// True while content is ready that only the client's flow control holds back.
    pub(super) fn is_owed(&self) -> bool {
        self.owed.load(Relaxed) > 0
    }

    pub(super) fn progress(&self) -> u64 {
        self.progress.load(Relaxed)
    }

    /// The connection is about to be polled.
    pub(super) fn begin_poll(&self) {
        self.is_driven.store(true, Relaxed);
    }

    /// The poll is over; from here on `driver` is told when the last stream ends.
    pub(super) fn watch(&self, driver: &Waker) {
        self.is_driven.store(false, Relaxed);
        let mut slot = self.driver.lock().unwrap_or_else(PoisonError::into_inner);
        if !slot.as_ref().is_some_and(|known| known.will_wake(driver)) {
            *slot = Some(driver.clone());
        }
    }

    fn leave(&self) {
        if self.busy.fetch_sub(1, Relaxed) == 1 && !self.is_driven.load(Relaxed) {
            let waker = self.driver.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}

/// One stream, from its head to the end of its answer.
#[derive(Debug)]
pub(super) struct Ticket {
    activity: Arc<Activity>,
    is_owed: bool,
    _guard: Guard,
}

impl Ticket {
    pub(super) fn new(activity: &Arc<Activity>, guard: Guard) -> Ticket {
        activity.requests.fetch_add(1, Relaxed);
        activity.busy.fetch_add(1, Relaxed);
        Ticket { activity: Arc::clone(activity), is_owed: false, _guard: guard }
    }

    pub(super) fn activity(&self) -> &Activity {
        &self.activity
    }

    /// There is more content and nothing but the client's window keeps it here.
    pub(super) fn owe(&mut self) {
        if !std::mem::replace(&mut self.is_owed, true) {
            self.activity.owed.fetch_add(1, Relaxed);
        }
    }

    /// The source is quiet, or at its end: not the client's fault.
    pub(super) fn settle(&mut self) {
        if std::mem::take(&mut self.is_owed) {
            self.activity.owed.fetch_sub(1, Relaxed);
        }
    }

    pub(super) fn piece(&self, bytes: Bytes) -> Piece {
        self.activity.busy.fetch_add(1, Relaxed);
        self.activity.owed.fetch_add(1, Relaxed);
        self.activity.progress.fetch_add(1, Relaxed);
        Piece { bytes, activity: Arc::clone(&self.activity) }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.settle();
        self.activity.leave();
    }
}

/// Content on its way through the engine, which drops it once it is written or given up.
#[derive(Debug)]
pub(super) struct Piece {
    bytes: Bytes,
    activity: Arc<Activity>,
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes
    }

    fn advance(&mut self, count: usize) {
        self.activity.progress.fetch_add(count as u64, Relaxed);
        self.bytes.advance(count);
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.activity.owed.fetch_sub(1, Relaxed);
        self.activity.leave();
    }
}
