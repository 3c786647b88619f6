//! `multipart/byteranges` (RFC 9110 §14.6): heads of parts between slices of a stored whole.

use std::ops::Range;

use bytes::Bytes;
use http::HeaderValue;

/// A piece of the content, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Delimiter and head of a part, or the end.
    Text(Bytes),
    /// Bytes of the stored whole.
    Slice(Range<u64>),
}

/// Content of a 206 with several parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Multipart {
    /// What to send, in order.
    pub pieces: Vec<Piece>,
    /// Bytes of all pieces.
    pub length: u64,
    /// `Content-Type` of the answer; the stored one stands in each part.
    pub content_type: HeaderValue,
}

/// Lays out `parts` of a whole of `length` bytes. `boundary` is letters and digits, at most 70, and
/// random enough not to occur in the content: the request id is.
pub fn layout(
    parts: &[Range<u64>],
    length: u64,
    content_type: Option<&HeaderValue>,
    boundary: &str,
) -> Multipart {
    let mut pieces = Vec::with_capacity(parts.len() * 2 + 1);
    let mut delimiter = format!("--{boundary}\r\n");
    for part in parts {
        let mut head =
            std::mem::replace(&mut delimiter, format!("\r\n--{boundary}\r\n")).into_bytes();
        if let Some(content_type) = content_type {
            head.extend_from_slice(b"Content-Type: ");
            head.extend_from_slice(content_type.as_bytes());
            head.extend_from_slice(b"\r\n");
        }
        let last = part.end.saturating_sub(1);
        let range = format!("Content-Range: bytes {}-{last}/{length}\r\n\r\n", part.start);
        head.extend_from_slice(range.as_bytes());
        pieces.push(Piece::Text(head.into()));
        pieces.push(Piece::Slice(part.clone()));
    }
    pieces.push(Piece::Text(format!("\r\n--{boundary}--\r\n").into()));
    let length = pieces.iter().map(Piece::length).sum();
    let content_type = HeaderValue::from_str(&format!("multipart/byteranges; boundary={boundary}"))
        .unwrap_or(HeaderValue::from_static("multipart/byteranges"));
    Multipart { pieces, length, content_type }
}

impl Piece {
    /// Bytes of this piece.
    pub fn length(&self) -> u64 {
        match self {
            Piece::Text(text) => text.len() as u64,
            Piece::Slice(range) => range.end.saturating_sub(range.start),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_stand_between_delimiters_and_the_length_is_exact() {
        let whole = b"0123456789";
        let kind = HeaderValue::from_static("text/plain");
        let laid_out = layout(&[1..3, 8..10], 10, Some(&kind), "B");
        let mut sent = Vec::new();
        for piece in &laid_out.pieces {
            match piece {
                Piece::Text(text) => sent.extend_from_slice(text),
                Piece::Slice(range) => {
                    let at = |byte: u64| usize::try_from(byte).unwrap();
                    sent.extend_from_slice(&whole[at(range.start)..at(range.end)]);
                }
            }
        }
        let expected = "--B\r\nContent-Type: text/plain\r\nContent-Range: bytes 1-2/10\r\n\r\n12\r\n\
                        --B\r\nContent-Type: text/plain\r\nContent-Range: bytes 8-9/10\r\n\r\n89\r\n--B--\r\n";
        assert_eq!(String::from_utf8(sent).unwrap(), expected);
        assert_eq!(laid_out.length, expected.len() as u64);
        assert_eq!(laid_out.content_type, "multipart/byteranges; boundary=B");
    }
}
