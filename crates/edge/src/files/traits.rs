//! By what a file is recognised.
//!
//! A tag is made of size, time of modification, time of change and inode, of the file and of what lies
//! beside it. Not of the content: a file of gigabytes would have to be read to be confirmed. Not without
//! the time of change: builds that set every modification time to the same moment would give two files of
//! one length one tag for ever. The price: the same file on two machines has two tags.

use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderValue;

/// For so long after a change another one may bear the same times: clocks of file systems are coarse.
const COARSE: Duration = Duration::from_secs(2);
/// Modification times before this (1981) are made up by build tools, the same for every version.
const MADE_UP: i64 = 347_155_200;

/// What the file system says of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Traits {
    pub(super) length: u64,
    inode: u64,
    device: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Traits {
    pub(super) fn of(file: &File) -> io::Result<Traits> {
        let it = file.metadata()?;
        Ok(Traits {
            length: it.len(),
            inode: it.ino(),
            device: it.dev(),
            modified: (it.mtime(), it.mtime_nsec()),
            changed: (it.ctime(), it.ctime_nsec()),
        })
    }

    /// Whether this may be an encoding of what has those traits: one that is older was made of something else.
    pub(super) fn is_of(&self, whole: &Traits) -> bool {
        self.length > 0 && self.modified.0 >= whole.modified.0
    }

    /// `Last-Modified`, unless it would say nothing, or lie (RFC 9110 §8.8.2.1).
    pub(super) fn last_modified(&self, now: SystemTime) -> Option<HeaderValue> {
        let seconds = u64::try_from(self.modified.0).ok().filter(|_| self.modified.0 >= MADE_UP)?;
        let modified = UNIX_EPOCH.checked_add(Duration::from_secs(seconds))?;
        let text = (modified <= now).then(|| httpdate::fmt_http_date(modified))?;
        HeaderValue::try_from(text).ok()
    }

    /// True if a change of now would show.
    fn is_settled(&self, now: SystemTime) -> bool {
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let last = self.modified.0.max(self.changed.0);
        u64::try_from(last).is_ok_and(|last| since >= Duration::from_secs(last) + COARSE)
    }
}

/// A tag for content that nothing on the disk stands for any more.
pub fn tag_for_once(now: SystemTime) -> HeaderValue {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let tag = HeaderValue::try_from(format!("\"once-{:x}\"", since.as_nanos()));
    tag.unwrap_or(HeaderValue::from_static("W/\"\""))
}

/// The tag of a file and what lies beside it. While a further change might not show, it is used once: the
/// next look finds another one, and the content is read again.
pub(super) fn tag<'s>(
    file: &'s Traits,
    beside: impl Iterator<Item = &'s Traits>,
    now: SystemTime,
) -> HeaderValue {
    let mut hash = DefaultHasher::new();
    for traits in std::iter::once(file).chain(beside) {
        traits.hash(&mut hash);
        if !traits.is_settled(now) {
            now.hash(&mut hash);
        }
    }
    let text = format!("\"{:x}-{:016x}\"", file.length, hash.finish());
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("W/\"\""))
}
