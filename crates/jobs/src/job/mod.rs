//! A job: the bytes that travel, and what of them the engine goes by.
//!
//! In: what a client of any version pushed. Out: the same, with what our own push or retry writes. A job is
//! parsed once, when it is leased; its arguments are parsed by its handler alone. What cannot be a job is
//! said in a sentence and goes to the dead set: it is never lost and never run.

mod parsed;
mod read;
#[cfg(test)]
mod tests;

pub use self::parsed::{Job, UNIQUE_LOCK, id_of};

/// What Sidekiq means by `"retry": true`.
///
/// ```
/// use forebay_jobs::job::{DEFAULT_RETRIES, Retry};
/// assert_eq!(Retry::from(true), Retry::Times(DEFAULT_RETRIES));
/// ```
pub const DEFAULT_RETRIES: u32 = 25;

/// How often a job is tried again. `retry` on the wire.
///
/// ```
/// use forebay_jobs::job::Retry;
/// assert_eq!([Retry::from(3), Retry::from(false)], [Retry::Times(3), Retry::Never]);
/// assert_eq!(Retry::default(), Retry::AsClass);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Retry {
    /// As its class says; [`DEFAULT_RETRIES`] times without a word from there (`null`, or no field).
    #[default]
    AsClass,
    /// So many times. `true` is [`DEFAULT_RETRIES`]; 0 goes to the dead set at the first failure.
    Times(u32),
    /// Never, and it does not go to the dead set either (`false`).
    Never,
}

/// So many times.
impl From<u32> for Retry {
    fn from(times: u32) -> Retry {
        Retry::Times(times)
    }
}

/// As `retry: true` and `retry: false` of Sidekiq.
impl From<bool> for Retry {
    fn from(is_retried: bool) -> Retry {
        if is_retried { Retry::Times(DEFAULT_RETRIES) } else { Retry::Never }
    }
}

/// How much of a backtrace is kept with a failed job. `backtrace` on the wire: `false`, `true` or a number.
///
/// ```
/// use forebay_jobs::job::{Backtrace, Job};
/// let job = Job::parse(r#"{"class":"A","args":[7],"jid":"1","backtrace":20}"#.into())?;
/// assert_eq!(job.backtrace(), Backtrace::Lines(20));
/// # Ok::<(), forebay_jobs::job::Malformed>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Backtrace {
    /// Nothing.
    #[default]
    None,
    /// Its first lines.
    Lines(usize),
}

/// What cannot be a job, and why.
///
/// ```
/// use forebay_jobs::job::{Job, Malformed};
/// let why = Job::parse(r#"{"class":"A","args":[]}"#.into()).unwrap_err();
/// assert_eq!(why, Malformed::Missing("jid"));
/// let why = Job::parse(r#"{"class":"A","args":[],"jid":"1","retry":"yes"}"#.into()).unwrap_err();
/// assert_eq!(why.to_string(), r#"`retry` is `"yes"` and not true, false, null or a number of times"#);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// No JSON, or no object.
    #[error("the payload is no JSON object: {0}")]
    NoObject(String),
    /// A field that must be there is not.
    #[error("the payload has no `{0}`")]
    Missing(&'static str),
    /// A field is not what it must be.
    #[error("`{field}` is `{found}` and not {expected}")]
    Wrong {
        /// Its name.
        field: &'static str,
        /// What stands there, shortened.
        found: String,
        /// What may stand there.
        expected: &'static str,
    },
}
