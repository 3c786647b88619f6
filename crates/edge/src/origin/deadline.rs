//! A deadline that moves often and is looked at seldom.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use forebay_signals::clock;

type Timer = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Limit of one wait. Moving it later costs a store: the timer is set anew only when it fires early.
pub(super) struct WaitLimit {
    limit: Duration,
    until: Option<Instant>,
    armed: Option<(Instant, Timer)>,
}

impl WaitLimit {
    pub(super) fn new(limit: Duration) -> WaitLimit {
        WaitLimit { limit, until: None, armed: None }
    }

    /// The wait is over; the next one begins with the next [`WaitLimit::poll_passed`].
    pub(super) fn rest(&mut self) {
        self.until = None;
    }

    /// Ready once this wait has lasted too long; otherwise the task is woken when it has.
    pub(super) fn poll_passed(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let until = *self.until.get_or_insert_with(|| clock::now() + self.limit);
        loop {
            // A timer is never later than the wait it stands for: waits only begin later.
            let (at, timer) = self
                .armed
                .get_or_insert_with(|| (until, Box::pin(clock::sleep_until(until)) as Timer));
            ready!(timer.as_mut().poll(context));
            let was_for_this = *at >= until;
            self.armed = None;
            if was_for_this || clock::now() >= until {
                return Poll::Ready(());
            }
        }
    }
}
