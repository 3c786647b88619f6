//! How long a job waits after a failure: pure.

use std::time::Duration;

/// Sidekiq's: `n^4 + 15` seconds and up to `10 (n + 1)` more, so that what failed together is not tried
/// together. `failures` counts those before this one, `chance` is 0 to below 1. The jitter is that of
/// Sidekiq 8, which spreads evenly; older ones draw one of ten steps.
///
/// ```
/// use std::time::Duration;
/// use forebay_jobs::retry::backoff::delay;
/// assert_eq!(delay(0, 0.0), Duration::from_secs(15));
/// assert_eq!(delay(10, 0.0), Duration::from_secs(10_015));
/// assert!(delay(10, 0.999) < Duration::from_secs(10_125));
/// ```
pub fn delay(failures: u32, chance: f64) -> Duration {
    let n = u64::from(failures);
    let base = n.saturating_mul(n).saturating_mul(n).saturating_mul(n).saturating_add(15);
    let spread = Duration::from_secs(n.saturating_add(1).saturating_mul(10));
    let jitter = spread.mul_f64(chance.clamp(0.0, 1.0));
    Duration::from_secs(base.min(LONGEST_SECONDS)).saturating_add(jitter)
}

/// A century: beyond it a time stamp means nothing to those who read it.
const LONGEST_SECONDS: u64 = 100 * 365 * 86_400;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_stays_within_its_bounds(failures in any::<u32>(), chance in 0.0..1.0_f64) {
            let delay = delay(failures, chance);
            let base = Duration::from_secs(u64::from(failures).saturating_pow(4).saturating_add(15).min(LONGEST_SECONDS));
            prop_assert!(delay >= base);
            prop_assert!(delay <= base + Duration::from_secs(10 * (u64::from(failures) + 1)));
        }

        #[test]
        fn it_grows(failures in 0_u32..200, chance in 0.0..1.0_f64) {
            prop_assert!(delay(failures + 3, 0.0) > delay(failures, chance));
        }
    }
}
