//! Jobs come in here.
//!
//! - What is this room for: to write a job as Sidekiq writes it and hand it to the store, one or many.
//! - In: a job of this program ([`Perform`](crate::perform::Perform)) or any class by its name
//!   ([`Client::push_raw`]), with what its class and its caller say of it.
//! - Out: what became of each ([`Outcome`]), or a [`PushError`] that says what was not done.
//! - Never: a job that is dropped in silence. What the store does not take is an error, or waits in a
//!   [`Buffer`] that was asked for, and then the answer says so.
//!
//! A push that fails because the store did not answer may still have been done: whoever pushes again may
//! push twice. Losing a job is worse.

mod buffer;
mod client;
mod new_job;
mod pressure;
mod pushing;
mod unique;

pub use self::buffer::Buffer;
pub use self::client::{Builder, Client, OnPush, Passage};
pub(crate) use self::new_job::until;
pub use self::new_job::{NewJob, new_id};
pub use self::pressure::Pressure;
pub use self::pushing::{Many, One, Pushing};
pub use self::unique::{Unique, Until};

use std::sync::Arc;

use crate::store::StoreError;

/// What became of a job that was pushed.
///
/// ```
/// # use {std::sync::Arc, forebay_jobs::{push::Client, store::memory::Memory}};
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// # let client = Client::new(Arc::new(Memory::default()));
/// use forebay_jobs::push::{Outcome, Unique};
/// let report = || client.push_raw("Report", &(7,)).unique(Unique::by_args());
/// let (first, again) = (report().await?, report().await?);
/// assert!(matches!(first, Outcome::Stored { .. }));
/// assert!(matches!(again, Outcome::Duplicate { of } if first.id() == Some(&*of)));
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The store has it.
    Stored {
        /// Its id.
        id: String,
    },
    /// The store is away; the job waits in this process and is lost with it. See [`Buffer`].
    Buffered {
        /// Its id.
        id: String,
    },
    /// Another like it is there: nothing was stored.
    Duplicate {
        /// Id of that one.
        of: Arc<str>,
    },
    /// Client middleware said no.
    Stopped,
}

impl Outcome {
    /// The id of the job, if there is one now that was not there before.
    ///
    /// ```
    /// use forebay_jobs::push::Outcome;
    /// assert_eq!(Outcome::Buffered { id: "73be174b8b6c448481692f0c".into() }.id().map(str::len), Some(24));
    /// assert_eq!(Outcome::Stopped.id(), None);
    /// ```
    pub fn id(&self) -> Option<&str> {
        match self {
            Outcome::Stored { id } | Outcome::Buffered { id } => Some(id),
            Outcome::Duplicate { .. } | Outcome::Stopped => None,
        }
    }
}

/// Why a job was not pushed.
///
/// ```
/// # use {std::sync::Arc, forebay_jobs::{push::Client, store::memory::Memory}};
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// # let client = Client::new(Arc::new(Memory::default()));
/// use forebay_jobs::push::PushError;
/// let error = client.push_raw("", &(7,)).await.unwrap_err();
/// assert!(matches!(error, PushError::Name { what: "class", .. }));
/// assert_eq!(error.to_string(), "no job has the class ``");
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PushError {
    /// The arguments cannot be written as JSON.
    #[error("the arguments cannot be written as JSON")]
    Args(#[source] serde_json::Error),
    /// The arguments are no list.
    #[error("arguments are a list, and not `{0}`")]
    NoList(String),
    /// A name that nobody could read again.
    #[error("no job has the {what} `{name}`")]
    Name {
        /// Of what.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A field that cannot be set so.
    #[error("the field `{name}` {why}")]
    Field {
        /// Its name.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The store has too little room left: what is there must be run first. Nothing was stored.
    #[error("the job store is `{percent}` % full")]
    NoRoom {
        /// How full it is.
        percent: u64,
    },
    /// The store is away, and so much waits for it here that nothing more is taken. Nothing was stored.
    #[error("the job store is away and `{jobs}` jobs wait for it already")]
    BufferFull {
        /// Jobs that wait.
        jobs: usize,
        /// What the store said last.
        #[source]
        error: Option<StoreError>,
    },
    /// The store did not take it. If it did not answer, it may have taken some or all of it.
    #[error("the job store did not take the job")]
    Store(#[from] StoreError),
}

#[cfg(test)]
mod tests;
