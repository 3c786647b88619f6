//! Who pushes.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use forebay_signals::clock;
use serde::Serialize;

use super::buffer::{Buffer, Waiting, passes};
use super::pressure::{Gauge, Pressure};
use super::pushing::{Many, One, Pushing};
use super::{NewJob, Outcome, PushError};
use crate::args;
use crate::perform::Perform;
use crate::run::notes;
use crate::store::{Push, Pushed, Store, StoreError};
use crate::time::{Clock, Form};

/// Jobs of one call to the store: as Sidekiq slices them.
const SLICE: usize = 1_000;
const SLICE_OF_LATER: usize = 100;

/// Pushes jobs. Clones are the same client.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use forebay_jobs::perform::Perform;
/// use forebay_jobs::push::{Client, Unique};
/// use forebay_jobs::retry::Failure;
/// use forebay_jobs::run::Run;
/// use forebay_jobs::store::memory::Memory;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Welcome {
///     user: u64,
/// }
///
/// impl Perform for Welcome {
///     const CLASS: &'static str = "Welcome";
///     async fn perform(self, _: &Run) -> Result<(), Failure> {
///         Ok(())
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let client = Client::new(Arc::new(Memory::default()));
/// let welcome = Welcome { user: 7 };
/// let done = client.push(&welcome).queue("mail").delay(Duration::from_secs(60)).await?;
/// assert_eq!(done.id().map(str::len), Some(24));
/// client.push_bulk(&[Welcome { user: 8 }, Welcome { user: 9 }]).await?;
/// client.push_raw("RubyClass", &(7, "text")).unique(Unique::by_args()).await?;
/// # Ok::<(), forebay_jobs::push::PushError>(()) }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    store: Arc<dyn Store>,
    clock: Clock,
    form: Form,
    middleware: Vec<Arc<dyn OnPush>>,
    gauge: Option<Gauge>,
    waiting: Option<Waiting>,
}

/// Client middleware: sees each job before it is written.
///
/// ```
/// use forebay_jobs::push::{NewJob, OnPush, Passage};
/// struct Tenant;
/// impl OnPush for Tenant {
///     fn on_push(&self, job: &mut NewJob) -> Passage {
///         job.set("tenant", "\"acme\"");
///         Passage::On
///     }
/// }
/// ```
pub trait OnPush: Send + Sync + 'static {
    /// May change the job, or stop it.
    fn on_push(&self, job: &mut NewJob) -> Passage;
}

/// Whether a job goes on to the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passage {
    /// It does.
    On,
    /// It is not pushed: [`Outcome::Stopped`].
    Stop,
}

impl Client {
    /// A client with everything as is usual.
    pub fn new(store: Arc<dyn Store>) -> Client {
        Client::builder(store).build()
    }

    /// A client to be set up.
    pub fn builder(store: Arc<dyn Store>) -> Builder {
        let inner = Inner {
            store,
            clock: Clock::wall(),
            form: Form::default(),
            middleware: Vec::new(),
            gauge: Some(Gauge::new(Pressure::default())),
            waiting: None,
        };
        Builder(inner)
    }

    /// Pushes a job when it is awaited; until then it can be told more.
    pub fn push<J: Perform>(&self, job: &J) -> Pushing<'_, One> {
        Pushing::new(self, J::CLASS, J::QUEUE, J::RETRY, vec![args::write(job)])
    }

    /// Pushes many jobs of one class in few calls, and says what became of each, in their order. A slice of
    /// 1,000 (100 of those for later) is stored whole or not at all: after an error some may be there.
    pub fn push_bulk<'j, J: Perform>(
        &self,
        jobs: impl IntoIterator<Item = &'j J>,
    ) -> Pushing<'_, Many> {
        let args = jobs.into_iter().map(args::write).collect();
        Pushing::new(self, J::CLASS, J::QUEUE, J::RETRY, args)
    }

    /// Pushes a job of a class that this program need not know. What is no list becomes a list of one.
    pub fn push_raw(&self, class: &str, args: &impl Serialize) -> Pushing<'_, One> {
        Pushing::new(self, class, "default", super::pushing::RETRY, vec![args::write(args)])
    }

    /// The same for many jobs of one class: a value each. See [`Client::push_bulk`].
    pub fn push_raw_bulk<'j, A: Serialize + 'j>(
        &self,
        class: &str,
        args: impl IntoIterator<Item = &'j A>,
    ) -> Pushing<'_, Many> {
        let args = args.into_iter().map(args::write).collect();
        Pushing::new(self, class, "default", super::pushing::RETRY, args)
    }

    /// Asks for a job to be cancelled. One that runs is dropped at its next await within some seconds; so is
    /// one that begins within a day. To take out one that waits, see [`Store::remove_queued`].
    pub async fn cancel(&self, id: &str) -> Result<(), StoreError> {
        self.store().note(id, notes::CANCELLED, Some(b"1"), notes::CANCELLED_FOR).await
    }

    /// Waits until what a [`Buffer`] holds has reached the store, at most so long, and says how many jobs have
    /// not. To be called before the process ends.
    pub async fn flush(&self, at_most: Duration) -> usize {
        let until: Instant = clock::now() + at_most;
        match &self.0.waiting {
            Some(waiting) => waiting.emptied(until).await,
            None => 0,
        }
    }

    /// The store that it pushes to.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.0.store
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// The whole way of a push: middleware, the payload, the room, the store or the buffer.
    pub(super) async fn send(&self, jobs: Vec<NewJob>) -> Result<Vec<Outcome>, PushError> {
        let mut outcomes = Vec::with_capacity(jobs.len());
        let (mut pushes, mut places) = (Vec::with_capacity(jobs.len()), Vec::new());
        let now = self.0.clock.now();
        for mut job in jobs {
            if self.0.middleware.iter().any(|it| it.on_push(&mut job) == Passage::Stop) {
                outcomes.push(Outcome::Stopped);
                continue;
            }
            // All are written before the first is stored: a bad one stops the call while nothing is done.
            pushes.push(job.write(self.0.form, now)?);
            places.push(outcomes.len());
            outcomes.push(Outcome::Stored { id: job.id });
        }
        let slice =
            if pushes.iter().any(|push| push.at.is_some()) { SLICE_OF_LATER } else { SLICE };
        for (slice, places) in pushes.chunks(slice).zip(places.chunks(slice)) {
            let done = self.store_slice(slice).await?;
            for (place, done) in places.iter().zip(done) {
                if let Some(outcome) = outcomes.get_mut(*place) {
                    done.tell(outcome);
                }
            }
        }
        Ok(outcomes)
    }

    async fn store_slice(&self, slice: &[Push]) -> Result<Vec<Done>, PushError> {
        let waiting = self.0.waiting.as_ref();
        if let Some(waiting) = waiting.filter(|it| !it.is_empty()) {
            waiting.take(&self.0.store, slice, None)?;
            return Ok(vec![Done::Waits; slice.len()]);
        }
        if let Some(gauge) = &self.0.gauge {
            gauge.ask(&self.0.store).await?;
        }
        match (self.0.store.push(slice).await, waiting) {
            (Ok(pushed), _) => Ok(pushed.into_iter().map(Done::There).collect()),
            // It may have been stored: then it runs twice, which is better than not at all.
            (Err(error), Some(waiting)) if passes(&error) => {
                waiting.take(&self.0.store, slice, Some(error))?;
                Ok(vec![Done::Waits; slice.len()])
            }
            (Err(error), _) => Err(error.into()),
        }
    }
}

/// What became of a push in a slice.
#[derive(Debug, Clone)]
enum Done {
    There(Pushed),
    Waits,
}

impl Done {
    fn tell(self, outcome: &mut Outcome) {
        match (self, &mut *outcome) {
            (Done::There(Pushed::Duplicate { of }), _) => *outcome = Outcome::Duplicate { of },
            (Done::Waits, Outcome::Stored { id }) => {
                *outcome = Outcome::Buffered { id: std::mem::take(id) };
            }
            _ => {}
        }
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("form", &self.form).finish_non_exhaustive()
    }
}

/// Sets up a [`Client`].
///
/// ```
/// use std::sync::Arc;
/// use forebay_jobs::push::{Buffer, Client};
/// use forebay_jobs::store::memory::Memory;
/// let client = Client::builder(Arc::new(Memory::default())).reliable(Buffer::default()).build();
/// # let _ = client;
/// ```
#[derive(Debug)]
#[must_use]
pub struct Builder(Inner);

impl Builder {
    /// Keeps jobs in this process while the store is away, and brings them to it in order. Such a job is
    /// lost if the process ends before: the answer is [`Outcome::Buffered`] then.
    pub fn reliable(mut self, bounds: Buffer) -> Builder {
        self.0.waiting = Some(Waiting::new(bounds));
        self
    }

    /// When producers are held back; `None` for never: then the store refuses when it is full, retries
    /// and dead jobs too.
    pub fn pressure(mut self, pressure: Option<Pressure>) -> Builder {
        self.0.gauge = pressure.map(Gauge::new);
        self
    }

    /// Adds client middleware, called in the order in which it was added.
    pub fn middleware(mut self, middleware: impl OnPush) -> Builder {
        self.0.middleware.push(Arc::new(middleware));
        self
    }

    /// How moments are written.
    pub fn form(mut self, form: Form) -> Builder {
        self.0.form = form;
        self
    }

    /// Where the time comes from: for tests.
    pub fn clock(mut self, clock: Clock) -> Builder {
        self.0.clock = clock;
        self
    }

    /// The client.
    pub fn build(self) -> Client {
        Client(Arc::new(self.0))
    }
}
