//! Running: cores, signals, admin listener, the wrapped application, the end.

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use forebay_edge::config::Config;
use forebay_edge::edge::{Edge, StartError};
use forebay_edge::origin::Origins;
use forebay_edge::origin::child::{self, Child};
use forebay_edge::{acme, expiry, geo, telemetry, top};
use forebay_signals::clock;
use forebay_signals::drain::Drain;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::admin::{Admin, Desk};
use crate::descriptors;
use crate::jobs::Jobs;
use crate::jobs::beside::{Beside, Change, Opening};
use crate::reload::{Reloader, Reread, Work};
use crate::report::{self, Problem};
use crate::systemd::{self, Beats, Manager};

/// Time that a wrapped application has before clients are served anyway.
const START_PATIENCE: Duration = Duration::from_secs(60);

/// Called once everything listens, with the admin listener's address.
pub(crate) type Ready = Box<dyn FnOnce(&Arc<Edge>, &str) + Send>;

/// What to run.
pub(crate) struct Plan {
    /// The settings.
    pub(crate) config: Config,
    /// Those of jobs.
    pub(crate) jobs: Option<Jobs>,
    /// How to read them again.
    pub(crate) reread: Reread,
    /// An application to start and watch.
    pub(crate) child: Option<Wrapped>,
    /// Run once everything listens: the demo prints its words and starts its traffic.
    pub(crate) ready: Ready,
}

/// A wrapped application: `forebay run -- CMD`.
pub(crate) struct Wrapped {
    /// Program and arguments.
    pub(crate) command: Vec<OsString>,
    /// The port it is told in `PORT`, and at which the settings look for it.
    pub(crate) port: u16,
}

/// Runs until a signal, then drains.
pub(crate) fn run(plan: Plan) -> Result<ExitCode, Problem> {
    // First: what was handed over has low numbers, which nothing else may take for its own.
    let inherited = systemd::inherited()?;
    let descriptors = descriptors::raise(plan.config.admit.max_connections);
    let cores = plan.config.listen.cores.unwrap_or_else(cores_of_machine).max(1);
    let main = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Problem::ours("cannot start the runtime").because(error))?;
    main.block_on(async {
        // Before there is anything that a signal must not leave behind: a wrapped application.
        let mut signals = Signals::listen()?;
        let edge = Edge::open_with(plan.config, cores, inherited)
            .map_err(|error| start_problem(&error))?;
        let snapshot = edge.snapshot();
        let admin = Admin::bind(&snapshot.config.admin.place).await?;
        let watched = Drain::default();
        snapshot.origins.spawn_probes(&watched);
        spawn_watches(&edge, &watched);
        let sending = telemetry::start(&edge, &watched).map_err(|error| start_problem(&error))?;
        let manager = Manager::from_environment();
        let (beside, jobs) = worker_beside(&edge, plan.jobs)?;
        let work = Work {
            edge: Arc::clone(&edge),
            beside: Arc::clone(&beside),
            reread: plan.reread,
            watched: watched.clone(),
            manager: manager.clone(),
        };
        let desk = open_desk(&edge, work)?;
        let address = desk.move_to(admin);
        let child = match plan.child {
            None => {
                resolve(&snapshot.origins).await?;
                None
            }
            Some(wrapped) => {
                let child = start_child(&edge, wrapped, descriptors)?;
                // Until then clients wait in the queue of the kernel; `/readyz` says that we start.
                tokio::select! {
                    _is_up = child.answers(clock::now() + START_PATIENCE) => {}
                    () = signals.end_asked() => {
                        child.stop().await;
                        return Ok(ExitCode::SUCCESS);
                    }
                }
                Some(child)
            }
        };
        let beats = manager.watch(cores, &edge.drain);
        let threads = start_cores(&edge, cores, &beats)?;
        desk.is_starting.store(false, Ordering::Release);
        let serving = format!("serving on {cores} core{}", if cores == 1 { "" } else { "s" });
        edge.journal.write("forebay", serving.as_str());
        (plan.ready)(&edge, &address);
        // Only now: jobs may be delivered through the edge, and must not delay it.
        beside.apply(jobs);
        manager.tell(&format!("READY=1\nSTATUS={serving}"));
        signals.until_the_end(&desk, child.as_ref()).await;
        manager.tell("STOPPING=1\nSTATUS=draining");
        tokio::select! {
            () = end(&edge, &beside, child, threads) => {}
            // Whoever asks twice does not want to wait. The application is killed with its handle.
            () = signals.end_asked() => {
                report::say("forebay: told again to end: requests are cut");
                return Ok(ExitCode::from(1));
            }
        }
        watched.begin();
        sending.finish().await;
        desk.leave(Duration::from_secs(2)).await;
        snapshot.log.finish();
        edge.snapshot().log.finish();
        Ok(ExitCode::SUCCESS)
    })
}

/// A worker that is ready to be started, and whose numbers go where those of the edge go.
fn worker_beside(edge: &Edge, jobs: Option<Jobs>) -> Result<(Arc<Beside>, Change), Problem> {
    let beside = Arc::new(Beside::new(Arc::clone(&edge.journal), edge.telemetry.tracer()));
    let change = beside.prepare(jobs, Opening::Later)?;
    let metrics = Arc::clone(&beside);
    edge.telemetry.also(move |page| metrics.write(page));
    Ok((beside, change))
}

/// Every name of an origin has to lead somewhere, at the start.
async fn resolve(origins: &Origins) -> Result<(), Problem> {
    origins.resolve_now().await.map_err(|error| {
        let hint = error.hint().to_string();
        Problem::new("an origin cannot be used").because(error).hint(hint)
    })
}

/// What is looked after until the process goes: certificates that end, databases that change, and what is asked for most.
fn spawn_watches(edge: &Arc<Edge>, gone: &Drain) {
    drop(tokio::spawn(top::tend(Arc::clone(edge), gone.clone())));
    drop(tokio::spawn(acme::tend(Arc::clone(edge), gone.clone())));
    spawn_geo(edge, gone);
    let (edge, gone) = (Arc::clone(edge), gone.clone());
    drop(tokio::spawn(async move { expiry::warn(&edge, &gone).await }));
}

/// Looks now and then whether the databases of addresses have changed.
fn spawn_geo(edge: &Arc<Edge>, gone: &Drain) {
    let looked_into = {
        let edge = Arc::clone(edge);
        move || Arc::clone(&edge.snapshot().geo)
    };
    drop(tokio::spawn(geo::tend(looked_into, Arc::clone(&edge.journal), gone.clone())));
}

fn cores_of_machine() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn open_desk(edge: &Arc<Edge>, work: Work) -> Result<Arc<Desk>, Problem> {
    Ok(Arc::new(Desk {
        edge: Arc::clone(edge),
        beside: Arc::clone(&work.beside),
        is_starting: AtomicBool::new(true),
        reloader: Reloader::start(work)?,
        serving: std::sync::Mutex::default(),
    }))
}

/// An engine that cannot begin, in words.
pub(crate) fn start_problem(error: &StartError) -> Problem {
    let hint = error.hint();
    Problem::new(error.to_string())
        .because_of(std::error::Error::source(error).map(ToString::to_string))
        .hint(hint)
}

fn start_cores(
    edge: &Arc<Edge>,
    cores: usize,
    beats: &Arc<Beats>,
) -> Result<Vec<JoinHandle<()>>, Problem> {
    let failed = |error: std::io::Error| Problem::ours("cannot start a core").because(error);
    (0..cores)
        .map(|core| {
            let (edge, beats) = (Arc::clone(edge), Arc::clone(beats));
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(failed)?;
            std::thread::Builder::new()
                .name(format!("core-{core}"))
                .spawn(move || {
                    runtime.block_on(async {
                        tokio::select! {
                            () = edge.serve(core) => {}
                            () = beats.beat(core) => {}
                        }
                    });
                })
                .map_err(failed)
        })
        .collect()
}

/// Starts the application.
fn start_child(
    edge: &Arc<Edge>,
    wrapped: Wrapped,
    descriptors: Option<u64>,
) -> Result<Child, Problem> {
    let mut command = wrapped.command.into_iter();
    let program = command.next().unwrap_or_default();
    let name = program.to_string_lossy().into_owned();
    let settings = child::Settings {
        port: Some(wrapped.port),
        descriptors,
        hidden: &systemd::VARIABLES,
        ..child::Settings::new(program, command.collect())
    };
    let journal = Arc::clone(&edge.journal);
    let listener: child::Listener = Arc::new(move |event: &child::Event| {
        report::say(&format!("forebay: {event}"));
        journal.write("child", event.to_string());
    });
    let child = Child::start(settings, listener).map_err(|error| {
        Problem::new(format!("cannot run `{name}`"))
            .because(error)
            .hint("give a program that serves HTTP on the port in the environment variable PORT")
    })?;
    Ok(child)
}

/// Signals that are passed to the wrapped application: log files, thread dumps, more or fewer workers.
const PASSED: [rustix::process::Signal; 6] = {
    use rustix::process::Signal as S;
    [S::USR1, S::USR2, S::QUIT, S::WINCH, S::TTIN, S::TTOU]
};

/// The first signal of several that comes.
async fn first(signals: &mut [(rustix::process::Signal, Signal)]) -> rustix::process::Signal {
    std::future::poll_fn(|context| {
        let came = signals
            .iter_mut()
            .find_map(|(name, signal)| signal.poll_recv(context).is_ready().then_some(*name));
        came.map_or(std::task::Poll::Pending, std::task::Poll::Ready)
    })
    .await
}

/// Signals that we hear.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    /// Those that mean something to applications alone.
    passed: Vec<(rustix::process::Signal, Signal)>,
}

impl Signals {
    fn listen() -> Result<Signals, Problem> {
        let listen = |kind: SignalKind| {
            signal(kind).map_err(|error| Problem::ours("cannot listen for signals").because(error))
        };
        Ok(Signals {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hang_up: listen(SignalKind::hangup())?,
            passed: PASSED
                .into_iter()
                .map(|signal| Ok((signal, listen(SignalKind::from_raw(signal.as_raw()))?)))
                .collect::<Result<_, Problem>>()?,
        })
    }

    /// Returns when the process shall go.
    async fn end_asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// The same; SIGHUP reloads.
    async fn until_the_end(&mut self, desk: &Arc<Desk>, child: Option<&Child>) {
        loop {
            let (terminate, interrupt) = (&mut self.terminate, &mut self.interrupt);
            let passed = &mut self.passed;
            tokio::select! {
                // Without an application they are heard and mean nothing: their default is our death.
                signal = first(passed) => if let Some(child) = child {
                    child.signal(signal).await;
                },
                _ = terminate.recv() => return,
                _ = interrupt.recv() => return,
                _ = self.hang_up.recv() => match desk.reloader.reload(desk).await {
                    // There is no other place for an answer to a signal.
                    Ok(said) => report::say(&format!("forebay: {said}")),
                    Err(error) => tracing::error!(error, "settings not reloaded"),
                },
            }
        }
    }
}

/// Requests and jobs end first, then the application: it has to answer them.
async fn end(
    edge: &Arc<Edge>,
    beside: &Beside,
    child: Option<Child>,
    threads: Vec<JoinHandle<()>>,
) {
    let timeout = edge.snapshot().config.listen.drain_timeout;
    edge.journal.write("forebay", "draining");
    edge.drain.begin();
    let drained = edge.drain.finished(clock::now() + timeout + Duration::from_secs(1));
    let (left, ()) = tokio::join!(drained, beside.end());
    if left > 0 {
        report::say(&format!("forebay: {left} requests did not end in {timeout:?} and were cut"));
    }
    if let Some(child) = child {
        child.stop().await;
    }
    let joined = tokio::task::spawn_blocking(move || {
        threads.into_iter().map(JoinHandle::join).filter(Result::is_err).count()
    });
    let joined = clock::timeout(Duration::from_secs(3), joined).await;
    if !matches!(joined, Ok(Ok(0))) {
        tracing::error!("a core did not end as it should");
    }
}
