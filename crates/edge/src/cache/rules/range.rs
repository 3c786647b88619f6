//! Ranges of a stored whole (RFC 9110 §14).

use std::ops::Range;

use http::HeaderValue;
use http::header::{HeaderMap, RANGE};

use super::directives::members;

/// More ranges than this in one request get the whole: nobody who reads needs them.
pub const MAX_RANGES: usize = 16;
/// Ranges closer than this are sent as one: the head of a part costs more.
pub(super) const MERGE_GAP: u64 = 100;

/// What a `Range` field selects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// No range, none that we read, or so many that the whole is the better answer: 200.
    Whole,
    /// One part: 206 with `Content-Range`.
    One(Range<u64>),
    /// Several, in the order in which they were asked for: 206 with `multipart/byteranges`. None is
    /// empty, no two overlap.
    Several(Vec<Range<u64>>),
    /// All of it lies outside: 416.
    Unsatisfiable,
}

/// What the request selects of `length` bytes. Ask [`super::conditional::range_applies`] first; only GET
/// has ranges.
pub fn select(fields: &HeaderMap, length: u64) -> Selection {
    let mut lines = fields.get_all(RANGE).iter();
    match (lines.next(), lines.next()) {
        (Some(line), None) => select_from(line.as_bytes(), length),
        _ => Selection::Whole,
    }
}

/// The same for the value of one `Range` field. What does not parse is no range (§14.2).
pub fn select_from(value: &[u8], length: u64) -> Selection {
    let Some((unit, set)) = value.split_at_checked(b"bytes=".len()) else {
        return Selection::Whole;
    };
    if !unit.eq_ignore_ascii_case(b"bytes=") {
        return Selection::Whole;
    }
    let mut parts = Vec::new();
    let mut count = 0;
    for spec in members(set) {
        count += 1;
        if count > MAX_RANGES {
            return Selection::Whole;
        }
        match part(spec, length) {
            Some(part) if !part.is_empty() => parts.push(part),
            Some(_) => {}
            None => return Selection::Whole,
        }
    }
    if count == 0 {
        return Selection::Whole;
    }
    choose(coalesce(parts), length)
}

fn choose(mut parts: Vec<Range<u64>>, length: u64) -> Selection {
    match parts.len() {
        0 => Selection::Unsatisfiable,
        1 => parts.pop().map_or(Selection::Unsatisfiable, Selection::One),
        count => {
            let content: u64 = parts.iter().map(|part| part.end - part.start).sum();
            let heads = MERGE_GAP * count as u64;
            let is_worth_it = content.saturating_add(heads) < length;
            if is_worth_it { Selection::Several(parts) } else { Selection::Whole }
        }
    }
}

/// One of `first-last`, `first-`, `-suffix`; empty if it lies outside, `None` if it is none of them.
fn part(spec: &[u8], length: u64) -> Option<Range<u64>> {
    let mut halves = spec.splitn(2, |byte| *byte == b'-');
    let (first, last) = (halves.next()?, halves.next()?);
    if first.is_empty() {
        let suffix = number(last)?.min(length);
        return Some(length - suffix..length);
    }
    let first = number(first)?;
    let end = if last.is_empty() {
        length
    } else {
        let last = number(last)?;
        if last < first {
            return None;
        }
        last.saturating_add(1).min(length)
    };
    Some(first.min(end)..end)
}

/// Joins parts that overlap or nearly touch (§15.3.7.2). The order stays unless something is joined.
fn coalesce(parts: Vec<Range<u64>>) -> Vec<Range<u64>> {
    let mut sorted = parts.clone();
    sorted.sort_unstable_by_key(|part| part.start);
    let mut joined: Vec<Range<u64>> = Vec::with_capacity(sorted.len());
    for part in sorted {
        match joined.last_mut() {
            Some(last) if part.start <= last.end.saturating_add(MERGE_GAP) => {
                last.end = last.end.max(part.end);
            }
            _ => joined.push(part),
        }
    }
    if joined.len() == parts.len() { parts } else { joined }
}

fn number(digits: &[u8]) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    is_number.then(|| {
        digits
            .iter()
            .fold(0u64, |sum, digit| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0')))
    })
}

/// `Content-Range` of a part.
pub fn content_range(part: &Range<u64>, length: u64) -> HeaderValue {
    let last = part.end.saturating_sub(1);
    value(&format!("bytes {}-{last}/{length}", part.start))
}

/// `Content-Range` of a 416.
pub fn content_range_unsatisfied(length: u64) -> HeaderValue {
    value(&format!("bytes */{length}"))
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("digits and ASCII punctuation are a field value")
}
