//! What is asked for most, and by whom: the busiest routes, keys and clients of the last minute.
//!
//! In: a few requests a second of each core, drawn at random and written down where they end (`saw`); a task of
//! the core lays them out (`lay_out`), and one beside the cores counts them ([`tend`]). Out: rows with the error that
//! they may have ([`Top::view`]). Routes are read from their own counters and are exact. Memory is bounded whatever is
//! asked for (`sketch`); nothing is kept longer than a minute, and nothing is ever written anywhere: addresses of
//! clients are personal data.
//!
//! A request that is not drawn costs a step of a counter: no lock, no allocation, no look at the clock.

mod sample;
mod sketch;
mod slices;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use forebay_signals::clock;
use forebay_signals::drain::Drain;
use serde::{Deserialize, Serialize};

use crate::edge::Edge;
use crate::traffic::Traffic;
pub(crate) use sample::{Seen, saw};
use sketch::{Measure, Row, Tally};
use slices::{Counted, Tray, routes};

/// Time between two looks at what was drawn.
const TICK: Duration = Duration::from_millis(500);
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
    /// What cores have laid out: a tray for each, so that no core ever waits for another one.
    trays: Mutex<Vec<Tray>>,
    counted: Mutex<Counted>,
}

/// Lays out what this core draws, again and again until its drain begins.
pub(crate) async fn lay_out(edge: Arc<Edge>) {
    let tray = edge.top.open();
    sample::begin();
    loop {
        tokio::select! {
            () = edge.drain.begun() => break,
            () = clock::sleep(TICK) => {}
        }
        // Whoever counts is at it this very moment: it is taken the next time.
        if let Ok(mut laid_out) = tray.try_lock() {
            sample::take(&mut laid_out);
        }
    }
    sample::end();
}

/// Counts what cores have drawn until `gone`. Not for a core: the counters of thousands of routes are read here.
pub async fn tend(edge: Arc<Edge>, gone: Drain) {
    loop {
        edge.top.lock().count(&edge.top.trays(), &edge.traffic);
        tokio::select! {
            () = gone.begun() => return,
            () = clock::sleep(TICK) => {}
        }
    }
}

impl Top {
    /// A tray for a core.
    fn open(&self) -> Tray {
        let tray = Tray::new(Mutex::new(Vec::with_capacity(sample::MOST_WAITING)));
        let mut trays = self.trays.lock().unwrap_or_else(PoisonError::into_inner);
        trays.push(Arc::clone(&tray));
        tray
    }

    fn trays(&self) -> Vec<Tray> {
        self.trays.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn lock(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The busiest of the last minute.
    pub fn view(&self, traffic: &Traffic, what: What, by: By, most: usize) -> TopView {
        let mut counted = self.lock();
        counted.count(&self.trays(), traffic);
        let slices = &counted.slices;
        let now = clock::now();
        let began = slices.front().map_or(now, |slice| slice.began);
        let mut total = Tally::default();
        for slice in slices {
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
        drop(counted);
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

impl From<By> for Measure {
    fn from(by: By) -> Measure {
        match by {
            By::Requests => Measure::Requests,
            By::Bytes => Measure::Bytes,
            By::Misses => Measure::Misses,
        }
    }
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
