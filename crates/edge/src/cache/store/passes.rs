//! Keys whose answers cannot be shared, for a while (hit-for-miss).

use quick_cache::sync::Cache;

use crate::cache::rules::Refusal;

/// Keys that are remembered; about 50 bytes each. Forgetting one costs a wait behind one fill.
const MAX_PASSES: usize = 16_384;

/// What is remembered of such a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pass {
    /// Until when.
    pub until_ms: u64,
    /// Why.
    pub refusal: Refusal,
}

/// Places of such keys.
pub(super) struct Passes(Cache<u64, Pass>);

impl Passes {
    pub(super) fn new() -> Passes {
        Passes(Cache::new(MAX_PASSES))
    }

    pub(super) fn note(&self, place: u64, until_ms: u64, refusal: Refusal) {
        self.0.insert(place, Pass { until_ms, refusal });
    }

    pub(super) fn forget(&self, place: u64) {
        self.0.remove(&place);
    }

    pub(super) fn clear(&self) {
        self.0.clear();
    }

    pub(super) fn holds(&self, place: u64, now_ms: u64) -> Option<Pass> {
        let pass = self.0.get(&place)?;
        if now_ms < pass.until_ms {
            return Some(pass);
        }
        self.0.remove_if(&place, |pass| pass.until_ms <= now_ms);
        None
    }
}
