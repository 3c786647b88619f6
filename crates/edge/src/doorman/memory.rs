//! Rulings that may be used again, bounded in number and bytes.

use std::sync::Arc;
use std::time::Instant;

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::ruling::Ruling;
use crate::identity;

/// Memory of one doorman's rulings, and what each takes at least: so there are 65,536 of them at most.
const MOST_BYTES: u64 = 16 << 20;
const LEAST_BYTES: u64 = 256;
/// A larger one is not worth the others that it would push out.
const LARGEST_BYTES: usize = 64 * 1024;

/// Rulings by the digest of what was asked.
pub(super) struct Memory {
    rulings: Cache<[u8; 32], Known, Weights>,
    salt: [u8; 32],
}

#[derive(Clone)]
struct Known {
    ruling: Arc<Ruling>,
    until: Instant,
}

#[derive(Clone)]
struct Weights;

impl Weighter<[u8; 32], Known> for Weights {
    fn weight(&self, _: &[u8; 32], known: &Known) -> u64 {
        LEAST_BYTES + known.ruling.weight() as u64
    }
}

impl Memory {
    pub(super) fn new() -> Memory {
        let items = usize::try_from(MOST_BYTES / LEAST_BYTES).unwrap_or(usize::MAX);
        let mut salt = [0; 32];
        // Whether requests are the same must not be worked out beforehand by anybody.
        if aws_lc_rs::rand::fill(&mut salt).is_err() {
            salt = identity::new_id();
        }
        Memory { rulings: Cache::with_weighter(items, MOST_BYTES, Weights), salt }
    }

    pub(super) fn salt(&self) -> &[u8; 32] {
        &self.salt
    }

    pub(super) fn get(&self, digest: &[u8; 32], now: Instant) -> Option<Arc<Ruling>> {
        let known = self.rulings.get(digest)?;
        if now < known.until {
            return Some(known.ruling);
        }
        self.rulings.remove_if(digest, |known| known.until <= now);
        None
    }

    pub(super) fn put(&self, digest: [u8; 32], ruling: &Arc<Ruling>, until: Instant) {
        if ruling.weight() <= LARGEST_BYTES {
            self.rulings.insert(digest, Known { ruling: Arc::clone(ruling), until });
        }
    }
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Memory({})", self.rulings.len())
    }
}

#[cfg(test)]
mod tests {
    use forebay_signals::clock;

    use super::*;

    #[test]
    fn a_million_clients_take_no_more_than_the_bound() {
        let memory = Memory::new();
        let ruling = Arc::new(Ruling::nobody());
        let until = clock::now() + std::time::Duration::from_secs(60);
        for client in 0..1_000_000_u64 {
            let mut digest = [0; 32];
            digest[..8].copy_from_slice(&client.to_be_bytes());
            memory.put(digest, &ruling, until);
        }
        assert!(memory.rulings.len() <= 65_536, "{}", memory.rulings.len());
        assert!(memory.rulings.weight() <= MOST_BYTES);
    }
}
