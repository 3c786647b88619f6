//! What is counted of requests: by route, by status class, by what the cache did.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use forebay_signals::counter::Counter;
use forebay_signals::histogram::Histogram;
use forebay_signals::prometheus::Page;

/// What the cache did for a request. Label of metrics and of the access log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Outcome {
    /// Answered without the cache: refused, redirected, no route.
    None,
    /// A fresh stored answer.
    Hit,
    /// A stale one, while a fresh one is fetched behind.
    StaleWhileRevalidate,
    /// A stale one, because the origin failed.
    StaleIfError,
    /// A stored one that the origin confirmed with 304.
    Revalidated,
    /// Fetched.
    Miss,
    /// Waited for what another request fetched.
    Collapsed,
    /// Forwarded without asking the cache.
    Pass,
}

impl Outcome {
    const ALL: [Outcome; 8] = [
        Outcome::None,
        Outcome::Hit,
        Outcome::StaleWhileRevalidate,
        Outcome::StaleIfError,
        Outcome::Revalidated,
        Outcome::Miss,
        Outcome::Collapsed,
        Outcome::Pass,
    ];

    /// The label.
    pub fn label(self) -> &'static str {
        match self {
            Outcome::None => "none",
            Outcome::Hit => "hit",
            Outcome::StaleWhileRevalidate => "stale-while-revalidate",
            Outcome::StaleIfError => "stale-if-error",
            Outcome::Revalidated => "revalidated",
            Outcome::Miss => "miss",
            Outcome::Collapsed => "collapsed",
            Outcome::Pass => "pass",
        }
    }

    /// True if the client was served without waiting for the origin.
    pub fn is_from_store(self) -> bool {
        matches!(self, Outcome::Hit | Outcome::StaleWhileRevalidate | Outcome::StaleIfError)
    }
}

/// Counters of one route.
#[derive(Debug, Default)]
pub struct RouteTraffic {
    by_class: [Counter; 5],
    by_outcome: [Counter; Outcome::ALL.len()],
    content_bytes: Counter,
    durations: Histogram,
}

impl RouteTraffic {
    /// Counts a request that is over.
    pub fn record(&self, status: u16, outcome: Outcome, bytes: u64, total: Duration) {
        let class = usize::from(status / 100).clamp(1, 5) - 1;
        self.by_class[class].increment();
        self.by_outcome[outcome as usize].increment();
        self.content_bytes.add(bytes);
        self.durations.record(total);
    }

    /// Requests so far.
    pub fn requests(&self) -> u64 {
        self.by_class.iter().map(Counter::value).sum()
    }

    /// Answers with a status of 500 and above.
    pub fn errors(&self) -> u64 {
        self.by_class[4].value()
    }

    /// Requests with this outcome.
    pub fn with_outcome(&self, outcome: Outcome) -> u64 {
        self.by_outcome[outcome as usize].value()
    }

    /// Content that was sent.
    pub fn content_bytes(&self) -> u64 {
        self.content_bytes.value()
    }

    /// How long requests took.
    pub fn durations(&self) -> &Histogram {
        &self.durations
    }
}

/// Counters of all routes; they outlive reloads, so a route keeps its counts under its name.
#[derive(Debug, Default)]
pub struct Traffic {
    routes: Mutex<HashMap<String, Arc<RouteTraffic>>>,
    /// By route and origin, of routes that are split.
    arms: Mutex<HashMap<(String, String), Arc<RouteTraffic>>>,
    none: Arc<RouteTraffic>,
}

impl Traffic {
    /// The counters of a route, by name. Asked once a reload, not once a request.
    pub fn of(&self, route: &str) -> Arc<RouteTraffic> {
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(routes.entry(route.to_owned()).or_default())
    }

    /// The counters of an arm.
    pub fn of_arm(&self, route: &str, origin: &str) -> Arc<RouteTraffic> {
        let mut arms = self.arms.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(arms.entry((route.to_owned(), origin.to_owned())).or_default())
    }

    /// Counters of requests that no route took.
    pub fn none(&self) -> &Arc<RouteTraffic> {
        &self.none
    }

    /// All routes by name.
    pub fn all(&self) -> Vec<(String, Arc<RouteTraffic>)> {
        let routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = routes.iter().map(|(n, t)| (n.clone(), Arc::clone(t))).collect();
        if self.none.requests() > 0 {
            all.push(("-".into(), Arc::clone(&self.none)));
        }
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }

    /// Writes the Prometheus families.
    pub fn write(&self, page: &mut Page) {
        let all = self.all();
        page.family(
            "forebay_edge_requests_total",
            "counter",
            "Requests by route and status class.",
        );
        for (route, traffic) in &all {
            for (class, counter) in traffic.by_class.iter().enumerate() {
                let class = format!("{}xx", class + 1);
                let labels = [("route", route.as_str()), ("status", &class)];
                page.sample("forebay_edge_requests_total", &labels, counter.value());
            }
        }
        page.family(
            "forebay_edge_cache_total",
            "counter",
            "Requests by route and what the cache did.",
        );
        for (route, traffic) in &all {
            for outcome in Outcome::ALL {
                let labels = [("route", route.as_str()), ("outcome", outcome.label())];
                page.sample("forebay_edge_cache_total", &labels, traffic.with_outcome(outcome));
            }
        }
        page.family("forebay_edge_content_bytes_total", "counter", "Content sent to clients.");
        for (route, traffic) in &all {
            let labels = [("route", route.as_str())];
            page.sample("forebay_edge_content_bytes_total", &labels, traffic.content_bytes.value());
        }
        page.family(
            "forebay_edge_request_seconds",
            "histogram",
            "From complete head to last byte.",
        );
        for (route, traffic) in &all {
            page.histogram("forebay_edge_request_seconds", &[("route", route)], &traffic.durations);
        }
        self.write_arms(page);
    }

    fn write_arms(&self, page: &mut Page) {
        const REQUESTS: &str = "forebay_edge_split_requests_total";
        const SECONDS: &str = "forebay_edge_split_request_seconds";
        let arms = self.arms.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = arms.iter().collect();
        all.sort_by_key(|(names, _)| *names);
        page.family(REQUESTS, "counter", "Requests of split routes by origin and status class.");
        for ((route, origin), traffic) in &all {
            for (class, counter) in traffic.by_class.iter().enumerate() {
                let class = format!("{}xx", class + 1);
                let labels = [("route", route.as_str()), ("origin", origin), ("status", &class)];
                page.sample(REQUESTS, &labels, counter.value());
            }
        }
        page.family(SECONDS, "histogram", "The same from complete head to last byte.");
        for ((route, origin), traffic) in &all {
            let labels = [("route", route.as_str()), ("origin", origin)];
            page.histogram(SECONDS, &labels, &traffic.durations);
        }
    }
}
