//! When URLs were last purged or invalidated, for objects that their URL alone does not find.
//!
//! Under a policy whose key holds fields or cookies, the objects of one URL lie in many places. Instead
//! of a list of them, each slot of URLs remembers when one of its URLs was purged or invalidated; what
//! is older is not used. URLs share a slot by chance, and then one of them is fetched or validated once
//! more than it had to be.

use std::sync::atomic::{AtomicU64, Ordering};

/// Slots; two URLs share one with a chance of one in so many. 256 KiB in all.
const SLOTS: usize = 16_384;

#[derive(Debug, Default)]
struct Slot {
    purged: AtomicU64,
    invalidated: AtomicU64,
}

/// One slot for many URLs.
pub(super) struct Epochs(Box<[Slot]>);

impl Epochs {
    pub(super) fn new() -> Epochs {
        Epochs((0..SLOTS).map(|_| Slot::default()).collect())
    }

    /// Objects of this URL with an id up to `id` are gone.
    pub(super) fn purge(&self, url: u64, id: u64) {
        self.slot(url).purged.fetch_max(id, Ordering::AcqRel);
    }

    /// Objects of this URL with an id up to `id` must be validated.
    pub(super) fn invalidate(&self, url: u64, id: u64) {
        self.slot(url).invalidated.fetch_max(id, Ordering::AcqRel);
    }

    pub(super) fn purged(&self, url: u64) -> u64 {
        self.slot(url).purged.load(Ordering::Acquire)
    }

    pub(super) fn invalidated(&self, url: u64) -> u64 {
        self.slot(url).invalidated.load(Ordering::Acquire)
    }

    fn slot(&self, url: u64) -> &Slot {
        let at = usize::try_from(url % SLOTS as u64).expect("smaller than SLOTS");
        &self.0[at]
    }
}
