//! From the path of a request to names below a folder.
//!
//! Decoded once, and only then judged: what is refused here is refused in whatever way it was written.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use http::HeaderValue;

/// The one folder with a dot that everybody may see (RFC 8615).
const WELL_KNOWN: &[u8] = b".well-known";
/// Longest name of a file on any system we know.
const MOST_NAME: usize = 255;

/// What a request wants of a folder: plain names, none hidden, none that leads up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    path: PathBuf,
    is_folder: bool,
    /// The last name as it was sent.
    last: String,
}

impl Wanted {
    /// Reads a path as it was sent; `None` for one that names nothing that is served.
    pub fn parse(path: &str) -> Option<Wanted> {
        let sent = path.strip_prefix('/')?.split('/');
        let names: Vec<Vec<u8>> = sent.clone().map(decoded).collect::<Option<_>>()?;
        let last = sent.rev().find(|name| !name.is_empty()).unwrap_or_default();
        Wanted::of(names, last)
    }

    /// The same of a path on the disk, below a folder: nothing in it is encoded.
    pub fn on_disk(path: &[u8]) -> Option<Wanted> {
        Wanted::of(path.split(|byte| *byte == b'/').map(<[u8]>::to_vec).collect(), "")
    }

    fn of(mut names: Vec<Vec<u8>>, last: &str) -> Option<Wanted> {
        let is_folder = names.last().is_some_and(Vec::is_empty);
        if is_folder {
            names.pop();
        }
        let mut path = PathBuf::new();
        for (place, name) in names.into_iter().enumerate() {
            if !is_shown(&name, place) {
                return None;
            }
            path.push(OsString::from_vec(name));
        }
        Some(Wanted { path, is_folder, last: last.to_owned() })
    }

    /// Names below the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// True if the path ended with a slash.
    pub fn is_folder(&self) -> bool {
        self.is_folder
    }

    /// True if it looks like a page: its last name has no dot.
    pub(super) fn is_page(&self) -> bool {
        !self.last.contains('.')
    }

    /// The same with a slash at its end, as a reference relative to the path: whatever was cut off or put
    /// before it on its way here, the client knows its own.
    pub(super) fn with_slash(&self) -> Option<HeaderValue> {
        // `./` first: a name may look like a scheme.
        HeaderValue::try_from(format!("./{}/", self.last)).ok()
    }
}

fn is_shown(name: &[u8], place: usize) -> bool {
    let is_plain = |byte: &u8| !matches!(byte, 0..=0x1f | 0x7f | b'/' | b'\\');
    let is_hidden = name.first() == Some(&b'.') && !(place == 0 && name == WELL_KNOWN);
    !name.is_empty() && name.len() <= MOST_NAME && !is_hidden && name.iter().all(is_plain)
}

/// Percent-decodes once.
fn decoded(name: &str) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(name.len());
    let mut left = name.bytes();
    while let Some(byte) = left.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let mut digit = || u8::try_from(char::from(left.next()?).to_digit(16)?).ok();
        decoded.push(digit()? << 4 | digit()?);
    }
    Some(decoded)
}
