//! Names of a request: its id and its place in a trace.

use std::cell::Cell;
use std::hash::{BuildHasher, Hasher, RandomState};

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::hashing::mix;

/// The request id towards origin and client.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// W3C Trace Context.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// 32 lower-case hex digits, never all zero. Unique, not secret: nothing may rest on its being
/// hard to guess.
pub fn new_id() -> [u8; 32] {
    let mut id = [0; 32];
    hex(random(), &mut id[..16]);
    hex(random() | 1, &mut id[16..]);
    id
}

/// The trace to go on with: the client's, if its `traceparent` is valid (version 00), else a new one
/// named after the request. The parent is always ours. Whether it is sampled is for us to say only if we make
/// spans ourselves.
pub fn traceparent(fields: &HeaderMap, id: &[u8; 32], is_sampled: Option<bool>) -> [u8; 55] {
    let mut text = *b"00-00000000000000000000000000000000-0000000000000000-01";
    match fields.get(TRACEPARENT).map(HeaderValue::as_bytes) {
        Some(theirs) if is_valid(theirs) => text.copy_from_slice(theirs),
        _ => text[3..35].copy_from_slice(id),
    }
    hex(random() | 1, &mut text[36..52]);
    if let Some(is_sampled) = is_sampled {
        text[53..].copy_from_slice(if is_sampled { b"01" } else { b"00" });
    }
    text
}

/// The place of what follows from this one, in the same trace.
pub fn child(traceparent: &[u8; 55]) -> [u8; 55] {
    let mut text = *traceparent;
    hex(random() | 1, &mut text[36..52]);
    text
}

/// Where in a trace somebody else asks from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parent {
    /// The trace.
    pub trace: [u8; 16],
    /// Their span.
    pub span: [u8; 8],
    /// Whether they make spans of it.
    pub is_sampled: bool,
}

impl Parent {
    /// What a request says of it, if that is valid.
    pub fn of(fields: &HeaderMap) -> Option<Parent> {
        Parent::read(fields.get(TRACEPARENT)?.as_bytes())
    }

    /// Reads a `traceparent`.
    pub fn read(text: &[u8]) -> Option<Parent> {
        if !is_valid(text) {
            return None;
        }
        let flags: [u8; 1] = number(text.get(53..55)?);
        let is_sampled = flags[0] & 1 == 1;
        Some(Parent {
            trace: number(text.get(3..35)?),
            span: number(text.get(36..52)?),
            is_sampled,
        })
    }
}

/// The number that hex digits are; whatever else they are is nought.
pub fn number<const BYTES: usize>(digits: &[u8]) -> [u8; BYTES] {
    let value = |digit: &u8| char::from(*digit).to_digit(16).unwrap_or_default();
    let mut bytes = [0; BYTES];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
        let whole = pair.iter().fold(0, |sum, digit| sum * 16 + value(digit));
        *byte = u8::try_from(whole).unwrap_or_default();
    }
    bytes
}

/// W3C Trace Context §3.2.2: `00-` trace id `-` parent id `-` flags, lower-case hex, no id all zero.
fn is_valid(text: &[u8]) -> bool {
    let is_hex = |part: &[u8]| part.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let is_zero = |part: &[u8]| part.iter().all(|b| *b == b'0');
    match text {
        [b'0', b'0', b'-', rest @ ..] if rest.len() == 52 => {
            let (trace, parent, flags) = (&rest[..32], &rest[33..49], &rest[50..]);
            rest[32] == b'-'
                && rest[49] == b'-'
                && is_hex(trace)
                && is_hex(parent)
                && is_hex(flags)
                && !is_zero(trace)
                && !is_zero(parent)
        }
        _ => false,
    }
}

/// Sixteen digits of a number at once: each half is spread out to a nibble a byte, and ten and above are
/// lifted from behind `9` to `a`.
fn hex(number: u64, out: &mut [u8]) {
    let digits = |half: u32| {
        let wide = u64::from(half);
        let wide = (wide | (wide << 16)) & 0x0000_FFFF_0000_FFFF;
        let wide = (wide | (wide << 8)) & 0x00FF_00FF_00FF_00FF;
        let wide = (wide | (wide << 4)) & 0x0F0F_0F0F_0F0F_0F0F;
        let above_nine = ((wide + 0x0606_0606_0606_0606) >> 4) & 0x0101_0101_0101_0101;
        (wide + 0x3030_3030_3030_3030 + above_nine * 0x27).to_be_bytes()
    };
    let (high, low) = out.split_at_mut(8);
    high.copy_from_slice(&digits((number >> 32) as u32));
    low.copy_from_slice(&digits((number & 0xFFFF_FFFF) as u32));
}

/// `SplitMix64`, seeded by the system once a thread.
fn random() -> u64 {
    thread_local! {
        static STATE: Cell<u64> = Cell::new(RandomState::new().build_hasher().finish());
    }
    STATE.with(|state| {
        let next = state.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
        state.set(next);
        mix(next)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

    #[test]
    fn a_valid_trace_goes_on_and_anything_else_starts_a_new_one() {
        let mut fields = HeaderMap::new();
        let id = new_id();
        fields.insert(TRACEPARENT, HeaderValue::from_static(GOOD));
        let ours = traceparent(&fields, &id, None);
        assert_eq!(&ours[..36], &GOOD.as_bytes()[..36]);
        assert_ne!(&ours[36..52], &GOOD.as_bytes()[36..52], "the parent is ours");
        assert_eq!(&ours[52..], b"-00", "sampling is not ours to change");
        assert_eq!(&traceparent(&fields, &id, Some(true))[52..], b"-01", "unless we make spans");
        let theirs = Parent::of(&fields).expect("it is valid");
        assert_eq!((theirs.trace[0], theirs.trace[15], theirs.is_sampled), (0x4b, 0x36, false));
        assert_eq!(theirs.span, [0x00, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7]);
        for bad in [
            "",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            fields.insert(TRACEPARENT, HeaderValue::from_static(bad));
            assert_eq!(&traceparent(&fields, &id, None)[3..35], &id, "{bad}");
            assert_eq!(Parent::of(&fields), None, "{bad}");
        }
    }

    #[test]
    fn numbers_are_written_as_hex_digits() {
        for number in [0, 1, u64::MAX, 0x0123_4567_89ab_cdef, 0xf0e1_d2c3_b4a5_9687] {
            let mut out = [0; 16];
            hex(number, &mut out);
            assert_eq!(std::str::from_utf8(&out), Ok(format!("{number:016x}").as_str()));
        }
    }

    #[test]
    fn ids_do_not_repeat() {
        let ids: std::collections::HashSet<_> = (0..10_000).map(|_| new_id()).collect();
        assert_eq!(ids.len(), 10_000);
    }
}
