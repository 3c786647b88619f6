//! Running: cores, signals, admin listener, the wrapped application, the end.

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use forebay_edge::act;
use forebay_edge::config::Config;
use forebay_edge::edge::{Edge, StartError};
use forebay_edge::origin::child::{self, Child};
use forebay_signals::clock;
use forebay_signals::drain::Drain;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::admin::{self, Admin, Desk};
use crate::report::{self, Problem};

/// Time that a wrapped application has before clients are served anyway.
const START_PATIENCE: Duration = Duration::from_secs(60);

/// Reads the settings anew, for a reload.
pub(crate) type Reread = Box<dyn Fn() -> Result<Config, Problem> + Send + Sync>;

/// Called once everything listens, with the admin listener's address.
pub(crate) type Ready = Box<dyn FnOnce(&Arc<Edge>, &str) + Send>;

/// What to run.
pub(crate) struct Plan {
    /// The settings.
    pub(crate) config: Config,
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
    let cores = plan.config.listen.cores.unwrap_or_else(cores_of_machine).max(1);
    let main = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Problem::ours("cannot start the runtime").because(error))?;
    main.block_on(async {
        // Before there is anything that a signal must not leave behind: a wrapped application.
        let mut signals = Signals::listen()?;
        let edge = Edge::open(plan.config, cores).map_err(|error| start_problem(&error))?;
        let snapshot = edge.snapshot();
        let admin = Admin::bind(&snapshot.config.admin.place).await?;
        let address = admin.address();
        let watched = Drain::default();
        snapshot.origins.spawn_probes(&watched);
        let child = match plan.child {
            None => {
                snapshot.origins.resolve_now().await.map_err(|error| {
                    let hint = error.hint().to_string();
                    Problem::new("an origin cannot be used").because(error).hint(hint)
                })?;
                None
            }
            Some(wrapped) => {
                let child = start_child(&edge, wrapped)?;
                // One that takes longer is served as soon as it answers; clients see 503 until then.
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
        let threads = start_cores(&edge, cores)?;
        let gone = Drain::default();
        let desk = Arc::new(Desk {
            edge: Arc::clone(&edge),
            reloading: tokio::sync::Mutex::default(),
            reloader: reloader(Arc::clone(&edge), plan.reread, watched.clone()),
        });
        let serving = tokio::spawn(admin::serve(admin, Arc::clone(&desk), gone.clone()));
        edge.journal.write("forebay", format!("serving on {cores} cores"));
        (plan.ready)(&edge, &address);
        signals.until_the_end(&desk).await;
        end(&edge, child, threads).await;
        watched.begin();
        gone.begin();
        drop(clock::timeout(Duration::from_secs(2), serving).await);
        snapshot.log.finish();
        edge.snapshot().log.finish();
        Ok(ExitCode::SUCCESS)
    })
}

fn cores_of_machine() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// An engine that cannot begin, in words.
pub(crate) fn start_problem(error: &StartError) -> Problem {
    let hint = error.hint();
    Problem::new(error.to_string())
        .because_of(std::error::Error::source(error).map(ToString::to_string))
        .hint(hint)
}

fn reloader(
    edge: Arc<Edge>,
    reread: Reread,
    watched: Drain,
) -> Box<dyn Fn() -> Result<String, String> + Send + Sync> {
    Box::new(move || {
        let config = reread().map_err(|problem| problem.to_string())?;
        let routes = config.routes.len();
        let before = edge.snapshot();
        act::reload(&edge, config).map_err(|error| start_problem(&error).to_string())?;
        let now = edge.snapshot();
        now.log.reopen();
        before.origins.retire();
        now.origins.spawn_probes(&watched);
        Ok(format!("reloaded: {routes} routes in force"))
    })
}

fn start_cores(edge: &Arc<Edge>, cores: usize) -> Result<Vec<JoinHandle<()>>, Problem> {
    let failed = |error: std::io::Error| Problem::ours("cannot start a core").because(error);
    (0..cores)
        .map(|core| {
            let edge = Arc::clone(edge);
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(failed)?;
            std::thread::Builder::new()
                .name(format!("core-{core}"))
                .spawn(move || runtime.block_on(edge.serve(core)))
                .map_err(failed)
        })
        .collect()
}

/// Starts the application.
fn start_child(edge: &Arc<Edge>, wrapped: Wrapped) -> Result<Child, Problem> {
    let mut command = wrapped.command.into_iter();
    let program = command.next().unwrap_or_default();
    let name = program.to_string_lossy().into_owned();
    let settings = child::Settings {
        port: Some(wrapped.port),
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

/// Signals that we hear.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
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
    async fn until_the_end(&mut self, desk: &Arc<Desk>) {
        loop {
            let (terminate, interrupt) = (&mut self.terminate, &mut self.interrupt);
            tokio::select! {
                _ = terminate.recv() => return,
                _ = interrupt.recv() => return,
                _ = self.hang_up.recv() => match desk.reload().await {
                    Ok(said) => tracing::info!(said, "settings reloaded"),
                    Err(error) => tracing::error!(error, "settings not reloaded"),
                },
            }
        }
    }
}

/// Requests end first, then the application: it has to answer them.
async fn end(edge: &Arc<Edge>, child: Option<Child>, threads: Vec<JoinHandle<()>>) {
    let timeout = edge.snapshot().config.listen.drain_timeout;
    edge.journal.write("forebay", "draining");
    edge.drain.begin();
    let left = edge.drain.finished(clock::now() + timeout + Duration::from_secs(1)).await;
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
