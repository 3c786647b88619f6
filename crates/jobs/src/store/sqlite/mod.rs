//! The store in one file of `SQLite`: no server to start, nothing lost.
//!
//! **In**: calls of the contract, from any number of processes on one machine. **Out**: answers. **Never**: on
//! a file system of another machine, whose locks cannot be relied on.
//!
//! # How it keeps the contract
//! - One thread writes, and puts all calls that wait into one transaction. What is pushed is answered when the
//!   log is on the disk ([`Durability::Full`]).
//! - **Nothing costs more because a queue is deep.** A queue is a cursor over its jobs; a lease names a job
//!   and leaves it where it lies; an emptied queue is swept behind; numbers are counted when they are written.
//! - Ends of leases and new ones are answered once they are committed: they outlive a `kill -9`, and reach the
//!   disk within a twentieth of a second. If the power fails before, **these jobs run again**, as they would
//!   if their process had died; none is lost.
//! - Whoever waits is woken by a datagram from the process that pushed; the sockets lie in the folder
//!   `FILE-wake`.
//! - The file does not shrink: room that jobs leave is filled by the next ones.
//!
//! # Beside your own tables
//! An application that keeps its data in `SQLite` may keep its jobs in the same file ([`Options::shared`]) and
//! push them within its own transaction ([`Sqlite::push_within`]): both are there, or neither is.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use forebay_signals::clock;

use self::fault::{Done, Fault};
use self::reader::Readers;
use self::wake::Bell;
use self::writer::Door;
use super::{Retention, StoreError};
use crate::time::Clock;

mod beside;
mod calls;
mod disk;
mod fault;
mod file;
mod lease;
mod look;
mod mark;
mod move_log;
mod outbox;
mod push;
mod queue;
mod reader;
mod set;
mod step;
#[cfg(test)]
mod tests;
mod wake;
mod writer;

pub use self::outbox::Staged;

/// A store in a file. Clones are the same store; other processes open the same file.
///
/// ```
/// use forebay_jobs::store::Store;
/// use forebay_jobs::store::sqlite::{Options, Sqlite};
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("jobs.db");
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let store = Sqlite::open(&path, Options::default())?;
/// assert_eq!(store.counts().await?.enqueued, 0);
/// # Ok::<(), forebay_jobs::store::StoreError>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Sqlite(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    options: Options,
    door: Door,
    readers: Readers,
    bell: Arc<Bell>,
}

/// How a file is opened.
///
/// ```
/// use forebay_jobs::store::sqlite::{Durability, Options};
/// let options = Options::default().durability(Durability::Normal).most_bytes(10 << 30);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Options {
    durability: Durability,
    most_bytes: Option<u64>,
    is_shared: bool,
    clock: Clock,
    retention: Retention,
}

/// What an answer to a push means.
///
/// ```
/// use forebay_jobs::store::sqlite::Durability;
/// assert_eq!(Durability::default(), Durability::Full);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Durability {
    /// The jobs are on the disk: they outlive a loss of power.
    #[default]
    Full,
    /// The jobs are with the system: they outlive the process, not a loss of power. **What was pushed in the
    /// last seconds before one may be lost**; the file stays whole.
    Normal,
}

impl Options {
    /// What an answer to a push means.
    ///
    /// ```
    /// # use forebay_jobs::store::sqlite::{Durability, Options};
    /// let options = Options::default().durability(Durability::Normal);
    /// ```
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Options {
        self.durability = durability;
        self
    }

    /// Refuses pushes once the file holds so many bytes. Retries, deaths and beats have a twentieth more, or
    /// 1 MiB: what is in the store already is not lost because producers were faster.
    ///
    /// ```
    /// # use forebay_jobs::store::sqlite::Options;
    /// let options = Options::default().most_bytes(1 << 30);
    /// ```
    #[must_use]
    pub fn most_bytes(mut self, most: u64) -> Options {
        self.most_bytes = Some(most);
        self
    }

    /// Keeps the jobs in a file that is an application's own, beside its tables. Without this such a file is
    /// refused, since it may have been named by mistake.
    ///
    /// ```
    /// # use forebay_jobs::store::sqlite::Options;
    /// let options = Options::default().shared();
    /// ```
    #[must_use]
    pub fn shared(mut self) -> Options {
        self.is_shared = true;
        self
    }

    /// Goes by this clock: for tests.
    ///
    /// ```
    /// # use forebay_jobs::store::sqlite::Options;
    /// use forebay_jobs::time::{Clock, Moment};
    /// let options = Options::default().clock(Clock::manual(Moment::from_micros(0)));
    /// ```
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Options {
        self.clock = clock;
        self
    }

    /// Keeps what this says.
    ///
    /// ```
    /// # use forebay_jobs::store::sqlite::Options;
    /// use forebay_jobs::store::Retention;
    /// let options = Options::default().retention(Retention { dead_most: 100, ..Retention::default() });
    /// ```
    #[must_use]
    pub fn retention(mut self, retention: Retention) -> Options {
        self.retention = retention;
        self
    }
}

impl Sqlite {
    /// Opens a file, makes it if it is not there, and brings it up to date. It takes some milliseconds and
    /// blocks the thread meanwhile.
    ///
    /// ```
    /// use forebay_jobs::store::{StoreError, sqlite::{Options, Sqlite}};
    /// let error = Sqlite::open("/no/such/folder/jobs.db", Options::default()).unwrap_err();
    /// assert!(matches!(error, StoreError::Away(_) | StoreError::Broken(_) | StoreError::ReadOnly(_)));
    /// ```
    ///
    /// # Errors
    /// The file cannot be made or written, is of a newer version, or belongs to another application.
    pub fn open(path: impl AsRef<Path>, options: Options) -> Result<Sqlite, StoreError> {
        let path = whole(path.as_ref())?;
        let bell = Arc::new(Bell::beside(&path));
        let door = writer::start(&path, &options, Arc::clone(&bell))?;
        let readers = Readers::start(&path, &options)?;
        Ok(Sqlite(Arc::new(Shared { path, options, door, readers, bell })))
    }

    /// The file.
    ///
    /// ```
    /// # use forebay_jobs::store::sqlite::{Options, Sqlite};
    /// # let folder = tempfile::tempdir()?;
    /// let store = Sqlite::open(folder.path().join("jobs.db"), Options::default())?;
    /// assert!(store.path().ends_with("jobs.db"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn path(&self) -> &Path {
        &self.0.path
    }
}

/// One name for one file, so that all who open it meet in one folder.
fn whole(path: &Path) -> Done<PathBuf> {
    let of = |source| Fault::File { path: path.to_owned(), source };
    if path.exists() {
        return path.canonicalize().map_err(of);
    }
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let name = path.file_name().ok_or(Fault::Odd("the path names no file"))?;
    Ok(folder.canonicalize().map_err(of)?.join(name))
}

/// How long a call waits for its answer: longer than another process may hold the file.
const PATIENCE: Duration = Duration::from_secs(10);

async fn patiently<T>(answer: impl Future<Output = Done<T>>) -> Done<T> {
    clock::timeout(PATIENCE, answer).await.unwrap_or(Err(Fault::Late))
}
