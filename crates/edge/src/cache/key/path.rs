//! Paths that two programs may read differently. A route whose answers may be stored refuses them,
//! because what the origin makes of them is then served to others under the name that we read.
//!
//! A `;` by itself is an ordinary character (RFC 3986 §3.3); only behind dots it is one that some servers
//! cut off.

/// What is ambiguous about a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ambiguity {
    /// `.` or `..` as a segment, encoded or with `;…` behind it.
    DotSegment,
    /// `%2f`: a slash that may or may not separate.
    EncodedSlash,
    /// `\` or `%5c`, which some servers read as a slash.
    Backslash,
    /// `%00` to `%1f` and `%7f`.
    EncodedControl,
    /// `%` without two hex digits.
    BrokenEncoding,
}

impl Ambiguity {
    /// Token for logs and metrics.
    pub fn label(self) -> &'static str {
        match self {
            Ambiguity::DotSegment => "dot-segment",
            Ambiguity::EncodedSlash => "encoded-slash",
            Ambiguity::Backslash => "backslash",
            Ambiguity::EncodedControl => "encoded-control",
            Ambiguity::BrokenEncoding => "broken-encoding",
        }
    }
}

/// What is ambiguous about `path`, if anything.
pub fn ambiguous_path(path: &str) -> Option<Ambiguity> {
    let bytes = path.as_bytes();
    // Nearly every path has none of these, and one pass says so.
    memchr::memchr3(b'%', b'\\', b'.', bytes)?;
    for at in memchr::memchr2_iter(b'%', b'\\', bytes) {
        if bytes.get(at) == Some(&b'\\') {
            return Some(Ambiguity::Backslash);
        }
        match bytes.get(at + 1..at + 3).and_then(hex_pair) {
            None => return Some(Ambiguity::BrokenEncoding),
            Some(b'/') => return Some(Ambiguity::EncodedSlash),
            Some(b'\\') => return Some(Ambiguity::Backslash),
            Some(0..=0x1f | 0x7f) => return Some(Ambiguity::EncodedControl),
            Some(_) => {}
        }
    }
    bytes.split(|byte| *byte == b'/').any(is_dots).then_some(Ambiguity::DotSegment)
}

/// `.`, `..`, any of them encoded, and `..;x`.
fn is_dots(segment: &[u8]) -> bool {
    let (mut rest, mut dots) = (segment, 0);
    loop {
        rest = match rest {
            [b'.', rest @ ..] | [b'%', b'2', b'e' | b'E', rest @ ..] => rest,
            _ => break,
        };
        dots += 1;
    }
    let is_end = matches!(rest, [] | [b';', ..] | [b'%', b'3', b'b' | b'B', ..]);
    is_end && (dots == 1 || dots == 2)
}

/// Value of two hex digits.
pub(super) fn hex_pair(pair: &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    }
}
