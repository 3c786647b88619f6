//! What a worker is to be.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;

use super::handle::Handle;
use super::heart::Heart;
use super::{Shared, identity};
use crate::fetch::{Board, Fetcher, Order, Phase};
use crate::job::Job;
use crate::perform::Perform;
use crate::retry::{Exhausted, Failure};
use crate::run::{Engine, Handler, Middleware, Time, Typed};
use crate::store::{Metrics, Store};
use crate::time::{Clock, Form};
use crate::timer::{Timer, Timetable};
use crate::view::Runs;

/// Jobs that run at once, as Sidekiq's default before 7; a job mostly waits.
const CONCURRENCY: usize = 10;
/// How long jobs may take to end when the worker stops, as Sidekiq's.
const GRACE: Duration = Duration::from_secs(25);
/// Between two beats: a third of the time that a process is taken to be alive after one.
const BEAT_EVERY: Duration = Duration::from_secs(5);

/// A worker that is set up and not started.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use forebay_jobs::perform::Perform;
/// use forebay_jobs::push::Client;
/// use forebay_jobs::retry::Failure;
/// use forebay_jobs::run::Run;
/// use forebay_jobs::store::memory::Memory;
/// use forebay_jobs::worker::Worker;
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
/// let store = Arc::new(Memory::default());
/// Client::new(store.clone()).push(&Welcome { user: 7 }).await?;
/// let worker = Worker::builder(store)
///     .register::<Welcome>()
///     .weighted([("default", 5), ("low", 1)])
///     .concurrency(25)
///     .start();
/// worker.stop(Duration::from_secs(25)).await;
/// # Ok::<(), forebay_jobs::push::PushError>(()) }).unwrap();
/// ```
pub struct Worker {
    pub(crate) engine: Arc<Engine>,
    pub(crate) order: Order,
    concurrency: usize,
    grace: Duration,
    beat_every: Duration,
    host: String,
    tag: String,
    timetables: Vec<Timetable>,
}

impl Worker {
    /// A worker on a store, to be set up.
    ///
    /// ```
    /// # use {std::sync::Arc, forebay_jobs::{store::memory::Memory, worker::Worker}};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let store = Arc::new(Memory::default());
    /// let worker = Worker::builder(store).concurrency(5).start();
    /// assert_eq!(worker.view().concurrency, 5);
    /// worker.stop(std::time::Duration::ZERO).await;
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn builder(store: Arc<dyn Store>) -> Builder {
        Builder {
            engine: Engine::new(store),
            order: Order::default(),
            concurrency: CONCURRENCY,
            grace: GRACE,
            beat_every: BEAT_EVERY,
            host: None,
            tag: String::new(),
            timetables: Vec::new(),
        }
    }

    /// Starts it on the runtime of the caller.
    ///
    /// ```
    /// # use {std::sync::Arc, forebay_jobs::{store::memory::Memory, worker::Worker}};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let store = Arc::new(Memory::default());
    /// let worker = Worker::builder(store).build().start();
    /// worker.stop(std::time::Duration::ZERO).await;
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn start(self) -> Handle {
        let (owner, owner_seen) = watch::channel(identity::fresh(&self.host));
        let (phase, phase_seen) = watch::channel(Phase::default());
        let shared = Arc::new(Shared {
            board: Arc::<Board>::default(),
            owner,
            phase,
            order: self.order,
            concurrency: self.concurrency,
            grace: self.grace,
            beat_every: self.beat_every,
            host: self.host,
            tag: self.tag,
            started: self.engine.time.now(),
            trouble: Mutex::default(),
            engine: self.engine,
        });
        let engine = &shared.engine;
        let timer = Timer::new(Arc::clone(engine), owner_seen.clone(), self.timetables);
        let fetcher = Fetcher::new(
            Arc::clone(engine),
            Arc::clone(&shared.board),
            (shared.order.clone(), shared.concurrency),
            owner_seen,
            phase_seen,
        );
        let heart = Heart::new(Arc::clone(&shared));
        let task = tokio::spawn(heart.run(move |tasks| {
            tasks.spawn(fetcher.run());
            tasks.spawn(timer.run());
        }));
        Handle::new(shared, task)
    }
}

/// Sets up a [`Worker`].
///
/// ```
/// use std::{sync::Arc, time::Duration};
/// # use forebay_jobs::{store::memory::Memory, worker::Worker};
/// let builder = Worker::builder(Arc::new(Memory::default())).deadline(Duration::from_secs(600));
/// let worker = builder.strict(["critical", "default"]).build();
/// ```
#[must_use]
pub struct Builder {
    engine: Engine,
    order: Order,
    concurrency: usize,
    grace: Duration,
    beat_every: Duration,
    host: Option<String>,
    tag: String,
    timetables: Vec<Timetable>,
}

impl Builder {
    /// Runs jobs of this class.
    ///
    /// ```
    /// # use forebay_jobs::{perform::Perform, retry::Failure, run::Run};
    /// # #[derive(serde::Serialize, serde::Deserialize)] struct Welcome(u64);
    /// # impl Perform for Welcome { const CLASS: &'static str = "Welcome"; const QUEUE: &'static str = "mail";
    /// #     async fn perform(self, _: &Run) -> Result<(), Failure> { Ok(()) } }
    /// # use {std::sync::Arc, forebay_jobs::{push::Client, store::memory::Memory, testing, worker::Worker}};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let store = Arc::new(Memory::default()); let client = Client::new(store.clone());
    /// client.push(&Welcome(7)).await?;
    /// let worker = Worker::builder(store).register::<Welcome>().strict(["mail"]).build();
    /// assert_eq!(testing::drain(&worker).await?.done, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn register<J: Perform>(self) -> Builder {
        self.handler(J::CLASS, Typed::<J>::default())
    }

    /// Runs jobs of the class of this name.
    ///
    /// ```
    /// # use {std::sync::Arc, forebay_jobs::{push::Client, store::memory::Memory, testing, worker::Worker}};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let store = Arc::new(Memory::default()); let client = Client::new(store.clone());
    /// use forebay_jobs::run::{Handler, Performing, Run};
    /// struct Nothing;
    /// impl Handler for Nothing {
    ///     fn handle<'r>(&'r self, _: &'r Run) -> Performing<'r> {
    ///         Box::pin(std::future::ready(Ok(())))
    ///     }
    /// }
    /// client.push_raw("Ping", &()).await?;
    /// let worker = Worker::builder(store).handler("Ping", Nothing).build();
    /// assert_eq!(testing::drain(&worker).await?.done, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn handler(mut self, class: &str, handler: impl Handler) -> Builder {
        self.engine.classes.insert(class.into(), Arc::new(handler));
        self
    }

    /// Runs jobs of all other classes. Without it they fail, and are tried again: another process, or the next
    /// deploy, may know them.
    ///
    /// ```
    /// # let builder = forebay_jobs::worker::Worker::builder(std::sync::Arc::new(forebay_jobs::store::memory::Memory::default()));
    /// use std::time::Duration;
    /// use forebay_jobs::deliver::exec::Commands;
    /// let command = vec!["bin/job".into()];
    /// let builder = builder.otherwise(Commands { command, deadline: Duration::from_secs(600) });
    /// ```
    pub fn otherwise(mut self, handler: impl Handler) -> Builder {
        self.engine.otherwise = Arc::new(handler);
        self
    }

    /// From these queues, strictly in this order; `default` alone if nobody says.
    /// As `:queues:` without weights of Sidekiq.
    ///
    /// ```
    /// # let builder = forebay_jobs::worker::Worker::builder(std::sync::Arc::new(forebay_jobs::store::memory::Memory::default()));
    /// let builder = builder.strict(["critical", "default", "low"]);
    /// ```
    pub fn strict<'n>(self, queues: impl IntoIterator<Item = &'n str>) -> Builder {
        self.order(Order::strict(queues))
    }

    /// From these queues, each before the others as often as its weight says.
    /// As `:queues:` with weights of Sidekiq.
    ///
    /// ```
    /// # let builder = forebay_jobs::worker::Worker::builder(std::sync::Arc::new(forebay_jobs::store::memory::Memory::default()));
    /// // `critical` is looked at first six times out of nine.
    /// let builder = builder.weighted([("critical", 6), ("default", 2), ("low", 1)]);
    /// ```
    pub fn weighted<'n>(self, queues: impl IntoIterator<Item = (&'n str, u32)>) -> Builder {
        self.order(Order::weighted(queues))
    }

    /// From queues in an order. For those who learn of it when they run.
    ///
    /// ```
    /// # let builder = forebay_jobs::worker::Worker::builder(std::sync::Arc::new(forebay_jobs::store::memory::Memory::default()));
    /// use forebay_jobs::fetch::Order;
    /// let order = Order::weighted([("default", 2), ("low", 1)]);
    /// let builder = builder.order(order);
    /// ```
    pub fn order(mut self, order: Order) -> Builder {
        self.order = order;
        self
    }

    /// How many jobs run at once; 10 if nobody says. As `:concurrency:` of Sidekiq. 0 is 1.
    ///
    /// ```
    /// # let builder = forebay_jobs::worker::Worker::builder(std::sync::Arc::new(forebay_jobs::store::memory::Memory::default()));
    /// let builder = builder.concurrency(25);
    /// ```
    pub fn concurrency(mut self, jobs: usize) -> Builder {
        self.concurrency = jobs.max(1);
        self
    }

    /// Adds server middleware; the first that is added stands outside. As the server middleware of Sidekiq.
    ///
    /// ```
    /// # let builder = forebay_jobs::worker::Worker::builder(std::sync::Arc::new(forebay_jobs::store::memory::Memory::default()));
    /// use forebay_jobs::run::{Middleware, Next, Performing, Run};
    /// struct Logs;
    /// impl Middleware for Logs {
    ///     fn around<'r>(&'r self, run: &'r Run, next: Next<'r>) -> Performing<'r> {
    ///         run.log("it begins");
    ///         next.run(run)
    ///     }
    /// }
    /// let builder = builder.middleware(Logs);
    /// ```
    pub fn middleware(mut self, middleware: impl Middleware) -> Builder {
        self.engine.middleware.push(Arc::new(middleware));
        self
    }

    /// How long a run may take where its class does not say; for ever if nobody does.
    /// What takes longer is dropped at its next await and has failed, with the class `DeadlineExceeded`.
    ///
    /// ```
    /// # let builder = forebay_jobs::worker::Worker::builder(std::sync::Arc::new(forebay_jobs::store::memory::Memory::default()));
    /// let builder = builder.deadline(std::time::Duration::from_secs(600));
    /// ```
    pub fn deadline(mut self, deadline: Duration) -> Builder {
        self.engine.deadline = Some(deadline);
        self
    }

    /// Calls this when a job has failed for good, once or, if the process ends just then, twice.
    /// As `death_handlers` of Sidekiq.
    ///
    /// ```
    /// # use {std::sync::Arc, forebay_jobs::{push::Client, store::memory::Memory, testing, worker::Worker}};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let store = Arc::new(Memory::default()); let client = Client::new(store.clone());
    /// use forebay_jobs::retry::Exhausted;
    /// let (tell, told) = std::sync::mpsc::channel();
    /// let worker = Worker::builder(store)
    ///     .on_death(move |job, _failure, why| drop(tell.send((job.class().to_owned(), why))))
    ///     .build();
    /// client.push_raw("Unknown", &()).retry(false).await?;
    /// testing::drain(&worker).await?;
    /// assert_eq!(told.try_recv()?, ("Unknown".to_owned(), Exhausted::Never));
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn on_death(
        mut self,
        hook: impl Fn(&Job, &Failure, Exhausted) + Send + Sync + 'static,
    ) -> Builder {
        self.engine.on_death.push(Arc::new(hook));
        self
    }

    /// Pushes jobs again and again. Of two under one name the later counts.
    ///
    /// ```
    /// # let builder = forebay_jobs::worker::Worker::builder(std::sync::Arc::new(forebay_jobs::store::memory::Memory::default()));
    /// use forebay_jobs::timer::Timetable;
    /// let report = Timetable::new("report", "0 3 * * *", "UTC").unwrap().raw("Report", &());
    /// let builder = builder.timetable(report);
    /// ```
    pub fn timetable(mut self, timetable: Timetable) -> Builder {
        self.timetables.retain(|it| it.name() != timetable.name());
        self.timetables.push(timetable);
        self
    }

    /// How long jobs may take to end when somebody tells the worker to stop through the store; 25 s if nobody
    /// says. As `:timeout:` of Sidekiq.
    ///
    /// ```
    /// # let builder = forebay_jobs::worker::Worker::builder(std::sync::Arc::new(forebay_jobs::store::memory::Memory::default()));
    /// let builder = builder.grace(std::time::Duration::from_secs(60));
    /// ```
    pub fn grace(mut self, grace: Duration) -> Builder {
        self.grace = grace;
        self
    }

    /// How often it says that it is alive, and hears what is wanted of it: a third of
    /// [`Retention::alive`](crate::store::Retention::alive), 5 s if nobody says.
    ///
    /// ```
    /// # let builder = forebay_jobs::worker::Worker::builder(std::sync::Arc::new(forebay_jobs::store::memory::Memory::default()));
    /// use forebay_jobs::store::Retention;
    /// let retention = Retention::default(); // that of the store
    /// let builder = builder.beat_every(retention.alive / 3);
    /// ```
    pub fn beat_every(mut self, time: Duration) -> Builder {
        self.beat_every = time;
        self
    }

    /// The name of the machine, where the system's own says nothing.
    /// A colon in it becomes a dash: names of processes are `host:pid:nonce`.
    ///
    /// ```
    /// # let builder = forebay_jobs::worker::Worker::builder(std::sync::Arc::new(forebay_jobs::store::memory::Memory::default()));
    /// let builder = builder.host("web-1");
    /// ```
    pub fn host(mut self, host: &str) -> Builder {
        self.host = Some(host.replace(':', "-"));
        self
    }

    /// What the process is shown as. As `:tag:` of Sidekiq.
    ///
    /// ```
    /// # let builder = forebay_jobs::worker::Worker::builder(std::sync::Arc::new(forebay_jobs::store::memory::Memory::default()));
    /// let builder = builder.tag("shop");
    /// ```
    pub fn tag(mut self, tag: &str) -> Builder {
        tag.clone_into(&mut self.tag);
        self
    }

    /// Counts its runs there: what was counted before goes on, whichever worker ran it.
    ///
    /// ```
    /// # use {std::sync::Arc, forebay_jobs::{push::Client, store::memory::Memory, testing, worker::Worker}};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let store = Arc::new(Memory::default()); let client = Client::new(store.clone());
    /// let runs = Arc::<forebay_jobs::view::Runs>::default();
    /// client.push_raw("Unknown", &()).await?;
    /// testing::drain(&Worker::builder(store).runs(runs.clone()).build()).await?;
    /// assert_eq!((&*runs.classes()[0].name, runs.classes()[0].failed), ("Unknown", 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn runs(mut self, runs: Arc<Runs>) -> Builder {
        self.engine.runs = runs;
        self
    }

    /// How moments are written.
    ///
    /// ```
    /// # let builder = forebay_jobs::worker::Worker::builder(std::sync::Arc::new(forebay_jobs::store::memory::Memory::default()));
    /// use forebay_jobs::time::Form;
    /// let builder = builder.form(Form::IntegerMilliseconds);
    /// ```
    pub fn form(mut self, form: Form) -> Builder {
        self.engine.form = form;
        self
    }

    /// How runs by class are written for the Metrics page of Ruby's Web UI; as Sidekiq 8 does if nobody says.
    ///
    /// ```
    /// # let builder = forebay_jobs::worker::Worker::builder(std::sync::Arc::new(forebay_jobs::store::memory::Memory::default()));
    /// use forebay_jobs::store::Metrics;
    /// let builder = builder.metrics(Metrics::Sidekiq7);
    /// ```
    pub fn metrics(mut self, metrics: Metrics) -> Builder {
        self.engine.classes_ran.metrics = metrics;
        self
    }

    /// Where the time comes from: for tests.
    ///
    /// ```
    /// # let builder = forebay_jobs::worker::Worker::builder(std::sync::Arc::new(forebay_jobs::store::memory::Memory::default()));
    /// use forebay_jobs::time::{Clock, Moment};
    /// let clock = Clock::manual(Moment::from_micros(0));
    /// let builder = builder.clock(clock);
    /// ```
    pub fn clock(mut self, clock: Clock) -> Builder {
        self.engine.time = Time::new(clock);
        self
    }

    /// The worker. For [`testing::drain`](crate::testing::drain), or to be started later.
    ///
    /// ```
    /// # use {std::sync::Arc, forebay_jobs::{store::memory::Memory, worker::Worker}};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let store = Arc::new(Memory::default());
    /// let worker = Worker::builder(store).build();
    /// let handle = worker.start(); // nothing is leased before
    /// handle.stop(std::time::Duration::ZERO).await;
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn build(self) -> Worker {
        Worker {
            engine: Arc::new(self.engine),
            order: self.order,
            concurrency: self.concurrency,
            grace: self.grace,
            beat_every: self.beat_every,
            host: self.host.unwrap_or_else(identity::host),
            tag: self.tag,
            timetables: self.timetables,
        }
    }

    /// Builds and starts it.
    ///
    /// ```
    /// # use {std::sync::Arc, forebay_jobs::{store::memory::Memory, worker::Worker}};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let store = Arc::new(Memory::default());
    /// let worker = Worker::builder(store).start();
    /// worker.stop(std::time::Duration::ZERO).await;
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn start(self) -> Handle {
        self.build().start()
    }
}
