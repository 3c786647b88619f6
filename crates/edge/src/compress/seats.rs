//! How many answers are encoded on the way at the same time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Shared;

/// Each takes up to a megabyte for as long as its answer lasts.
const SEATS: usize = 128;
/// Of these for answers that many may read at once.
const SHARED_SEATS: usize = 32;

#[derive(Debug, Default)]
pub(super) struct Seats {
    single: AtomicUsize,
    shared: AtomicUsize,
}

/// Given back when dropped.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Arc<Seats>,
    shared: Shared,
}

impl Seats {
    pub(super) fn take(self: &Arc<Self>, shared: Shared) -> Option<Seat> {
        let limit = match shared {
            Shared::Yes => SHARED_SEATS,
            Shared::No => SEATS - SHARED_SEATS,
        };
        let one_more = |taken: usize| (taken < limit).then_some(taken + 1);
        let taken = self.of(shared).fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more);
        taken.ok().map(|_| Seat { seats: Arc::clone(self), shared })
    }

    fn of(&self, shared: Shared) -> &AtomicUsize {
        match shared {
            Shared::Yes => &self.shared,
            Shared::No => &self.single,
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.of(self.shared).fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_answers_leave_seats_for_the_others() {
        let seats: Arc<Seats> = Arc::default();
        let mut taken: Vec<_> = std::iter::from_fn(|| seats.take(Shared::Yes)).collect();
        assert_eq!(taken.len(), SHARED_SEATS);
        taken.extend(std::iter::from_fn(|| seats.take(Shared::No)));
        assert_eq!(taken.len(), SEATS);
        taken.clear();
        assert!(seats.take(Shared::Yes).is_some() && seats.take(Shared::No).is_some());
    }
}
