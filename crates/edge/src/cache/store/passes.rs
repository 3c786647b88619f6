//! Keys whose answers cannot be shared, for a while (hit-for-miss).

use quick_cache::sync::Cache;

/// Keys that are remembered; about 50 bytes each. Forgetting one costs a wait behind one fill.
const MAX_PASSES: usize = 16_384;

/// Places of such keys, and until when.
pub(super) struct Passes(Cache<u64, u64>);

impl Passes {
    pub(super) fn new() -> Passes {
        Passes(Cache::new(MAX_PASSES))
    }

    pub(super) fn note(&self, place: u64, until_ms: u64) {
        self.0.insert(place, until_ms);
    }

    pub(super) fn forget(&self, place: u64) {
        self.0.remove(&place);
    }

    pub(super) fn clear(&self) {
        self.0.clear();
    }

    pub(super) fn holds(&self, place: u64, now_ms: u64) -> bool {
        let Some(until_ms) = self.0.get(&place) else { return false };
        if now_ms < until_ms {
            return true;
        }
        self.0.remove_if(&place, |until_ms| *until_ms <= now_ms);
        false
    }
}
