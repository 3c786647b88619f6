//! Files: answers that lie in a folder.
//!
//! In: the path of a request. Out: the file that lies there, with its fields, and its content whole or in
//! pieces; or where to look instead, or nothing. What a request makes of it (conditions, ranges,
//! encodings, the store) is for others to say.
//!
//! It never serves what lies outside its folder, whatever links say; nothing whose name begins with a dot
//! but `/.well-known/`; nothing but plain files. It never reads on a runtime's thread, and never holds
//! more of a large file than a piece.

mod content;
mod kind;
mod path;
mod root;
mod traits;

#[cfg(test)]
mod tests;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use forebay_signals::clock;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, LAST_MODIFIED,
};
use tokio::sync::Semaphore;

use crate::config::route::Files;
use crate::error::{Error, ErrorKind};
use crate::exchange::{Encoding, FOR_EVER, is_fingerprinted};
use root::{Root, Way};
use traits::Traits;

pub use path::Wanted;
pub use traits::tag_for_once;

/// Threads that read files at the same time, for the whole process: disks do no more at once, and what is
/// asked for often lies in the store.
const READERS: usize = 16;
/// Time for one look or one piece: a disk that takes longer is broken, and so is a network behind it.
const PATIENCE: Duration = Duration::from_secs(20);

static SEATS: Semaphore = Semaphore::const_new(READERS);

/// A folder that is served.
#[derive(Debug)]
pub struct Folder {
    settings: Arc<Settings>,
}

/// What does not change from look to look.
#[derive(Debug)]
struct Settings {
    files: Files,
    /// What clients may do with files whose names say nothing.
    cache_control: HeaderValue,
}

/// What a path leads to.
#[derive(Debug)]
pub enum Found {
    /// A file.
    File(Box<Opened>),
    /// A folder, whose path ends with a slash: the relative reference to it.
    Elsewhere(HeaderValue),
    /// Nothing that is served.
    Nothing,
}

/// A file that is open.
#[derive(Debug)]
pub struct Opened {
    file: Arc<File>,
    traits: Traits,
    /// The same content encoded, as it lies beside the file.
    siblings: Vec<(Encoding, Arc<File>, Traits)>,
    /// Fields of the content as it is.
    pub fields: HeaderMap,
}

/// A file's whole content.
#[derive(Debug)]
pub struct Contents {
    /// As it is.
    pub whole: Bytes,
    /// As it lies beside it.
    pub encoded: Vec<(Encoding, Bytes)>,
    /// Nobody wrote to it meanwhile. Otherwise its tag says nothing of what was read.
    pub is_as_found: bool,
}

impl Folder {
    /// The folder of these settings; nothing is opened yet.
    pub fn new(settings: Files) -> Folder {
        Folder {
            settings: Arc::new(Settings {
                cache_control: cache_control(&settings),
                files: settings,
            }),
        }
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.settings.files.folder
    }

    /// Looks a path up.
    pub async fn find(&self, path: &str) -> Result<Found, Error> {
        self.find_wanted(Wanted::parse(path)).await
    }

    /// The same for what is read already.
    pub async fn find_wanted(&self, wanted: Option<Wanted>) -> Result<Found, Error> {
        let Some(wanted) = wanted else { return Ok(Found::Nothing) };
        let settings = Arc::clone(&self.settings);
        aside(move || find(&settings, &wanted)).await?
    }
}

fn find(settings: &Settings, wanted: &Wanted) -> Result<Found, Error> {
    let files = &settings.files;
    let root = Root::open(&files.folder).map_err(broken)?;
    let name = match (&files.index, wanted.is_folder()) {
        (_, false) => Some(wanted.path().to_owned()),
        (Some(index), true) => Some(wanted.path().join(index)),
        (None, true) => None,
    };
    let way = match &name {
        Some(name) => root.enter(name).map_err(broken)?,
        None => Way::Nothing,
    };
    match (way, name) {
        (Way::File(file), Some(name)) => opened(settings, &root, &name, file),
        (Way::Folder, _) if !wanted.is_folder() && files.index.is_some() => {
            Ok(wanted.with_slash().map_or(Found::Nothing, Found::Elsewhere))
        }
        _ => instead(settings, &root, wanted),
    }
}

/// What is served where nothing lies: the page of an application that finds its way in the browser.
fn instead(settings: &Settings, root: &Root, wanted: &Wanted) -> Result<Found, Error> {
    let Some(fallback) = settings.files.fallback.as_ref().filter(|_| wanted.is_page()) else {
        return Ok(Found::Nothing);
    };
    let name = PathBuf::from(fallback);
    match root.enter(&name).map_err(broken)? {
        Way::File(file) => opened(settings, root, &name, file),
        Way::Folder | Way::Nothing => Ok(Found::Nothing),
    }
}

fn opened(settings: &Settings, root: &Root, name: &Path, file: File) -> Result<Found, Error> {
    let traits = Traits::of(&file).map_err(broken)?;
    let mut siblings = Vec::new();
    for (encoding, ending) in BESIDE {
        let mut beside = name.as_os_str().to_owned();
        beside.push(ending);
        let Way::File(file) = root.enter(Path::new(&beside)).map_err(broken)? else { continue };
        let its = Traits::of(&file).map_err(broken)?;
        if its.is_of(&traits) {
            siblings.push((encoding, Arc::new(file), its));
        }
    }
    let mut fields = HeaderMap::new();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static(kind::of(name)));
    let is_for_ever = name.to_str().is_some_and(is_fingerprinted);
    let keep = if is_for_ever { FOR_EVER } else { settings.cache_control.clone() };
    fields.insert(CACHE_CONTROL, keep);
    fields.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let now = clock::wall();
    fields.insert(ETAG, traits::tag(&traits, siblings.iter().map(|(_, _, its)| its), now));
    if let Some(modified) = traits.last_modified(now) {
        fields.insert(LAST_MODIFIED, modified);
    }
    Ok(Found::File(Box::new(Opened { file: Arc::new(file), traits, siblings, fields })))
}

fn cache_control(settings: &Files) -> HeaderValue {
    let Some(max_age) = settings.max_age else { return HeaderValue::from_static("no-cache") };
    let value = HeaderValue::try_from(format!("public, max-age={}", max_age.as_secs()));
    value.unwrap_or(HeaderValue::from_static("no-cache"))
}

/// What may lie beside a file, as tools name it.
const BESIDE: [(Encoding, &str); 3] =
    [(Encoding::Brotli, ".br"), (Encoding::Zstd, ".zst"), (Encoding::Gzip, ".gz")];

/// Runs `work` on a thread that may wait for a disk.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    let running = async {
        let Ok(seat) = SEATS.acquire().await else { return None };
        let run = move || {
            // Kept until the disk has answered, whoever has gone meanwhile.
            let _seat = seat;
            work()
        };
        tokio::task::spawn_blocking(run).await.ok()
    };
    match clock::timeout(PATIENCE, running).await {
        Ok(Some(done)) => Ok(done),
        Ok(None) => Err(Error::new(ErrorKind::Internal, "a file could not be read")),
        Err(_) => Err(Error::new(ErrorKind::OriginTimeout, "a file did not come in time")),
    }
}

fn broken(source: std::io::Error) -> Error {
    tracing::warn!(error = %source, "cannot read files");
    Error::new(ErrorKind::Internal, "a file could not be read").because(source)
}
