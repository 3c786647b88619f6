//! How often a client may ask: token buckets by route and client.
//!
//! In: an exchange whose route is known. Out: what its rates say of it, for the fields of its answer, or a
//! refusal. A rate is one state for the process, shared by its cores and by all routes that name it, and it
//! outlives reloads as long as it counts the same clients.

mod buckets;
mod standing;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use forebay_signals::clock;
use forebay_signals::counter::Counter;
use forebay_signals::journal::Journal;
use forebay_signals::prometheus::Page;
use serde::{Deserialize, Serialize};

use self::buckets::{Buckets, Drawn, Pace};
pub use self::standing::Standing;
use crate::config::rate::{Rate, RateKey};
use crate::exchange::{Exchange, cookie, network};

/// After so long without a refusal the next one stands in the journal.
const QUIET: Duration = Duration::from_secs(60);

/// All rates, by name.
#[derive(Debug, Default)]
pub struct Rates(Vec<Arc<Meter>>);

/// A rate and what it has counted.
#[derive(Debug)]
pub struct Meter {
    rate: Arc<Rate>,
    pace: Pace,
    running: Arc<Running>,
}

/// What a rate keeps over a reload.
#[derive(Debug)]
struct Running {
    buckets: Buckets,
    began: Instant,
    allowed: Counter,
    refused: Counter,
    /// Clients in debt that were forgotten for want of room.
    forgotten: Counter,
    /// Of the last refusal, in milliseconds since `began`; 0 for never.
    refused_at_ms: AtomicU64,
}

/// A rate at a glance.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RateView {
    /// Name.
    pub name: String,
    /// False while it only counts.
    pub enforces: bool,
    /// Requests that were let in.
    pub allowed: u64,
    /// Requests above the rate: refused, or only counted.
    pub refused: u64,
}

impl Rates {
    /// The rates of new settings. One that counts the same clients as before goes on with what it knows.
    pub fn new(rates: &[Arc<Rate>], before: Option<&Rates>) -> Rates {
        let meter = |rate: &Arc<Rate>| {
            let known = before.and_then(|before| before.find(&rate.name));
            let running = match known {
                Some(known) if counts_the_same(&known.rate, rate) => Arc::clone(&known.running),
                _ => Arc::new(Running::new(rate.keys)),
            };
            let interval_us = u64::try_from(rate.interval().as_micros()).unwrap_or(u64::MAX);
            let pace = Pace { interval_us, burst: u64::from(rate.burst) };
            Arc::new(Meter { rate: Arc::clone(rate), pace, running })
        };
        Rates(rates.iter().map(meter).collect())
    }

    /// A rate by its name.
    pub fn find(&self, name: &str) -> Option<&Arc<Meter>> {
        self.0.iter().find(|meter| meter.rate.name == name)
    }

    /// All of them at a glance.
    pub fn views(&self) -> Vec<RateView> {
        let view = |meter: &Arc<Meter>| RateView {
            name: meter.rate.name.clone(),
            enforces: meter.rate.enforces,
            allowed: meter.running.allowed.value(),
            refused: meter.running.refused.value(),
        };
        self.0.iter().map(view).collect()
    }

    /// Their counters.
    pub fn write(&self, page: &mut Page) {
        const REQUESTS: &str = "forebay_edge_rate_requests_total";
        const FORGOTTEN: &str = "forebay_edge_rate_forgotten_total";
        page.family(REQUESTS, "counter", "Requests that a rate has judged.");
        for meter in &self.0 {
            let name = meter.rate.name.as_str();
            let above = if meter.rate.enforces { "refused" } else { "would-refuse" };
            let running = &meter.running;
            let counts = [("allowed", &running.allowed), (above, &running.refused)];
            for (verdict, counter) in counts {
                page.sample(REQUESTS, &[("rate", name), ("verdict", verdict)], counter.value());
            }
        }
        page.family(FORGOTTEN, "counter", "Clients above none of their rate forgotten for others.");
        for meter in &self.0 {
            let forgotten = meter.running.forgotten.value();
            page.sample(FORGOTTEN, &[("rate", &meter.rate.name)], forgotten);
        }
    }
}

/// Buckets are times, so that another pace needs no others; other clients do.
fn counts_the_same(one: &Rate, other: &Rate) -> bool {
    let clients = |rate: &Rate| (rate.key.clone(), rate.ipv4_prefix, rate.ipv6_prefix, rate.keys);
    clients(one) == clients(other)
}

impl Running {
    fn new(keys: usize) -> Running {
        Running {
            buckets: Buckets::new(keys),
            began: clock::now(),
            allowed: Counter::default(),
            refused: Counter::default(),
            forgotten: Counter::default(),
            refused_at_ms: AtomicU64::new(0),
        }
    }
}

/// Asks the rates of a route in order; each that lets the request in counts it.
pub fn rate(meters: &[Arc<Meter>], exchange: &Exchange, journal: &Journal) -> Standing {
    let mut standing = Standing::of(meters.len());
    for meter in meters {
        let drawn = meter.take(exchange, journal);
        standing.push(meter, drawn);
        if standing.is_refused() {
            break;
        }
    }
    standing
}

impl Meter {
    /// Name and pace for `RateLimit-Policy`.
    fn quota(&self) -> (&str, u32, u64) {
        let Rate { name, requests, per, .. } = &*self.rate;
        (name, *requests, per.as_secs().max(1))
    }

    fn take(&self, exchange: &Exchange, journal: &Journal) -> Drawn {
        let running = &self.running;
        let since = exchange.began().saturating_duration_since(running.began);
        let now_us = u64::try_from(since.as_micros()).unwrap_or(u64::MAX);
        let drawn = self.draw(exchange, now_us);
        match drawn {
            Drawn::Taken { forgot, .. } => {
                running.allowed.increment();
                if forgot {
                    running.forgotten.increment();
                }
            }
            Drawn::Empty { .. } => {
                running.refused.increment();
                self.tell(now_us / 1_000, exchange, journal);
            }
        }
        drawn
    }

    fn draw(&self, exchange: &Exchange, now_us: u64) -> Drawn {
        let Meter { rate, pace, running } = self;
        let fields = &exchange.head.fields;
        let said = match &rate.key {
            RateKey::Everybody => return running.buckets.take((), *pace, now_us),
            RateKey::Address => None,
            RateKey::Field(name) => fields.get(name).map(http::HeaderValue::as_bytes),
            RateKey::Cookie(name) => cookie(fields, name),
        };
        if let Some(said) = said {
            return running.buckets.take(said, *pace, now_us);
        }
        let client = network(exchange.client.address, rate.ipv4_prefix, rate.ipv6_prefix);
        running.buckets.take(client, *pace, now_us)
    }

    /// The first refusal after a while stands in the journal.
    fn tell(&self, now_ms: u64, exchange: &Exchange, journal: &Journal) {
        let before = self.running.refused_at_ms.swap(now_ms.max(1), Ordering::Relaxed);
        let quiet_ms = u64::try_from(QUIET.as_millis()).unwrap_or(u64::MAX);
        if before == 0 || now_ms.saturating_sub(before) >= quiet_ms {
            let does = if self.rate.enforces { "refuses" } else { "would refuse" };
            let (name, client) = (&self.rate.name, exchange.client.address);
            journal.write("admit", format!("rate `{name}` {does} requests, first of {client}"));
        }
    }
}
