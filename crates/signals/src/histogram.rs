//! Latency histograms with a fixed relative error, written without a lock.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "bucket arithmetic stays within 0..BUCKETS, and quantiles are approximate by design"
)]

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Each power of two is cut into this many buckets: a relative error of at most 1/8.
const PER_OCTAVE: u64 = 8;
/// Octaves above the linear part: microseconds up to about 12 days.
const OCTAVES: usize = 37;
const BUCKETS: usize = PER_OCTAVE as usize * (OCTAVES + 1);

/// A histogram of durations in microseconds.
#[derive(Debug)]
pub struct Histogram {
    buckets: Box<[AtomicU64]>,
    sum_us: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram {
            buckets: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect(),
            sum_us: AtomicU64::new(0),
        }
    }
}

impl Histogram {
    /// Notes one duration.
    pub fn record(&self, duration: Duration) {
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.buckets[bucket_of(us)].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    /// How many were recorded.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).sum()
    }

    /// Sum of all durations.
    pub fn sum(&self) -> Duration {
        Duration::from_micros(self.sum_us.load(Ordering::Relaxed))
    }

    /// Upper bound of the bucket that holds quantile `q` (0 to 1); zero when empty.
    pub fn quantile(&self, q: f64) -> Duration {
        let count = self.count();
        let rank = ((count as f64 * q.clamp(0.0, 1.0)).ceil() as u64).max(1);
        let mut seen = 0;
        for (index, bucket) in self.buckets.iter().enumerate() {
            seen += bucket.load(Ordering::Relaxed);
            if seen >= rank {
                return Duration::from_micros(upper_bound(index));
            }
        }
        Duration::ZERO
    }

    /// What it holds now, for whoever shows it.
    pub fn reading(&self) -> Reading {
        let counts = self.buckets.iter().enumerate().filter_map(|(index, bucket)| {
            let count = bucket.load(Ordering::Relaxed);
            (count > 0).then_some((index, count))
        });
        Reading { counts: counts.collect(), sum_us: self.sum_us.load(Ordering::Relaxed) }
    }
}

/// A histogram at one moment: whatever is said of it adds up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// Buckets that are not empty, in order.
    counts: Vec<(usize, u64)>,
    sum_us: u64,
}

impl Reading {
    /// How many were recorded.
    pub fn count(&self) -> u64 {
        self.counts.iter().map(|(_, count)| count).sum()
    }

    /// Sum of all durations.
    pub fn sum(&self) -> Duration {
        Duration::from_micros(self.sum_us)
    }

    /// How many were at most `bound`, within the histogram's error.
    pub fn at_most(&self, bound: Duration) -> u64 {
        let last = bucket_of(u64::try_from(bound.as_micros()).unwrap_or(u64::MAX));
        self.counts.iter().filter(|(index, _)| *index <= last).map(|(_, count)| count).sum()
    }

    /// How many came since `before`, with a duration that stands for them: the middle of their bucket.
    pub fn since<'r>(&'r self, before: &'r Reading) -> impl Iterator<Item = (Duration, u64)> + 'r {
        self.counts.iter().filter_map(|(index, count)| {
            let known = before.counts.binary_search_by_key(index, |(index, _)| *index);
            let known = known.ok().and_then(|at| before.counts.get(at)).map_or(0, |it| it.1);
            let new = count.saturating_sub(known);
            let lower = index.checked_sub(1).map_or(0, |index| upper_bound(index) + 1);
            let middle = lower.midpoint(upper_bound(*index));
            (new > 0).then_some((Duration::from_micros(middle), new))
        })
    }
}

fn bucket_of(us: u64) -> usize {
    if us < PER_OCTAVE {
        return us as usize;
    }
    let octave = u64::from(us.ilog2() - PER_OCTAVE.ilog2());
    let within = (us >> octave) - PER_OCTAVE;
    ((octave + 1) * PER_OCTAVE + within).min(BUCKETS as u64 - 1) as usize
}

fn upper_bound(index: usize) -> u64 {
    let index = index as u64;
    if index < PER_OCTAVE {
        return index;
    }
    let octave = index / PER_OCTAVE - 1;
    ((index % PER_OCTAVE + PER_OCTAVE + 1) << octave) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_within_an_eighth_of_its_bucket() {
        for us in (0..64).chain((6..30).map(|bit| (1 << bit) + 3)) {
            let upper = upper_bound(bucket_of(us));
            assert!(upper >= us && upper - us <= us / 8, "{us} in a bucket up to {upper}");
        }
    }

    #[test]
    fn what_came_since_is_told_once_and_near_its_value() {
        let histogram = Histogram::default();
        let before = histogram.reading();
        for us in [3, 3, 500, 70_000] {
            histogram.record(Duration::from_micros(us));
        }
        let now = histogram.reading();
        let came: Vec<_> = now.since(&before).collect();
        for ((duration, count), (us, times)) in came.iter().zip([(3, 2), (500, 1), (70_000, 1)]) {
            assert_eq!(*count, times);
            let off = duration.as_micros().abs_diff(us);
            assert!(off <= us / 16, "{duration:?} for {us} us");
        }
        assert_eq!(came.len(), 3);
        histogram.record(Duration::from_micros(500));
        let later = histogram.reading();
        assert_eq!(later.since(&now).map(|(_, count)| count).collect::<Vec<_>>(), [1]);
        assert_eq!((later.count(), later.at_most(Duration::from_millis(1))), (5, 4));
        assert_eq!(later.sum(), Duration::from_micros(71_006));
    }

    #[test]
    fn quantiles_follow_the_values() {
        let histogram = Histogram::default();
        for ms in 1..=1000 {
            histogram.record(Duration::from_millis(ms));
        }
        assert_eq!(histogram.count(), 1000);
        let p99 = histogram.quantile(0.99).as_millis();
        assert!((990..=1120).contains(&p99), "p99 is {p99} ms");
        assert_eq!(Histogram::default().quantile(0.5), Duration::ZERO);
    }
}
