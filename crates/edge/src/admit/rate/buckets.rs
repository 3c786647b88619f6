//! Token buckets of any number of clients in memory that never grows.
//!
//! A bucket is one number, the time at which it will be full again (the theoretical arrival time of the
//! generic cell rate algorithm, ITU-T I.371 Annex A): that is all a token bucket knows. The numbers lie in
//! sets of [`WAYS`], a cache line each, and a client's set follows from a seeded hash, so that nobody can
//! aim at the set of another. A full bucket says no more than an empty place, so places are free again by
//! themselves. If more clients are in debt than a set holds, the one with the least debt is forgotten:
//! under the largest attack some limits are held less strictly, and nobody is refused for what others did.

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

/// Places of a set.
const WAYS: usize = 8;
/// Bits of the hash that tell the clients of a set apart. Two clients share a bucket by accident once in
/// 65,536 times eight.
const TAG_BITS: u32 = 16;
/// Bits of the time: microseconds for almost nine years.
const TIME_BITS: u32 = u64::BITS - TAG_BITS;
const TIME_MASK: u64 = (1 << TIME_BITS) - 1;
/// Tries against others who write the same place at the same moment. Who loses them all is let in.
const TRIES: usize = 16;

#[derive(Debug, Default)]
#[repr(align(64))]
struct Set([AtomicU64; WAYS]);

/// The buckets of one rate.
#[derive(Debug)]
pub(super) struct Buckets {
    sets: Box<[Set]>,
    seed: RandomState,
}

/// How fast buckets fill, and how much they hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pace {
    /// Microseconds for one request.
    pub(super) interval_us: u64,
    /// Requests.
    pub(super) burst: u64,
}

/// What a bucket says to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Drawn {
    /// There was one left.
    Taken {
        /// Requests that are left.
        left: u64,
        /// Until it is full again.
        full_in_us: u64,
        /// A client in debt was forgotten for this one.
        forgot: bool,
    },
    /// There was none.
    Empty {
        /// Until there is one.
        next_in_us: u64,
        /// Until it is full again.
        full_in_us: u64,
    },
}

impl Buckets {
    /// Room for at least so many clients.
    pub(super) fn new(keys: usize) -> Buckets {
        let sets = keys.div_ceil(WAYS).next_power_of_two();
        Buckets { sets: (0..sets).map(|_| Set::default()).collect(), seed: RandomState::new() }
    }

    /// Takes one request of `client` out of its bucket at `now_us`.
    pub(super) fn take(&self, client: impl Hash, pace: Pace, now_us: u64) -> Drawn {
        let hash = self.seed.hash_one(client);
        let tag = hash >> TIME_BITS;
        let at = usize::try_from(hash & TIME_MASK).unwrap_or(usize::MAX) & (self.sets.len() - 1);
        let now_us = now_us & TIME_MASK;
        // The mask keeps it inside: there is a power of two of sets.
        let Some(Set(places)) = self.sets.get(at) else { return unhindered(pace) };
        for _ in 0..TRIES {
            let (place, before) = find(places, tag);
            let is_ours = before >> TIME_BITS == tag;
            let full_at = if is_ours { before & TIME_MASK } else { 0 }.max(now_us);
            let debt_us = full_at - now_us + pace.interval_us;
            let most_us = pace.interval_us * pace.burst;
            if debt_us > most_us {
                return Drawn::Empty {
                    next_in_us: debt_us - most_us,
                    full_in_us: full_at - now_us,
                };
            }
            let after = tag << TIME_BITS | ((now_us + debt_us) & TIME_MASK);
            // Two threads that see a client for the first time may give it two places: the second is
            // found by nobody and free again once it would be full.
            let swapped =
                place.compare_exchange_weak(before, after, Ordering::Relaxed, Ordering::Relaxed);
            if swapped.is_ok() {
                let forgot = !is_ours && before & TIME_MASK > now_us;
                let left = (most_us - debt_us) / pace.interval_us.max(1);
                return Drawn::Taken { left, full_in_us: debt_us, forgot };
            }
        }
        unhindered(pace)
    }
}

fn unhindered(pace: Pace) -> Drawn {
    let left = pace.burst.saturating_sub(1);
    Drawn::Taken { left, full_in_us: pace.interval_us, forgot: false }
}

/// The place of this client, or the one that can best be spared: the least debt, or none.
fn find(places: &[AtomicU64; WAYS], tag: u64) -> (&AtomicU64, u64) {
    let [first, ..] = places;
    let mut spared = (first, first.load(Ordering::Relaxed));
    for place in places {
        let value = place.load(Ordering::Relaxed);
        if value >> TIME_BITS == tag {
            return (place, value);
        }
        if value & TIME_MASK < spared.1 & TIME_MASK {
            spared = (place, value);
        }
    }
    spared
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    const PACE: Pace = Pace { interval_us: 1_000, burst: 3 };

    fn is_taken(drawn: Drawn) -> bool {
        matches!(drawn, Drawn::Taken { .. })
    }

    #[test]
    fn a_burst_goes_through_and_then_one_an_interval() {
        let buckets = Buckets::new(64);
        let take = |now_us| buckets.take("a", PACE, now_us);
        let expected = |left, full_in_us| Drawn::Taken { left, full_in_us, forgot: false };
        assert_eq!(take(5_000), expected(2, 1_000));
        assert_eq!(take(5_000), expected(1, 2_000));
        assert_eq!(take(5_000), expected(0, 3_000));
        assert_eq!(take(5_000), Drawn::Empty { next_in_us: 1_000, full_in_us: 3_000 });
        assert_eq!(take(5_400), Drawn::Empty { next_in_us: 600, full_in_us: 2_600 });
        assert_eq!(take(6_000), expected(0, 3_000));
        assert!(!is_taken(take(6_999)));
        assert_eq!(take(20_000), expected(2, 1_000), "full again");
    }

    #[test]
    fn a_refused_request_costs_nothing() {
        let buckets = Buckets::new(64);
        for _ in 0..3 {
            assert!(is_taken(buckets.take("a", PACE, 1_000)));
        }
        for _ in 0..1_000 {
            assert!(!is_taken(buckets.take("a", PACE, 1_500)));
        }
        assert!(is_taken(buckets.take("a", PACE, 2_000)));
    }

    #[test]
    fn threads_share_one_bucket() {
        let buckets = Buckets::new(64);
        let pace = Pace { interval_us: 1_000_000, burst: 1_000 };
        let taken: usize = std::thread::scope(|scope| {
            let count = || (0..1_000).filter(|_| is_taken(buckets.take("a", pace, 7))).count();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(count)).collect();
            threads.into_iter().map(|thread| thread.join().expect("it counts")).sum()
        });
        // A thread that loses against the others sixteen times in a row is let in.
        assert!((1_000..1_010).contains(&taken), "{taken}");
    }

    #[test]
    fn no_number_of_attackers_has_an_honest_client_refused() {
        let buckets = Buckets::new(64);
        let mut forgotten = 0;
        for attacker in 0..100_000_u32 {
            if let Drawn::Taken { forgot: true, .. } = buckets.take(attacker, PACE, 10) {
                forgotten += 1;
            }
        }
        assert!(forgotten > 90_000, "{forgotten}");
        let honest = (0..1_000_u32).map(|number| buckets.take(("honest", number), PACE, 10));
        let refused = honest.filter(|drawn| !is_taken(*drawn)).count();
        // By a tag that they share with an attacker: eight in 65,536.
        assert!(refused < 5, "{refused}");
    }

    /// The textbook's token bucket: what is in it, in the time that it took to come there, filled at each look.
    struct Textbook {
        holds_us: u64,
        at_us: u64,
    }

    proptest! {
        #[test]
        fn it_agrees_with_the_textbook(
            steps in proptest::collection::vec((0_u8..4, 0_u64..4_000), 1..200),
            burst in 1_u64..6,
        ) {
            let buckets = Buckets::new(1_024);
            let pace = Pace { interval_us: 1_000, burst };
            let mut model: HashMap<u8, Textbook> = HashMap::new();
            let mut now_us = 1_000_000;
            for (client, pause_us) in steps {
                now_us += pause_us;
                let most_us = burst * pace.interval_us;
                let full = Textbook { holds_us: most_us, at_us: now_us };
                let bucket = model.entry(client).or_insert(full);
                bucket.holds_us = most_us.min(bucket.holds_us + now_us - bucket.at_us);
                bucket.at_us = now_us;
                let may = bucket.holds_us >= pace.interval_us;
                if may {
                    bucket.holds_us -= pace.interval_us;
                }
                prop_assert_eq!(is_taken(buckets.take(client, pace, now_us)), may);
            }
        }
    }
}
