//! Field lines as bytes: how stored fields lie in memory, and how the edge adds its own.

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};

/// Room for what the edge says of a usual answer.
const USUAL_BYTES: usize = 160;

/// Lines that the edge adds to an answer, serialised at once: a map of four fields would cost a hit
/// more than everything else that it does.
#[derive(Debug, Default, Clone)]
pub struct OwnLines(Vec<u8>);

impl OwnLines {
    /// Adds `name: value`. `write` appends a valid field value; `name` is in lower case.
    pub fn push(&mut self, name: &str, write: impl FnOnce(&mut Vec<u8>)) {
        if self.0.capacity() == 0 {
            self.0 = Vec::with_capacity(USUAL_BYTES);
        }
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b": ");
        write(&mut self.0);
        self.0.extend_from_slice(b"\r\n");
    }

    /// Empty, with room for so many bytes.
    pub fn with_capacity(bytes: usize) -> OwnLines {
        OwnLines(Vec::with_capacity(bytes))
    }

    /// The lines.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<OwnLines> for Bytes {
    fn from(lines: OwnLines) -> Bytes {
        lines.0.into()
    }
}

/// Reads serialised field lines back; values share the memory of `lines`.
pub fn field_lines(lines: &Bytes) -> impl Iterator<Item = (HeaderName, HeaderValue)> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let rest = lines.get(at..)?;
            let end = memchr::memchr(b'\n', rest)?;
            let colon = memchr::memchr(b':', rest)?;
            let value = lines.slice((at + colon + 2).min(at + end - 1)..at + end - 1);
            let name = name_of(rest.get(..colon)?);
            at += end + 1;
            // Only what was valid was ever serialised; a line that is not is left out.
            if let (Some(name), Ok(value)) = (name, HeaderValue::from_maybe_shared(value)) {
                return Some((name, value));
            }
        }
    })
}

/// Names that most stored answers have are found by comparing, which costs a tenth of parsing them.
fn name_of(bytes: &[u8]) -> Option<HeaderName> {
    Some(match bytes {
        b"age" => header::AGE,
        b"cache-control" => header::CACHE_CONTROL,
        b"cache-status" => HeaderName::from_static("cache-status"),
        b"content-encoding" => header::CONTENT_ENCODING,
        b"content-language" => header::CONTENT_LANGUAGE,
        b"content-security-policy" => header::CONTENT_SECURITY_POLICY,
        b"content-type" => header::CONTENT_TYPE,
        b"date" => header::DATE,
        b"etag" => header::ETAG,
        b"expires" => header::EXPIRES,
        b"last-modified" => header::LAST_MODIFIED,
        b"link" => header::LINK,
        b"referrer-policy" => header::REFERRER_POLICY,
        b"server" => header::SERVER,
        b"strict-transport-security" => header::STRICT_TRANSPORT_SECURITY,
        b"vary" => header::VARY,
        b"via" => header::VIA,
        b"x-content-type-options" => header::X_CONTENT_TYPE_OPTIONS,
        b"x-frame-options" => header::X_FRAME_OPTIONS,
        b"x-request-id" => HeaderName::from_static("x-request-id"),
        other => return HeaderName::from_bytes(other).ok(),
    })
}
