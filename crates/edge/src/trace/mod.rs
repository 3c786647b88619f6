//! Traces: which requests become spans, and what stands in those.
//!
//! In: a request when its id is known ([`Tracer::meet`]) and when it is over ([`Tracer::server`]), and each question
//! to an origin ([`Asking`]). Out: spans as OTLP has them, in a queue of bounded length that `telemetry` empties.
//! Never: a wait, or a span for a request that is not sampled.

mod span;
pub(crate) mod wire;
mod work;

use std::sync::{Mutex, PoisonError};

use forebay_signals::counter::Counter;
use tokio::sync::mpsc::{Permit, Receiver, Sender, channel};

use crate::config::otlp::{Sampler, Traces};
use crate::exchange::Exchange;
use crate::identity::{self, Parent};

pub(crate) use span::nanos;
pub use span::{Asking, Over, SpanContext};
pub use work::Work;

/// Makes spans.
#[derive(Debug)]
pub struct Tracer {
    sampler: Sampler,
    /// Ids below it are sampled, of those that no parent decides on.
    bound: u64,
    queue: Sender<Vec<u8>>,
    /// The other end, until somebody sends what comes.
    spans: Mutex<Option<Receiver<Vec<u8>>>>,
    /// Spans that found no place, or nobody who took them.
    pub(crate) dropped: Counter,
}

impl Tracer {
    /// A tracer with these settings.
    pub fn new(settings: &Traces) -> Tracer {
        let (queue, spans) = channel(settings.most_waiting.max(1));
        Tracer {
            sampler: settings.sampler,
            bound: bound(settings.sampler.ratio),
            queue,
            spans: Mutex::new(Some(spans)),
            dropped: Counter::default(),
        }
    }

    /// Decides whether a request becomes spans, and notes it on its stamps.
    pub fn meet(&self, exchange: &mut Exchange) {
        let parent = Parent::of(&exchange.head.fields);
        let is_sampled = match &parent {
            Some(parent) if self.sampler.heeds_parent => parent.is_sampled,
            Some(parent) => self.draws(&parent.trace),
            None => self.draws(&identity::number(&exchange.id)),
        };
        if is_sampled {
            exchange.stamps.is_traced = true;
        }
    }

    /// Where finished spans come out; once.
    pub(crate) fn spans(&self) -> Option<Receiver<Vec<u8>>> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// As `TraceIdRatioBased` has it: the same trace is sampled by all who have the same share.
    fn draws(&self, trace: &[u8; 16]) -> bool {
        let lower = trace.last_chunk().copied().unwrap_or_default();
        (u64::from_be_bytes(lower) >> 1) < self.bound
    }

    /// A place for a span, taken before that is written: a queue that is full must not cost the writing.
    fn place(&self) -> Option<Permit<'_, Vec<u8>>> {
        let place = self.queue.try_reserve().ok();
        if place.is_none() {
            self.dropped.increment();
        }
        place
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a share of 63 bits need not be exact to the last, and is held within them"
)]
fn bound(ratio: f64) -> u64 {
    (ratio.clamp(0.0, 1.0) * (1_u64 << 63) as f64) as u64
}

#[cfg(test)]
mod tests;
