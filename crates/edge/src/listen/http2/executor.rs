//! Where the engine's streams run, and its clock.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use forebay_signals::clock;
use hyper::rt::{Executor, Sleep, Timer};

/// Polls a stream once where it is made: most answers are ready at once, and all answers of one
/// poll of the connection then leave in one write. What is not ready becomes a task; it ends with
/// its stream, and streams end with their connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct InlineFirst;

impl<F> Executor<F> for InlineFirst
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        let mut future = Box::pin(future);
        // The task polls once more with a waker of its own, so that none is lost here.
        if future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
            drop(tokio::spawn(future));
        }
    }
}

/// The one clock, as hyper asks for it.
#[derive(Debug, Clone, Copy)]
pub(super) struct SignalsTimer;

impl Timer for SignalsTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(clock::now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(Sleeping(Box::pin(clock::sleep_until(deadline))))
    }

    fn now(&self) -> Instant {
        clock::now()
    }
}

struct Sleeping(Pin<Box<dyn Future<Output = ()> + Send + Sync>>);

impl Future for Sleeping {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(context)
    }
}

impl Sleep for Sleeping {}
