//! Field lines as bytes: how stored fields lie in memory, and how the edge adds its own.

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};

use crate::http1::names;

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
            let name = names::read(rest.get(..colon)?);
            at += end + 1;
            // Only what was valid was ever serialised; a line that is not is left out.
            if let (Some(name), Ok(value)) = (name, HeaderValue::from_maybe_shared(value)) {
                return Some((name, value));
            }
        }
    })
}
