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
///
/// ```
/// # use {std::sync::Arc, forebay_jobs::{push::Client, store::memory::Memory}};
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// # let client = Client::new(Arc::new(Memory::default()));
/// use forebay_jobs::push::{NewJob, OnPush, Outcome, Passage};
/// struct NoMail;
/// impl OnPush for NoMail {
///     fn on_push(&self, job: &mut NewJob) -> Passage {
///         if &*job.queue == "mail" { Passage::Stop } else { Passage::On }
///     }
/// }
/// let client = Client::builder(client.store().clone()).middleware(NoMail).build();
/// assert_eq!(client.push_raw("Welcome", &(7,)).queue("mail").await?, Outcome::Stopped);
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passage {
    /// It does.
    On,
    /// It is not pushed: [`Outcome::Stopped`].
    Stop,
}

impl Client {
    /// A client with everything as is usual.
    ///
    /// ```
    /// use forebay_jobs::{push::Client, store::memory::Memory};
    /// let client = Client::new(std::sync::Arc::new(Memory::default()));
    /// let same = client.clone();
    /// # let _ = same;
    /// ```
    pub fn new(store: Arc<dyn Store>) -> Client {
        Client::builder(store).build()
    }

    /// A client to be set up.
    ///
    /// ```
    /// use forebay_jobs::push::{Client, Pressure};
    /// # let store = std::sync::Arc::new(forebay_jobs::store::memory::Memory::default());
    /// let early = Pressure { refuse_at: 0.80, slow_at: 0.70, ..Pressure::default() };
    /// let client = Client::builder(store).pressure(Some(early)).build();
    /// # let _ = client;
    /// ```
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
    /// Its arguments are the list that Ruby calls `perform` with. Which one it is follows from the type alone:
    ///
    /// | type | on the wire | also read |
    /// |---|---|---|
    /// | `struct Welcome { user: u64, name: String }` | `[{"user":7,"name":"x"}]` | `[7,"x"]`, as Ruby pushes |
    /// | `struct Welcome(u64, String)`; `struct Welcome(u64)` | `[7,"x"]`; `[7]` | |
    /// | `struct Welcome;` | `[]` | whatever: it takes none |
    /// | an enum | `[{"User":7}]` | |
    ///
    /// ```
    /// # use forebay_jobs::{perform::Perform, retry::Failure, run::Run};
    /// # #[derive(serde::Serialize, serde::Deserialize)] struct Welcome(u64);
    /// # impl Perform for Welcome { const CLASS: &'static str = "Welcome"; const QUEUE: &'static str = "mail";
    /// #     async fn perform(self, _: &Run) -> Result<(), Failure> { Ok(()) } }
    /// # use {std::sync::Arc, forebay_jobs::{push::Client, store::memory::Memory, testing}};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let client = Client::new(Arc::new(Memory::default()));
    /// client.push(&Welcome(7)).await?;
    /// let jobs = testing::pushed(&**client.store(), Welcome::QUEUE).await?;
    /// assert_eq!((jobs[0].class(), jobs[0].args_json()), ("Welcome", b"[7]".as_slice()));
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn push<J: Perform>(&self, job: &J) -> Pushing<'_, One> {
        Pushing::new(self, J::CLASS, J::QUEUE, J::RETRY, vec![args::write(job)])
    }

    /// Pushes many jobs of one class in few calls, and says what became of each, in their order. A slice of
    /// 1,000 (100 of those for later) is stored whole or not at all: after an error some may be there.
    /// As `perform_bulk` of Sidekiq.
    ///
    /// ```
    /// # use forebay_jobs::{perform::Perform, retry::Failure, run::Run};
    /// # #[derive(serde::Serialize, serde::Deserialize)] struct Welcome(u64);
    /// # impl Perform for Welcome { const CLASS: &'static str = "Welcome"; const QUEUE: &'static str = "mail";
    /// #     async fn perform(self, _: &Run) -> Result<(), Failure> { Ok(()) } }
    /// # use {std::sync::Arc, forebay_jobs::{push::Client, store::memory::Memory}};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let client = Client::new(Arc::new(Memory::default()));
    /// let outcomes = client.push_bulk(&[Welcome(7), Welcome(8)]).queue("low").await?;
    /// assert!(outcomes.iter().all(|it| it.id().is_some()));
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn push_bulk<'j, J: Perform>(
        &self,
        jobs: impl IntoIterator<Item = &'j J>,
    ) -> Pushing<'_, Many> {
        let args = jobs.into_iter().map(args::write).collect();
        Pushing::new(self, J::CLASS, J::QUEUE, J::RETRY, args)
    }

    /// Pushes a job of a class that this program need not know. What is no list becomes a list of one.
    ///
    /// ```
    /// # use {std::sync::Arc, forebay_jobs::{push::Client, store::memory::Memory, testing}};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let client = Client::new(Arc::new(Memory::default()));
    /// client.push_raw("HardJob", &("bob", 5)).await?; // `HardJob.perform_async("bob", 5)` of Ruby
    /// client.push_raw("HardJob", &"bob").await?;
    /// let jobs = testing::pushed(&**client.store(), "default").await?;
    /// assert_eq!(jobs[0].args_json(), br#"["bob",5]"#);
    /// assert_eq!(jobs[1].args_json(), br#"["bob"]"#);
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn push_raw(&self, class: &str, args: &impl Serialize) -> Pushing<'_, One> {
        Pushing::new(self, class, "default", super::pushing::RETRY, vec![args::write(args)])
    }

    /// The same for many jobs of one class: a value each. See [`Client::push_bulk`].
    ///
    /// ```
    /// # use {std::sync::Arc, forebay_jobs::{push::Client, store::memory::Memory}};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let client = Client::new(Arc::new(Memory::default()));
    /// let outcomes = client.push_raw_bulk("HardJob", &[("bob", 5), ("ada", 6)]).await?;
    /// assert_eq!(outcomes.len(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
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
    ///
    /// ```
    /// # use {std::sync::Arc, forebay_jobs::{push::Client, store::memory::Memory}};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let client = Client::new(Arc::new(Memory::default()));
    /// let done = client.push_raw("Report", &(7,)).await?;
    /// if let Some(id) = done.id() {
    ///     client.cancel(id).await?;
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// The store did not take the wish.
    pub async fn cancel(&self, id: &str) -> Result<(), StoreError> {
        self.store().note(id, notes::CANCELLED, Some(b"1"), notes::CANCELLED_FOR).await
    }

    /// Waits until what a [`Buffer`] holds has reached the store, at most so long, and says how many jobs have
    /// not. To be called before the process ends.
    ///
    /// ```
    /// # use {std::sync::Arc, forebay_jobs::{push::Client, store::memory::Memory}};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let client = Client::new(Arc::new(Memory::default()));
    /// # use std::time::Duration;
    /// assert_eq!(client.flush(Duration::from_secs(5)).await, 0); // without a buffer nothing waits
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub async fn flush(&self, at_most: Duration) -> usize {
        let until: Instant = clock::now() + at_most;
        match &self.0.waiting {
            Some(waiting) => waiting.emptied(until).await,
            None => 0,
        }
    }

    /// The store that it pushes to.
    ///
    /// ```
    /// # use {std::sync::Arc, forebay_jobs::{push::Client, store::memory::Memory}};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let client = Client::new(Arc::new(Memory::default()));
    /// use forebay_jobs::store::Store;
    /// client.push_raw("Report", &(7,)).await?;
    /// assert_eq!(client.store().counts().await?.enqueued, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
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
    /// As `reliable_push!` of Sidekiq Pro.
    ///
    /// ```
    /// use std::{sync::Arc, time::Duration};
    /// use forebay_jobs::push::{Buffer, Client, Outcome};
    /// use forebay_jobs::store::memory::{Fault, Memory};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let store = Arc::new(Memory::default());
    /// let client = Client::builder(store.clone()).reliable(Buffer::default()).build();
    /// store.fail(Some(Fault::Away));
    /// assert!(matches!(client.push_raw("Welcome", &(7,)).await?, Outcome::Buffered { .. }));
    /// store.fail(None);
    /// assert_eq!(client.flush(Duration::from_secs(30)).await, 0); // all have reached the store
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn reliable(mut self, bounds: Buffer) -> Builder {
        self.0.waiting = Some(Waiting::new(bounds));
        self
    }

    /// When producers are held back; `None` for never: then the store refuses when it is full, retries
    /// and dead jobs too.
    ///
    /// ```
    /// # use {std::sync::Arc, forebay_jobs::{push::Client, store::memory::Memory}};
    /// let never = Client::builder(Arc::new(Memory::default())).pressure(None).build();
    /// # let _ = never;
    /// ```
    pub fn pressure(mut self, pressure: Option<Pressure>) -> Builder {
        self.0.gauge = pressure.map(Gauge::new);
        self
    }

    /// Adds client middleware, called in the order in which it was added.
    /// As the client middleware of Sidekiq.
    ///
    /// ```
    /// # use {std::sync::Arc, forebay_jobs::{push::Client, store::memory::Memory, testing}};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let client = Client::new(Arc::new(Memory::default()));
    /// use forebay_jobs::push::{NewJob, OnPush, Passage};
    /// struct Tenant;
    /// impl OnPush for Tenant {
    ///     fn on_push(&self, job: &mut NewJob) -> Passage {
    ///         job.set("tenant", "\"acme\"");
    ///         Passage::On
    ///     }
    /// }
    /// let client = Client::builder(client.store().clone()).middleware(Tenant).build();
    /// client.push_raw("Welcome", &(7,)).await?;
    /// let jobs = testing::pushed(&**client.store(), "default").await?;
    /// assert_eq!(jobs[0].field("tenant").as_deref(), Some("\"acme\""));
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn middleware(mut self, middleware: impl OnPush) -> Builder {
        self.0.middleware.push(Arc::new(middleware));
        self
    }

    /// How moments are written.
    ///
    /// ```
    /// # use {std::sync::Arc, forebay_jobs::{push::Client, store::memory::Memory}};
    /// use forebay_jobs::time::Form;
    /// let for_sidekiq_8 = Client::builder(Arc::new(Memory::default())).form(Form::IntegerMilliseconds).build();
    /// # let _ = for_sidekiq_8;
    /// ```
    pub fn form(mut self, form: Form) -> Builder {
        self.0.form = form;
        self
    }

    /// Where the time comes from: for tests.
    ///
    /// ```
    /// # use {std::sync::Arc, forebay_jobs::{push::Client, store::memory::Memory, testing}};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let client = Client::new(Arc::new(Memory::default()));
    /// use forebay_jobs::time::{Clock, Moment};
    /// let clock = Clock::manual(Moment::from_micros(60_000_000));
    /// let client = Client::builder(client.store().clone()).clock(clock.clone()).build();
    /// client.push_raw("Welcome", &(7,)).await?;
    /// let jobs = testing::pushed(&**client.store(), "default").await?;
    /// assert_eq!(jobs[0].created_at(), Some(clock.now()));
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn clock(mut self, clock: Clock) -> Builder {
        self.0.clock = clock;
        self
    }

    /// The client.
    ///
    /// ```
    /// # use {std::sync::Arc, forebay_jobs::store::memory::Memory};
    /// use forebay_jobs::push::{Buffer, Client};
    /// let small = Buffer { jobs: 100, bytes: 1 << 20 };
    /// let client = Client::builder(Arc::new(Memory::default())).reliable(small).build();
    /// # let _ = client;
    /// ```
    pub fn build(self) -> Client {
        Client(Arc::new(self.0))
    }
}
