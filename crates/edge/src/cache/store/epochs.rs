//! When URLs were last invalidated, for objects that their URL alone does not find.
//!
//! Under a policy whose key holds fields or cookies, the objects of one URL lie in many places. Instead
//! of a list of them, each slot of URLs remembers when one of its URLs was invalidated; what is older is
//! validated before it is used. URLs share a slot by chance, and then one of them is validated once more
//! than it had to be.

use std::sync::atomic::{AtomicU64, Ordering};

/// Slots; two URLs share one with a chance of one in so many. 128 KiB in all.
const SLOTS: usize = 16_384;

/// One slot for many URLs.
pub(super) struct Epochs {
    slots: Box<[AtomicU64]>,
    /// The highest id that stands in any slot: an object above it needs no look at its own.
    newest: AtomicU64,
}

impl Epochs {
    pub(super) fn new() -> Epochs {
        let slots = (0..SLOTS).map(|_| AtomicU64::default()).collect();
        Epochs { slots, newest: AtomicU64::new(0) }
    }

    /// Objects of this URL with an id up to `id` must be validated.
    pub(super) fn invalidate(&self, url: u64, id: u64) {
        self.newest.fetch_max(id, Ordering::AcqRel);
        self.slot(url).fetch_max(id, Ordering::AcqRel);
    }

    /// True if no URL at all was invalidated since the object with this id was made.
    pub(super) fn are_older_than(&self, id: u64) -> bool {
        self.newest.load(Ordering::Acquire) < id
    }

    pub(super) fn invalidated(&self, url: u64) -> u64 {
        self.slot(url).load(Ordering::Acquire)
    }

    fn slot(&self, url: u64) -> &AtomicU64 {
        let at = usize::try_from(url % SLOTS as u64).expect("smaller than SLOTS");
        &self.slots[at]
    }
}
