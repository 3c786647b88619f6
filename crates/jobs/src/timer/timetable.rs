//! Jobs that come again and again.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::{Cron, CronError};
use crate::args;
use crate::job::{DEFAULT_RETRIES, Retry};
use crate::perform::Perform;
use crate::push::{NewJob, new_id};
use crate::store::{Pause, Push, Store, StoreError};
use crate::time::{Form, Moment};

/// A tick that is later than this was missed.
const MISSED: Duration = Duration::from_secs(60);

/// A job and when it comes again. Of all workers that know it, one pushes it at each tick.
///
/// ```
/// use forebay_jobs::timer::{Missed, Timetable};
/// let report = Timetable::new("nightly report", "0 3 * * *", "Europe/Berlin")?
///     .raw("Report", &("all",))
///     .queue("low")
///     .missed(Missed::Skip);
/// # let _ = report;
/// # Ok::<(), forebay_jobs::timer::CronError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timetable {
    name: Arc<str>,
    cron: Cron,
    missed: Missed,
    class: Arc<str>,
    args: Arc<str>,
    queue: Arc<str>,
    retry: Retry,
    /// The last tick that is known to be over.
    pub(super) last: Option<Moment>,
}

/// What becomes of ticks while no worker ran.
///
/// ```
/// use forebay_jobs::timer::{Missed, Timetable};
/// assert_eq!(Missed::default(), Missed::Latest);
/// let reminder = Timetable::new("reminder", "0 3 * * *", "UTC")?.missed(Missed::Skip); // late is worse than never
/// # Ok::<(), forebay_jobs::timer::CronError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Missed {
    /// However many there were, the latest is made up for.
    #[default]
    Latest,
    /// They are left out.
    Skip,
}

impl Timetable {
    /// A timetable under a name that all workers know it by. See [`Cron`] for what it understands. It pushes
    /// nothing before it is told what.
    ///
    /// ```
    /// use forebay_jobs::timer::Timetable;
    /// assert!(Timetable::new("report", "0 3 * * *", "Europe/Berlin").is_ok());
    /// assert!(Timetable::new("report", "at three", "Europe/Berlin").is_err());
    /// ```
    ///
    /// # Errors
    /// It says nothing that could happen.
    pub fn new(name: &str, cron: &str, zone: &str) -> Result<Timetable, CronError> {
        Ok(Timetable {
            name: name.into(),
            cron: Cron::parse(cron, zone)?,
            missed: Missed::default(),
            class: "".into(),
            args: "[]".into(),
            queue: "default".into(),
            retry: Retry::Times(DEFAULT_RETRIES),
            last: None,
        })
    }

    /// Pushes this job at each tick.
    ///
    /// ```
    /// # use forebay_jobs::{perform::Perform, retry::Failure, run::Run};
    /// # #[derive(serde::Serialize, serde::Deserialize)] struct Welcome(u64);
    /// # impl Perform for Welcome { const CLASS: &'static str = "Welcome"; const QUEUE: &'static str = "mail";
    /// #     async fn perform(self, _: &Run) -> Result<(), Failure> { Ok(()) } }
    /// use forebay_jobs::timer::Timetable;
    /// let daily = Timetable::new("daily", "@daily", "UTC")?.job(&Welcome(7));
    /// assert_eq!(daily.class(), "Welcome");
    /// # Ok::<(), forebay_jobs::timer::CronError>(())
    /// ```
    #[must_use]
    pub fn job<J: Perform>(mut self, job: &J) -> Timetable {
        self.queue = J::QUEUE.into();
        self.retry = J::RETRY;
        self.raw(J::CLASS, job)
    }

    /// Pushes a job of a class that this program need not know. Arguments that cannot be written as JSON
    /// are none.
    ///
    /// ```
    /// # use forebay_jobs::timer::Timetable;
    /// let report = Timetable::new("report", "0 3 * * *", "UTC")?.raw("Report", &("all", 7));
    /// assert_eq!(report.class(), "Report");
    /// # Ok::<(), forebay_jobs::timer::CronError>(())
    /// ```
    #[must_use]
    pub fn raw(mut self, class: &str, args: &impl Serialize) -> Timetable {
        self.class = class.into();
        self.args = args::write(args).unwrap_or_else(|_| "[]".to_owned()).into();
        self
    }

    /// To which queue.
    ///
    /// ```
    /// # use forebay_jobs::timer::Timetable;
    /// let report = Timetable::new("report", "0 3 * * *", "UTC")?.raw("Report", &()).queue("low");
    /// # Ok::<(), forebay_jobs::timer::CronError>(())
    /// ```
    #[must_use]
    pub fn queue(mut self, queue: &str) -> Timetable {
        self.queue = queue.into();
        self
    }

    /// How often its jobs are tried again. The next tick may be soon enough.
    ///
    /// ```
    /// # use forebay_jobs::timer::Timetable;
    /// let report = Timetable::new("report", "0 3 * * *", "UTC")?.raw("Report", &()).retry(false);
    /// # Ok::<(), forebay_jobs::timer::CronError>(())
    /// ```
    #[must_use]
    pub fn retry(mut self, retry: impl Into<Retry>) -> Timetable {
        self.retry = retry.into();
        self
    }

    /// What becomes of ticks while no worker ran.
    ///
    /// ```
    /// use forebay_jobs::timer::{Missed, Timetable};
    /// let report = Timetable::new("report", "0 3 * * *", "UTC")?.raw("Report", &()).missed(Missed::Skip);
    /// # Ok::<(), forebay_jobs::timer::CronError>(())
    /// ```
    #[must_use]
    pub fn missed(mut self, missed: Missed) -> Timetable {
        self.missed = missed;
        self
    }

    /// Its name.
    ///
    /// ```
    /// # use forebay_jobs::timer::Timetable;
    /// assert_eq!(Timetable::new("report", "0 3 * * *", "UTC")?.name(), "report");
    /// # Ok::<(), forebay_jobs::timer::CronError>(())
    /// ```
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The next tick after this moment.
    ///
    /// ```
    /// use forebay_jobs::{time::Moment, timer::Timetable};
    /// let at_3 = Timetable::new("report", "0 3 * * *", "UTC")?.next(Moment::from_micros(0));
    /// assert_eq!(at_3, Some(Moment::from_micros(3 * 3_600 * 1_000_000)));
    /// # Ok::<(), forebay_jobs::timer::CronError>(())
    /// ```
    pub fn next(&self, after: Moment) -> Option<Moment> {
        self.cron.after(after)
    }

    /// Pauses it everywhere, or ends the pause. What was missed meanwhile is not made up for.
    ///
    /// ```
    /// # use forebay_jobs::{store::memory::Memory, timer::Timetable};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let store = Memory::default();
    /// Timetable::pause(&store, "report", true).await?;
    /// assert!(Timetable::is_paused(&store, "report").await?);
    /// Timetable::pause(&store, "report", false).await?;
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn pause(store: &dyn Store, name: &str, is_paused: bool) -> Result<(), StoreError> {
        store.pause(&Pause::Timetable(name.into()), is_paused).await
    }

    /// True if it is paused.
    ///
    /// ```
    /// # use forebay_jobs::{store::memory::Memory, timer::Timetable};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let store = Memory::default();
    /// assert!(!Timetable::is_paused(&store, "report").await?);
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn is_paused(store: &dyn Store, name: &str) -> Result<bool, StoreError> {
        let is_it = |pause: &Pause| matches!(pause, Pause::Timetable(it) if **it == *name);
        Ok(store.pauses().await?.iter().any(is_it))
    }

    /// Its last tick that was fired by anybody.
    ///
    /// ```
    /// # use forebay_jobs::{store::memory::Memory, timer::Timetable};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let store = Memory::default();
    /// let report = Timetable::new("report", "0 3 * * *", "UTC")?;
    /// assert_eq!(report.last(&store).await?, None);
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn last(&self, store: &dyn Store) -> Result<Option<Moment>, StoreError> {
        store.fired(&self.name).await
    }

    /// Its class.
    ///
    /// ```
    /// # use forebay_jobs::timer::Timetable;
    /// assert_eq!(Timetable::new("report", "0 3 * * *", "UTC")?.raw("Report", &()).class(), "Report");
    /// # Ok::<(), forebay_jobs::timer::CronError>(())
    /// ```
    pub fn class(&self) -> &str {
        &self.class
    }

    /// Pushes its job once, now, whatever the time and whether it is paused; its ticks go on as before.
    /// Answers with the id of the job; nothing if it has no job to push.
    ///
    /// ```
    /// use forebay_jobs::store::{Store, memory::Memory};
    /// use forebay_jobs::time::Form;
    /// use forebay_jobs::timer::Timetable;
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let store = Memory::default();
    /// let report = Timetable::new("report", "@yearly", "UTC").unwrap().raw("Report", &());
    /// report.push_now(&store, Form::default()).await?;
    /// assert_eq!(store.counts().await?.enqueued, 1);
    /// # Ok::<(), forebay_jobs::store::StoreError>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn push_now(
        &self,
        store: &dyn Store,
        form: Form,
    ) -> Result<Option<String>, StoreError> {
        let jobs = self.push(form, store.now().await?);
        store.push(&jobs).await?;
        Ok(jobs.first().and_then(|job| crate::job::id_of(&job.payload)))
    }

    /// Fires what is due, once among all who try, and says when it is due again.
    pub(super) async fn step(
        &mut self,
        store: &dyn Store,
        form: Form,
        now: Moment,
    ) -> Result<Option<Moment>, StoreError> {
        if self.last.is_none() {
            self.last = store.fired(&self.name).await?;
        }
        let last = self.last.unwrap_or(now);
        if self.last.is_none() {
            // New: it begins now, and what it would have done before is nobody's loss.
            store.fire(&self.name, now, &[]).await?;
        }
        self.last = Some(last);
        let Some(tick) = self.cron.latest(last, now) else { return Ok(self.cron.after(last)) };
        let is_left_out = self.missed == Missed::Skip && now.since(tick) > MISSED
            || Timetable::is_paused(store, &self.name).await?;
        let jobs = if is_left_out { Vec::new() } else { self.push(form, now) };
        if store.fire(&self.name, tick, &jobs).await? && !jobs.is_empty() {
            tracing::debug!(timetable = &*self.name, "a timetable has fired");
        }
        self.last = Some(tick);
        Ok(self.cron.after(tick))
    }

    fn push(&self, form: Form, now: Moment) -> Vec<Push> {
        let job = NewJob {
            class: Arc::clone(&self.class),
            args: self.args.to_string(),
            queue: Arc::clone(&self.queue),
            id: new_id(),
            retry: self.retry,
            at: None,
            expires_in: None,
            unique: None,
            fields: vec![("cron".to_owned(), serde_json::Value::from(&*self.name).to_string())],
        };
        match job.write(form, now) {
            Ok(push) => vec![push],
            Err(error) => {
                tracing::error!(timetable = &*self.name, %error, "a timetable has no job to push");
                Vec::new()
            }
        }
    }
}
