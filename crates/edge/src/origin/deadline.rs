//! A deadline that moves often and is looked at seldom.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use forebay_signals::clock;

type Timer = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Limit of one wait after the other. Moving it later costs a store: the timer is set anew only when
/// it fires early.
#[derive(Default)]
pub(super) struct WaitLimit {
    until: Option<Instant>,
    armed: Option<(Instant, Timer)>,
}

impl WaitLimit {
    /// A wait begins that ends at `until`.
    pub(super) fn begin(&mut self, until: Instant) {
        self.until = Some(until);
    }

    /// The wait is over; the next one begins with the next [`WaitLimit::poll_passed`].
    pub(super) fn rest(&mut self) {
        self.until = None;
    }

    /// Ready once this wait has lasted too long; otherwise the task is woken when it has. A wait that
    /// begins now may last for `limit`.
    pub(super) fn poll_passed(&mut self, limit: Duration, context: &mut Context<'_>) -> Poll<()> {
        let until = *self.until.get_or_insert_with(|| clock::now() + limit);
        loop {
            // One that was set for a longer wait would fire too late.
            if self.armed.as_ref().is_some_and(|(at, _)| *at > until) {
                self.armed = None;
            }
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
