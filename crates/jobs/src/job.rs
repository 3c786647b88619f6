//! A job: the bytes that travel, and what of them the engine goes by.
//!
//! In: what a client of any version pushed. Out: the same, with what our own push or retry writes. A job is
//! parsed once, when it is leased; its arguments are parsed by its handler alone. What cannot be a job is
//! said in a sentence and goes to the dead set: it is never lost and never run.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::payload::Fields;
use crate::time::Moment;

/// What Sidekiq means by `"retry": true`.
///
/// ```
/// use forebay_jobs::job::{DEFAULT_RETRIES, Retry};
/// assert_eq!(Retry::from(true), Retry::Times(DEFAULT_RETRIES));
/// ```
pub const DEFAULT_RETRIES: u32 = 25;
/// Longest id; Sidekiq's have 24 digits, those of others pass too.
const MAX_ID_BYTES: usize = 255;
/// Longest name of a queue or class.
const MAX_NAME_BYTES: usize = 255;
/// Longest window or expiry: Sidekiq refuses more than 1e9 seconds.
const LONGEST: Duration = Duration::from_secs(1_000_000_000);

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

/// A job as it was pushed, with what the engine goes by.
///
/// ```
/// use forebay_jobs::job::{Job, Retry};
/// let bytes = br#"{"retry":3,"queue":"mail","class":"Welcome","args":[7],"jid":"73be174b8b6c448481692f0c","mine":1.50}"#;
/// let job = Job::parse(bytes.as_slice().into())?;
/// assert_eq!((job.class(), job.queue(), job.retry()), ("Welcome", Some("mail"), Retry::Times(3)));
/// assert_eq!(job.args::<(u32,)>()?, (7,));
/// assert_eq!(&job.bytes()[..], bytes);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Job {
    bytes: Bytes,
    /// Where the arguments lie in `bytes`.
    args: std::ops::Range<usize>,
    class: Box<str>,
    wrapped: Option<Box<str>>,
    id: Box<str>,
    queue: Option<Box<str>>,
    retry_queue: Option<Box<str>>,
    retry: Retry,
    retry_for: Option<Duration>,
    backtrace: Backtrace,
    keeps_dead: bool,
    failures: Option<u32>,
    created_at: Option<Moment>,
    enqueued_at: Option<Moment>,
    failed_at: Option<Moment>,
    expires_in: Option<Duration>,
    unique: Option<Box<str>>,
    traceparent: Option<Box<str>>,
}

impl Job {
    /// Reads a job.
    ///
    /// ```
    /// # use forebay_jobs::job::Job;
    /// let job = Job::parse(r#"{"class":"A","args":[7],"jid":"1","queue":"mail","mine":1.50}"#.into())?;
    /// assert_eq!((job.class(), job.id(), job.queue()), ("A", "1", Some("mail")));
    /// assert!(Job::parse("nonsense".into()).is_err());
    /// # Ok::<(), forebay_jobs::job::Malformed>(())
    /// ```
    ///
    /// # Errors
    /// It has no class, no id or no list of arguments, or a field that decides its fate says nothing
    /// that can be followed.
    pub fn parse(bytes: Bytes) -> Result<Job, Malformed> {
        let fields =
            Fields::read(&bytes).map_err(|error| Malformed::NoObject(error.to_string()))?;
        let class = name(&fields, "class")?.ok_or(Malformed::Missing("class"))?;
        let id = name(&fields, "jid")?.ok_or(Malformed::Missing("jid"))?;
        let args = fields.find("args").ok_or(Malformed::Missing("args"))?;
        if !args.starts_with('[') {
            return Err(wrong("args", args, "a list"));
        }
        let start = args.as_ptr().addr() - bytes.as_ptr().addr();
        let args = start..start + args.len();
        Ok(Job {
            args,
            class,
            // Shown and counted by: what says no name is none.
            wrapped: name(&fields, "wrapped").unwrap_or_default(),
            id,
            queue: name(&fields, "queue")?,
            retry_queue: name(&fields, "retry_queue")?,
            retry: retry(&fields)?,
            retry_for: seconds(&fields, "retry_for")?,
            backtrace: backtrace(&fields)?,
            keeps_dead: fields.find("dead") != Some("false"),
            failures: count(&fields)?,
            created_at: moment(&fields, "created_at"),
            enqueued_at: moment(&fields, "enqueued_at"),
            failed_at: moment(&fields, "failed_at"),
            expires_in: seconds(&fields, "expires_in")?,
            unique: name(&fields, UNIQUE_LOCK)?,
            traceparent: name(&fields, "traceparent")?,
            bytes,
        })
    }

    /// The payload, byte for byte.
    ///
    /// ```
    /// # use forebay_jobs::job::Job;
    /// let payload = r#"{"class":"A", "args":[], "jid":"1", "unknown":1.50}"#;
    /// let job = Job::parse(payload.into())?;
    /// assert_eq!(job.bytes(), payload);
    /// # Ok::<(), forebay_jobs::job::Malformed>(())
    /// ```
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Its fields, to write a changed one.
    ///
    /// ```
    /// # use forebay_jobs::job::Job;
    /// let job = Job::parse(r#"{"class":"A","args":[7],"jid":"1"}"#.into())?;
    /// let mut fields = job.fields();
    /// fields.set_text("queue", "low");
    /// assert_eq!(fields.write(), r#"{"class":"A","args":[7],"jid":"1","queue":"low"}"#);
    /// # Ok::<(), forebay_jobs::job::Malformed>(())
    /// ```
    pub fn fields(&self) -> Fields<'_> {
        Fields::read(&self.bytes).expect("it was read when it was parsed")
    }

    /// The JSON of any field.
    ///
    /// ```
    /// # use forebay_jobs::job::Job;
    /// let job = Job::parse(r#"{"class":"A","args":[7],"jid":"1","tags":["x"]}"#.into())?;
    /// assert_eq!(job.field("tags").as_deref(), Some(r#"["x"]"#));
    /// assert_eq!(job.field("nothing"), None);
    /// # Ok::<(), forebay_jobs::job::Malformed>(())
    /// ```
    pub fn field(&self, name: &str) -> Option<String> {
        self.fields().find(name).map(str::to_owned)
    }

    /// The arguments, read as whatever the handler takes.
    ///
    /// ```
    /// # use forebay_jobs::job::Job;
    /// let job = Job::parse(r#"{"class":"A","args":[7,"x"],"jid":"1"}"#.into())?;
    /// assert_eq!(job.args::<(u32, String)>()?, (7, "x".to_owned()));
    /// assert!(job.args::<(u32,)>().is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// They are something else.
    pub fn args<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_slice(self.args_json())
    }

    /// The arguments as JSON: a list.
    ///
    /// ```
    /// # use forebay_jobs::job::Job;
    /// let job = Job::parse(r#"{"class":"A","args":[7, "x"],"jid":"1"}"#.into())?;
    /// assert_eq!(job.args_json(), br#"[7, "x"]"#);
    /// # Ok::<(), forebay_jobs::job::Malformed>(())
    /// ```
    pub fn args_json(&self) -> &[u8] {
        self.bytes.get(self.args.clone()).unwrap_or(b"[]")
    }

    /// Name of the class that runs it: `class` on the wire.
    ///
    /// This and what follows say what fields of the payload do; what is not there is `None`:
    ///
    /// ```
    /// # use forebay_jobs::job::Job;
    /// let payload = r#"{"class":"A","args":[],"jid":"1","queue":"mail","retry":3,"traceparent":"00-ab-cd-01"}"#;
    /// let job = Job::parse(payload.into())?;
    /// assert_eq!((job.class(), job.shown_class(), job.id()), ("A", "A", "1"));
    /// assert_eq!((job.queue(), job.retry_queue()), (Some("mail"), None));
    /// assert_eq!((job.retry(), job.retry_for()), (3.into(), None));
    /// assert_eq!((job.unique(), job.traceparent()), (None, Some("00-ab-cd-01")));
    /// # Ok::<(), forebay_jobs::job::Malformed>(())
    /// ```
    pub fn class(&self) -> &str {
        &self.class
    }

    /// Name of the class that is meant: of a job of Rails the one that its adapter wraps, `wrapped` on the wire.
    ///
    /// ```
    /// # use forebay_jobs::job::Job;
    /// let job = Job::parse(r#"{"class":"A","args":[7],"jid":"1","wrapped":"MailJob"}"#.into())?;
    /// assert_eq!((job.class(), job.shown_class()), ("A", "MailJob"));
    /// # Ok::<(), forebay_jobs::job::Malformed>(())
    /// ```
    pub fn shown_class(&self) -> &str {
        self.wrapped.as_deref().unwrap_or(&self.class)
    }

    /// Its id, `jid` on the wire. Shown at [`Job::class`].
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The queue that it says it was pushed to: `queue`. Shown at [`Job::class`].
    pub fn queue(&self) -> Option<&str> {
        self.queue.as_deref()
    }

    /// The queue for its retries, if it is another: `retry_queue`. Shown at [`Job::class`].
    pub fn retry_queue(&self) -> Option<&str> {
        self.retry_queue.as_deref()
    }

    /// How often it is tried again: `retry`. Shown at [`Job::class`].
    pub fn retry(&self) -> Retry {
        self.retry
    }

    /// For how long after its first failure it is tried again, in place of a number: `retry_for`, in seconds.
    /// Shown at [`Job::class`].
    pub fn retry_for(&self) -> Option<Duration> {
        self.retry_for
    }

    /// How much of a backtrace is kept: `backtrace`. Shown at [`Backtrace`].
    pub fn backtrace(&self) -> Backtrace {
        self.backtrace
    }

    /// False if it is not to be kept when it has failed for good: `dead`. Shown at [`Job::failures`].
    pub fn keeps_dead(&self) -> bool {
        self.keeps_dead
    }

    /// How often it has failed so far: `retry_count`, and one more.
    ///
    /// ```
    /// # use forebay_jobs::job::Job;
    /// let job = Job::parse(r#"{"class":"A","args":[7],"jid":"1","dead":false,"retry_count":0}"#.into())?;
    /// assert_eq!((job.failures(), job.keeps_dead()), (1, false)); // the first retry is number 0
    /// # Ok::<(), forebay_jobs::job::Malformed>(())
    /// ```
    pub fn failures(&self) -> u32 {
        // The field counts from 0 at the first failure.
        self.failures.map_or(0, |count| count.saturating_add(1))
    }

    /// When it was made: `created_at`. Shown at [`Job::expires_at`].
    pub fn created_at(&self) -> Option<Moment> {
        self.created_at
    }

    /// When it was put in its queue the last time: `enqueued_at`. Shown at [`Job::expires_at`].
    pub fn enqueued_at(&self) -> Option<Moment> {
        self.enqueued_at
    }

    /// When it failed the first time: `failed_at`. Shown at [`Job::expires_at`].
    pub fn failed_at(&self) -> Option<Moment> {
        self.failed_at
    }

    /// When it is no longer worth running: `expires_in` seconds after it was put in its queue.
    ///
    /// ```
    /// use forebay_jobs::{job::Job, time::Moment};
    /// let at = r#","created_at":60.5,"enqueued_at":61.0,"failed_at":62.0,"expires_in":10"#;
    /// let job = Job::parse(format!(r#"{{"class":"A","args":[],"jid":"1"{at}}}"#).into())?;
    /// assert_eq!(job.created_at(), Some(Moment::from_micros(60_500_000)));
    /// assert_eq!((job.enqueued_at(), job.failed_at()), (Some(Moment::from_score(61.0)), Some(Moment::from_score(62.0))));
    /// assert_eq!(job.expires_at(), Some(Moment::from_score(71.0)));
    /// # Ok::<(), forebay_jobs::job::Malformed>(())
    /// ```
    pub fn expires_at(&self) -> Option<Moment> {
        let from = self.enqueued_at.or(self.created_at)?;
        Some(from.after(self.expires_in?))
    }

    /// The lock that keeps others like it out: [`UNIQUE_LOCK`]. Shown at [`Job::class`].
    pub fn unique(&self) -> Option<&str> {
        self.unique.as_deref()
    }

    /// The trace that it belongs to: `traceparent` of W3C Trace Context. Shown at [`Job::class`].
    pub fn traceparent(&self) -> Option<&str> {
        self.traceparent.as_deref()
    }
}

/// The id in a payload, if it has one: for those who look for a job and do not run it.
///
/// ```
/// use forebay_jobs::job::id_of;
/// assert_eq!(id_of(br#"{"jid":"73be174b8b6c448481692f0c"}"#).as_deref(), Some("73be174b8b6c448481692f0c"));
/// assert_eq!(id_of(b"nonsense"), None);
/// ```
pub fn id_of(payload: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Id {
        jid: String,
    }
    serde_json::from_slice::<Id>(payload).ok().map(|it| it.jid)
}

/// Holds the lock of a unique job. A field of ours: Sidekiq keeps it and does nothing by it.
///
/// ```
/// # use {std::sync::Arc, forebay_jobs::{push::Client, store::memory::Memory, testing}};
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// # let client = Client::new(Arc::new(Memory::default()));
/// use forebay_jobs::{job::UNIQUE_LOCK, push::Unique};
/// client.push_raw("Report", &(7,)).unique(Unique::by_args()).await?;
/// let jobs = testing::pushed(&**client.store(), "default").await?;
/// assert!(jobs[0].field(UNIQUE_LOCK).is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
pub const UNIQUE_LOCK: &str = "unique_lock";

fn name(fields: &Fields<'_>, field: &'static str) -> Result<Option<Box<str>>, Malformed> {
    let Some(json) = present(fields, field) else { return Ok(None) };
    let most = if field == "jid" { MAX_ID_BYTES } else { MAX_NAME_BYTES };
    match serde_json::from_str::<Cow<'_, str>>(json) {
        Ok(text) if !text.is_empty() && text.len() <= most => Ok(Some(text.into())),
        _ => Err(wrong(field, json, "a text of 1 to 255 bytes")),
    }
}

fn retry(fields: &Fields<'_>) -> Result<Retry, Malformed> {
    match present(fields, "retry") {
        None => Ok(Retry::AsClass),
        Some("true") => Ok(Retry::Times(DEFAULT_RETRIES)),
        Some("false") => Ok(Retry::Never),
        Some(json) => match whole(json) {
            Some(times) => Ok(Retry::Times(times)),
            None => Err(wrong("retry", json, "true, false, null or a number of times")),
        },
    }
}

fn backtrace(fields: &Fields<'_>) -> Result<Backtrace, Malformed> {
    match present(fields, "backtrace") {
        None | Some("false") => Ok(Backtrace::None),
        Some("true") => Ok(Backtrace::Lines(usize::MAX)),
        Some(json) => match whole(json) {
            Some(lines) => Ok(Backtrace::Lines(usize::try_from(lines).unwrap_or(usize::MAX))),
            None => Err(wrong("backtrace", json, "true, false or a number of lines")),
        },
    }
}

fn count(fields: &Fields<'_>) -> Result<Option<u32>, Malformed> {
    let Some(json) = present(fields, "retry_count") else { return Ok(None) };
    // Ruby's Web UI gives a try back by counting down, from 0 too.
    if serde_json::from_str::<f64>(json).is_ok_and(|count| count < 0.0) {
        return Ok(None);
    }
    whole(json).map(Some).ok_or_else(|| wrong("retry_count", json, "a number of retries"))
}

fn seconds(fields: &Fields<'_>, field: &'static str) -> Result<Option<Duration>, Malformed> {
    let Some(json) = present(fields, field) else { return Ok(None) };
    let seconds = serde_json::from_str::<f64>(json).ok();
    match seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()) {
        Some(duration) if duration <= LONGEST => Ok(Some(duration)),
        _ => Err(wrong(field, json, "a number of seconds of at most 1e9")),
    }
}

/// Times are shown and measured, and decide nothing that could harm: what says no time is none.
fn moment(fields: &Fields<'_>, field: &str) -> Option<Moment> {
    let value: Value = serde_json::from_str(present(fields, field)?).ok()?;
    Moment::read(&value)
}

/// A number without sign; one that is beyond counting is very often. Ruby also writes `3.0`.
fn whole(json: &str) -> Option<u32> {
    let number: f64 = serde_json::from_str(json).ok()?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
    (number >= 0.0 && number.fract() == 0.0).then_some(number as u32)
}

fn present<'f>(fields: &'f Fields<'_>, field: &str) -> Option<&'f str> {
    fields.find(field).filter(|json| *json != "null")
}

fn wrong(field: &'static str, json: &str, expected: &'static str) -> Malformed {
    const SHOWN: usize = 60;
    let mut found: String = json.chars().take(SHOWN).collect();
    if found.len() < json.len() {
        found.push('…');
    }
    Malformed::Wrong { field, found, expected }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(json: &str) -> Result<Job, Malformed> {
        Job::parse(Bytes::copy_from_slice(json.as_bytes()))
    }

    fn with(fields: &str) -> Result<Job, Malformed> {
        parse(&format!(r#"{{"class":"A","args":[],"jid":"1"{fields}}}"#))
    }

    #[test]
    fn payloads_of_each_version_are_read() {
        let job = parse(r#"{"retry":3,"queue":"default","tags":["a"],"args":[1,"x"],"class":"J","jid":"73be174b8b6c448481692f0c","created_at":1795435768745,"enqueued_at":1795435768745}"#).unwrap();
        assert_eq!(job.enqueued_at(), Some(Moment::from_micros(1_795_435_768_745_000)));
        let job = parse(r#"{"retry":true,"queue":"low","args":[],"class":"J","jid":"a","created_at":1795435768.8822832,"enqueued_at":1795435768.8823354,"retry_count":2,"failed_at":1795435769.1}"#).unwrap();
        assert_eq!((job.retry(), job.failures()), (Retry::Times(25), 3));
        assert_eq!(job.created_at(), Some(Moment::from_micros(1_795_435_768_882_283)));
    }

    #[test]
    fn retry_says_what_the_reference_says() {
        for (json, retry) in [
            ("", Retry::AsClass),
            (r#","retry":null"#, Retry::AsClass),
            (r#","retry":true"#, Retry::Times(25)),
            (r#","retry":false"#, Retry::Never),
            (r#","retry":0"#, Retry::Times(0)),
            (r#","retry":7"#, Retry::Times(7)),
        ] {
            assert_eq!(with(json).unwrap().retry(), retry, "{json}");
        }
    }

    #[test]
    fn what_cannot_be_a_job_says_why() {
        for (json, why) in [
            ("nonsense", "the payload is no JSON object: expected ident at line 1 column 2"),
            (
                "[1]",
                "the payload is no JSON object: invalid type: sequence, expected a job: an object of JSON at line 1 column 0",
            ),
            (r#"{"args":[],"jid":"1"}"#, "the payload has no `class`"),
            (r#"{"class":"A","jid":"1"}"#, "the payload has no `args`"),
            (r#"{"class":"A","args":[]}"#, "the payload has no `jid`"),
            (
                r#"{"class":7,"args":[],"jid":"1"}"#,
                "`class` is `7` and not a text of 1 to 255 bytes",
            ),
            (r#"{"class":"A","args":{"a":1},"jid":"1"}"#, "`args` is `{\"a\":1}` and not a list"),
            (
                r#"{"class":"A","args":[],"jid":"1","retry":"yes"}"#,
                "`retry` is `\"yes\"` and not true, false, null or a number of times",
            ),
            (
                r#"{"class":"A","args":[],"jid":"1","retry":-1}"#,
                "`retry` is `-1` and not true, false, null or a number of times",
            ),
        ] {
            assert_eq!(parse(json).unwrap_err().to_string(), why, "{json}");
        }
    }

    #[test]
    fn a_try_that_was_given_back_is_no_failure() {
        assert_eq!(with(r#","retry_count":-1"#).unwrap().failures(), 0);
        assert_eq!(with(r#","retry_count":0"#).unwrap().failures(), 1);
    }

    #[test]
    fn a_time_that_says_nothing_harms_nothing() {
        assert_eq!(with(r#","enqueued_at":"soon""#).unwrap().enqueued_at(), None);
    }

    #[test]
    fn arguments_are_read_from_where_they_lie() {
        let job =
            parse(r#"{"args":[1],"class":"A","jid":"1","args": [ {"a":2} , "x" ] }"#).unwrap();
        assert_eq!(job.args_json(), br#"[ {"a":2} , "x" ]"#);
        assert!(job.args::<(u8,)>().is_err());
    }

    proptest! {
        #[test]
        fn parsing_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            drop(Job::parse(bytes.into()));
        }

        #[test]
        fn parsing_never_panics_on_what_looks_like_a_job(value in r#"(-?[0-9]{1,40}(\.[0-9]{1,9})?(e[0-9]{1,5})?|"[a-z\\"]{0,5}|\[\]|null|true)"#, field in "(retry|retry_for|retry_count|backtrace|dead|created_at|expires_in|queue)") {
            drop(with(&format!(r#","{field}":{value}"#)));
        }
    }
}
