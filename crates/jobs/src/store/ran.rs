//! Runs by class: what is counted of them, as Sidekiq's Metrics page shows it.

use std::sync::Arc;
use std::time::Duration;

/// Upper bounds of the buckets in milliseconds, as Sidekiq has them; the last bucket has none.
///
/// ```
/// use forebay_jobs::store::{BOUNDS_MS, Ran};
/// let mut ran = Ran::of("Welcome");
/// ran.succeeded(std::time::Duration::from_millis(20));
/// assert_eq!((BOUNDS_MS[0], ran.took[0], ran.took[1]), (20, 0, 1));
/// ```
pub const BOUNDS_MS: [u64; 25] = [
    20, 30, 45, 65, 100, 150, 225, 335, 500, 750, 1_100, 1_700, 2_500, 3_800, 5_750, 8_500, 13_000,
    20_000, 30_000, 45_000, 65_000, 100_000, 150_000, 225_000, 335_000,
];
/// How many buckets there are.
///
/// ```
/// use forebay_jobs::store::{BOUNDS_MS, BUCKETS};
/// assert_eq!(BUCKETS, BOUNDS_MS.len() + 1);
/// ```
pub const BUCKETS: usize = BOUNDS_MS.len() + 1;
/// How long runs of a minute are kept, as Sidekiq does.
///
/// ```
/// use forebay_jobs::store::{RAN_KEPT, Store, memory::Memory};
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// assert!(Memory::default().ran(RAN_KEPT).await?.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
pub const RAN_KEPT: Duration = Duration::from_secs(8 * 3_600);

/// How runs by class are written for the Metrics page of Ruby's Web UI. A store that Ruby does not read counts them
/// alike in either form.
///
/// ```
/// use forebay_jobs::store::Metrics;
/// assert_eq!(Metrics::default(), Metrics::Sidekiq8);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Metrics {
    /// In the keys that Sidekiq 8 reads.
    #[default]
    Sidekiq8,
    /// In those of Sidekiq 6.5 and 7.
    Sidekiq7,
    /// Not at all: nothing is counted by class.
    Off,
}

/// Runs of one class.
///
/// ```
/// use std::time::Duration;
/// use forebay_jobs::store::Ran;
/// let mut ran = Ran::of("Welcome");
/// ran.succeeded(Duration::from_millis(25));
/// ran.failed();
/// assert_eq!((ran.processed, ran.failed, ran.ms, ran.took[1]), (2, 1, 25, 1));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// Name of the class.
    pub class: Arc<str>,
    /// How often it ran, failures with them.
    pub processed: u64,
    /// How often it failed.
    pub failed: u64,
    /// Milliseconds that the runs took that succeeded.
    pub ms: u64,
    /// Those runs by the time that they took: see [`BOUNDS_MS`]. Empty where a store does not tell.
    pub took: [u64; BUCKETS],
}

impl Ran {
    /// Nothing yet of this class.
    ///
    /// ```
    /// assert_eq!(forebay_jobs::store::Ran::of("Welcome").processed, 0);
    /// ```
    pub fn of(class: &str) -> Ran {
        Ran { class: class.into(), processed: 0, failed: 0, ms: 0, took: [0; BUCKETS] }
    }

    /// Counts a run that took so long. Below a bound is what belongs to it, as in Ruby.
    ///
    /// ```
    /// # use {std::time::Duration, forebay_jobs::store::Ran};
    /// let mut ran = Ran::of("Welcome");
    /// ran.succeeded(Duration::from_secs(3_600));
    /// assert_eq!((ran.ms, ran.took[25]), (3_600_000, 1)); // beyond the last bound
    /// ```
    pub fn succeeded(&mut self, took: Duration) {
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_MS.partition_point(|bound| *bound <= ms);
        self.processed += 1;
        self.ms = self.ms.saturating_add(ms);
        if let Some(count) = self.took.get_mut(bucket) {
            *count += 1;
        }
    }

    /// Counts a run that failed: the time that it took says nothing.
    ///
    /// ```
    /// # use forebay_jobs::store::Ran;
    /// let mut ran = Ran::of("Welcome");
    /// ran.failed();
    /// assert_eq!((ran.processed, ran.failed, ran.ms), (1, 1, 0));
    /// ```
    pub fn failed(&mut self) {
        self.processed += 1;
        self.failed += 1;
    }

    /// Adds what another says of the same class.
    ///
    /// ```
    /// # use forebay_jobs::store::Ran;
    /// let (mut here, mut there) = (Ran::of("Welcome"), Ran::of("Welcome"));
    /// there.failed();
    /// here.add(&there);
    /// assert_eq!(here, there);
    /// ```
    pub fn add(&mut self, other: &Ran) {
        self.processed = self.processed.saturating_add(other.processed);
        self.failed = self.failed.saturating_add(other.failed);
        self.ms = self.ms.saturating_add(other.ms);
        for (here, there) in self.took.iter_mut().zip(other.took) {
            *here = here.saturating_add(there);
        }
    }

    /// Takes away what was told. False if nothing is left.
    pub(crate) fn subtract(&mut self, told: &Ran) -> bool {
        self.processed = self.processed.saturating_sub(told.processed);
        self.failed = self.failed.saturating_sub(told.failed);
        self.ms = self.ms.saturating_sub(told.ms);
        for (here, there) in self.took.iter_mut().zip(told.took) {
            *here = here.saturating_sub(there);
        }
        self.processed > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_belongs_to_the_bucket_below_whose_bound_it_is() {
        for (ms, bucket) in [
            (0, 0),
            (19, 0),
            (20, 1),
            (29, 1),
            (30, 2),
            (334_999, 24),
            (335_000, 25),
            (1 << 40, 25),
        ] {
            let mut ran = Ran::of("A");
            ran.succeeded(Duration::from_millis(ms));
            assert_eq!(ran.took.iter().position(|count| *count == 1), Some(bucket), "{ms} ms");
        }
    }
}
