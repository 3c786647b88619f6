//! An answer's head: line, fields, and where the content ends (RFC 9112 §4-§6), strict.

#![warn(clippy::indexing_slicing)]

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};

use crate::exchange::Hints;
use crate::http1::fields::{self, FieldError, LineScanner};
use crate::http1::{Framing, content_length};

/// Bytes of a head, all interim answers before it included.
pub const MOST_HEAD: usize = 64 * 1024;
/// Field lines of a head: applications that set many cookies and policies stay far below.
pub const MOST_FIELDS: usize = 128;
/// Fields of a usual answer.
const USUAL_FIELDS: usize = 12;
/// Interim answers (1xx) before the answer: early hints come a few at a time.
pub const MOST_INTERIM: usize = 32;

/// A head that nothing can read in a second way.
#[derive(Debug)]
pub struct AnswerHead {
    /// Status; of 1xx only 101.
    pub status: StatusCode,
    /// End-to-end fields. A `content-length` is among them only if it tells of content that is not
    /// sent (HEAD, 304).
    pub fields: HeaderMap,
    /// Where the content ends.
    pub ends: Ends,
    /// The server wants to go on after this message.
    pub keeps_alive: bool,
    /// The protocol that a 101 switches to.
    pub upgrade: Option<HeaderValue>,
}

/// Where an answer's content ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    /// The message says it.
    Framed(Framing),
    /// When the server closes.
    WithConnection,
}

/// Why a head is refused. Each is a fixed sentence for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the sentences say it")]
pub enum BadHead {
    #[error("the answer is not HTTP/1.0 or 1.1")]
    BadLine,
    #[error("the answer's head is too large")]
    TooLarge,
    #[error("too many interim answers")]
    TooManyInterim,
    #[error(transparent)]
    Field(#[from] FieldError),
    #[error("contradicting or malformed content-length")]
    BadLength,
    #[error("a transfer coding other than chunked")]
    BadCoding,
    #[error("both a content length and a transfer coding")]
    TwoFramings,
}

/// Reads one answer's head out of a buffer that fills.
#[derive(Debug, Default)]
pub struct HeadParser {
    scanner: LineScanner,
    taken: usize,
    interim: usize,
    hints: Option<Hints>,
}

impl HeadParser {
    /// One that hands on what comes before the answer, as far as somebody has a use for it. Of interim
    /// answers that is 103 alone: 100 is for us, who have asked for it, or nobody, and others are not in use.
    pub fn telling(hints: Option<Hints>) -> HeadParser {
        HeadParser { hints, ..HeadParser::default() }
    }

    /// Takes a head from the front of `buffer` once it is complete. `method` is that of the request.
    pub fn take(
        &mut self,
        buffer: &mut BytesMut,
        method: &Method,
    ) -> Result<Option<AnswerHead>, BadHead> {
        loop {
            // Garbage without a line's end would otherwise be waited for until the deadline.
            if !buffer.iter().zip(b"HTTP/1.").all(|(got, wanted)| got == wanted) {
                return Err(BadHead::BadLine);
            }
            let end = self.scanner.find_end(buffer)?;
            if self.taken + end.unwrap_or(buffer.len()) > MOST_HEAD {
                return Err(BadHead::TooLarge);
            }
            let Some(end) = end else { return Ok(None) };
            self.scanner = LineScanner::default();
            self.taken += end;
            let head = parse(&buffer.split_to(end).freeze(), method)?;
            if !head.status.is_informational() || head.status == StatusCode::SWITCHING_PROTOCOLS {
                return Ok(Some(head));
            }
            self.interim += 1;
            if self.interim > MOST_INTERIM {
                return Err(BadHead::TooManyInterim);
            }
            if let Some(hints) =
                self.hints.as_ref().filter(|_| head.status == StatusCode::EARLY_HINTS)
            {
                hints.pass(&head.fields);
            }
        }
    }
}

/// Parses a complete head, empty line included.
pub fn parse(block: &Bytes, method: &Method) -> Result<AnswerHead, BadHead> {
    let line_end = memchr::memchr(b'\n', block).ok_or(BadHead::BadLine)?;
    let line = block.get(..line_end).and_then(|line| line.strip_suffix(b"\r"));
    let (version, status) = line.and_then(parse_line).ok_or(BadHead::BadLine)?;
    // A usual answer's fields fit, so that the map need not grow while they are read.
    let fields = HeaderMap::with_capacity(USUAL_FIELDS);
    let mut said = Said { fields, ..Said::default() };
    fields::each(block, line_end + 1, MOST_FIELDS, |name, value| said.take(name, value))?;
    for name in std::mem::take(&mut said.named) {
        said.fields.remove(name);
    }
    let length = said.content_length()?;
    let is_chunked = said.is_chunked(version)?;
    if is_chunked && length.is_some() {
        return Err(BadHead::TwoFramings);
    }
    let mut keeps_alive = !said.asks_close && (version == Version::HTTP_11 || said.asks_keep_alive);
    let is_informational = status.is_informational();
    let ends = if *method == Method::HEAD || status == StatusCode::NOT_MODIFIED {
        if let Some(length) = said.length.take() {
            said.fields.insert(http::header::CONTENT_LENGTH, length);
        }
        Ends::Framed(Framing::None)
    } else if is_informational || status == StatusCode::NO_CONTENT {
        // RFC 9112 §6.3 has no content here. A server that announces some may send it all the same.
        keeps_alive &= !is_chunked && length.is_none_or(|length| length == 0);
        Ends::Framed(Framing::None)
    } else {
        match length {
            _ if is_chunked => Ends::Framed(Framing::Chunked),
            Some(length) => Ends::Framed(Framing::Length(length)),
            None => Ends::WithConnection,
        }
    };
    keeps_alive &= ends != Ends::WithConnection;
    let Said { fields, upgrade, .. } = said;
    Ok(AnswerHead { status, fields, ends, keeps_alive, upgrade })
}

/// `HTTP/1.1 200 OK`; the reason may be missing, with or without its blank.
fn parse_line(line: &[u8]) -> Option<(Version, StatusCode)> {
    let (version, rest) = line.split_at_checked(9)?;
    let version = match version {
        b"HTTP/1.1 " => Version::HTTP_11,
        b"HTTP/1.0 " => Version::HTTP_10,
        _ => return None,
    };
    let (status, reason) = rest.split_at_checked(3)?;
    let is_text = |byte: &u8| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f);
    let is_reason = reason.is_empty() || (reason.starts_with(b" ") && reason.iter().all(is_text));
    let status = StatusCode::from_bytes(status).ok()?;
    is_reason.then_some((version, status))
}

/// What the fields say: of the message and its connection, each in its place, and everything else.
#[derive(Default)]
struct Said {
    length: Option<HeaderValue>,
    other_length: Option<HeaderValue>,
    coding: Option<HeaderValue>,
    other_coding: Option<HeaderValue>,
    asks_close: bool,
    asks_keep_alive: bool,
    named: Vec<HeaderName>,
    upgrade: Option<HeaderValue>,
    fields: HeaderMap,
}

impl Said {
    fn take(&mut self, name: HeaderName, value: HeaderValue) -> Result<(), FieldError> {
        match name.as_str() {
            "content-length" => {
                // RFC 9110 §8.6: repeated with one value it is a mistake that harms nobody.
                if let Some(before) = self.length.replace(value)
                    && self.length.as_ref() != Some(&before)
                {
                    self.other_length = Some(before);
                }
            }
            "transfer-encoding" => {
                self.other_coding = self.coding.replace(value).or(self.other_coding.take());
            }
            "connection" => self.connection(&value),
            "upgrade" => self.upgrade = self.upgrade.take().or(Some(value)),
            // For this hop alone (RFC 9110 §7.6.1).
            "keep-alive" | "proxy-connection" | "te" | "proxy-authenticate" => {}
            _ => {
                let appended = self.fields.try_append(name, value);
                return appended.map(drop).map_err(|_| FieldError::TooManyFields);
            }
        }
        Ok(())
    }

    fn connection(&mut self, value: &HeaderValue) {
        for token in value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            if token.eq_ignore_ascii_case(b"close") {
                self.asks_close = true;
            } else if token.eq_ignore_ascii_case(b"keep-alive") {
                self.asks_keep_alive = true;
            } else if let Ok(name) = HeaderName::from_bytes(token)
                && self.named.len() < MOST_FIELDS
            {
                self.named.push(name);
            }
        }
    }

    fn content_length(&self) -> Result<Option<u64>, BadHead> {
        if self.other_length.is_some() {
            return Err(BadHead::BadLength);
        }
        let length = self.length.as_ref().map(|length| content_length(length.as_bytes()));
        length.map(|length| length.ok_or(BadHead::BadLength)).transpose()
    }

    /// Anything else than one `chunked` is content that we cannot tell the end or the coding of
    /// (RFC 9112 §6.1, §6.3).
    fn is_chunked(&self, version: Version) -> Result<bool, BadHead> {
        let Some(coding) = &self.coding else { return Ok(false) };
        let is_known = coding.as_bytes().eq_ignore_ascii_case(b"chunked");
        if self.other_coding.is_some() || !is_known || version == Version::HTTP_10 {
            return Err(BadHead::BadCoding);
        }
        Ok(true)
    }
}

#[cfg(test)]
#[path = "head_tests.rs"]
mod tests;
