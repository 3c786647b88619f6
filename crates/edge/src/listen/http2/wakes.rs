//! Which streams of a connection have something to do: all of them live in the connection's task, and
//! each has a waker of its own, so that a busy one costs the quiet ones nothing.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};

/// Shared by a connection and the wakers of its streams.
#[derive(Debug, Default)]
pub(super) struct Wakes {
    shared: Mutex<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Streams that were woken; bounded by the streams of a connection, for each stands here once.
    woken: Vec<u32>,
    task: Option<Waker>,
    /// The connection is at work, and looks here by itself before it rests.
    is_at_work: bool,
}

impl Wakes {
    /// A waker for one stream.
    pub(super) fn waker(self: &Arc<Wakes>, stream: u32) -> Waker {
        Waker::from(Arc::new(OfStream { stream, wakes: Arc::clone(self) }))
    }

    /// The connection begins to work, as this task.
    pub(super) fn begin(&self, task: &Waker) {
        let mut shared = self.lock();
        shared.is_at_work = true;
        if !shared.task.as_ref().is_some_and(|known| known.will_wake(task)) {
            shared.task = Some(task.clone());
        }
    }

    /// Moves the streams that were woken into `into`, which is empty. If there is none, the connection
    /// rests, and is woken with the next.
    pub(super) fn take(&self, into: &mut Vec<u32>) {
        let mut shared = self.lock();
        std::mem::swap(&mut shared.woken, into);
        shared.is_at_work = !into.is_empty();
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        // Nothing that runs under this lock can panic half-way.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct OfStream {
    stream: u32,
    wakes: Arc<Wakes>,
}

impl Wake for OfStream {
    fn wake(self: Arc<OfStream>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<OfStream>) {
        let mut shared = self.wakes.lock();
        if !shared.woken.contains(&self.stream) {
            shared.woken.push(self.stream);
        }
        let task = if shared.is_at_work { None } else { shared.task.clone() };
        drop(shared);
        if let Some(task) = task {
            task.wake();
        }
    }
}
