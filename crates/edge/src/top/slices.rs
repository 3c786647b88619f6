//! The last minute in slices of ten seconds: what was drawn in each, and where the counters of routes stood.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use forebay_signals::clock;

use super::sample::{self, Sample};
use super::sketch::{Row, Sketches, Tally};
use crate::traffic::{Outcome, RouteTraffic, Traffic};

/// What is counted together; with the last of these the minute moves on.
const SLICE: Duration = Duration::from_secs(10);
/// Slices that are looked at: a minute.
const SLICES: usize = 6;

/// Samples on their way from a core. Held for the time of a swap.
pub(super) type Tray = Arc<Mutex<Vec<Sample>>>;

/// What is counted, and the buffer that takes the place of a full one.
#[derive(Debug, Default)]
pub(super) struct Counted {
    pub(super) slices: VecDeque<Slice>,
    empty: Vec<Sample>,
}

/// Ten seconds.
#[derive(Debug)]
pub(super) struct Slice {
    pub(super) began: Instant,
    pub(super) looked_at: u64,
    pub(super) total: Tally,
    pub(super) keys: Sketches<Vec<u8>>,
    pub(super) clients: Sketches<IpAddr>,
    /// Counters of the routes when it began.
    routes: HashMap<String, Tally>,
}

impl Counted {
    /// Counts what is laid out, and begins a slice if it is time for one.
    pub(super) fn count(&mut self, trays: &[Tray], traffic: &Traffic) {
        let slice = current(&mut self.slices, traffic);
        for tray in trays {
            if self.empty.capacity() < sample::MOST_WAITING {
                self.empty = Vec::with_capacity(sample::MOST_WAITING);
            }
            {
                let mut laid_out = tray.lock().unwrap_or_else(PoisonError::into_inner);
                std::mem::swap(&mut *laid_out, &mut self.empty);
            }
            for sample in self.empty.drain(..) {
                slice.count(&sample);
            }
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
    let of = |outcomes: &[Outcome], route: &RouteTraffic| {
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
pub(super) fn routes(oldest: Option<&Slice>, traffic: &Traffic) -> Vec<Row> {
    let rows = counters(traffic).into_iter().map(|(name, now)| {
        let before = oldest.and_then(|slice| slice.routes.get(&name)).cloned().unwrap_or_default();
        Row { name, tally: now.since(&before), over: 0 }
    });
    rows.filter(|row| row.tally.requests > 0).collect()
}
