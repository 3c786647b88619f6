//! What a handler knows of its run, and what it may say of it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::engine::Engine;
use super::notes;
use crate::job::Job;
use crate::retry::Failure;
use crate::store::Store;

/// Lines that are kept of a job's log, and bytes of one.
const MOST_LINES: usize = 100;
const LONGEST_LINE: usize = 1_000;
/// Largest cursor.
const LARGEST_CURSOR: usize = 64 * 1_024;

/// A run of a job: given to its handler.
///
/// A job over many things saves how far it has come, and goes on from there after a deploy or a crash:
///
/// ```
/// use forebay_jobs::retry::Failure;
/// use forebay_jobs::run::Run;
///
/// async fn mail_everybody(run: &Run) -> Result<(), Failure> {
///     let first = run.cursor::<u64>().await?.unwrap_or(0);
///     for user in first..1_000 {
///         if run.should_stop() {
///             return Err(Failure::interrupted()); // it is next in its queue
///         }
///         // … mail this one …
///         run.save(&(user + 1)).await?;
///         run.progress(user + 1, 1_000);
///     }
///     Ok(())
/// }
/// ```
#[derive(Debug)]
pub struct Run {
    job: Job,
    queue: Arc<str>,
    state: Arc<State>,
    engine: Arc<Engine>,
    /// Its own place in its trace, if it has one.
    traceparent: OnceLock<Box<str>>,
}

impl Run {
    pub(super) fn new(job: Job, queue: Arc<str>, state: Arc<State>, engine: &Arc<Engine>) -> Run {
        Run { job, queue, state, engine: Arc::clone(engine), traceparent: OnceLock::new() }
    }

    /// The job.
    ///
    /// ```
    /// # use forebay_jobs::{retry::Failure, run::Run};
    /// async fn perform(run: &Run) -> Result<(), Failure> {
    ///     if run.job().failures() > 0 {
    ///         run.log(format_args!("it has failed {} times", run.job().failures()));
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub fn job(&self) -> &Job {
        &self.job
    }

    /// Its id.
    ///
    /// ```
    /// # use forebay_jobs::run::Run;
    /// fn idempotency_key(run: &Run) -> &str {
    ///     run.id() // the same each time that this job is run
    /// }
    /// ```
    pub fn id(&self) -> &str {
        self.job.id()
    }

    /// Queue that it came from. Its payload may say another ([`Job::queue`]).
    ///
    /// ```
    /// # use forebay_jobs::run::Run;
    /// fn is_in_no_hurry(run: &Run) -> bool {
    ///     run.queue() == "low"
    /// }
    /// ```
    pub fn queue(&self) -> &str {
        &self.queue
    }

    /// Its place in a trace, for those whom it asks: its own, or else that of whoever pushed the job.
    /// The value of `traceparent` in W3C Trace Context.
    ///
    /// ```
    /// # use forebay_jobs::run::Run;
    /// fn field(run: &Run) -> Option<String> {
    ///     Some(format!("traceparent: {}", run.traceparent()?))
    /// }
    /// ```
    pub fn traceparent(&self) -> Option<&str> {
        self.traceparent.get().map(|own| &**own).or_else(|| self.job.traceparent())
    }

    /// Gives it a place of its own in the trace, as middleware does that makes spans. The first one stands.
    ///
    /// ```
    /// use forebay_jobs::run::{Middleware, Next, Performing, Run};
    /// struct Spans;
    /// impl Middleware for Spans {
    ///     fn around<'r>(&'r self, run: &'r Run, next: Next<'r>) -> Performing<'r> {
    ///         run.go_on_as("00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01");
    ///         next.run(run)
    ///     }
    /// }
    /// ```
    pub fn go_on_as(&self, traceparent: &str) {
        drop(self.traceparent.set(traceparent.into()));
    }

    /// The store that it came from.
    ///
    /// ```
    /// # use forebay_jobs::{retry::Failure, run::Run};
    /// use forebay_jobs::push::Client;
    /// async fn perform(run: &Run) -> Result<(), Failure> {
    ///     Client::new(run.store().clone()).push_raw("Next", &(run.id(),)).await?;
    ///     Ok(())
    /// }
    /// ```
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.engine.store
    }

    /// True if the process ends or somebody cancelled the job: save, and return
    /// [`Failure::interrupted`]. What still runs when the grace is over is dropped and goes back.
    /// As `interrupted?` of Sidekiq.
    ///
    /// ```
    /// # use forebay_jobs::{retry::Failure, run::Run};
    /// async fn perform(run: &Run) -> Result<(), Failure> {
    ///     for _part in 0..100 {
    ///         if run.should_stop() {
    ///             return Err(Failure::interrupted());
    ///         }
    ///         // … a part of the work …
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub fn should_stop(&self) -> bool {
        self.engine.drain.has_begun() || self.state.wish() != Wish::None
    }

    /// Waits until the process ends.
    ///
    /// ```
    /// # use forebay_jobs::{retry::Failure, run::Run};
    /// async fn perform(run: &Run, work: impl Future<Output = ()>) -> Result<(), Failure> {
    ///     tokio::select! {
    ///         () = work => Ok(()),
    ///         () = run.stopping() => Err(Failure::interrupted()),
    ///     }
    /// }
    /// ```
    pub async fn stopping(&self) {
        self.engine.drain.begun().await;
    }

    /// How far an earlier run of this job came.
    /// Nothing if none has saved; kept for 30 days, as for iterable jobs of Sidekiq.
    ///
    /// ```
    /// # use forebay_jobs::{retry::Failure, run::Run};
    /// async fn perform(run: &Run) -> Result<(), Failure> {
    ///     let (day, page) = run.cursor::<(u32, u32)>().await?.unwrap_or((1, 0));
    ///     run.log(format_args!("goes on with page {page} of day {day}"));
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// The store does not answer, or the cursor is of another type. The failure may be handed on with `?`: the job
    /// is tried again.
    pub async fn cursor<T: DeserializeOwned>(&self) -> Result<Option<T>, Failure> {
        let json = self.engine.store.noted(self.id(), notes::CURSOR).await?;
        Ok(json.map(|json| serde_json::from_slice(&json)).transpose()?)
    }

    /// Saves how far this one has come. When it has returned, the next run begins there.
    ///
    /// ```
    /// # use forebay_jobs::{retry::Failure, run::Run};
    /// async fn perform(run: &Run) -> Result<(), Failure> {
    ///     for page in run.cursor().await?.unwrap_or(0)..10_u32 {
    ///         // … do this page …
    ///         run.save(&(page + 1)).await?;
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// The store does not answer, or the cursor has more than 64 KiB as JSON. The failure may be handed on with
    /// `?`: the job is tried again.
    pub async fn save<T: Serialize>(&self, cursor: &T) -> Result<(), Failure> {
        let json = Bytes::from(serde_json::to_vec(cursor)?);
        if json.len() > LARGEST_CURSOR {
            let message = format!("a cursor has at most `{LARGEST_CURSOR}` bytes");
            return Err(Failure::new("CursorTooLarge", message));
        }
        let store = &self.engine.store;
        store.note(self.id(), notes::CURSOR, Some(&json), notes::CURSOR_FOR).await?;
        self.state.with(|said| said.cursor = Some(json));
        Ok(())
    }

    /// Says how much is done. Shown within a second or so, and kept for a day.
    ///
    /// ```
    /// # use forebay_jobs::run::Run;
    /// fn tell(run: &Run, pages: u64) {
    ///     run.progress(pages, 250); // 250 is all of it, in whatever is counted
    /// }
    /// ```
    pub fn progress(&self, done: u64, of: u64) {
        self.state.with(|said| said.progress = Some((done, of)));
    }

    /// Says something that is shown with the job: its last 100 lines, for a day.
    /// A line has 1,000 characters; what is longer is cut.
    ///
    /// ```
    /// # use forebay_jobs::run::Run;
    /// fn tell(run: &Run, page: u32) {
    ///     run.log(format_args!("page {page} had no picture"));
    /// }
    /// ```
    pub fn log(&self, line: impl fmt::Display) {
        let line: String = line.to_string().chars().take(LONGEST_LINE).collect();
        self.state.with(|said| {
            if said.lines.len() == MOST_LINES {
                said.lines.pop_front();
            }
            said.lines.push_back(line);
            said.has_new_lines = true;
        });
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(super) fn state(&self) -> &State {
        &self.state
    }
}

/// What a run and those who watch it tell each other.
#[derive(Debug, Default)]
pub(crate) struct State {
    wish: AtomicU8,
    /// Most jobs say nothing: then nothing is allocated.
    said: Mutex<Option<Box<Said>>>,
}

#[derive(Debug, Default)]
struct Said {
    cursor: Option<Bytes>,
    progress: Option<(u64, u64)>,
    lines: VecDeque<String>,
    has_new_lines: bool,
}

/// What is wanted of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Nothing.
    None,
    /// That it ends and the job with it.
    Cancel,
    /// That it ends and the job goes back.
    Back,
}

impl State {
    pub(crate) fn ask(&self, wish: Wish) {
        self.wish.store(wish as u8, Ordering::Release);
    }

    pub(crate) fn wish(&self) -> Wish {
        match self.wish.load(Ordering::Acquire) {
            0 => Wish::None,
            1 => Wish::Cancel,
            _ => Wish::Back,
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut Said) -> T) -> T {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        act(said.get_or_insert_default())
    }

    /// Writes what was said since the last time. What cannot be written now is said no more: it is for the
    /// eye, and the next line comes.
    pub(crate) async fn tell(&self, store: &dyn Store, id: &str) {
        let (progress, lines) = {
            let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(said) = said.as_mut() else { return };
            let lines = std::mem::take(&mut said.has_new_lines).then(|| said.lines.clone());
            (said.progress.take(), lines)
        };
        if let Some((done, of)) = progress {
            let json = format!(r#"{{"done":{done},"of":{of}}}"#);
            note(store, id, notes::PROGRESS, json.as_bytes(), notes::SHOWN_FOR).await;
        }
        if let Some(lines) = lines {
            let text = lines.into_iter().collect::<Vec<_>>().join("\n");
            note(store, id, notes::LOG, text.as_bytes(), notes::SHOWN_FOR).await;
        }
    }

    /// The job is done: its cursor is kept for a while only.
    pub(super) async fn forget_cursor(&self, store: &dyn Store, id: &str) {
        let cursor = {
            let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
            said.as_ref().and_then(|said| said.cursor.clone())
        };
        if let Some(cursor) = cursor {
            note(store, id, notes::CURSOR, &cursor, notes::CURSOR_AFTER).await;
        }
    }
}

async fn note(store: &dyn Store, id: &str, field: &str, value: &[u8], ttl: Duration) {
    if let Err(error) = store.note(id, field, Some(value), ttl).await {
        tracing::debug!(id, field, %error, "a note beside a job was not kept");
    }
}
