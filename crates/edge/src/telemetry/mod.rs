//! What the edge tells of itself to others: metrics as `DogStatsD`, metrics and traces as OTLP.
//!
//! In: the families of [`view::families`](crate::view), and a span of each request that is sampled. Out: datagrams
//! and HTTP requests to whoever collects them. No request ever waits for a collector: spans stand in a queue of
//! bounded length, whatever finds no place is dropped and counted, and a collector that is slow, dead or full costs
//! nothing but a line in the journal. What is off costs nothing at all.

mod message;
mod otlp;
mod statsd;

use std::sync::{Arc, OnceLock};

use forebay_signals::counter::Counter;
use forebay_signals::drain::Drain;
use forebay_signals::prometheus::Page;
use tokio::task::JoinHandle;

use crate::config::otlp::Otlp;
use crate::edge::{Edge, StartError};
use crate::trace::Tracer;

/// What makes spans, and what was sent and lost.
#[derive(Debug, Default)]
pub struct Telemetry {
    /// Makes spans; `None` while nobody collects them.
    pub(crate) tracer: Option<Arc<Tracer>>,
    /// Spans to a collector.
    pub(crate) spans: Sent,
    /// Points of metrics to a collector.
    pub(crate) metrics: Sent,
    /// Lines to a `DogStatsD` agent.
    pub(crate) statsd: Sent,
    /// Metrics of others in this process, which go where ours go.
    further: Further,
}

type Write = Box<dyn Fn(&mut Page) + Send + Sync>;

#[derive(Default)]
struct Further(OnceLock<Write>);

impl std::fmt::Debug for Further {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Further").field(&self.0.get().is_some()).finish()
    }
}

const SENT: &str = "forebay_edge_telemetry_sent_total";
const DROPPED: &str = "forebay_edge_telemetry_dropped_total";

/// Things of one kind.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    /// Taken, as far as we know.
    pub(crate) sent: Counter,
    /// Given up.
    pub(crate) dropped: Counter,
}

/// Checks settings as far as that goes without sending anything.
pub(crate) fn check(otlp: Option<&Otlp>) -> Result<(), StartError> {
    Ok(otlp.map_or(Ok(()), otlp::check)?)
}

/// Starts what sends. It ends with `gone`, after a last sending.
pub fn start(edge: &Arc<Edge>, gone: &Drain) -> Result<Sending, StartError> {
    let mut tasks = Vec::new();
    if let Some(otlp) = &edge.snapshot().config.otlp {
        let (traces, metrics) = otlp::exports(edge, otlp)?;
        tasks.extend(traces.map(|it| tokio::spawn(it.run(Arc::clone(edge), gone.clone()))));
        tasks.extend(metrics.map(|it| tokio::spawn(it.run(Arc::clone(edge), gone.clone()))));
    }
    tasks.push(tokio::spawn(statsd::run(Arc::clone(edge), gone.clone())));
    Ok(Sending { tasks })
}

/// What sends.
#[derive(Debug)]
pub struct Sending {
    tasks: Vec<JoinHandle<()>>,
}

impl Sending {
    /// Waits until the last things are sent; each has a deadline of its own.
    pub async fn finish(self) {
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a task that sends telemetry ended early");
            }
        }
    }
}

impl Telemetry {
    /// What the settings ask for.
    pub(crate) fn new(otlp: Option<&Otlp>) -> Telemetry {
        let traces = otlp.and_then(|otlp| otlp.traces.as_ref());
        let tracer = traces.map(|settings| Arc::new(Tracer::new(settings)));
        Telemetry { tracer, ..Telemetry::default() }
    }

    /// What makes spans, while somebody collects them.
    pub fn tracer(&self) -> Option<Arc<Tracer>> {
        self.tracer.clone()
    }

    /// Metrics of somebody else, written with ours from now on. Only the first who asks is heard. It is called
    /// by whoever exports: it must not wait.
    pub fn also(&self, write: impl Fn(&mut Page) + Send + Sync + 'static) {
        drop(self.further.0.set(Box::new(write)));
    }

    /// Writes the Prometheus families.
    pub(crate) fn write(&self, page: &mut Page) {
        let in_queue = self.tracer.as_ref().map_or(0, |tracer| tracer.dropped.value());
        let all = [
            ("metrics", &self.metrics, 0),
            ("spans", &self.spans, in_queue),
            ("statsd", &self.statsd, 0),
        ];
        let help = "Spans, points of metrics and lines of statsd that were sent.";
        page.family(SENT, "counter", help);
        for (kind, of, _) in &all {
            page.sample(SENT, &[("kind", kind)], of.sent.value());
        }
        page.family(DROPPED, "counter", "The same that found no place, or that nobody took.");
        for (kind, of, in_queue) in &all {
            page.sample(DROPPED, &[("kind", kind)], of.dropped.value() + in_queue);
        }
        if let Some(write) = self.further.0.get() {
            write(page);
        }
    }
}
