//! What becomes of a job that failed: pure rules.
//!
//! In: the job, its failure, the time and a source of chance. Out: when it is tried again and with which
//! payload, or that it is dead, or gone. Never: a job that is neither (what a handler decides is in
//! [`Verdict`], what the wire says in the job).

pub mod backoff;
mod backtrace;
mod failure;

use bytes::Bytes;

pub use self::backtrace::backtrace_of;
use self::backtrace::compressed;
pub use self::failure::{Failure, Verdict};
use crate::job::{Backtrace, DEFAULT_RETRIES, Job, Retry};
use crate::time::{Form, Moment};

/// Characters that are kept of a message, as Sidekiq does.
///
/// ```
/// use forebay_jobs::{job::Job, retry::{Failure, Fate, MAX_MESSAGE_CHARS, Policy, decide}, time::Moment};
/// let job = Job::parse(r#"{"class":"A","args":[],"jid":"1"}"#.into())?;
/// let long = Failure::new("E", "x".repeat(1 << 20));
/// let fate = decide(&job, "q", &long, &Policy::default(), Moment::default(), 0.0);
/// assert!(matches!(fate, Fate::Again { payload, .. } if payload.len() < MAX_MESSAGE_CHARS + 200));
/// # Ok::<(), forebay_jobs::job::Malformed>(())
/// ```
pub const MAX_MESSAGE_CHARS: usize = 10_000;

/// What a class says of its retries, where a job does not.
///
/// ```
/// use forebay_jobs::retry::Policy;
/// let once = Policy { retry: 1.into(), ..Policy::default() };
/// # let _ = once;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// For jobs whose `retry` is `null`.
    pub retry: Retry,
    /// How moments are written.
    pub form: Form,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy { retry: Retry::Times(DEFAULT_RETRIES), form: Form::default() }
    }
}

/// What becomes of a job that failed. [`decide`] says which.
///
/// ```
/// use forebay_jobs::{job::Job, retry::{Exhausted, Failure, Fate, Policy, Verdict, decide}, time::Moment};
/// let job = Job::parse(r#"{"class":"A","args":[],"jid":"1"}"#.into())?;
/// let failure = Failure::new("NoSuchUser", "user 7 is gone").then(Verdict::Discard);
/// let fate = decide(&job, "mail", &failure, &Policy::default(), Moment::default(), 0.0);
/// assert!(matches!(fate, Fate::Gone { why: Exhausted::Discarded, .. }));
/// # Ok::<(), forebay_jobs::job::Malformed>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It is next in its queue, unchanged, and nothing is counted.
    Back,
    /// It is run later, and nothing is counted.
    Later {
        /// When.
        at: Moment,
        /// What is written then: what it was, but for the queue that it came from.
        payload: Bytes,
    },
    /// It is tried again.
    Again {
        /// When.
        at: Moment,
        /// What is written then.
        payload: Bytes,
    },
    /// It has failed for good and is kept.
    Dead {
        /// What is kept.
        payload: Bytes,
        /// Why it is not tried again.
        why: Exhausted,
    },
    /// It has failed for good and is not kept; death hooks get the payload.
    Gone {
        /// As it would have been kept.
        payload: Bytes,
        /// Why it is not tried again.
        why: Exhausted,
    },
}

/// Why a job is not tried again.
///
/// ```
/// use forebay_jobs::{job::Job, retry::{Exhausted, Failure, Fate, Policy, decide}, time::Moment};
/// let job = Job::parse(r#"{"class":"A","args":[],"jid":"1","retry":2,"retry_count":1}"#.into())?;
/// let fate = decide(&job, "q", &Failure::new("E", "no"), &Policy::default(), Moment::default(), 0.0);
/// assert!(matches!(fate, Fate::Dead { why: Exhausted::Times, .. }));
/// # Ok::<(), forebay_jobs::job::Malformed>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exhausted {
    /// It was tried as often as it says.
    Times,
    /// The time since its first failure is over.
    Window,
    /// It says that it is never tried again.
    Never,
    /// Its handler said so.
    Killed,
    /// Its handler said so.
    Discarded,
    /// It took its process with it too often.
    Poisoned,
}

/// Decides. `queue` is where the job came from; `chance` gives a number of 0 to below 1.
///
/// ```
/// use forebay_jobs::{job::Job, retry::{Failure, Fate, Policy, decide}, time::Moment};
/// let (now, failure) = (Moment::from_micros(0), Failure::new("SmtpError", "421"));
/// let job = Job::parse(r#"{"class":"A","args":[],"jid":"1"}"#.into())?;
/// let Fate::Again { at, payload } = decide(&job, "mail", &failure, &Policy::default(), now, 0.0) else {
///     panic!("it has 25 tries");
/// };
/// assert_eq!(at, Moment::from_micros(15_000_000)); // 15 s and up to 10 more
/// assert_eq!(Job::parse(payload)?.failures(), 1);
/// # Ok::<(), forebay_jobs::job::Malformed>(())
/// ```
pub fn decide(
    job: &Job,
    queue: &str,
    failure: &Failure,
    policy: &Policy,
    now: Moment,
    chance: f64,
) -> Fate {
    match failure.verdict {
        Verdict::Back => return Fate::Back,
        Verdict::Snooze(after) => {
            return Fate::Later { at: now.after(after), payload: of_queue(job, queue) };
        }
        _ => {}
    }
    let payload = failed(job, queue, failure, policy.form, now);
    let Some(why) = exhausted(job, failure, policy, now) else {
        let after = match failure.verdict {
            Verdict::RetryAfter(after) => after,
            _ => backoff::delay(job.failures(), chance),
        };
        return Fate::Again { at: now.after(after), payload };
    };
    let is_kept = job.keeps_dead() && !matches!(why, Exhausted::Never | Exhausted::Discarded);
    if is_kept { Fate::Dead { payload, why } } else { Fate::Gone { payload, why } }
}

fn exhausted(job: &Job, failure: &Failure, policy: &Policy, now: Moment) -> Option<Exhausted> {
    match failure.verdict {
        Verdict::Kill => return Some(Exhausted::Killed),
        Verdict::Discard => return Some(Exhausted::Discarded),
        Verdict::Retry | Verdict::RetryAfter(_) | Verdict::Snooze(_) | Verdict::Back => {}
    }
    let retry = if job.retry() == Retry::AsClass { policy.retry } else { job.retry() };
    if retry == Retry::Never {
        return Some(Exhausted::Never);
    }
    // The window stands in place of a number, as since Sidekiq 8.1.
    if let Some(window) = job.retry_for() {
        let first = job.failed_at().unwrap_or(now);
        return (now.since(first) >= window && job.failures() > 0).then_some(Exhausted::Window);
    }
    let most = match retry {
        Retry::Times(times) => times,
        Retry::AsClass | Retry::Never => DEFAULT_RETRIES,
    };
    (job.failures() >= most).then_some(Exhausted::Times)
}

/// The payload of a job that says where it belongs: what lies in a sorted set is found by nothing else.
///
/// ```
/// use forebay_jobs::{job::Job, retry::of_queue};
/// let job = Job::parse(r#"{"class":"A","args":[],"jid":"1"}"#.into())?;
/// assert_eq!(Job::parse(of_queue(&job, "mail"))?.queue(), Some("mail"));
/// # Ok::<(), forebay_jobs::job::Malformed>(())
/// ```
pub fn of_queue(job: &Job, queue: &str) -> Bytes {
    if job.queue() == Some(queue) {
        return job.bytes().clone();
    }
    let mut fields = job.fields();
    fields.set_text("queue", queue);
    fields.write()
}

/// The payload of a failed job, with the fields that Sidekiq's server writes.
fn failed(job: &Job, queue: &str, failure: &Failure, form: Form, now: Moment) -> Bytes {
    let mut fields = job.fields();
    let stamp = now.to_json(form);
    let message: String = failure.message.chars().take(MAX_MESSAGE_CHARS).collect();
    let lines = match job.backtrace() {
        Backtrace::None => None,
        Backtrace::Lines(_) if failure.backtrace.is_empty() => None,
        Backtrace::Lines(lines) => compressed(&failure.backtrace, lines),
    };
    fields.set_text("queue", job.retry_queue().unwrap_or(queue));
    fields.set_text("error_message", &message);
    fields.set_text("error_class", &failure.class);
    if job.failures() == 0 {
        fields.set("failed_at", stamp);
        fields.set("retry_count", "0");
    } else {
        fields.set("retried_at", stamp);
        fields.set("retry_count", job.failures().to_string());
    }
    match &lines {
        Some(lines) => fields.set_text("error_backtrace", lines),
        // That of another failure would mislead.
        None => fields.remove("error_backtrace"),
    }
    fields.write()
}

#[cfg(test)]
mod tests;
