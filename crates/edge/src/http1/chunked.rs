//! Where a message's content ends, byte by byte (RFC 9112 §6, §7.1), strict.

#![warn(clippy::indexing_slicing)]

use bytes::{Buf, Bytes, BytesMut};
use http::HeaderMap;

use super::Framing;
use super::fields::{self, LineScanner};

/// Longest chunk-size line, extensions included: nobody uses them but attackers.
const MOST_SIZE_LINE: usize = 256;
/// Largest trailer section.
const MOST_TRAILER: usize = 8 * 1024;

/// Content decoded so far.
#[derive(Debug, PartialEq, Eq)]
pub enum Decoded {
    /// Some content.
    Data(Bytes),
    /// The content is complete; trailer fields, if any.
    Done(Option<HeaderMap>),
    /// More bytes are needed.
    More,
}

/// Framing inside the content is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("broken framing inside the content")]
pub struct BadFraming;

/// Decodes one message's content.
#[derive(Debug)]
pub struct Decoder {
    state: State,
}

#[derive(Debug)]
enum State {
    Length(u64),
    Size,
    Data(u64),
    DataEnd,
    Trailer(LineScanner),
    Done,
}

impl Decoder {
    /// A decoder for content framed like this.
    pub fn new(framing: Framing) -> Decoder {
        let state = match framing {
            Framing::None | Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Size,
        };
        Decoder { state }
    }

    /// True once the message is complete.
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Bytes still to come, where the framing tells.
    pub fn remaining(&self) -> Option<u64> {
        match self.state {
            State::Length(left) => Some(left),
            State::Done => Some(0),
            _ => None,
        }
    }

    /// Takes what it can from the front of `buffer`.
    pub fn decode(&mut self, buffer: &mut BytesMut) -> Result<Decoded, BadFraming> {
        loop {
            match &mut self.state {
                State::Done => return Ok(Decoded::Done(None)),
                State::Length(left) | State::Data(left) => {
                    if buffer.is_empty() {
                        return Ok(Decoded::More);
                    }
                    let most = usize::try_from(*left).unwrap_or(usize::MAX);
                    let data = buffer.split_to(most.min(buffer.len())).freeze();
                    *left -= data.len() as u64;
                    if *left == 0 {
                        self.state = match self.state {
                            State::Data(_) => State::DataEnd,
                            _ => State::Done,
                        };
                    }
                    return Ok(Decoded::Data(data));
                }
                State::Size => match take_size(buffer)? {
                    None => return Ok(Decoded::More),
                    Some(0) => self.state = State::Trailer(LineScanner::default()),
                    Some(size) => self.state = State::Data(size),
                },
                State::DataEnd => match buffer.get(..2) {
                    Some(b"\r\n") => {
                        buffer.advance(2);
                        self.state = State::Size;
                    }
                    None if buffer.first().is_none_or(|byte| *byte == b'\r') => {
                        return Ok(Decoded::More);
                    }
                    _ => return Err(BadFraming),
                },
                State::Trailer(scanner) => {
                    let end = scanner.find_end(buffer).map_err(|_| BadFraming)?;
                    if end.unwrap_or(buffer.len()) > MOST_TRAILER {
                        return Err(BadFraming);
                    }
                    let Some(end) = end else { return Ok(Decoded::More) };
                    let trailers = fields::parse(&buffer.split_to(end).freeze(), 0, 32)
                        .map_err(|_| BadFraming)?;
                    self.state = State::Done;
                    return Ok(Decoded::Done(lawful(trailers)));
                }
            }
        }
    }
}

/// Takes a chunk-size line once it is complete: hex digits, an extension without controls, CRLF.
fn take_size(buffer: &mut BytesMut) -> Result<Option<u64>, BadFraming> {
    let Some(feed) = memchr::memchr(b'\n', buffer) else {
        // A carriage return may only be the last byte so far, and the rest must look lawful already.
        let line = buffer.strip_suffix(b"\r").unwrap_or(buffer);
        let fits = buffer.len() <= MOST_SIZE_LINE && (line.is_empty() || parse_size(line).is_ok());
        return if fits { Ok(None) } else { Err(BadFraming) };
    };
    if feed > MOST_SIZE_LINE {
        return Err(BadFraming);
    }
    let line = buffer.split_to(feed + 1);
    parse_size(line.strip_suffix(b"\r\n").ok_or(BadFraming)?).map(Some)
}

fn parse_size(line: &[u8]) -> Result<u64, BadFraming> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (digits, extension) = line.split_at(digits);
    // 15 hex digits are 2^60: larger is no honest upload, and cannot overflow.
    if digits.is_empty() || digits.len() > 15 {
        return Err(BadFraming);
    }
    let lawful = match extension.first() {
        None => true,
        Some(b';') => {
            extension.iter().all(|byte| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f))
        }
        Some(_) => false,
    };
    if !lawful {
        return Err(BadFraming);
    }
    let digits = std::str::from_utf8(digits).map_err(|_| BadFraming)?;
    u64::from_str_radix(digits, 16).map_err(|_| BadFraming)
}

/// Trailer fields without those that frame or route (RFC 9110 §6.5.1).
fn lawful(mut trailers: HeaderMap) -> Option<HeaderMap> {
    for name in [
        "transfer-encoding",
        "content-length",
        "host",
        "connection",
        "trailer",
        "te",
        "upgrade",
        "authorization",
        "cookie",
        "content-type",
        "content-encoding",
        "content-range",
        "expect",
        "cache-control",
        "range",
        "set-cookie",
        "keep-alive",
        "max-forwards",
    ] {
        trailers.remove(name);
    }
    (!trailers.is_empty()).then_some(trailers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode_all(raw: &[u8], piece: usize) -> Result<(Vec<u8>, Option<HeaderMap>), BadFraming> {
        let mut decoder = Decoder::new(Framing::Chunked);
        let (mut buffer, mut content) = (BytesMut::new(), Vec::new());
        let mut pieces = raw.chunks(piece);
        loop {
            match decoder.decode(&mut buffer)? {
                Decoded::Data(data) => content.extend_from_slice(&data),
                Decoded::Done(trailers) => return Ok((content, trailers)),
                Decoded::More => buffer.extend_from_slice(pieces.next().ok_or(BadFraming)?),
            }
        }
    }

    #[test]
    fn chunks_join_however_they_are_cut() {
        let raw =
            b"5;name=\"v\"\r\nhello\r\n6\r\n world\r\n0\r\nX-Sum: 1\r\nContent-Length: 9\r\n\r\n";
        for piece in 1..raw.len() {
            let (content, trailers) = decode_all(raw, piece).expect("lawful");
            assert_eq!(content, b"hello world");
            let trailers = trailers.expect("one is lawful");
            assert_eq!((trailers.len(), &trailers["x-sum"]), (1, &"1".parse().expect("a value")));
        }
    }

    #[test]
    fn broken_framing_is_refused_whatever_the_cut() {
        for raw in [
            "5\nhello\r\n0\r\n\r\n",
            "5\r\nhello0\r\n\r\n",
            "5\r\nhello\n0\r\n\r\n",
            "ffffffffffffffff\r\nx",
            "g\r\n",
            "-1\r\n",
            "0x5\r\nhello\r\n0\r\n\r\n",
            " 5\r\nhello\r\n0\r\n\r\n",
            "5 \r\nhello\r\n0\r\n\r\n",
            "5;a\rb\r\nhello\r\n0\r\n\r\n",
            "\r\n",
            "0\r\n\n",
            "0\r\nbad trailer\r\n\r\n",
        ] {
            for piece in 1..=raw.len() {
                assert!(decode_all(raw.as_bytes(), piece).is_err(), "{raw:?} in pieces of {piece}");
            }
        }
    }

    #[test]
    fn a_size_line_does_not_grow_without_end() {
        let mut decoder = Decoder::new(Framing::Chunked);
        let mut buffer = BytesMut::from("5;");
        buffer.resize(1_000, b'x');
        assert_eq!(decoder.decode(&mut buffer), Err(BadFraming));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_the_decoder_panic(
            bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300),
            piece in 1_usize..40,
        ) {
            drop(decode_all(&bytes, piece));
        }
    }
}
