//! What is asked for most, and by whom: the busiest routes, keys and clients of the last minute.
//!
//! In: a few requests a second of each core, drawn at random and written down where they end (`saw`); a task of
//! the core takes them from there (`gather`). Out: rows with the error that they may have ([`Top::view`]). Routes
//! are read from their own counters and are exact. Memory is bounded whatever is asked for (`sketch`); nothing is
//! kept longer than a minute, and nothing is ever written anywhere: addresses of clients are personal data.
//!
//! A request that is not drawn costs a step of a counter: no lock, no allocation, no look at the clock.

mod sample;
mod sketch;

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use forebay_signals::clock;
use serde::{Deserialize, Serialize};

use crate::edge::Edge;
use crate::traffic::{Outcome, Traffic};
use sample::Sample;
pub(crate) use sample::{Seen, saw};
use sketch::{Measure, Row, Sketches, Tally};

/// Time between two looks of a core at what it has drawn.
const TICK: Duration = Duration::from_millis(500);
/// What is counted together; with the last of these the minute moves on.
const SLICE: Duration = Duration::from_secs(10);
/// Slices that are looked at: a minute.
const SLICES: usize = 6;
/// Bits of a client's address that count: an IPv6 client has the rest for itself.
const IPV4_BITS: u8 = 32;
const IPV6_BITS: u8 = 64;

/// What rows are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// Routes, exactly.
    Routes,
    /// URLs as the store knows them.
    Keys,
    /// Addresses; of IPv6 the first 64 bits.
    Clients,
}

/// What rows are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// Requests.
    Requests,
    /// Bytes of content.
    Bytes,
    /// Requests that the origin had to be asked for though they might have been answered from the store.
    Misses,
}

/// The busiest of a minute; stable, versioned by adding fields only.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TopView {
    /// What the rows are of.
    pub what: What,
    /// What they are sorted by.
    pub by: By,
    /// Seconds that are counted: up to a minute.
    pub window_s: u64,
    /// Requests in that time, as far as they were drawn.
    pub requests: u64,
    /// Requests that were looked at; as many as there were, where it is quiet.
    pub looked_at: u64,
    /// The rows, the busiest first.
    pub rows: Vec<TopRow>,
}

/// One of them. Counts are for the whole window.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TopRow {
    /// Route, URL or address.
    pub name: String,
    /// Share of what the rows are sorted by, 0 to 1.
    pub share: f64,
    /// Requests.
    pub requests: u64,
    /// Answered from the store, stale answers included.
    pub hits: u64,
    /// Fetched, confirmed, or waited for while another fetched.
    pub misses: u64,
    /// Bytes of content.
    pub bytes: u64,
    /// By how much the count that the rows are sorted by may be off: what the table may have missed, and two
    /// standard deviations of the drawing. 0 is exact.
    pub error: u64,
}

/// The counts of the process.
#[derive(Debug, Default)]
pub struct Top {
    slices: Mutex<VecDeque<Slice>>,
}

/// Ten seconds.
#[derive(Debug)]
struct Slice {
    began: Instant,
    looked_at: u64,
    total: Tally,
    keys: Sketches<Vec<u8>>,
    clients: Sketches<IpAddr>,
    /// Counters of the routes when it began.
    routes: HashMap<String, Tally>,
}

/// Takes what this core draws, again and again until its drain begins.
pub(crate) async fn gather(edge: Arc<Edge>) {
    let mut samples = sample::begin();
    // What routes have counted so far is known from here on.
    edge.top.take(&mut samples, &edge.traffic);
    loop {
        tokio::select! {
            () = edge.drain.begun() => break,
            () = clock::sleep(TICK) => {}
        }
        sample::take(&mut samples);
        edge.top.take(&mut samples, &edge.traffic);
    }
    sample::end();
}

impl Top {
    /// Counts samples. While somebody reads they wait for the next time.
    fn take(&self, samples: &mut Vec<Sample>, traffic: &Traffic) {
        let Ok(mut slices) = self.slices.try_lock() else { return };
        let slice = current(&mut slices, traffic);
        for sample in samples.drain(..) {
            slice.count(&sample);
        }
    }

    /// The busiest of the last minute.
    pub fn view(&self, traffic: &Traffic, what: What, by: By, most: usize) -> TopView {
        let mut slices = self.slices.lock().unwrap_or_else(PoisonError::into_inner);
        current(&mut slices, traffic);
        let now = clock::now();
        let began = slices.front().map_or(now, |slice| slice.began);
        let mut total = Tally::default();
        for slice in slices.iter() {
            total.merge(&slice.total);
        }
        let looked_at = slices.iter().map(|slice| slice.looked_at).sum();
        let measure = Measure::from(by);
        let mut rows = match what {
            What::Routes => {
                let rows = routes(slices.front(), traffic);
                total = Tally::default();
                for row in &rows {
                    total.merge(&row.tally);
                }
                rows
            }
            What::Keys => {
                let sketches = slices.iter().map(|slice| slice.keys.by(measure));
                sketch::merged(sketches, |key| text(key))
            }
            What::Clients => {
                let sketches = slices.iter().map(|slice| slice.clients.by(measure));
                sketch::merged(sketches, address)
            }
        };
        drop(slices);
        rows.sort_by(|a, b| {
            let counts = measure.of(&b.tally).cmp(&measure.of(&a.tally));
            counts.then_with(|| a.name.cmp(&b.name))
        });
        rows.truncate(most);
        let all = measure.of(&total);
        TopView {
            what,
            by,
            window_s: now.saturating_duration_since(began).as_secs().max(1),
            requests: total.requests,
            looked_at,
            rows: rows.into_iter().map(|row| top_row(row, measure, all)).collect(),
        }
    }
}

impl Slice {
    fn new(began: Instant, traffic: &Traffic) -> Slice {
        Slice {
            began,
            looked_at: 0,
            total: Tally::default(),
            keys: Sketches::default(),
            clients: Sketches::default(),
            routes: counters(traffic),
        }
    }

    fn count(&mut self, sample: &Sample) {
        let tally = Tally::of(sample);
        self.looked_at += 1;
        self.total.merge(&tally);
        self.keys.count(sample.key(), &tally);
        self.clients.count(&sample.client, &tally);
    }
}

impl From<By> for Measure {
    fn from(by: By) -> Measure {
        match by {
            By::Requests => Measure::Requests,
            By::Bytes => Measure::Bytes,
            By::Misses => Measure::Misses,
        }
    }
}

/// The slice of now; those that are older than a minute go.
fn current<'s>(slices: &'s mut VecDeque<Slice>, traffic: &Traffic) -> &'s mut Slice {
    let now = clock::now();
    let age = |slice: &Slice| now.saturating_duration_since(slice.began);
    let oldest = SLICE * u32::try_from(SLICES).unwrap_or(1);
    if slices.back().is_none_or(|newest| age(newest) >= SLICE) {
        slices.push_back(Slice::new(now, traffic));
    }
    while slices.len() > 1 && slices.front().is_some_and(|slice| age(slice) >= oldest) {
        slices.pop_front();
    }
    slices.back_mut().expect("there is one: it was put there if there was none")
}

/// What the counters of all routes say now.
fn counters(traffic: &Traffic) -> HashMap<String, Tally> {
    let of = |outcomes: &[Outcome], route: &crate::traffic::RouteTraffic| {
        outcomes.iter().map(|outcome| route.with_outcome(*outcome)).sum()
    };
    let counted = traffic.all().into_iter().map(|(name, route)| {
        let tally = Tally {
            requests: route.requests(),
            hits: of(&sample::HITS, &route),
            misses: of(&sample::MISSES, &route),
            bytes: route.content_bytes(),
            ..Tally::default()
        };
        (name, tally)
    });
    counted.collect()
}

/// What the counters have grown by since the oldest slice began.
fn routes(oldest: Option<&Slice>, traffic: &Traffic) -> Vec<Row> {
    let rows = counters(traffic).into_iter().map(|(name, now)| {
        let before = oldest.and_then(|slice| slice.routes.get(&name)).cloned().unwrap_or_default();
        Row { name, tally: now.since(&before), over: 0 }
    });
    rows.filter(|row| row.tally.requests > 0).collect()
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "shares and deviations are for the eye"
)]
fn top_row(row: Row, measure: Measure, all: u64) -> TopRow {
    let Row { name, tally, over } = row;
    TopRow {
        name,
        share: measure.of(&tally) as f64 / (all.max(1) as f64),
        requests: tally.requests,
        hits: tally.hits,
        misses: tally.misses,
        bytes: tally.bytes,
        error: over.saturating_add((2.0 * measure.variance(&tally).sqrt()).ceil() as u64),
    }
}

/// A key as it is shown: what a terminal would obey is not.
fn text(key: &[u8]) -> String {
    let text = String::from_utf8_lossy(key);
    text.chars().map(|letter| if letter.is_control() { '?' } else { letter }).collect()
}

fn address(address: &IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("{address}/{IPV6_BITS}"),
    }
}

#[cfg(test)]
mod tests;
