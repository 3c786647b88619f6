//! Drain: told once, seen by every loop, waited for with a deadline.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use tokio::sync::{Notify, watch};

use crate::clock;

/// One drain for a process or an engine. Clones are the same drain.
#[derive(Debug, Clone)]
pub struct Drain {
    shared: Arc<Shared>,
    begun: watch::Receiver<bool>,
}

#[derive(Debug)]
struct Shared {
    tell: watch::Sender<bool>,
    /// The same for those who look often.
    has_begun: AtomicBool,
    guards: AtomicUsize,
    last_gone: Notify,
}

impl Default for Drain {
    fn default() -> Drain {
        let (tell, begun) = watch::channel(false);
        let shared = Shared {
            tell,
            has_begun: AtomicBool::new(false),
            guards: AtomicUsize::new(0),
            last_gone: Notify::new(),
        };
        Drain { shared: Arc::new(shared), begun }
    }
}

impl Drain {
    /// Begins the drain; later calls change nothing.
    pub fn begin(&self) {
        // First: whoever is woken must see it.
        self.shared.has_begun.store(true, Ordering::Release);
        self.shared.tell.send_replace(true);
    }

    /// True once the drain has begun.
    pub fn has_begun(&self) -> bool {
        self.shared.has_begun.load(Ordering::Acquire)
    }

    /// Waits until the drain begins.
    pub async fn begun(&self) {
        let mut begun = self.begun.clone();
        // The sender lives in `shared`, which we hold: waiting cannot fail.
        drop(begun.wait_for(|begun| *begun).await);
    }

    /// For a task that looks at the drain whenever it is polled.
    pub fn lookout(&self) -> Lookout {
        let drain = self.clone();
        Lookout {
            drain: self.clone(),
            begun: Box::pin(async move { drain.begun().await }),
            told: None,
        }
    }

    /// Holds the drain open while something is under way.
    pub fn guard(&self) -> Guard {
        self.shared.guards.fetch_add(1, Ordering::Relaxed);
        Guard { shared: Arc::clone(&self.shared) }
    }

    /// How many guards are held.
    pub fn held(&self) -> usize {
        self.shared.guards.load(Ordering::Acquire)
    }

    /// Waits until no guard is held or `deadline` has passed; returns how many were left.
    pub async fn finished(&self, deadline: Instant) -> usize {
        loop {
            let gone = self.shared.last_gone.notified();
            let left = self.held();
            if left == 0 {
                return 0;
            }
            let wait = deadline.saturating_duration_since(clock::now());
            if clock::timeout(wait, gone).await.is_err() {
                return self.held();
            }
        }
    }
}

/// Looks whether a drain has begun, for next to nothing as long as one and the same task asks.
pub struct Lookout {
    drain: Drain,
    begun: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// Whom the drain will wake.
    told: Option<Waker>,
}

impl Lookout {
    /// Ready, time and again, once the drain has begun; otherwise the task is woken when it does.
    pub fn poll_begun(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.drain.has_begun() {
            return Poll::Ready(());
        }
        if !self.told.as_ref().is_some_and(|told| told.will_wake(context.waker())) {
            self.told = Some(context.waker().clone());
            return self.begun.as_mut().poll(context);
        }
        Poll::Pending
    }
}

/// Something that a drain waits for.
#[derive(Debug)]
pub struct Guard {
    shared: Arc<Shared>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.shared.guards.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.shared.last_gone.notify_waiters();
            self.shared.last_gone.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn block_on(future: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.expect("a runtime starts").block_on(future);
    }

    #[test]
    fn drain_ends_with_the_last_guard() {
        block_on(async {
            let drain = Drain::default();
            let guard = drain.guard();
            drain.begin();
            drain.begun().await;
            let waiting = tokio::spawn({
                let drain = drain.clone();
                async move { drain.finished(clock::now() + Duration::from_secs(5)).await }
            });
            tokio::task::yield_now().await;
            drop(guard);
            assert_eq!(waiting.await.expect("no panic"), 0);
        });
    }

    #[test]
    fn drain_tells_how_many_it_left_behind() {
        block_on(async {
            let drain = Drain::default();
            let _guard = drain.guard();
            assert_eq!(drain.finished(clock::now() + Duration::from_millis(5)).await, 1);
        });
    }
}
