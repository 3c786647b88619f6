//! The journal: who changed what, when. Bounded, in memory, also written to the log.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::clock;

/// Entries kept; older ones fall out. A healthy day writes a page.
pub const KEPT: usize = 1_000;

/// One notable change of behaviour.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Entry {
    /// Counts up from 1 without gaps.
    pub number: u64,
    /// Milliseconds since 1970-01-01 UTC.
    pub at_ms: u64,
    /// Who made it: a room or an operator.
    pub who: String,
    /// What happened, in a sentence.
    pub what: String,
}

/// The last [`KEPT`] entries.
#[derive(Debug, Default)]
pub struct Journal {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    written: u64,
    entries: VecDeque<Entry>,
}

impl Journal {
    /// Writes an entry and a log line.
    pub fn write(&self, who: &str, what: impl Into<String>) {
        drop(self.record(who, what));
    }

    /// The same, and the entry for whoever keeps it.
    pub fn record(&self, who: &str, what: impl Into<String>) -> Entry {
        let what = what.into();
        tracing::info!(who, what = %what, "journal");
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.written += 1;
        let entry =
            Entry { number: inner.written, at_ms: ms(clock::wall()), who: who.into(), what };
        if inner.entries.len() == KEPT {
            inner.entries.pop_front();
        }
        inner.entries.push_back(entry.clone());
        entry
    }

    /// The newest `n` entries, newest first.
    pub fn newest(&self, n: usize) -> Vec<Entry> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.entries.iter().rev().take(n).cloned().collect()
    }
}

fn ms(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn journal_keeps_the_newest_and_stays_bounded() {
        let journal = Journal::default();
        for n in 0..KEPT + 5 {
            journal.write("test", format!("entry {n}"));
        }
        let all = journal.newest(usize::MAX);
        assert_eq!(all.len(), KEPT);
        assert_eq!(all[0].number, KEPT as u64 + 5);
        assert_eq!(all[KEPT - 1].what, "entry 5");
    }
}
