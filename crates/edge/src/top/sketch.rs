//! The heaviest of many in bounded memory: Space-Saving (Metwally, Agrawal and El Abbadi 2005).
//!
//! A table of a few hundred names. Who is in it is counted; who is not takes the place of the lightest and may have
//! been seen as often as that one before. So a count is never too high here, and it is too low by no more than what
//! its place had counted before: at most the whole weight divided by the places.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hash};

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

impl<K: Eq> Sketches<K> {
    pub(super) fn count<Q>(&mut self, name: &Q, tally: &Tally)
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let hash = BuildHasherDefault::<Fnv>::default().hash_one(name);
        for sketch in [&mut self.requests, &mut self.bytes, &mut self.misses] {
            sketch.count(name, hash, tally);
        }
    }

    pub(super) fn by(&self, measure: Measure) -> &Sketch<K> {
        match measure {
            Measure::Requests => &self.requests,
            Measure::Bytes => &self.bytes,
            Measure::Misses => &self.misses,
        }
    }
}

/// One table. It is walked: there are few places, and one walk finds the name and the lightest both.
#[derive(Debug)]
pub(super) struct Sketch<K> {
    measure: Measure,
    places: Vec<Place<K>>,
}

#[derive(Debug)]
struct Place<K> {
    /// Of the name. Strangers can make it collide and gain nothing but a comparison of names.
    hash: u64,
    name: K,
    tally: Tally,
    /// What the place had counted before this name took it.
    over: u64,
}

impl<K> Place<K> {
    fn weight(&self, measure: Measure) -> u64 {
        measure.of(&self.tally).saturating_add(self.over)
    }
}

impl<K> Sketch<K> {
    fn new(measure: Measure) -> Sketch<K> {
        Sketch { measure, places: Vec::new() }
    }

    /// As often as this may have been seen whoever is not here.
    fn least(&self) -> u64 {
        if self.places.len() < PLACES {
            return 0;
        }
        self.places.iter().map(|place| place.weight(self.measure)).min().unwrap_or_default()
    }
}

impl<K: Eq> Sketch<K> {
    fn count<Q>(&mut self, name: &Q, hash: u64, tally: &Tally)
    where
        K: Borrow<Q>,
        Q: Eq + ToOwned<Owned = K> + ?Sized,
    {
        let measure = self.measure;
        let has_room = self.places.len() < PLACES;
        let mut least = u64::MAX;
        let mut lightest = None;
        for place in &mut self.places {
            if place.hash == hash && place.name.borrow() == name {
                return place.tally.merge(tally);
            }
            let weight = place.weight(measure);
            if weight < least {
                (least, lightest) = (weight, Some(place));
            }
        }
        if measure.of(tally) == 0 {
            return;
        }
        let place = |over| Place { hash, name: name.to_owned(), tally: tally.clone(), over };
        match lightest {
            Some(lightest) if !has_room => *lightest = place(least),
            _ => self.places.push(place(0)),
        }
    }
}

/// Counts of several slices.
#[derive(Default)]
struct Sum {
    tally: Tally,
    over: u64,
    /// Slices that it was looked for in.
    slices: usize,
}

/// The tables of several slices as one.
pub(super) fn merged<'s, K: Hash + Eq + 's>(
    sketches: impl Iterator<Item = &'s Sketch<K>>,
    show: impl Fn(&K) -> String,
) -> Vec<Row> {
    let mut all: HashMap<&K, Sum> = HashMap::new();
    // What may have been seen of a name in the slices that do not have it.
    let mut unseen = 0u64;
    for (nth, sketch) in sketches.enumerate() {
        for place in &sketch.places {
            let none = || Sum { over: unseen, ..Sum::default() };
            let sum = all.entry(&place.name).or_insert_with(none);
            sum.tally.merge(&place.tally);
            sum.over = sum.over.saturating_add(place.over);
            sum.slices = nth + 1;
        }
        let least = sketch.least();
        for sum in all.values_mut().filter(|sum| sum.slices <= nth) {
            sum.over = sum.over.saturating_add(least);
        }
        unseen = unseen.saturating_add(least);
    }
    let rows = all.into_iter().map(|(name, sum)| Row {
        name: show(name),
        tally: sum.tally,
        over: sum.over,
    });
    rows.collect()
}
