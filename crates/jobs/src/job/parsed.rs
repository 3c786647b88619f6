//! A job that was read: its bytes, and what of them the engine goes by.

use std::time::Duration;

use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::read::{backtrace, count, moment, name, retry, seconds, wrong};
use super::{Backtrace, Malformed, Retry};
use crate::payload::Fields;
use crate::time::Moment;

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
