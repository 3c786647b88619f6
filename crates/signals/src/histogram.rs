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

    /// How many were at most `bound`, within the histogram's error.
    pub fn at_most(&self, bound: Duration) -> u64 {
        let us = u64::try_from(bound.as_micros()).unwrap_or(u64::MAX);
        self.buckets[..=bucket_of(us)].iter().map(|bucket| bucket.load(Ordering::Relaxed)).sum()
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
