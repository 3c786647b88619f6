//! A deadline that moves often and is looked at seldom.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use forebay_signals::clock;

type Timer = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Moving it later costs a store: the timer underneath is set anew only when it fires too early.
pub(crate) struct Deadline {
    at: Instant,
    armed: Option<(Instant, Timer)>,
}

impl Deadline {
    pub(crate) fn new(at: Instant) -> Deadline {
        Deadline { at, armed: None }
    }

    pub(crate) fn set(&mut self, at: Instant) {
        self.at = at;
    }

    pub(crate) fn at(&self) -> Instant {
        self.at
    }

    /// Ready once the deadline has passed; otherwise the task is woken when it has.
    pub(crate) fn poll_passed(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            // A timer that would fire after the deadline is of no use; one before it is.
            let (armed_for, timer) = match &mut self.armed {
                Some((armed_for, timer)) if *armed_for <= self.at => (*armed_for, timer),
                armed => {
                    let timer: Timer = Box::pin(clock::sleep_until(self.at));
                    let armed = armed.insert((self.at, timer));
                    (armed.0, &mut armed.1)
                }
            };
            ready!(timer.as_mut().poll(context));
            self.armed = None;
            if armed_for >= self.at || clock::now() >= self.at {
                return Poll::Ready(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_deadline_moved_later_passes_later_and_one_moved_earlier_earlier() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.expect("a runtime starts").block_on(async {
            let start = clock::now();
            let mut deadline = Deadline::new(start + Duration::from_millis(5));
            let polled = poll_fn(|context| Poll::Ready(deadline.poll_passed(context))).await;
            assert!(polled.is_pending());
            deadline.set(start + Duration::from_millis(30));
            poll_fn(|context| deadline.poll_passed(context)).await;
            assert!(clock::now() >= start + Duration::from_millis(30));
            deadline.set(start + Duration::from_secs(3600));
            let polled = poll_fn(|context| Poll::Ready(deadline.poll_passed(context))).await;
            assert!(polled.is_pending());
            deadline.set(clock::now());
            poll_fn(|context| deadline.poll_passed(context)).await;
        });
    }
}
