//! Counters that cores write without sharing a cache line.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// Cells of a counter; a power of two. A writer takes the cell of its thread.
const CELLS: usize = 8;

#[derive(Debug, Default)]
#[repr(align(64))]
struct Cell(AtomicU64);

/// A monotonic counter, spread over cache lines.
#[derive(Debug, Default)]
pub struct Counter {
    cells: [Cell; CELLS],
}

impl Counter {
    /// Adds one.
    pub fn increment(&self) {
        self.add(1);
    }

    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.cells[cell_of_this_thread()].0.fetch_add(n, Ordering::Relaxed);
    }

    /// The sum over all cells.
    pub fn value(&self) -> u64 {
        self.cells.iter().map(|cell| cell.0.load(Ordering::Relaxed)).sum()
    }
}

/// A value that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// Adds `n`, which may be negative, and returns the value after it.
    pub fn add(&self, n: i64) -> i64 {
        self.0.fetch_add(n, Ordering::Relaxed) + n
    }

    /// Sets the value.
    pub fn set(&self, value: i64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Reads the value.
    pub fn value(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

fn cell_of_this_thread() -> usize {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    thread_local! {
        static CELL: usize =
            usize::try_from(NEXT.fetch_add(1, Ordering::Relaxed)).unwrap_or(0) % CELLS;
    }
    CELL.with(|cell| *cell)
}

#[cfg(test)]
mod tests {
    use super::Counter;

    #[test]
    fn nothing_is_lost_between_threads() {
        let counter = Counter::default();
        std::thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| (0..1_000).for_each(|_| counter.increment()));
            }
        });
        assert_eq!(counter.value(), 16_000);
    }
}
