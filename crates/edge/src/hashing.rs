//! Numbers of texts, and which of several shares a number falls to: the same in every process, and not for
//! what strangers may choose to collide.

use std::hash::Hasher;

/// FNV-1a: a few instructions for short texts.
#[derive(Debug)]
pub(crate) struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Fnv {
        Fnv(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

/// The finish of `SplitMix64` (Steele, Lea, Flood 2014).
pub(crate) fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// A number between 0 and 1, neither of them: of half the bits and a half more, exact as a float.
pub(crate) fn unit(mixed: u64) -> f64 {
    let upper = u32::try_from(mixed >> 32).unwrap_or_default();
    (f64::from(upper) + 0.5) / (f64::from(u32::MAX) + 1.0)
}

/// Weighted rendezvous hashing: a thing belongs to the share with the highest score. `weight / -ln(u)` with
/// `u` uniform in (0, 1) makes the share of wins the share of weight (Wang and Ravishankar, Resch), and the
/// order of two shares depends on nothing but them.
pub(crate) fn score(thing: u64, seed: u64, weight: f64) -> f64 {
    weight / -unit(mix(thing ^ seed)).ln()
}
