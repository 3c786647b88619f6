//! A job before it is stored, and how it is written.

use std::sync::Arc;
use std::time::Duration;

use crate::job::{DEFAULT_RETRIES, Retry, UNIQUE_LOCK};
use crate::store::{Lock, Push};
use crate::time::{Form, Moment};

use super::{PushError, Unique, Until, unique::hex};

/// Longest name of a class or queue, as whoever runs it reads it.
const MAX_NAME_BYTES: usize = 255;
/// Sidekiq refuses longer windows.
const LONGEST: Duration = Duration::from_secs(1_000_000_000);

/// A job that is about to be pushed: what client middleware sees and may change.
///
/// ```
/// use forebay_jobs::push::{NewJob, OnPush, Passage};
/// struct Later;
/// impl OnPush for Later {
///     fn on_push(&self, job: &mut NewJob) -> Passage {
///         if job.class.starts_with("Report") {
///             job.queue = "low".into();
///         }
///         Passage::On
///     }
/// }
/// ```
#[derive(Debug, Clone)]
pub struct NewJob {
    /// Name of the class that runs it.
    pub class: Arc<str>,
    /// Its arguments: a list as JSON.
    pub args: String,
    /// Queue that it goes to.
    pub queue: Arc<str>,
    /// Its id, 24 digits.
    pub id: String,
    /// How often it is tried again.
    pub retry: Retry,
    /// When it is run, if that is not now.
    pub at: Option<Moment>,
    /// How long it is worth running after it was put in its queue.
    pub expires_in: Option<Duration>,
    /// What keeps out others like it.
    pub unique: Option<Unique>,
    /// More fields: name and value as JSON. Whoever runs it sees them, and nobody changes them.
    pub fields: Vec<(String, String)>,
}

/// Fields that are written from what we know, and by nothing else.
const OURS: [&str; 10] = [
    "retry",
    "queue",
    "args",
    "class",
    "jid",
    "created_at",
    "enqueued_at",
    "expires_in",
    UNIQUE_LOCK,
    UNIQUE_UNTIL,
];

/// Says when the lock of a unique job ends.
pub(crate) const UNIQUE_UNTIL: &str = "unique_until";

impl NewJob {
    /// Sets one more field. What is no JSON, or a field that has a place of its own here, makes the push a
    /// [`PushError::Field`].
    ///
    /// ```
    /// # use forebay_jobs::push::NewJob;
    /// fn mark(job: &mut NewJob) {
    ///     job.set("tenant", r#""acme""#); // JSON, so a text stands in quotes
    ///     job.set("shard", "7");
    /// }
    /// ```
    pub fn set(&mut self, name: &str, json: impl Into<String>) {
        self.fields.retain(|(it, _)| it != name);
        self.fields.push((name.to_owned(), json.into()));
    }

    /// As the store takes it: as Sidekiq writes it, in the order in which Sidekiq does.
    pub(crate) fn write(&self, form: Form, now: Moment) -> Result<Push, PushError> {
        self.check()?;
        // What should have run before now runs now.
        let at = self.at.filter(|at| *at > now);
        let stamp = now.to_json(form);
        let mut json = String::with_capacity(192 + self.args.len() + self.class.len());
        let mut put = |name: &str, value: &str| {
            json.push(if json.is_empty() { '{' } else { ',' });
            json.push_str(&text(name));
            json.push(':');
            json.push_str(value);
        };
        put("retry", &retry(self.retry));
        put("queue", &text(&self.queue));
        for (name, value) in &self.fields {
            put(name, value);
        }
        if let Some(expires_in) = self.expires_in {
            put("expires_in", &expires_in.as_secs_f64().to_string());
        }
        let lock = self.unique.as_ref().map(|unique| {
            let key = unique.key(&self.class, &self.args);
            put(UNIQUE_LOCK, &text(&key));
            put(UNIQUE_UNTIL, &text(unique.ends().as_str()));
            let delay = at.map(|at| at.since(now)).unwrap_or_default();
            Lock { key: key.into(), holder: self.id.as_str().into(), ttl: unique.lasts(delay) }
        });
        put("args", &self.args);
        put("class", &text(&self.class));
        put("jid", &text(&self.id));
        put("created_at", &stamp);
        if at.is_none() {
            put("enqueued_at", &stamp);
        }
        json.push('}');
        Ok(Push { queue: Arc::clone(&self.queue), payload: json.into(), at, unique: lock })
    }

    fn check(&self) -> Result<(), PushError> {
        for (what, name) in [("class", &*self.class), ("queue", &*self.queue), ("id", &self.id)] {
            if name.is_empty() || name.len() > MAX_NAME_BYTES {
                return Err(PushError::Name { what, name: name.to_owned() });
            }
        }
        if !self.args.starts_with('[') {
            return Err(PushError::NoList(self.args.chars().take(60).collect()));
        }
        if self.expires_in.is_some_and(|it| it > LONGEST) {
            return Err(PushError::Field { name: "expires_in".to_owned(), why: "is too long" });
        }
        for (name, json) in &self.fields {
            if OURS.contains(&name.as_str()) || name == "at" {
                return Err(PushError::Field {
                    name: name.clone(),
                    why: "is set by its own option",
                });
            }
            if serde_json::from_str::<&serde_json::value::RawValue>(json).is_err() {
                return Err(PushError::Field { name: name.clone(), why: "is no JSON" });
            }
        }
        Ok(())
    }
}

/// A fresh id: 12 random bytes in hex, as Sidekiq's.
///
/// ```
/// let id = forebay_jobs::push::new_id();
/// assert!(id.len() == 24 && id.bytes().all(|it| it.is_ascii_hexdigit()));
/// ```
pub fn new_id() -> String {
    let mut bytes = [0; 12];
    fastrand::fill(&mut bytes);
    hex(&bytes)
}

pub(super) fn text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn retry(retry: Retry) -> String {
    match retry {
        Retry::AsClass => "null".to_owned(),
        Retry::Times(DEFAULT_RETRIES) => "true".to_owned(),
        Retry::Times(times) => times.to_string(),
        Retry::Never => "false".to_owned(),
    }
}

/// When the lock of a job that is leased ends.
pub(crate) fn until(job: &crate::job::Job) -> Until {
    let said = job.field(UNIQUE_UNTIL);
    let said = said.and_then(|json| serde_json::from_str::<String>(&json).ok());
    Until::read(said.as_deref().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Job;

    const NOW: Moment = Moment::from_micros(1_795_436_293_750_000);

    fn job() -> NewJob {
        NewJob {
            class: "Welcome".into(),
            args: "[7]".into(),
            queue: "mail".into(),
            id: "73be174b8b6c448481692f0c".into(),
            retry: Retry::Times(3),
            at: None,
            expires_in: None,
            unique: None,
            fields: Vec::new(),
        }
    }

    fn written(job: &NewJob) -> (Push, String) {
        let push = job.write(Form::FloatSeconds, NOW).unwrap();
        let text = String::from_utf8(push.payload.to_vec()).unwrap();
        (push, text)
    }

    #[test]
    fn it_is_written_as_sidekiq_writes_it() {
        let mut job = job();
        job.set("tags", r#"["a"]"#);
        assert_eq!(
            written(&job).1,
            r#"{"retry":3,"queue":"mail","tags":["a"],"args":[7],"class":"Welcome","jid":"73be174b8b6c448481692f0c","created_at":1795436293.75,"enqueued_at":1795436293.75}"#
        );
        for (retry, json) in [
            (Retry::AsClass, "null"),
            (Retry::Never, "false"),
            (Retry::Times(25), "true"),
            (Retry::Times(0), "0"),
        ] {
            job.retry = retry;
            assert!(written(&job).1.starts_with(&format!(r#"{{"retry":{json},"queue""#)));
        }
    }

    #[test]
    fn what_is_to_run_later_has_no_time_of_its_queue_and_the_past_is_now() {
        let mut job = job();
        job.at = Some(NOW.after(Duration::from_secs(9)));
        let (push, text) = written(&job);
        assert!(push.at == job.at && !text.contains("enqueued_at") && !text.contains(r#""at""#));
        job.at = Some(NOW);
        let (push, text) = written(&job);
        assert!(push.at.is_none() && text.contains("enqueued_at"));
    }

    #[test]
    fn locks_last_from_when_it_runs_and_are_read_back() {
        let mut job = job();
        job.at = Some(NOW.after(Duration::from_secs(50)));
        let unique = Unique::by_args().until(Until::Start).ttl(Duration::from_secs(10));
        job.unique = Some(unique);
        job.expires_in = Some(Duration::from_millis(1_500));
        let (push, _) = written(&job);
        let lock = push.unique.unwrap();
        assert_eq!(lock.ttl, Duration::from_secs(60));
        let job = Job::parse(push.payload).unwrap();
        assert_eq!(job.unique(), Some(&*lock.key));
        assert_eq!((until(&job), job.id()), (Until::Start, &*lock.holder));
        assert_eq!(job.expires_at(), Some(NOW.after(Duration::from_millis(1_500))));
    }

    #[test]
    fn what_nobody_could_run_is_refused() {
        let refused = |change: &dyn Fn(&mut NewJob)| {
            let mut job = job();
            change(&mut job);
            job.write(Form::FloatSeconds, NOW).unwrap_err().to_string()
        };
        assert_eq!(refused(&|job| job.class = "".into()), "no job has the class ``");
        assert_eq!(refused(&|job| job.args = "{}".into()), "arguments are a list, and not `{}`");
        assert_eq!(refused(&|job| job.set("x", "nope")), "the field `x` is no JSON");
        assert_eq!(refused(&|job| job.set("jid", "1")), "the field `jid` is set by its own option");
        // An injected field would be one more than was checked.
        assert_eq!(refused(&|job| job.set("x", "1,\"y\":2")), "the field `x` is no JSON");
    }

    #[test]
    fn ids_have_24_digits_and_differ() {
        let (a, b) = (new_id(), new_id());
        assert!(a != b && a.len() == 24 && a.bytes().all(|b| b.is_ascii_hexdigit()));
    }
}
