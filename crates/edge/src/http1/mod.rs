//! What HTTP/1 heads and contents are made of, whoever sends them: field lines, lengths, chunks.
//!
//! `listen` reads requests with it and `origin` answers. It decides alone what is malformed; what a
//! message means and what becomes of its connection is the business of the room. It never repairs
//! anything, and never looks at a byte twice.

pub mod chunked;
pub mod fields;
pub mod names;

/// Where a message's content ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    None,
    /// By `Content-Length`.
    Length(u64),
    /// By `Transfer-Encoding: chunked`.
    Chunked,
}

/// Digits only, and few enough to fit (RFC 9110 §8.6): no sign, no list, no blank.
pub fn content_length(bytes: &[u8]) -> Option<u64> {
    if bytes.is_empty() || !bytes.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(bytes).ok()?.parse().ok()
}
