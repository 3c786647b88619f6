//! Which server of a group is asked: in turn, or the less busy of two.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

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

    fn from(&self, drawn: u64, is_usable: impl Fn(usize) -> bool) -> Option<usize> {
        let count = self.turns.len();
        let mixed = mix(drawn);
        let start = usize::try_from(mixed % (count.max(1) as u64)).unwrap_or(0);
        let turn = |offset: usize| self.turns.get((start + offset) % count).copied();
        (0..count).filter_map(turn).find(|server| is_usable(*server))
    }
}

fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
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

    proptest! {
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
