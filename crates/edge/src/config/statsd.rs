//! `[statsd]`: where metrics are sent as `DogStatsD` has them.

use std::path::PathBuf;
use std::time::Duration;

/// Time between two sendings: what the agent itself adds up before it sends on.
pub const INTERVAL: Duration = Duration::from_secs(10);
/// What stands before every name.
pub const PREFIX: &str = "forebay.";

/// Where the agent listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Agent {
    /// Host and port, by UDP.
    Udp(String, u16),
    /// A Unix socket of datagrams.
    Unix(PathBuf),
}

/// What durations are sent as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Timings {
    /// `d`: added up over all hosts where they are stored.
    #[default]
    Distribution,
    /// `h`: added up by the agent, in seconds.
    Histogram,
    /// `ms`: the same in milliseconds, for agents that know nothing else.
    Timer,
}

/// `[statsd]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statsd {
    /// Where to; `None` sends nothing.
    pub agent: Option<Agent>,
    /// Before every name.
    pub prefix: String,
    /// With every metric, `name:value`.
    pub tags: Vec<String>,
    /// How often.
    pub interval: Duration,
    /// Form of durations.
    pub timings: Timings,
}

impl Default for Statsd {
    fn default() -> Statsd {
        Statsd {
            agent: None,
            prefix: PREFIX.into(),
            tags: Vec::new(),
            interval: INTERVAL,
            timings: Timings::default(),
        }
    }
}
