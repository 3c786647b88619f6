//! What screens and metrics read of an origin.

use std::sync::atomic::Ordering;

use forebay_signals::clock;
use serde::{Deserialize, Serialize};

use super::health::{Breaker, since_start};
use super::server::LastError;
use super::throttle::ThrottleView;
use super::upstream::{Member, Upstream};

/// An origin at one moment.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OriginView {
    /// Name.
    pub name: String,
    /// Servers, in the order of the settings.
    pub servers: Vec<ServerView>,
    /// Requests in flight, all cores together.
    pub in_flight: usize,
    /// Limit of it.
    pub max_in_flight: usize,
    /// Requests that came.
    pub requests: u64,
    /// Retries that were made.
    pub retries: u64,
    /// Retries that the budget refused.
    pub retries_refused: u64,
    /// Connections opened.
    pub connections_opened: u64,
    /// Requests that found a connection ready.
    pub connections_reused: u64,
    /// Adaptive throttling; `None` if it is off.
    #[serde(default)]
    pub throttle: Option<ThrottleView>,
    /// Failures by the label of their kind.
    pub failures: Vec<(String, u64)>,
    /// Median time until the head of an answer, in microseconds.
    pub p50_us: u64,
    /// 99th percentile of it.
    pub p99_us: u64,
}

/// A server at one moment.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ServerView {
    /// Address as set.
    pub address: String,
    /// Addresses that its name stands for; empty for a Unix socket.
    pub resolved: Vec<String>,
    /// Group.
    pub group: u8,
    /// Weight.
    pub weight: u32,
    /// False while probes call it sick or its breaker is not closed.
    pub is_healthy: bool,
    /// `closed`, `open` or `half-open`.
    pub breaker: String,
    /// Requests in flight.
    pub in_flight: usize,
    /// Requests sent to it.
    pub requests: u64,
    /// Tries that failed.
    pub failures: u64,
    /// Connections that wait for work.
    pub idle_connections: usize,
    /// The last thing that went wrong.
    pub last_error: Option<LastError>,
}

impl Upstream {
    /// The origin as it is now.
    pub fn view(&self) -> OriginView {
        let counts = &self.running.counts;
        let us = |q| u64::try_from(counts.latency.quantile(q).as_micros()).unwrap_or(u64::MAX);
        OriginView {
            name: self.settings.name.clone(),
            servers: self.members.iter().map(server).collect(),
            in_flight: self.running.in_flight.load(Ordering::Relaxed),
            max_in_flight: self.settings.max_in_flight,
            requests: counts.requests.value(),
            retries: counts.retries.value(),
            retries_refused: counts.retries_refused.value(),
            connections_opened: counts.opened.value(),
            connections_reused: counts.reused.value(),
            throttle: self
                .settings
                .throttle_factor
                .map(|factor| self.running.throttle.view(factor.0, clock::now())),
            failures: counts.failures().into_iter().map(|(kind, n)| (kind.into(), n)).collect(),
            p50_us: us(0.5),
            p99_us: us(0.99),
        }
    }
}

fn server(member: &Member) -> ServerView {
    let server = &member.server;
    let breaker = server.health.breaker(since_start(clock::now()));
    ServerView {
        address: server.label.clone(),
        resolved: server.addresses.known().iter().map(ToString::to_string).collect(),
        group: member.group,
        weight: member.weight,
        is_healthy: breaker == Breaker::Closed && !server.health.is_sick(),
        breaker: match breaker {
            Breaker::Closed => "closed".into(),
            Breaker::Open => "open".into(),
            Breaker::HalfOpen => "half-open".into(),
        },
        in_flight: server.in_flight.load(Ordering::Relaxed),
        requests: server.requests.value(),
        failures: server.failures.value(),
        idle_connections: server.pool.unused(),
        last_error: server.last_error(),
    }
}
