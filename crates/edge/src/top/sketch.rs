//! The heaviest of many in bounded memory: Space-Saving (Metwally, Agrawal and El Abbadi 2005).
//!
//! A table of a few hundred names. Who is in it is counted; who is not takes the place of the lightest and may have
//! been seen as often as that one before. So a count is never too high here, and it is too low by no more than what
//! its place had counted before: at most the whole weight divided by the places.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash};

use super::sample::{HITS, MISSES, Sample};
use crate::hashing::Fnv;

/// Places of a table: whatever has more than 1/256 of all is in it.
pub(super) const PLACES: usize = 256;

/// What is weighed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Measure {
    Requests,
    Bytes,
    Misses,
}

/// Counts, scaled to all requests that the samples stand for, and what the drawing adds to their variance.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    pub(super) requests: u64,
    pub(super) hits: u64,
    pub(super) misses: u64,
    pub(super) bytes: u64,
    pub(super) requests_variance: f64,
    pub(super) misses_variance: f64,
    pub(super) bytes_variance: f64,
}

impl Tally {
    #[expect(clippy::cast_precision_loss, reason = "a variance need not be exact")]
    pub(super) fn of(sample: &Sample) -> Tally {
        let weight = u64::from(sample.weight);
        let one_if = |is_so: bool| if is_so { weight } else { 0 };
        let is_miss = MISSES.contains(&sample.outcome);
        // A sample that stands for w of value v: w (w - 1) v².
        let variance = (weight * (weight - 1)) as f64;
        let bytes = sample.bytes as f64;
        Tally {
            requests: weight,
            hits: one_if(HITS.contains(&sample.outcome)),
            misses: one_if(is_miss),
            bytes: weight.saturating_mul(sample.bytes),
            requests_variance: variance,
            misses_variance: if is_miss { variance } else { 0.0 },
            bytes_variance: variance * bytes * bytes,
        }
    }

    pub(super) fn merge(&mut self, other: &Tally) {
        self.requests += other.requests;
        self.hits += other.hits;
        self.misses += other.misses;
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.requests_variance += other.requests_variance;
        self.misses_variance += other.misses_variance;
        self.bytes_variance += other.bytes_variance;
    }

    /// What exact counters have grown by.
    pub(super) fn since(&self, before: &Tally) -> Tally {
        Tally {
            requests: self.requests.saturating_sub(before.requests),
            hits: self.hits.saturating_sub(before.hits),
            misses: self.misses.saturating_sub(before.misses),
            bytes: self.bytes.saturating_sub(before.bytes),
            ..Tally::default()
        }
    }
}

impl Measure {
    pub(super) fn of(self, tally: &Tally) -> u64 {
        match self {
            Measure::Requests => tally.requests,
            Measure::Bytes => tally.bytes,
            Measure::Misses => tally.misses,
        }
    }

    pub(super) fn variance(self, tally: &Tally) -> f64 {
        match self {
            Measure::Requests => tally.requests_variance,
            Measure::Bytes => tally.bytes_variance,
            Measure::Misses => tally.misses_variance,
        }
    }
}

/// A name with its counts.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) tally: Tally,
    /// By how much the count may be too low.
    pub(super) over: u64,
}

/// A table for each measure: what is heavy in one may be light in another.
#[derive(Debug)]
pub(super) struct Sketches<K> {
    requests: Sketch<K>,
    bytes: Sketch<K>,
    misses: Sketch<K>,
}

impl<K> Default for Sketches<K> {
    fn default() -> Sketches<K> {
        Sketches {
            requests: Sketch::new(Measure::Requests),
            bytes: Sketch::new(Measure::Bytes),
            misses: Sketch::new(Measure::Misses),
        }
    }
}

impl<K: Hash + Eq> Sketches<K> {
    pub(super) fn count<Q>(&mut self, name: &Q, tally: &Tally)
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        self.requests.count(name, tally);
        self.bytes.count(name, tally);
        self.misses.count(name, tally);
    }

    pub(super) fn by(&self, measure: Measure) -> &Sketch<K> {
        match measure {
            Measure::Requests => &self.requests,
            Measure::Bytes => &self.bytes,
            Measure::Misses => &self.misses,
        }
    }
}

/// One table.
#[derive(Debug)]
pub(super) struct Sketch<K> {
    measure: Measure,
    /// By a hash that strangers can make collide: with so few places they gain nothing by it.
    places: HashMap<K, Place, BuildHasherDefault<Fnv>>,
}

#[derive(Debug, Clone, Default)]
struct Place {
    tally: Tally,
    /// What the place had counted before this name took it.
    over: u64,
}

impl Place {
    fn weight(&self, measure: Measure) -> u64 {
        measure.of(&self.tally).saturating_add(self.over)
    }
}

impl<K> Sketch<K> {
    fn new(measure: Measure) -> Sketch<K> {
        Sketch { measure, places: HashMap::default() }
    }

    /// As often as this may have been seen whoever is not here.
    fn least(&self) -> u64 {
        if self.places.len() < PLACES {
            return 0;
        }
        self.places.values().map(|place| place.weight(self.measure)).min().unwrap_or_default()
    }
}

impl<K: Hash + Eq> Sketch<K> {
    fn count<Q>(&mut self, name: &Q, tally: &Tally)
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        if let Some(place) = self.places.get_mut(name) {
            place.tally.merge(tally);
            return;
        }
        let weight = self.measure.of(tally);
        if weight == 0 {
            return;
        }
        let mut over = 0;
        if self.places.len() >= PLACES {
            over = self.least();
            let mut is_found = false;
            let measure = self.measure;
            // One of the lightest goes.
            self.places.retain(|_, place| {
                let goes = !is_found && place.weight(measure) == over;
                is_found |= goes;
                !goes
            });
        }
        self.places.insert(name.to_owned(), Place { tally: tally.clone(), over });
    }
}

/// The tables of several slices as one.
pub(super) fn merged<'s, K: Hash + Eq + 's>(
    sketches: impl Iterator<Item = &'s Sketch<K>>,
    show: impl Fn(&K) -> String,
) -> Vec<Row> {
    let mut all: HashMap<&K, Place> = HashMap::new();
    // What may have been seen of a name in the slices that do not have it.
    let mut unseen = 0u64;
    for sketch in sketches {
        let least = sketch.least();
        for (name, place) in &mut all {
            if !sketch.places.contains_key(*name) {
                place.over = place.over.saturating_add(least);
            }
        }
        for (name, place) in &sketch.places {
            let sum =
                all.entry(name).or_insert_with(|| Place { tally: Tally::default(), over: unseen });
            sum.tally.merge(&place.tally);
            sum.over = sum.over.saturating_add(place.over);
        }
        unseen = unseen.saturating_add(least);
    }
    let rows = all.into_iter().map(|(name, place)| Row {
        name: show(name),
        tally: place.tally,
        over: place.over,
    });
    rows.collect()
}
