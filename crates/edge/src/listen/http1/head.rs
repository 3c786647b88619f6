//! A request's head: line, fields, and where the message ends (RFC 9112 §2-§6).

#![warn(clippy::indexing_slicing)]

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version};

use super::fields::{self, LineScanner};
use super::target;
use crate::error::{Error, ErrorKind};
use crate::http1::fields::FieldError;

pub use crate::http1::{Framing, content_length};

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

impl From<FieldError> for HeadError {
    fn from(error: FieldError) -> HeadError {
        match error {
            FieldError::BareLineFeed => HeadError::BareLineFeed,
            FieldError::BadField => HeadError::BadField,
            FieldError::FoldedLine => HeadError::FoldedLine,
            FieldError::TooManyFields => HeadError::TooManyFields,
        }
    }
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
    refused: Option<Bytes>,
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
        let block = buffer.split_to(end).freeze();
        let parsed = parse(&block, limits);
        if parsed.is_err() {
            self.refused = Some(block);
        }
        parsed.map(Some)
    }

    /// The head that was refused last, if it was complete.
    pub fn refused(&self) -> Option<&[u8]> {
        self.refused.as_deref()
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
    let mut said = Said::default();
    fields::each(block, line_end + 1, limits.fields, |name, value| said.take(name, value))?;
    let authority = host(&said.host, target.authority, version)?;
    let framing = framing(&said, version)?;
    let expects_continue = expectation(&said.expect, version)?;
    let (keeps_alive, upgrade) = said.hop_by_hop(version);
    if said.has_trailer && framing != Framing::Chunked {
        // Only chunked content has trailers to announce (RFC 9110 §6.6.2).
        said.fields.remove(http::header::TRAILER);
    }
    let (uri, fields) = (target.uri, said.fields);
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

/// What the fields say: of the message and its connection, each in its place, and everything else.
#[derive(Debug, Default)]
struct Said {
    host: Once,
    length: Once,
    coding: Once,
    expect: Once,
    connection: Vec<HeaderValue>,
    upgrade: Option<HeaderValue>,
    has_trailer: bool,
    fields: HeaderMap,
}

/// A field that may stand once.
#[derive(Debug, Default)]
struct Once {
    value: Option<HeaderValue>,
    is_repeated: bool,
}

impl Once {
    fn set(&mut self, value: HeaderValue) {
        self.is_repeated |= self.value.is_some();
        self.value = Some(value);
    }

    fn only(&self, error: HeadError) -> Result<Option<&HeaderValue>, HeadError> {
        if self.is_repeated { Err(error) } else { Ok(self.value.as_ref()) }
    }
}

impl Said {
    fn take(&mut self, name: HeaderName, value: HeaderValue) -> Result<(), HeadError> {
        match name.as_str() {
            "host" => self.host.set(value),
            "content-length" => self.length.set(value),
            "transfer-encoding" => self.coding.set(value),
            "expect" => self.expect.set(value),
            "connection" => self.connection.push(value),
            "upgrade" => self.upgrade = self.upgrade.take().or(Some(value)),
            // For this hop alone (RFC 9110 §7.6.1).
            "keep-alive" | "proxy-connection" | "te" | "proxy-authorization" | "http2-settings" => {
            }
            // Gateways fold `_` and `-` into one (RFC 3875 §4.1.18): `X_Forwarded_For` would pass for ours.
            name if name.contains('_') => {}
            other => {
                self.has_trailer |= other == "trailer";
                return self
                    .fields
                    .try_append(name, value)
                    .map(drop)
                    .map_err(|_| HeadError::TooManyFields);
            }
        }
        Ok(())
    }

    /// Reads Connection and removes what it names: whether the connection goes on, and to what.
    fn hop_by_hop(&mut self, version: Version) -> (bool, Option<HeaderValue>) {
        let (mut asks_close, mut asks_keep_alive, mut asks_upgrade) = (false, false, false);
        let lines = self.connection.iter().map(HeaderValue::as_bytes);
        for token in lines.flat_map(|line| line.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii)
        {
            if token.eq_ignore_ascii_case(b"close") {
                asks_close = true;
            } else if token.eq_ignore_ascii_case(b"keep-alive") {
                asks_keep_alive = true;
            } else if token.eq_ignore_ascii_case(b"upgrade") {
                asks_upgrade = true;
            } else if let Ok(name) = HeaderName::from_bytes(token) {
                self.fields.remove(name);
            }
        }
        let upgrade = self.upgrade.take().filter(|protocol| {
            asks_upgrade && version == Version::HTTP_11 && !speaks_http(protocol.as_bytes())
        });
        // `close` wins over `keep-alive` in whichever order they stand.
        let keeps_alive = !asks_close && (version == Version::HTTP_11 || asks_keep_alive);
        (keeps_alive, upgrade)
    }
}

/// True if a list of protocols (RFC 9110 §7.8) names a version of HTTP itself, in any case: `h2c` through a
/// proxy is a tunnel past every rule; RFC 9113 dropped it.
fn speaks_http(protocols: &[u8]) -> bool {
    let mut names = protocols.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    names.any(|name| {
        let name = name.split(|byte| *byte == b'/').next().unwrap_or_default();
        [&b"h2c"[..], b"h2", b"http"].iter().any(|http| name.eq_ignore_ascii_case(http))
    })
}

fn host(
    said: &Once,
    from_target: Option<String>,
    version: Version,
) -> Result<Option<String>, HeadError> {
    let host = match said.only(HeadError::BadHost)? {
        Some(value) => Some(target::authority(value.as_bytes()).ok_or(HeadError::BadHost)?),
        None if version == Version::HTTP_11 => return Err(HeadError::BadHost),
        None => None,
    };
    match (host, from_target) {
        // RFC 9112 §3.2.2 lets the target win; a client that names two hosts is refused instead.
        (Some(host), Some(target)) if host != target => Err(HeadError::HostMismatch),
        (host, target) => Ok(host.or(target)),
    }
}

fn framing(said: &Said, version: Version) -> Result<Framing, HeadError> {
    let coding = said.coding.only(HeadError::BadTransferEncoding)?;
    let length = said.length.only(HeadError::BadLength)?;
    match (coding, length) {
        (None, None) => Ok(Framing::None),
        (Some(_), Some(_)) => Err(HeadError::TwoFramings),
        (Some(_), None) if version == Version::HTTP_10 => Err(HeadError::BadTransferEncoding),
        (Some(coding), None) if !coding.as_bytes().eq_ignore_ascii_case(b"chunked") => {
            Err(HeadError::UnknownCoding)
        }
        (Some(_), None) => Ok(Framing::Chunked),
        (None, Some(length)) => {
            content_length(length.as_bytes()).map(Framing::Length).ok_or(HeadError::BadLength)
        }
    }
}

fn expectation(said: &Once, version: Version) -> Result<bool, HeadError> {
    let Some(expect) = said.only(HeadError::BadExpectation)? else { return Ok(false) };
    if !expect.as_bytes().eq_ignore_ascii_case(b"100-continue") {
        return Err(HeadError::BadExpectation);
    }
    // RFC 9110 §10.1.1: in a 1.0 request the expectation is ignored.
    Ok(version == Version::HTTP_11)
}

#[cfg(test)]
#[path = "head_tests.rs"]
mod tests;
