//! Keys whose answers cannot be shared, for a while (hit-for-miss).

use quick_cache::sync::Cache;

use crate::cache::rules::Refusal;

/// Keys that are remembered; about 50 bytes each. Forgetting one costs a wait behind one fill.
const MAX_PASSES: usize = 16_384;

/// Places of such keys, until when, and why.
pub(super) struct Passes(Cache<u64, (u64, Refusal)>);

impl Passes {
    pub(super) fn new() -> Passes {
        Passes(Cache::new(MAX_PASSES))
    }

    pub(super) fn note(&self, place: u64, until_ms: u64, refusal: Refusal) {
        self.0.insert(place, (until_ms, refusal));
    }

    pub(super) fn forget(&self, place: u64) {
        self.0.remove(&place);
    }

    pub(super) fn clear(&self) {
        self.0.clear();
    }

    pub(super) fn holds(&self, place: u64, now_ms: u64) -> Option<Refusal> {
        let (until_ms, refusal) = self.0.get(&place)?;
        if now_ms < until_ms {
            return Some(refusal);
        }
        self.0.remove_if(&place, |(until_ms, _)| *until_ms <= now_ms);
        None
    }
}
