//! Which server of a group is asked: in turn, or the less busy of two.

use std::hash::Hasher;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::hashing::{Fnv, mix, score, unit};

/// Longest schedule; weights beyond it are scaled down.
const LONGEST: u64 = 1_024;
/// Step of the Weyl sequence under the draws (`SplitMix64`).
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// Turns of a group, made once: each server stands in it as often as it weighs, evenly spread.
#[derive(Debug)]
pub(super) struct Schedule {
    turns: Vec<usize>,
    next: AtomicUsize,
    draws: AtomicU64,
}

impl Schedule {
    /// A schedule for servers of these weights; weight 0 has no turn.
    pub(super) fn new(weights: &[u32]) -> Schedule {
        let turns = spread(&scaled(weights));
        Schedule { turns, next: AtomicUsize::new(0), draws: AtomicU64::new(STEP) }
    }

    /// The next server in turn that `is_usable`.
    pub(super) fn in_turn(&self, is_usable: impl Fn(usize) -> bool) -> Option<usize> {
        let count = self.turns.len();
        let start = self.next.fetch_add(1, Ordering::Relaxed);
        let turn = |offset: usize| self.turns.get((start.wrapping_add(offset)) % count).copied();
        (0..count).filter_map(turn).find(|server| is_usable(*server))
    }

    /// Draws two usable servers by weight and takes the one with the lower `load` for its weight.
    pub(super) fn less_busy(
        &self,
        is_usable: impl Fn(usize) -> bool,
        load: impl Fn(usize) -> u64,
    ) -> Option<usize> {
        let drawn = self.draws.fetch_add(STEP, Ordering::Relaxed);
        let first = self.from(drawn >> 32, &is_usable)?;
        let other = |server: usize| server != first && is_usable(server);
        match self.from(drawn & 0xFFFF_FFFF, other) {
            Some(second) if load(second) < load(first) => Some(second),
            _ => Some(first),
        }
    }

    /// A number from 0 up to 1.
    pub(super) fn chance(&self) -> f64 {
        unit(mix(self.draws.fetch_add(STEP, Ordering::Relaxed)))
    }

    fn from(&self, drawn: u64, is_usable: impl Fn(usize) -> bool) -> Option<usize> {
        let count = self.turns.len();
        let mixed = mix(drawn);
        let start = usize::try_from(mixed % (count.max(1) as u64)).unwrap_or(0);
        let turn = |offset: usize| self.turns.get((start + offset) % count).copied();
        (0..count).filter_map(turn).find(|server| is_usable(*server))
    }
}

/// What a thing that a server is found by, or a server, is in numbers: the same in every process.
pub(super) fn digest(pieces: &[&[u8]]) -> u64 {
    let mut hasher = Fnv::default();
    for piece in pieces {
        hasher.write(piece);
        hasher.write(&[0]);
    }
    mix(hasher.finish())
}

/// A server that may be found by hash.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    /// Its place in the group.
    pub(super) at: usize,
    /// Digest of its name.
    pub(super) seed: u64,
    /// Its share.
    pub(super) weight: f64,
    /// Requests in flight.
    pub(super) load: u32,
}

/// The server for `thing`: the first in the order of weighted rendezvous hashing that has, this request
/// included, no more than `bound` times what its weight is of all requests in flight. The order of two
/// servers depends on nothing but them, so that one that comes or goes moves only what it takes or had.
pub(super) fn by_hash(thing: u64, candidates: &[Candidate], bound: f64) -> Option<usize> {
    let weights: f64 = candidates.iter().map(|server| server.weight).sum();
    let in_flight: f64 = candidates.iter().map(|server| f64::from(server.load)).sum();
    let has_room = |server: &&Candidate| {
        let most = (bound * (in_flight + 1.0) * server.weight / weights).ceil();
        f64::from(server.load) + 1.0 <= most
    };
    let score = |server: &Candidate| score(thing, server.seed, server.weight);
    let best = |a: &&Candidate, b: &&Candidate| score(a).total_cmp(&score(b));
    let first = candidates.iter().filter(has_room).max_by(best);
    // With a bound above 1 there is always one with room; rounding must not make it nobody.
    first.or_else(|| candidates.iter().max_by(best)).map(|server| server.at)
}

fn scaled(weights: &[u32]) -> Vec<u64> {
    let divisor = weights.iter().fold(0, |a, b| gcd(a, u64::from(*b))).max(1);
    let weights: Vec<u64> = weights.iter().map(|weight| u64::from(*weight) / divisor).collect();
    let sum: u64 = weights.iter().sum();
    if sum <= LONGEST {
        return weights;
    }
    let scale = |weight: &u64| if *weight == 0 { 0 } else { (weight * LONGEST / sum).max(1) };
    weights.iter().map(scale).collect()
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Smooth weighted round robin: every step each server earns its weight, the richest pays the sum.
fn spread(weights: &[u64]) -> Vec<usize> {
    let sum: u64 = weights.iter().sum();
    let mut earned = vec![0_i128; weights.len()];
    let mut turns = Vec::new();
    for _ in 0..sum {
        for (earned, weight) in earned.iter_mut().zip(weights) {
            *earned += i128::from(*weight);
        }
        let richest = (0..weights.len()).max_by_key(|i| (earned[*i], std::cmp::Reverse(*i)));
        let Some(richest) = richest else { break };
        earned[richest] -= i128::from(sum);
        turns.push(richest);
    }
    turns
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn turns_are_spread_and_follow_the_weights() {
        assert_eq!(Schedule::new(&[5, 1, 1]).turns, [0, 0, 1, 0, 2, 0, 0]);
        assert_eq!(Schedule::new(&[10, 10]).turns, [0, 1]);
        assert_eq!(Schedule::new(&[0, 3]).turns, [1]);
        assert!(Schedule::new(&[0]).in_turn(|_| true).is_none());
        assert!(Schedule::new(&[]).less_busy(|_| true, |_| 0).is_none());
    }

    #[test]
    fn the_less_busy_of_two_wins_and_both_are_drawn() {
        let schedule = Schedule::new(&[1, 1]);
        assert!((0..100).all(|_| schedule.less_busy(|_| true, |i| [7, 3][i]) == Some(1)));
        let mut seen = [0; 4];
        let schedule = Schedule::new(&[1, 1, 1, 1]);
        for _ in 0..4_000 {
            seen[schedule.less_busy(|_| true, |_| 0).expect("all are usable")] += 1;
        }
        assert!(seen.iter().all(|count| (800..1200).contains(count)), "{seen:?}");
    }

    fn servers(names: &[u8], load: u32) -> Vec<Candidate> {
        let server = |(at, name): (usize, &u8)| {
            let seed = digest(&[&[*name]]);
            Candidate { at, seed, weight: 1.0, load }
        };
        names.iter().enumerate().map(server).collect()
    }

    fn found(thing: u32, names: &[u8]) -> u8 {
        let thing = digest(&[&thing.to_be_bytes()]);
        names[by_hash(thing, &servers(names, 0), 1.25).expect("there are servers")]
    }

    #[test]
    fn things_are_spread_by_weight() {
        let mut all = servers(b"abc", 0);
        all[2].weight = 2.0;
        let mut seen = [0; 3];
        for thing in 0..8_000_u32 {
            seen[by_hash(digest(&[&thing.to_be_bytes()]), &all, 100.0).expect("one")] += 1;
        }
        assert!(seen[..2].iter().all(|count| (1_800..2_200).contains(count)), "{seen:?}");
    }

    #[test]
    fn nobody_is_given_more_than_the_bound() {
        let mut all = servers(b"abcdefgh", 0);
        let thing = digest(&[b"what everybody wants"]);
        for sent in 1..=800_u32 {
            let at = by_hash(thing, &all, 1.25).expect("there is room");
            all[at].load += 1;
            let most = (1.25 * f64::from(sent) / 8.0).ceil();
            assert!(all.iter().all(|server| f64::from(server.load) <= most), "{sent}: {all:?}");
        }
        let used = all.iter().filter(|server| server.load >= 100).count();
        assert!((6..=7).contains(&used), "the first have all they may: {all:?}");
    }

    proptest! {
        #[test]
        fn a_server_that_goes_or_comes_moves_only_what_it_has(
            names in proptest::sample::subsequence((0..64_u8).collect::<Vec<_>>(), 2..20),
            gone in any::<proptest::sample::Index>(),
        ) {
            let gone = names[gone.index(names.len())];
            let left: Vec<u8> = names.iter().copied().filter(|name| *name != gone).collect();
            for thing in 0..200 {
                let (before, after) = (found(thing, &names), found(thing, &left));
                prop_assert!(before == after || before == gone, "{thing}: {before} to {after}");
            }
        }

        #[test]
        fn what_is_not_usable_is_never_chosen(
            weights in proptest::collection::vec(0_u32..100_000, 1..8), sick in 0_usize..8,
        ) {
            let schedule = Schedule::new(&weights);
            prop_assert!(schedule.turns.len() as u64 <= LONGEST + weights.len() as u64);
            let expected = weights.iter().enumerate().any(|(i, w)| i != sick && *w > 0);
            for _ in 0..20 {
                let turn = schedule.in_turn(|i| i != sick);
                prop_assert_eq!(turn.is_some(), expected);
                prop_assert!(turn.is_none_or(|i| i != sick && weights[i] > 0));
                let drawn = schedule.less_busy(|i| i != sick, |_| 1);
                prop_assert_eq!(drawn.is_some(), expected);
                prop_assert!(drawn.is_none_or(|i| i != sick && weights[i] > 0));
            }
        }
    }
}
