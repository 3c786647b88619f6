//! The mark that stands in for a URL whose answers differ by request fields.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use http::HeaderName;

/// Variants of one URL that are kept; beyond it the oldest goes. More is a sign of a `Vary` on
/// something that is different for everybody, and such a URL must not empty the store.
pub const MAX_VARIANTS: usize = 64;

/// Says which request fields tell the answers of one URL apart (RFC 9111 §4.1).
#[derive(Debug)]
pub struct Varying {
    key: Box<[u8]>,
    names: Box<[HeaderName]>,
    /// Part of the place of every variant: those of an earlier mark cannot be reached through this one.
    pub(super) id: u64,
    /// Places of the variants, oldest first, so that a purge frees them at once.
    members: Mutex<VecDeque<u64>>,
}

impl Varying {
    pub(super) fn new(key: &[u8], names: &[HeaderName], id: u64) -> Varying {
        Varying { key: key.into(), names: names.into(), id, members: Mutex::default() }
    }

    /// Fields that `Vary` names, in the order in which they were given to the store.
    pub fn names(&self) -> &[HeaderName] {
        &self.names
    }

    /// Primary key.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// Notes a variant; returns the one that has to go for it.
    pub(super) fn note(&self, place: u64) -> Option<u64> {
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        if members.contains(&place) {
            return None;
        }
        let oldest = if members.len() < MAX_VARIANTS { None } else { members.pop_front() };
        members.push_back(place);
        oldest
    }

    pub(super) fn members(&self) -> Vec<u64> {
        let members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        members.iter().copied().collect()
    }

    /// Counted with all the variants it may come to know: a weight must not change later.
    pub(super) fn weight(&self) -> u64 {
        let names: usize = self.names.iter().map(|name| name.as_str().len() + 32).sum();
        (self.key.len() + names + 2 * MAX_VARIANTS * size_of::<u64>()) as u64
            + super::object::OVERHEAD_BYTES
    }
}
