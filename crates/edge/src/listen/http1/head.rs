//! A request's head: line, fields, and where the message ends (RFC 9112 §2-§6).

#![warn(clippy::indexing_slicing)]

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version};

use super::fields::{self, LineScanner};
use super::target;
use crate::error::{Error, ErrorKind};

/// What a head may weigh.
#[derive(Debug, Clone, Copy)]
pub struct HeadLimits {
    /// Bytes of request line and fields together.
    pub head_bytes: usize,
    /// Bytes of the target.
    pub target_bytes: usize,
    /// Field lines.
    pub fields: usize,
}

impl Default for HeadLimits {
    /// 32 KiB of head, 8 KiB of target, 100 fields: what browsers send with many cookies, twice.
    fn default() -> HeadLimits {
        HeadLimits { head_bytes: 32 * 1024, target_bytes: 8 * 1024, fields: 100 }
    }
}

/// Where the content ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    None,
    /// By `Content-Length`.
    Length(u64),
    /// By `Transfer-Encoding: chunked`.
    Chunked,
}

/// A head that nothing can read in a second way.
#[derive(Debug)]
pub struct RequestHead {
    /// Method.
    pub method: Method,
    /// Path and query.
    pub uri: Uri,
    /// From Host or the target, lower case; `None` only on HTTP/1.0 without either.
    pub authority: Option<String>,
    /// 1.0 or 1.1.
    pub version: Version,
    /// End-to-end fields, without Host and framing.
    pub fields: HeaderMap,
    /// Where the content ends.
    pub framing: Framing,
    /// The client wants to go on after this message.
    pub keeps_alive: bool,
    /// `Expect: 100-continue`.
    pub expects_continue: bool,
    /// Upgrade asked for, other than to h2c.
    pub upgrade: Option<HeaderValue>,
}

/// Why a head is refused. Each is a fixed sentence for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the sentences say it")]
pub enum HeadError {
    #[error("a line feed without its carriage return")]
    BareLineFeed,
    #[error("malformed request line")]
    BadLine,
    #[error("malformed or ambiguous target")]
    BadTarget,
    #[error("target longer than allowed")]
    TargetTooLong,
    #[error("HTTP version other than 1.0 and 1.1")]
    BadVersion,
    #[error("method that a reverse proxy does not serve")]
    BadMethod,
    #[error("malformed field line")]
    BadField,
    #[error("folded field line")]
    FoldedLine,
    #[error("more fields than allowed")]
    TooManyFields,
    #[error("head larger than allowed")]
    TooLarge,
    #[error("missing, repeated or malformed host")]
    BadHost,
    #[error("target and host name different authorities")]
    HostMismatch,
    #[error("both transfer-encoding and content-length")]
    TwoFramings,
    #[error("repeated or malformed content-length")]
    BadLength,
    #[error("transfer-encoding repeated or on HTTP/1.0")]
    BadTransferEncoding,
    #[error("transfer coding other than chunked")]
    UnknownCoding,
    #[error("expectation other than 100-continue")]
    BadExpectation,
}

impl From<HeadError> for Error {
    fn from(error: HeadError) -> Error {
        let kind = match error {
            HeadError::TargetTooLong => ErrorKind::UriTooLong,
            HeadError::TooLarge | HeadError::TooManyFields => ErrorKind::HeadTooLarge,
            HeadError::UnknownCoding | HeadError::BadMethod => ErrorKind::NotImplemented,
            HeadError::BadExpectation => ErrorKind::ExpectationFailed,
            HeadError::BadVersion => ErrorKind::VersionNotSupported,
            _ => ErrorKind::BadMessage,
        };
        Error::new(kind, "request head refused").because(error)
    }
}

/// Reads one head out of a buffer that fills.
#[derive(Debug, Default)]
pub struct HeadParser {
    scanner: LineScanner,
    skipped_line: bool,
}

impl HeadParser {
    /// Takes a head from the front of `buffer` once it is complete.
    pub fn take(
        &mut self,
        buffer: &mut BytesMut,
        limits: &HeadLimits,
    ) -> Result<Option<RequestHead>, HeadError> {
        // RFC 9112 §2.2: one empty line before a request line is a leftover of old clients.
        if !self.skipped_line && buffer.starts_with(b"\r\n") {
            drop(buffer.split_to(2));
            self.skipped_line = true;
        }
        if !self.skipped_line && buffer.as_ref() == b"\r" {
            return Ok(None);
        }
        let end = self.scanner.find_end(buffer)?;
        if end.unwrap_or(buffer.len()) > limits.head_bytes {
            return Err(too_large(buffer, limits));
        }
        let Some(end) = end else { return Ok(None) };
        *self = HeadParser::default();
        parse(&buffer.split_to(end).freeze(), limits).map(Some)
    }
}

/// A head that is too large because of its target is told so.
fn too_large(buffer: &[u8], limits: &HeadLimits) -> HeadError {
    match memchr::memchr(b'\n', buffer) {
        Some(line) if line <= limits.target_bytes => HeadError::TooLarge,
        _ => HeadError::TargetTooLong,
    }
}

/// Parses a complete head, empty line included.
pub fn parse(block: &Bytes, limits: &HeadLimits) -> Result<RequestHead, HeadError> {
    let line_end = memchr::memchr(b'\n', block).ok_or(HeadError::BadLine)?;
    let line = block.get(..line_end.saturating_sub(1)).ok_or(HeadError::BadLine)?;
    let [method, target, version] = split_line(line)?;
    let method = Method::from_bytes(method).map_err(|_| HeadError::BadLine)?;
    if method == Method::CONNECT || method == Method::TRACE {
        return Err(HeadError::BadMethod);
    }
    if target.len() > limits.target_bytes {
        return Err(HeadError::TargetTooLong);
    }
    let version = match version {
        b"HTTP/1.1" => Version::HTTP_11,
        b"HTTP/1.0" => Version::HTTP_10,
        other if other.starts_with(b"HTTP/") => return Err(HeadError::BadVersion),
        _ => return Err(HeadError::BadLine),
    };
    let target = target::parse(&method, block.slice_ref(target))?;
    let mut fields = fields::parse(block, line_end + 1, limits.fields)?;
    let authority = host(&mut fields, target.authority, version)?;
    let framing = framing(&mut fields, version)?;
    let expects_continue = expectation(&mut fields, version)?;
    let (keeps_alive, upgrade) = hop_by_hop(&mut fields, version);
    let uri = target.uri;
    Ok(RequestHead {
        method,
        uri,
        authority,
        version,
        fields,
        framing,
        keeps_alive,
        expects_continue,
        upgrade,
    })
}

fn split_line(line: &[u8]) -> Result<[&[u8]; 3], HeadError> {
    let mut parts = line.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(HeadError::BadLine);
    };
    Ok([method, target, version])
}

fn host(
    fields: &mut HeaderMap,
    from_target: Option<String>,
    version: Version,
) -> Result<Option<String>, HeadError> {
    let mut values = fields.get_all(HOST).iter();
    let (first, second) = (values.next(), values.next());
    if second.is_some() || (first.is_none() && version == Version::HTTP_11) {
        return Err(HeadError::BadHost);
    }
    let host = match first {
        Some(value) => Some(target::authority(value.as_bytes()).ok_or(HeadError::BadHost)?),
        None => None,
    };
    if first.is_some() {
        fields.remove(HOST);
    }
    match (host, from_target) {
        // RFC 9112 §3.2.2 lets the target win; a client that names two hosts is refused instead.
        (Some(host), Some(target)) if host != target => Err(HeadError::HostMismatch),
        (host, target) => Ok(host.or(target)),
    }
}

fn framing(fields: &mut HeaderMap, version: Version) -> Result<Framing, HeadError> {
    let coding = only(fields, &TRANSFER_ENCODING).map_err(|()| HeadError::BadTransferEncoding)?;
    let length = only(fields, &CONTENT_LENGTH).map_err(|()| HeadError::BadLength)?;
    match (coding, length) {
        (None, None) => Ok(Framing::None),
        (Some(_), Some(_)) => Err(HeadError::TwoFramings),
        (Some(_), None) if version == Version::HTTP_10 => Err(HeadError::BadTransferEncoding),
        (Some(coding), None) => {
            if !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
                return Err(HeadError::UnknownCoding);
            }
            fields.remove(TRANSFER_ENCODING);
            Ok(Framing::Chunked)
        }
        (None, Some(length)) => {
            let length = content_length(length.as_bytes()).ok_or(HeadError::BadLength)?;
            fields.remove(CONTENT_LENGTH);
            Ok(Framing::Length(length))
        }
    }
}

/// Digits only, and few enough to fit (RFC 9110 §8.6): no sign, no list, no blank.
pub fn content_length(bytes: &[u8]) -> Option<u64> {
    if bytes.is_empty() || !bytes.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

fn only<'a>(fields: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a HeaderValue>, ()> {
    let mut values = fields.get_all(name).iter();
    match (values.next(), values.next()) {
        (first, None) => Ok(first),
        _ => Err(()),
    }
}

fn expectation(fields: &mut HeaderMap, version: Version) -> Result<bool, HeadError> {
    let Some(expect) = only(fields, &EXPECT).map_err(|()| HeadError::BadExpectation)? else {
        return Ok(false);
    };
    if !expect.as_bytes().eq_ignore_ascii_case(b"100-continue") {
        return Err(HeadError::BadExpectation);
    }
    fields.remove(EXPECT);
    // RFC 9110 §10.1.1: in a 1.0 request the expectation is ignored.
    Ok(version == Version::HTTP_11)
}

/// Reads Connection and removes what ends here (RFC 9110 §7.6.1).
fn hop_by_hop(fields: &mut HeaderMap, version: Version) -> (bool, Option<HeaderValue>) {
    let mut keeps_alive = version == Version::HTTP_11;
    let mut asks_upgrade = false;
    let mut named: Vec<HeaderName> = Vec::new();
    for value in fields.get_all(CONNECTION) {
        for token in value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            if token.eq_ignore_ascii_case(b"close") {
                keeps_alive = false;
            } else if token.eq_ignore_ascii_case(b"keep-alive") {
                keeps_alive |= version == Version::HTTP_10;
            } else if token.eq_ignore_ascii_case(b"upgrade") {
                asks_upgrade = true;
            } else if let Ok(name) = HeaderName::from_bytes(token) {
                named.push(name);
            }
        }
    }
    // `close` wins over `keep-alive` in whichever order they stand.
    let closes = fields.get_all(CONNECTION).iter().any(|value| {
        value
            .as_bytes()
            .split(|byte| *byte == b',')
            .any(|token| token.trim_ascii().eq_ignore_ascii_case(b"close"))
    });
    let upgrade = fields.remove(UPGRADE).filter(|protocol| {
        // h2c through a proxy is a tunnel past every rule; RFC 9113 dropped it.
        asks_upgrade && version == Version::HTTP_11 && !protocol.as_bytes().starts_with(b"h2c")
    });
    for name in &named {
        fields.remove(name);
    }
    // They are seldom there: one look over all names is cheaper than to try each of these.
    while let Some(name) = fields.keys().find(|name| ends_here(name)).cloned() {
        fields.remove(name);
    }
    (keeps_alive && !closes, upgrade)
}

/// Fields for the next hop alone (RFC 9110 §7.6.1).
fn ends_here(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection" | "keep-alive" | "proxy-connection" | "te" | "trailer" | "proxy-authorization"
    )
}

#[cfg(test)]
#[path = "head_tests.rs"]
mod tests;
