//! A job's run is a span of the trace that its payload carries, where a collector is named.

use std::sync::Arc;

use forebay_edge::trace::{Tracer, Work};
use forebay_jobs::run::{Middleware, Next, Performing, Run};

/// Stands around each run.
pub(super) struct Traced(pub(super) Arc<Tracer>);

impl Middleware for Traced {
    fn around<'r>(&'r self, run: &'r Run, next: Next<'r>) -> Performing<'r> {
        let Some(mut work) = self.begin(run) else { return next.run(run) };
        run.go_on_as(work.traceparent());
        Box::pin(async move {
            work.note("messaging.system", "sidekiq");
            work.note("messaging.operation.type", "process");
            work.note("messaging.destination.name", run.queue());
            work.note("messaging.message.id", run.id());
            work.note("forebay.job.class", run.job().class());
            let result = next.run(run).await;
            work.end(result.as_ref().err().map(|failure| failure.class.as_str()));
            result
        })
    }
}

impl Traced {
    /// Nothing for the many jobs that carry no trace.
    fn begin(&self, run: &Run) -> Option<Work> {
        let traceparent = run.job().traceparent()?;
        Work::begin(&self.0, traceparent, format!("process {}", run.queue()))
    }
}
