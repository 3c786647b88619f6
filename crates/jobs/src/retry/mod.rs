//! What becomes of a job that failed: pure rules.
//!
//! In: the job, its failure, the time and a source of chance. Out: when it is tried again and with which
//! payload, or that it is dead, or gone. Never: a job that is neither (what a handler decides is in
//! [`Verdict`], what the wire says in the job).

pub mod backoff;

use std::io::Write;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use crate::job::{Backtrace, DEFAULT_RETRIES, Job, Retry};
use crate::time::{Form, Moment};

/// Characters that are kept of a message, as Sidekiq does.
pub const MAX_MESSAGE_CHARS: usize = 10_000;
/// Lines that are kept of a backtrace, and bytes of all of them.
const MAX_BACKTRACE_LINES: usize = 1_000;
const MAX_BACKTRACE_BYTES: usize = 256 * 1_024;

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
    pub fn interrupted() -> Failure {
        Failure::new("Interrupted", "it goes on later").then(Verdict::Back)
    }

    /// Not done yet, and no failure: the job is run again after this time.
    pub fn snooze(after: Duration) -> Failure {
        Failure::new("Snoozed", "it goes on later").then(Verdict::Snooze(after))
    }
}

/// Any error is a failure that is tried again, so that handlers may use `?`. Its class is the name of its
/// type, its message says its causes too. (A failure is no `Error` itself: that leaves room for this.)
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

/// What a class says of its retries, where a job does not.
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

/// What becomes of a job that failed.
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

/// A JSON list, deflated (RFC 1950), in base64 (RFC 4648 §4).
fn compressed(backtrace: &[String], lines: usize) -> Option<String> {
    let mut bytes = 0;
    let kept = backtrace.iter().take(lines.min(MAX_BACKTRACE_LINES)).take_while(|line| {
        bytes += line.len();
        bytes <= MAX_BACKTRACE_BYTES
    });
    let json = serde_json::to_vec(&kept.collect::<Vec<_>>()).ok()?;
    let mut deflated = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    deflated.write_all(&json).ok()?;
    Some(STANDARD.encode(deflated.finish().ok()?))
}

/// Reads `error_backtrace` in each form that was ever written: strict and line-wrapped base64 of a deflated
/// list, or the list itself (Sidekiq 5 and older).
pub fn backtrace_of(job: &Job) -> Option<Vec<String>> {
    use std::io::Read;
    const MOST: u64 = 4 << 20;
    let json = job.field("error_backtrace")?;
    if json.starts_with('[') {
        return serde_json::from_str(&json).ok();
    }
    let mut text: String = serde_json::from_str(&json).ok()?;
    text.retain(|c| !c.is_ascii_whitespace());
    let deflated = STANDARD.decode(text).ok()?;
    let mut list = Vec::new();
    // A small payload can hold a large list: no more than this is read.
    flate2::read::ZlibDecoder::new(&deflated[..]).take(MOST).read_to_end(&mut list).ok()?;
    serde_json::from_slice(&list).ok()
}

#[cfg(test)]
mod tests;
