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
pub(super) struct Epochs {
    slots: Box<[Slot]>,
    /// The highest id that stands in any slot: an object above it needs no look at its own.
    newest: AtomicU64,
}

impl Epochs {
    pub(super) fn new() -> Epochs {
        let slots = (0..SLOTS).map(|_| Slot::default()).collect();
        Epochs { slots, newest: AtomicU64::new(0) }
    }

    /// Objects of this URL with an id up to `id` are gone.
    pub(super) fn purge(&self, url: u64, id: u64) {
        self.newest.fetch_max(id, Ordering::AcqRel);
        self.slot(url).purged.fetch_max(id, Ordering::AcqRel);
    }

    /// Objects of this URL with an id up to `id` must be validated.
    pub(super) fn invalidate(&self, url: u64, id: u64) {
        self.newest.fetch_max(id, Ordering::AcqRel);
        self.slot(url).invalidated.fetch_max(id, Ordering::AcqRel);
    }

    /// True if no URL at all was purged or invalidated since the object with this id was made.
    pub(super) fn are_older_than(&self, id: u64) -> bool {
        self.newest.load(Ordering::Acquire) < id
    }

    pub(super) fn purged(&self, url: u64) -> u64 {
        self.slot(url).purged.load(Ordering::Acquire)
    }

    pub(super) fn invalidated(&self, url: u64) -> u64 {
        self.slot(url).invalidated.load(Ordering::Acquire)
    }

    fn slot(&self, url: u64) -> &Slot {
        let at = usize::try_from(url % SLOTS as u64).expect("smaller than SLOTS");
        &self.slots[at]
    }
}
