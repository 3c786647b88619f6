//! Which arm of a split a client is in: weighted rendezvous hashing. A change of shares moves no client
//! but those that the change itself gives to another arm.

use std::hash::Hasher;

use crate::config::route::{ALL_PARTS, Split};
use crate::hashing::{Fnv, mix, score};

/// Arms of a split, the route's own origin first.
#[derive(Debug)]
pub struct Draw {
    arms: Vec<(u64, f64)>,
}

impl Draw {
    /// Arms of a route whose own origin is `origin`.
    pub fn new(origin: &str, split: &Split) -> Draw {
        let given: u32 = split.shares.iter().map(|(_, parts)| parts).sum();
        let own = [(origin, ALL_PARTS.saturating_sub(given))];
        let shares = split.shares.iter().map(|(origin, parts)| (origin.as_str(), *parts));
        let arm = |(origin, parts): (&str, u32)| (digest(origin.as_bytes()), f64::from(parts));
        Draw { arms: own.into_iter().chain(shares).map(arm).collect() }
    }

    /// The arm of this client.
    pub fn of(&self, client: &[u8]) -> usize {
        let client = digest(client);
        let scores = self.arms.iter().map(|(seed, weight)| score(client, *seed, *weight));
        let best = scores.enumerate().max_by(|(_, a), (_, b)| a.total_cmp(b));
        best.map_or(0, |(arm, _)| arm)
    }
}

fn digest(bytes: &[u8]) -> u64 {
    let mut hasher = Fnv::default();
    hasher.write(bytes);
    mix(hasher.finish())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::route::Sticky;

    fn draw(shares: &[(&str, u32)]) -> Draw {
        let shares = shares.iter().map(|(name, parts)| ((*name).to_owned(), *parts)).collect();
        Draw::new("stable", &Split { shares, sticky: Sticky::Off })
    }

    fn arms(draw: &Draw, clients: u32) -> Vec<usize> {
        (0..clients).map(|client| draw.of(&client.to_be_bytes())).collect()
    }

    #[test]
    fn a_share_is_what_is_written() {
        let of = arms(&draw(&[("canary", 500), ("other", 2_000)]), 20_000);
        let share = |arm| of.iter().filter(|of| **of == arm).count();
        assert!((14_700..15_300).contains(&share(0)), "{}", share(0));
        assert!((900..1_100).contains(&share(1)), "{}", share(1));
        assert!((3_800..4_200).contains(&share(2)), "{}", share(2));
        assert!(arms(&draw(&[("canary", 0)]), 1_000).iter().all(|of| *of == 0));
        assert!(arms(&draw(&[("canary", ALL_PARTS)]), 1_000).iter().all(|of| *of == 1));
    }

    proptest! {
        #[test]
        fn a_share_that_grows_takes_clients_and_gives_none_away(
            small in 0_u32..=5_000, more in 0_u32..=5_000,
        ) {
            let before = arms(&draw(&[("canary", small)]), 500);
            let after = arms(&draw(&[("canary", small + more)]), 500);
            prop_assert!(before.iter().zip(&after).all(|(before, after)| before <= after));
        }
    }
}
