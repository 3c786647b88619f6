//! The retry budget: a share of requests, so that the edge cannot amplify an outage.

use std::sync::atomic::{AtomicU32, Ordering};

/// A whole retry, in hundredths.
const RETRY: u32 = 100;
/// Retries that may be saved up: a quiet origin may repeat this many at once, a busy one no more.
const MOST: u32 = 10 * RETRY;

/// A token bucket for all cores of the process.
#[derive(Debug)]
pub(super) struct Budget {
    hundredths: AtomicU32,
}

impl Default for Budget {
    fn default() -> Budget {
        Budget { hundredths: AtomicU32::new(MOST) }
    }
}

impl Budget {
    /// A request came: it earns `percent` of a retry.
    pub(super) fn earn(&self, percent: u8) {
        // A full bucket is only read: that is the healthy case, on every request of every core.
        if self.hundredths.load(Ordering::Relaxed) < MOST {
            let add = |saved: u32| Some((saved + u32::from(percent)).min(MOST));
            let (set, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
            // It cannot fail: there is always something to add to.
            self.hundredths.fetch_update(set, fetch, add).ok();
        }
    }

    /// Gives back what [`Budget::spend`] took: nobody was asked again.
    pub(super) fn give_back(&self) {
        let (set, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
        let add = |saved: u32| Some((saved + RETRY).min(MOST));
        self.hundredths.fetch_update(set, fetch, add).ok();
    }

    /// Takes a retry, if there is one. With a share of 0 there never is.
    pub(super) fn spend(&self, percent: u8) -> bool {
        let take = |saved: u32| saved.checked_sub(RETRY);
        let (set, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
        percent > 0 && self.hundredths.fetch_update(set, fetch, take).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn retries_never_exceed_their_share(percent in 0_u8..=100, requests in 0_u32..5_000) {
            let budget = Budget::default();
            let mut retries = 0;
            for _ in 0..requests {
                budget.earn(percent);
                retries += u32::from(budget.spend(percent));
            }
            prop_assert!(retries <= MOST / RETRY + requests * u32::from(percent) / 100);
        }
    }

    #[test]
    fn what_is_given_back_can_be_taken_again_and_no_more() {
        let budget = Budget::default();
        for _ in 0..MOST / RETRY {
            assert!(budget.spend(10));
        }
        assert!(!budget.spend(10));
        budget.give_back();
        assert!(budget.spend(10) && !budget.spend(10));
    }
}
