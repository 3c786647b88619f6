//! The tables that a decoder knows fields by (RFC 7541 §2.3).

#![warn(clippy::indexing_slicing)]

use std::collections::VecDeque;
use std::sync::LazyLock;

use super::field::{Field, Name};
use super::{ENTRY_BYTES, TABLE_BYTES};

/// RFC 7541, Appendix A. Index 1 is the first.
pub(super) const STATIC: [(&str, &str); 61] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];

/// A field and what it counts (RFC 7541 §4.1).
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) field: Field,
    pub(super) name_bytes: usize,
    pub(super) bytes: usize,
}

impl Entry {
    pub(super) fn new(name: Name, name_bytes: usize, value: &[u8]) -> Entry {
        let bytes = name_bytes + value.len() + ENTRY_BYTES;
        Entry { field: Field::of(name, value), name_bytes, bytes }
    }
}

static PARSED: LazyLock<Vec<Entry>> = LazyLock::new(|| {
    let entry = |(name, value): &(&str, &str)| {
        Entry::new(Name::of(name.as_bytes()), name.len(), value.as_bytes())
    };
    STATIC.iter().map(entry).collect()
});

/// The static table, and behind it what the client has added, newest first.
#[derive(Debug)]
pub(super) struct Table {
    added: VecDeque<Entry>,
    bytes: usize,
    most: usize,
}

impl Table {
    pub(super) fn new() -> Table {
        Table { added: VecDeque::new(), bytes: 0, most: TABLE_BYTES }
    }

    /// The entry with this index; index 0 stands for none.
    pub(super) fn entry(&self, index: usize) -> Option<&Entry> {
        let index = index.checked_sub(1)?;
        PARSED.get(index).or_else(|| self.added.get(index - PARSED.len()))
    }

    /// Adds one and makes room for it; one that is larger than the table empties it (§4.4).
    pub(super) fn add(&mut self, entry: Entry) {
        self.make_room(entry.bytes);
        if entry.bytes <= self.most {
            self.bytes += entry.bytes;
            self.added.push_front(entry);
        }
    }

    /// Takes a new bound, which the caller has found to be allowed.
    pub(super) fn resize(&mut self, most: usize) {
        self.most = most;
        self.make_room(0);
    }

    fn make_room(&mut self, bytes: usize) {
        while self.bytes + bytes > self.most
            && let Some(oldest) = self.added.pop_back()
        {
            self.bytes -= oldest.bytes;
        }
    }
}
