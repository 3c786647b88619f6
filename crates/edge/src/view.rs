//! What others may see of the edge: the reading door.

use forebay_signals::clock;
use forebay_signals::journal::Entry;
use forebay_signals::prometheus::{Family, Page};
use serde::{Deserialize, Serialize};

use crate::edge::{Edge, Snapshot};
use crate::expiry::{self, Expiry};
use crate::mirror::{self, MirrorView};
use crate::origin::OriginView;
pub use crate::top::{By, TopRow, TopView, What};
use crate::traffic::Outcome;

/// The edge at a glance; stable, versioned by adding fields only.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    /// Version of the program.
    pub version: String,
    /// `serving` or `draining`.
    pub state: String,
    /// Seconds since the start.
    pub uptime_s: u64,
    /// Reloads that took effect.
    pub reloads: u64,
    /// Where clients connect.
    pub listening: Vec<String>,
    /// Certificates by name, those that end first in front, a hundred at most.
    #[serde(default)]
    pub certificates: Vec<Expiry>,
    /// Certificates that are ordered from an authority.
    #[serde(default)]
    pub acme: Vec<crate::acme::Standing>,
    /// Client connections open now.
    pub connections: i64,
    /// Requests in the rooms now.
    pub in_flight: usize,
    /// The store.
    pub cache: crate::cache::View,
    /// By route.
    pub routes: Vec<RouteStatus>,
    /// How often clients may ask, and did.
    #[serde(default)]
    pub rates: Vec<crate::admit::RateView>,
    /// Who says whether requests may come in.
    #[serde(default)]
    pub forward_auths: Vec<crate::doorman::DoormanView>,
    /// Copies of requests, by route.
    #[serde(default)]
    pub mirrors: Vec<crate::mirror::MirrorView>,
    /// Routes in maintenance.
    #[serde(default)]
    pub maintenance: Vec<String>,
    /// By origin.
    pub origins: Vec<OriginView>,
    /// Lines of the access log that were lost.
    pub log_lines_lost: u64,
    /// What was marked last, such as a deploy.
    #[serde(default)]
    pub mark: Option<Entry>,
    /// Newest entries of the journal, newest first.
    pub journal: Vec<Entry>,
}

/// A route's counters since the start. Rates are differences of two looks.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RouteStatus {
    /// Name.
    pub name: String,
    /// Requests.
    pub requests: u64,
    /// Served fresh from the store.
    pub hits: u64,
    /// Served stale from the store.
    pub stale: u64,
    /// Confirmed by the origin.
    pub revalidated: u64,
    /// Fetched.
    pub misses: u64,
    /// Waited for another's fetch.
    pub collapsed: u64,
    /// Forwarded without the cache.
    pub passes: u64,
    /// Answers of 500 and above.
    pub errors: u64,
    /// Median time, microseconds.
    pub p50_us: u64,
    /// 99th percentile, microseconds.
    pub p99_us: u64,
}

/// Everything, as `forebay status` shows it.
pub fn status(edge: &Edge) -> Status {
    let snapshot = edge.snapshot();
    Status {
        version: env!("CARGO_PKG_VERSION").into(),
        state: if edge.drain.has_begun() { "draining" } else { "serving" }.into(),
        uptime_s: clock::now().saturating_duration_since(edge.started).as_secs(),
        reloads: edge.reloads(),
        listening: edge.entrance.addresses().iter().map(ToString::to_string).collect(),
        certificates: expiry::all(edge),
        acme: edge.acme.standing(),
        connections: edge.entrance.counters().open.value(),
        in_flight: edge.in_flight.count(),
        cache: edge.cache.view(),
        routes: edge.traffic.all().into_iter().map(|(name, t)| route_status(name, &t)).collect(),
        rates: snapshot.rates.views(),
        forward_auths: snapshot.doormen.views(),
        mirrors: mirrors(&snapshot),
        maintenance: edge.maintenance.closed(&snapshot.config),
        origins: snapshot.origins.all().iter().map(|upstream| upstream.view()).collect(),
        log_lines_lost: snapshot.log.lost(),
        mark: edge.mark.load().as_deref().cloned(),
        journal: edge.journal.newest(10),
    }
}

fn mirrors(snapshot: &Snapshot) -> Vec<MirrorView> {
    snapshot.sites.iter().filter_map(|site| site.mirror.as_ref()).map(|it| it.view()).collect()
}

fn route_status(name: String, traffic: &crate::traffic::RouteTraffic) -> RouteStatus {
    let count = |outcome| traffic.with_outcome(outcome);
    let us = |q| u64::try_from(traffic.durations().quantile(q).as_micros()).unwrap_or(u64::MAX);
    RouteStatus {
        name,
        requests: traffic.requests(),
        hits: count(Outcome::Hit),
        stale: count(Outcome::StaleWhileRevalidate) + count(Outcome::StaleIfError),
        revalidated: count(Outcome::Revalidated),
        misses: count(Outcome::Miss),
        collapsed: count(Outcome::Collapsed),
        passes: count(Outcome::Pass),
        errors: traffic.errors(),
        p50_us: us(0.5),
        p99_us: us(0.99),
    }
}

/// The busiest of the last minute, at most so many rows.
pub fn top(edge: &Edge, what: What, by: By, most: usize) -> TopView {
    edge.top.view(&edge.traffic, what, by, most)
}

/// Ready while it takes new requests; the reason otherwise.
pub fn readiness(edge: &Edge) -> Result<(), String> {
    if edge.drain.has_begun() {
        return Err("draining".into());
    }
    Ok(())
}

/// The Prometheus text format.
pub fn metrics(edge: &Edge) -> String {
    page(edge).finish()
}

/// The same as families of samples.
pub fn families(edge: &Edge) -> Vec<Family> {
    page(edge).families()
}

fn page(edge: &Edge) -> Page {
    let mut page = Page::default();
    edge.traffic.write(&mut page);
    edge.cache.write(&mut page);
    write_listen(edge, &mut page);
    write_certificates(edge, &mut page);
    edge.acme.write(&mut page);
    edge.compressor().write(&mut page);
    edge.snapshot().rates.write(&mut page);
    edge.snapshot().doormen.write(&mut page);
    mirror::write(&mirrors(&edge.snapshot()), &mut page);
    write_origins(edge, &mut page);
    page.family("forebay_edge_in_flight", "gauge", "Requests in the rooms now.");
    page.sample("forebay_edge_in_flight", &[], edge.in_flight.count());
    let hints = "forebay_edge_early_hints_total";
    page.family(hints, "counter", "Heads 103 by what became of them.");
    for (what, counter) in [
        ("passed", &edge.hints.passed),
        ("made", &edge.hints.made),
        ("dropped", &edge.hints.dropped),
    ] {
        page.sample(hints, &[("what", what)], counter.value());
    }
    page.family("forebay_edge_log_lines_lost_total", "counter", "Access log lines dropped.");
    page.sample("forebay_edge_log_lines_lost_total", &[], edge.snapshot().log.lost());
    page.family("forebay_build_info", "gauge", "1, with the version that runs.");
    page.sample("forebay_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    edge.telemetry.write(&mut page);
    page
}

fn write_listen(edge: &Edge, page: &mut Page) {
    let of = edge.entrance.counters();
    page.family("forebay_edge_connections", "gauge", "Client connections open now.");
    page.sample("forebay_edge_connections", &[], of.open.value());
    for (name, help, counter) in [
        ("accepted", "Connections taken from a socket.", &of.accepted),
        ("refused", "Connections closed at once because a cap was reached.", &of.refused),
        ("unintroduced", "Connections closed for want of a PROXY header.", &of.unintroduced),
        ("handshake_failures", "TLS handshakes that failed.", &of.handshake_failures),
        ("protocol_errors", "Connections that broke their protocol.", &of.protocol_errors),
        ("floods", "HTTP/2 connections closed as floods.", &of.floods),
        ("stalled", "Connections closed because the client took nothing.", &of.stalled),
        ("panics", "Panics caught while a request was handled.", &of.panics),
        (
            "accept_pauses",
            "Times that accepting paused for want of descriptors.",
            &of.accept_pauses,
        ),
        ("upgraded", "Connections turned into tunnels.", &of.upgraded),
    ] {
        let name = format!("forebay_edge_listen_{name}_total");
        page.family(&name, "counter", help);
        page.sample(&name, &[], counter.value());
    }
}

fn write_certificates(edge: &Edge, page: &mut Page) {
    let name = "forebay_edge_certificate_days_left";
    page.family(name, "gauge", "Days until the certificate ends, the hundred that end first.");
    for expiry in expiry::all(edge) {
        page.sample(name, &[("name", &expiry.name)], expiry.days_left);
    }
}

type Reading = fn(&OriginView) -> u64;

fn write_origins(edge: &Edge, page: &mut Page) {
    let all: Vec<OriginView> =
        edge.snapshot().origins.all().iter().map(|upstream| upstream.view()).collect();
    let families: [(&str, &str, &str, Reading); 6] = [
        ("requests_total", "counter", "Requests to the origin.", |o| o.requests),
        ("retries_total", "counter", "Requests tried again.", |o| o.retries),
        ("retries_refused_total", "counter", "Retries beyond the budget.", |o| o.retries_refused),
        ("connections_opened_total", "counter", "New connections.", |o| o.connections_opened),
        ("connections_reused_total", "counter", "Requests on a kept connection.", |o| {
            o.connections_reused
        }),
        ("in_flight", "gauge", "Requests in flight.", |o| o.in_flight as u64),
    ];
    for (name, kind, help, reading) in families {
        let name = format!("forebay_edge_origin_{name}");
        page.family(&name, kind, help);
        for origin in &all {
            page.sample(&name, &[("origin", &origin.name)], reading(origin));
        }
    }
    page.family("forebay_edge_origin_failures_total", "counter", "Failures by kind.");
    for origin in &all {
        for (kind, count) in &origin.failures {
            let labels = [("origin", origin.name.as_str()), ("kind", kind)];
            page.sample("forebay_edge_origin_failures_total", &labels, *count);
        }
    }
    page.family(
        "forebay_edge_origin_shed_total",
        "counter",
        "Requests given up for an overloaded origin.",
    );
    for origin in &all {
        for (priority, count) in origin.throttle.iter().flat_map(|throttle| &throttle.shed) {
            let labels = [("origin", origin.name.as_str()), ("priority", priority)];
            page.sample("forebay_edge_origin_shed_total", &labels, *count);
        }
    }
    page.family("forebay_edge_origin_healthy", "gauge", "1 if the server is asked.");
    for origin in &all {
        for server in &origin.servers {
            let labels = [("origin", origin.name.as_str()), ("server", server.address.as_str())];
            page.sample("forebay_edge_origin_healthy", &labels, u8::from(server.is_healthy));
        }
    }
}
