//! One request to the origin for all who wait for the same answer.
//!
//! In: keys of requests that found nothing stored. Out: for the first of them a [`FillLead`], held by
//! the task that asks the origin, and for everybody, the first included, a [`FillReader`] that gives
//! head and body while they arrive. Readers may live on any core. It never asks the origin itself,
//! never stores, never makes one reader wait for another's turn, and never holds more of a body than
//! its [`Limits`] say.

mod content;
mod lead;
mod part;
mod place;
mod reader;
mod state;
mod table;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use lead::{Abandoned, FillLead};
pub use part::Part;
pub use reader::{FillReader, Missed, Settlement};
pub use table::{Fills, Join, Joiner};

/// Bytes that may lie between the slowest reader and the origin once an answer only passes through.
pub const WINDOW_BYTES: u64 = 256 << 10;
/// Bytes of all fills together that wait to be stored; beyond it answers only pass through.
pub const MAX_HELD_BYTES: u64 = 128 << 20;
/// For how long in all a slow reader may hold up others of the same answer.
pub const LAG: Duration = Duration::from_secs(5);

/// Bounds of fills.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Larger answers are not stored and pass through.
    pub max_object_bytes: u64,
    /// See [`MAX_HELD_BYTES`].
    pub max_held_bytes: u64,
    /// See [`WINDOW_BYTES`].
    pub window_bytes: u64,
    /// See [`LAG`].
    pub lag: Duration,
}

impl Limits {
    /// The defaults, for objects of up to `max_object_bytes`.
    pub fn new(max_object_bytes: u64) -> Limits {
        Limits {
            max_object_bytes,
            max_held_bytes: MAX_HELD_BYTES,
            window_bytes: WINDOW_BYTES,
            lag: LAG,
        }
    }
}

/// What may be done with an answer, as the rules say when its head is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// It will be stored: whoever asks until it is whole may read along.
    Store,
    /// It will be stored, but may not be used unasked: everybody else asks alone.
    StoreForAsker,
    /// It is not stored, but those who wait already may have it (an error of the origin, say).
    Share,
    /// It belongs to the one who asked; everybody else goes on alone, all at once.
    Own,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod fill_tests;
#[cfg(test)]
mod large_tests;
