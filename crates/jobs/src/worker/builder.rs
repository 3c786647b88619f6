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
    pub fn register<J: Perform>(self) -> Builder {
        self.handler(J::CLASS, Typed::<J>::default())
    }

    /// Runs jobs of the class of this name.
    pub fn handler(mut self, class: &str, handler: impl Handler) -> Builder {
        self.engine.classes.insert(class.into(), Arc::new(handler));
        self
    }

    /// Runs jobs of all other classes. Without it they fail, and are tried again: another process, or the next
    /// deploy, may know them.
    pub fn otherwise(mut self, handler: impl Handler) -> Builder {
        self.engine.otherwise = Arc::new(handler);
        self
    }

    /// From these queues, strictly in this order; `default` alone if nobody says.
    pub fn strict<'n>(self, queues: impl IntoIterator<Item = &'n str>) -> Builder {
        self.order(Order::strict(queues))
    }

    /// From these queues, each before the others as often as its weight says.
    pub fn weighted<'n>(self, queues: impl IntoIterator<Item = (&'n str, u32)>) -> Builder {
        self.order(Order::weighted(queues))
    }

    /// From queues in an order.
    pub fn order(mut self, order: Order) -> Builder {
        self.order = order;
        self
    }

    /// How many jobs run at once; 10 if nobody says.
    pub fn concurrency(mut self, jobs: usize) -> Builder {
        self.concurrency = jobs.max(1);
        self
    }

    /// Adds server middleware; the first that is added stands outside.
    pub fn middleware(mut self, middleware: impl Middleware) -> Builder {
        self.engine.middleware.push(Arc::new(middleware));
        self
    }

    /// How long a run may take where its class does not say; for ever if nobody does.
    pub fn deadline(mut self, deadline: Duration) -> Builder {
        self.engine.deadline = Some(deadline);
        self
    }

    /// Calls this when a job has failed for good, once or, if the process ends just then, twice.
    pub fn on_death(
        mut self,
        hook: impl Fn(&Job, &Failure, Exhausted) + Send + Sync + 'static,
    ) -> Builder {
        self.engine.on_death.push(Arc::new(hook));
        self
    }

    /// Pushes jobs again and again. Of two under one name the later counts.
    pub fn timetable(mut self, timetable: Timetable) -> Builder {
        self.timetables.retain(|it| it.name() != timetable.name());
        self.timetables.push(timetable);
        self
    }

    /// How long jobs may take to end when somebody tells the worker to stop through the store; 25 s if nobody
    /// says.
    pub fn grace(mut self, grace: Duration) -> Builder {
        self.grace = grace;
        self
    }

    /// How often it says that it is alive, and hears what is wanted of it: a third of
    /// [`Retention::alive`](crate::store::Retention::alive), 5 s if nobody says.
    pub fn beat_every(mut self, time: Duration) -> Builder {
        self.beat_every = time;
        self
    }

    /// The name of the machine, where the system's own says nothing.
    pub fn host(mut self, host: &str) -> Builder {
        self.host = Some(host.replace(':', "-"));
        self
    }

    /// What the process is shown as.
    pub fn tag(mut self, tag: &str) -> Builder {
        tag.clone_into(&mut self.tag);
        self
    }

    /// Counts its runs there: what was counted before goes on, whichever worker ran it.
    pub fn runs(mut self, runs: Arc<Runs>) -> Builder {
        self.engine.runs = runs;
        self
    }

    /// How moments are written.
    pub fn form(mut self, form: Form) -> Builder {
        self.engine.form = form;
        self
    }

    /// How runs by class are written for the Metrics page of Ruby's Web UI; as Sidekiq 8 does if nobody says.
    pub fn metrics(mut self, metrics: Metrics) -> Builder {
        self.engine.classes_ran.metrics = metrics;
        self
    }

    /// Where the time comes from: for tests.
    pub fn clock(mut self, clock: Clock) -> Builder {
        self.engine.time = Time::new(clock);
        self
    }

    /// The worker.
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
    pub fn start(self) -> Handle {
        self.build().start()
    }
}
