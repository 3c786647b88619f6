//! What a handler says of work that is not done.

use std::time::Duration;

/// A failure of a job.
///
/// ```
/// use forebay_jobs::retry::{Failure, Verdict};
/// let failure = Failure::new("SmtpError", "the server said 421");
/// assert_eq!(failure.verdict, Verdict::Retry);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Kind of error, `error_class` on the wire.
    pub class: String,
    /// What it says, `error_message` on the wire.
    pub message: String,
    /// Where it happened, one line a call, the innermost first.
    pub backtrace: Vec<String>,
    /// What is to become of the job.
    pub verdict: Verdict,
}

impl Failure {
    /// A failure that is tried again as the job says.
    ///
    /// ```
    /// use forebay_jobs::retry::Failure;
    /// let failure = Failure::new("SmtpError", "the server said 421");
    /// assert_eq!((&*failure.class, &*failure.message), ("SmtpError", "the server said 421"));
    /// ```
    pub fn new(class: impl Into<String>, message: impl Into<String>) -> Failure {
        let (class, message) = (class.into(), message.into());
        Failure { class, message, backtrace: Vec::new(), verdict: Verdict::Retry }
    }

    /// The same failure with another end.
    ///
    /// ```
    /// use forebay_jobs::retry::{Failure, Verdict};
    /// let failure = Failure::new("NoSuchUser", "user 7 is gone").then(Verdict::Discard);
    /// assert_eq!(failure.verdict, Verdict::Discard);
    /// ```
    #[must_use]
    pub fn then(mut self, verdict: Verdict) -> Failure {
        self.verdict = verdict;
        self
    }

    /// Not done yet, and no failure: the job goes back and is next in its queue. For handlers that were
    /// asked to stop.
    ///
    /// ```
    /// use forebay_jobs::retry::{Failure, Verdict};
    /// assert_eq!(Failure::interrupted().verdict, Verdict::Back);
    /// ```
    pub fn interrupted() -> Failure {
        Failure::new("Interrupted", "it goes on later").then(Verdict::Back)
    }

    /// Not done yet, and no failure: the job is run again after this time.
    ///
    /// ```
    /// use std::time::Duration;
    /// use forebay_jobs::retry::Failure;
    /// fn not_before(noon: bool) -> Result<(), Failure> {
    ///     if noon { Ok(()) } else { Err(Failure::snooze(Duration::from_secs(600))) }
    /// }
    /// ```
    pub fn snooze(after: Duration) -> Failure {
        Failure::new("Snoozed", "it goes on later").then(Verdict::Snooze(after))
    }
}

/// Any error is a failure that is tried again, so that handlers may use `?`. Its class is the name of its
/// type, its message says its causes too. (A failure is no `Error` itself: that leaves room for this.)
///
/// ```
/// use forebay_jobs::retry::Failure;
/// fn count(text: &str) -> Result<u32, Failure> {
///     Ok(text.parse()?)
/// }
/// let failure = count("many").unwrap_err();
/// assert_eq!(failure.class, "core::num::error::ParseIntError");
/// assert_eq!(failure.message, "invalid digit found in string");
/// ```
impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Failure {
        const MOST_CAUSES: usize = 10;
        let mut message = error.to_string();
        let mut cause = error.source();
        for _ in 0..MOST_CAUSES {
            let Some(this) = cause else { break };
            message.push_str(": ");
            message.push_str(&this.to_string());
            cause = this.source();
        }
        let class = std::any::type_name::<E>().split('<').next().unwrap_or_default();
        Failure::new(class, message)
    }
}

/// What is to become of a job that failed.
///
/// ```
/// use std::time::Duration;
/// use forebay_jobs::retry::{Failure, Verdict};
/// let busy = Failure::new("Busy", "429").then(Verdict::RetryAfter(Duration::from_secs(30)));
/// let hopeless = Failure::new("NoSuchUser", "user 7 is gone").then(Verdict::Kill);
/// assert_ne!(busy.verdict, hopeless.verdict);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Verdict {
    /// It is tried again as the job says, after Sidekiq's backoff.
    #[default]
    Retry,
    /// It is tried again as the job says, after this time.
    RetryAfter(Duration),
    /// It is tried again after this time, and that is no failure: nothing is counted.
    Snooze(Duration),
    /// It goes back and is next in its queue, and that is no failure: nothing is counted.
    Back,
    /// It goes to the dead set at once.
    Kill,
    /// It is forgotten.
    Discard,
}
