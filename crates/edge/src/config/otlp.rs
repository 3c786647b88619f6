//! Where traces and metrics are sent by OTLP, as the standard variables of OpenTelemetry say it. The binary reads
//! those; nothing of this stands in the config file.

use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderName, HeaderValue};

/// Time that a collector has for an answer.
pub const TIMEOUT: Duration = Duration::from_secs(10);
/// Time between two sendings of metrics.
pub const METRIC_INTERVAL: Duration = Duration::from_secs(60);
/// Longest time that a span waits to be sent.
pub const SPAN_DELAY: Duration = Duration::from_secs(5);
/// Spans that wait; beyond it they are dropped.
pub const MOST_WAITING: usize = 2_048;
/// Spans in one message.
pub const MOST_TOGETHER: usize = 512;

/// What is sent where.
#[derive(Debug, Clone, PartialEq)]
pub struct Otlp {
    /// Traces; `None` makes none.
    pub traces: Option<Traces>,
    /// Metrics; `None` sends none.
    pub metrics: Option<Metrics>,
    /// Who we are: `service.name` and the rest.
    pub resource: Vec<(String, String)>,
}

/// Traces.
#[derive(Debug, Clone, PartialEq)]
pub struct Traces {
    /// Where to.
    pub collector: Collector,
    /// Which requests.
    pub sampler: Sampler,
    /// Spans that wait.
    pub most_waiting: usize,
    /// Spans in one message.
    pub most_together: usize,
    /// Longest time that a span waits to be sent.
    pub delay: Duration,
}

/// Metrics.
#[derive(Debug, Clone, PartialEq)]
pub struct Metrics {
    /// Where to.
    pub collector: Collector,
    /// How often.
    pub interval: Duration,
}

/// Whom to send to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collector {
    /// Over TLS.
    pub is_tls: bool,
    /// Host.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Path and query.
    pub path: String,
    /// Authorities in place of the system's.
    pub authorities: Option<PathBuf>,
    /// Fields of each request; they may be secrets.
    pub fields: Fields,
    /// Time for an answer.
    pub timeout: Duration,
    /// Compressed on the way.
    pub is_gzipped: bool,
}

/// Fields of requests. Not shown by `Debug`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Fields(pub Vec<(HeaderName, HeaderValue)>);

impl std::fmt::Debug for Fields {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

/// Which requests become spans.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampler {
    /// What the client's own trace says goes before.
    pub heeds_parent: bool,
    /// Share of all others, 0 to 1.
    pub ratio: f64,
}

impl Default for Sampler {
    /// `parentbased_always_on`, as the specification has it.
    fn default() -> Sampler {
        Sampler { heeds_parent: true, ratio: 1.0 }
    }
}
