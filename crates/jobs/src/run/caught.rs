//! A panic of a handler is its own failure and nobody else's.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use super::handler::Performing;
use crate::retry::Failure;

/// The work of a job whose panics are failures.
pub(super) struct Caught<'r>(pub(super) Performing<'r>);

impl Future for Caught<'_> {
    type Output = Result<(), Failure>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // The future is not polled again after a panic; what it shares with others is theirs to guard, as
        // with a thread that panics.
        let work = AssertUnwindSafe(|| self.0.as_mut().poll(context));
        catch_unwind(work).unwrap_or_else(|panic| Poll::Ready(Err(failure(&*panic))))
    }
}

/// What a panic says.
pub(super) fn failure(panic: &(dyn Any + Send)) -> Failure {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    Failure::new("Panic", text.unwrap_or("the handler panicked without a word"))
}
