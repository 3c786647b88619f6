//! Spans of work that is no request: a job's run, which belongs to the trace of whoever pushed it.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use forebay_signals::clock;

use super::Tracer;
use super::span::{
    END, FLAGS, KIND, KNOWN, NAME, PARENT_ID, REMOTE, SPAN_ID, START, TRACE_ID, nanos, text,
    write_failure,
};
use super::wire::Message;
use crate::identity::{self, Parent};

/// What works on a message that waited somewhere.
const CONSUMER: u64 = 5;

/// Work under way. Whoever drops it before its end is told of as one who left.
pub struct Work {
    tracer: Arc<Tracer>,
    parent: Parent,
    traceparent: [u8; 55],
    name: String,
    texts: Vec<(&'static str, String)>,
    began: (Instant, SystemTime),
    error: Option<String>,
}

impl Work {
    /// Work that goes on with this `traceparent`. Nothing if that is none, or nobody makes spans of its trace.
    pub fn begin(tracer: &Arc<Tracer>, traceparent: &str, name: String) -> Option<Work> {
        let parent = Parent::read(traceparent.as_bytes()).filter(|parent| parent.is_sampled)?;
        Some(Work {
            tracer: Arc::clone(tracer),
            parent,
            traceparent: identity::child(traceparent.as_bytes().try_into().ok()?),
            name,
            texts: Vec::new(),
            began: (clock::now(), clock::wall()),
            error: Some("left".to_owned()),
        })
    }

    /// Something that is known of it, by a name of the semantic conventions.
    pub fn note(&mut self, name: &'static str, value: &str) {
        self.texts.push((name, value.to_owned()));
    }

    /// Where it stands, for those whom it asks.
    pub fn traceparent(&self) -> &str {
        std::str::from_utf8(&self.traceparent).unwrap_or_default()
    }

    /// It is over; or it has failed, with this kind of error.
    pub fn end(mut self, error: Option<&str>) {
        self.error = error.map(str::to_owned);
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        let Some(place) = self.tracer.place() else { return };
        let own = Parent::read(&self.traceparent).map(|own| own.span).unwrap_or_default();
        let mut span = Message::default();
        span.bytes(TRACE_ID, &self.parent.trace);
        span.bytes(SPAN_ID, &own);
        span.bytes(PARENT_ID, &self.parent.span);
        span.bytes(NAME, self.name.as_bytes());
        span.number(KIND, CONSUMER);
        let (began, wall) = self.began;
        span.fixed64(START, nanos(wall));
        span.fixed64(END, nanos(wall + clock::now().saturating_duration_since(began)));
        for (name, value) in &self.texts {
            text(&mut span, name, value);
        }
        if let Some(error) = &self.error {
            write_failure(&mut span, error);
        }
        span.fixed32(FLAGS, KNOWN | REMOTE);
        place.send(span.finish());
    }
}

impl std::fmt::Debug for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Work({})", self.name)
    }
}
