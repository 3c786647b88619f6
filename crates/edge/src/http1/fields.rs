//! Field lines of a head or a trailer section (RFC 9112 §5), strict.

#![warn(clippy::indexing_slicing)]

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::names;

/// Why field lines are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the sentences say it")]
pub enum FieldError {
    #[error("a line feed without its carriage return")]
    BareLineFeed,
    #[error("malformed field line")]
    BadField,
    #[error("folded field line")]
    FoldedLine,
    #[error("more fields than allowed")]
    TooManyFields,
}

/// Where a block of lines ends, found as bytes arrive: each byte is looked at once.
#[derive(Debug, Default)]
pub struct LineScanner {
    scanned: usize,
    line_start: usize,
}

impl LineScanner {
    /// Looks for the empty line that ends the block; returns the length up to and with it.
    ///
    /// A line feed without its carriage return is refused at once: tolerating it is how two parsers
    /// come to disagree (RFC 9112 §2.2 allows both).
    pub fn find_end(&mut self, bytes: &[u8]) -> Result<Option<usize>, FieldError> {
        while let Some(found) =
            bytes.get(self.scanned..).and_then(|rest| memchr::memchr(b'\n', rest))
        {
            let feed = self.scanned + found;
            if feed == self.line_start || bytes.get(feed - 1) != Some(&b'\r') {
                return Err(FieldError::BareLineFeed);
            }
            self.scanned = feed + 1;
            if feed - 1 == self.line_start {
                return Ok(Some(self.scanned));
            }
            self.line_start = self.scanned;
        }
        self.scanned = bytes.len();
        Ok(None)
    }
}

/// Parses field lines up to the empty line. Names and values are slices of `block`.
pub fn parse(block: &Bytes, at: usize, most: usize) -> Result<HeaderMap, FieldError> {
    let mut fields = HeaderMap::new();
    each(block, at, most, |name, value| {
        fields.try_append(name, value).map(drop).map_err(|_| FieldError::TooManyFields)
    })?;
    Ok(fields)
}

/// Parses field lines up to the empty line and hands each to `take`, in order.
pub fn each<E: From<FieldError>>(
    block: &Bytes,
    mut at: usize,
    most: usize,
    mut take: impl FnMut(HeaderName, HeaderValue) -> Result<(), E>,
) -> Result<(), E> {
    let mut count = 0;
    loop {
        let rest = block.get(at..).ok_or(FieldError::BadField)?;
        let length = memchr::memchr(b'\n', rest).ok_or(FieldError::BadField)?;
        let line = rest.get(..length.saturating_sub(1)).ok_or(FieldError::BadField)?;
        if line.is_empty() {
            return Ok(());
        }
        if count == most {
            return Err(FieldError::TooManyFields.into());
        }
        let (name, value) = parse_line(block, at, line)?;
        take(name, value)?;
        count += 1;
        at += length + 1;
    }
}

fn parse_line(
    block: &Bytes,
    at: usize,
    line: &[u8],
) -> Result<(HeaderName, HeaderValue), FieldError> {
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return Err(FieldError::FoldedLine);
    }
    let colon = memchr::memchr(b':', line).ok_or(FieldError::BadField)?;
    let (name, value) = line.split_at(colon);
    // A name is a token: a blank before the colon (RFC 9112 §5.1) fails here.
    let name = names::read(name).ok_or(FieldError::BadField)?;
    let value = value.get(1..).unwrap_or_default();
    let start = value.iter().take_while(|byte| is_blank(**byte)).count();
    let end = value.len() - value.iter().rev().take_while(|byte| is_blank(**byte)).count();
    let (start, end) = (start.min(end), end);
    // A carriage return within the line, NUL and other controls fail here (RFC 9110 §5.5).
    let from = at + colon + 1;
    let value = HeaderValue::from_maybe_shared(block.slice(from + start..from + end))
        .map_err(|_| FieldError::BadField)?;
    Ok((name, value))
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_found_however_the_bytes_are_cut() {
        let head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nrest";
        for cut in 0..head.len() {
            let mut scanner = LineScanner::default();
            let first = scanner.find_end(&head[..cut]).expect("no bare line feed");
            let found = first.or(scanner.find_end(head).expect("no bare line feed"));
            assert_eq!(found, Some(head.len() - 4), "cut at {cut}");
        }
    }

    #[test]
    fn a_bare_line_feed_is_refused_before_the_head_is_complete() {
        let mut scanner = LineScanner::default();
        assert!(matches!(scanner.find_end(b"GET / HTTP/1.1\n"), Err(FieldError::BareLineFeed)));
        let mut scanner = LineScanner::default();
        assert!(matches!(scanner.find_end(b"\n"), Err(FieldError::BareLineFeed)));
    }
}
