//! The wrapped application: `forebay run -- CMD` starts it, waits for it, restarts it, stops it.
//!
//! In: a command. Out: a port on which it answers, and events. The command gets the port as `PORT`
//! and keeps it over restarts; it runs in a process group of its own, so that signals reach its
//! workers too and a terminal's Ctrl-C reaches it only through us, after requests have ended.
//!
//! It never gives up on a command that once started, and never leaves the group running when the
//! handle goes. (A Forebay that is killed with SIGKILL cannot keep that promise.)

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use forebay_signals::clock;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, kill_process_group, prlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child as Process, ChildStdin, Command};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

pub use rustix::process::Signal;

/// Wait before the first restart: a crash at the start must not spin.
pub const FIRST_BACKOFF: Duration = Duration::from_millis(500);
/// Longest wait between restarts.
pub const MOST_BACKOFF: Duration = Duration::from_secs(30);
/// A life this long forgives the crashes before it.
pub const FORGIVEN_AFTER: Duration = Duration::from_secs(60);
/// After this time we say that it is slow to answer; large applications boot for a minute.
pub const SLOW_AFTER: Duration = Duration::from_secs(60);
/// Time between SIGTERM and SIGKILL.
pub const STOP_TIMEOUT: Duration = Duration::from_secs(25);
/// Time between two looks at an application that starts.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Time for one look: a first request may compile half the application.
const LOOK_TIMEOUT: Duration = Duration::from_secs(30);

/// Most of an answer that is read.
const LOOK_BYTES: u64 = 1 << 20;

/// What to run, and how.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Program.
    pub program: OsString,
    /// Arguments.
    pub arguments: Vec<OsString>,
    /// Variables beside those of this process.
    pub environment: Vec<(OsString, OsString)>,
    /// Variables of this process that it does not get: they are meant for us.
    pub hidden: &'static [&'static str],
    /// Folder; `None` is ours.
    pub folder: Option<PathBuf>,
    /// Port; `None` takes a free one.
    pub port: Option<u16>,
    /// Soft limit of file descriptors; `None` is ours.
    pub descriptors: Option<u64>,
    /// Path that is asked until it answers.
    pub path: String,
    /// First wait before a restart; it doubles.
    pub first_backoff: Duration,
    /// Time between SIGTERM and SIGKILL.
    pub stop_timeout: Duration,
}

impl Settings {
    /// `program` with `arguments`, the rest as it is by default.
    pub fn new(program: impl Into<OsString>, arguments: Vec<OsString>) -> Settings {
        Settings {
            program: program.into(),
            arguments,
            environment: Vec::new(),
            hidden: &[],
            folder: None,
            port: None,
            descriptors: None,
            path: "/".into(),
            first_backoff: FIRST_BACKOFF,
            stop_timeout: STOP_TIMEOUT,
        }
    }
}

/// What happened to the application.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Its process runs.
    Started(u32),
    /// It answers, this long after its start.
    Answers(Duration),
    /// It does not answer yet; we go on waiting.
    IsSlow,
    /// It ended by itself.
    Ended(ExitStatus),
    /// It could not be started again.
    CannotStart(String),
    /// It is started again after this wait.
    RestartsAfter(Duration),
    /// It was told to stop.
    Stopping,
    /// It did not stop in time.
    Killed,
    /// It is gone.
    Stopped,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Started(pid) => write!(f, "application started as process {pid}"),
            Event::Answers(after) => write!(f, "application answers after {after:.1?}"),
            Event::IsSlow => f.write_str("application does not answer yet"),
            Event::Ended(status) => write!(f, "application ended with {status}"),
            Event::CannotStart(why) => write!(f, "application cannot be started: {why}"),
            Event::RestartsAfter(wait) => write!(f, "application restarts in {wait:.1?}"),
            Event::Stopping => f.write_str("application is told to stop"),
            Event::Killed => f.write_str("application did not stop in time and was killed"),
            Event::Stopped => f.write_str("application stopped"),
        }
    }
}

/// Where the application stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Its process runs, but it does not answer yet.
    Starting,
    /// It answers.
    Answering,
    /// It ended and waits for its restart.
    Waiting,
    /// It was stopped.
    Stopped,
}

/// Who hears of events: the journal, a test.
pub type Listener = Arc<dyn Fn(&Event) + Send + Sync>;

enum Order {
    Signal(Signal),
    Stop,
}

/// A running application. Dropped, it is stopped.
pub struct Child {
    port: u16,
    state: watch::Receiver<State>,
    orders: mpsc::Sender<Order>,
    keeper: JoinHandle<()>,
}

impl Child {
    /// Starts it on the caller's runtime. That the command cannot be started is an error here, and an
    /// event when it comes to a restart.
    pub fn start(settings: Settings, listener: Listener) -> io::Result<Child> {
        let port = settings.port.map_or_else(free_port, Ok)?;
        let (tell, state) = watch::channel(State::Starting);
        let (orders, receiver) = mpsc::channel(8);
        let keeper = Keeper { settings, port, listener, state: tell, orders: receiver };
        let first = keeper.spawn()?;
        let keeper = tokio::spawn(keeper.run(first));
        Ok(Child { port, state, orders, keeper })
    }

    /// The port it was given.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where it stands now.
    pub fn state(&self) -> State {
        *self.state.borrow()
    }

    /// Waits until it answers; false if that is not so by `deadline`, or it was stopped.
    pub async fn answers(&self, deadline: Instant) -> bool {
        let mut state = self.state.clone();
        let over = |state: &State| matches!(state, State::Answering | State::Stopped);
        let wait = deadline.saturating_duration_since(clock::now());
        match clock::timeout(wait, state.wait_for(over)).await {
            Ok(Ok(state)) => *state == State::Answering,
            _ => false,
        }
    }

    /// Sends a signal to its process group.
    pub async fn signal(&self, signal: Signal) {
        // Nobody takes the order only when it has stopped.
        drop(self.orders.send(Order::Signal(signal)).await);
    }

    /// SIGTERM, and SIGKILL when its time is over; returns when the group is gone.
    pub async fn stop(self) {
        drop(self.orders.send(Order::Stop).await);
        drop(self.keeper.await);
    }
}

struct Keeper {
    settings: Settings,
    port: u16,
    listener: Listener,
    state: watch::Sender<State>,
    orders: mpsc::Receiver<Order>,
}

/// A process and its group; whatever is left of the group dies with this value.
struct Running {
    process: Process,
    /// Held open for as long as it runs.
    _input: Option<ChildStdin>,
    group: Option<Pid>,
    since: Instant,
}

impl Running {
    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            // It may be gone already; there is nothing to do about it then.
            kill_process_group(group, signal).ok();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

enum Life {
    Ended,
    ToldToStop,
}

impl Keeper {
    fn spawn(&self) -> io::Result<Running> {
        let mut command = Command::new(&self.settings.program);
        command
            .args(&self.settings.arguments)
            .env("PORT", self.port.to_string())
            .envs(self.settings.environment.iter().map(|(name, value)| (name, value)))
            .process_group(0)
            // Not the terminal: a group in the background that reads it is stopped. And never at its end,
            // which some servers take for the word to go.
            .stdin(Stdio::piped())
            .kill_on_drop(true);
        for name in self.settings.hidden {
            command.env_remove(name);
        }
        if let Some(folder) = &self.settings.folder {
            command.current_dir(folder);
        }
        let mut process = command.spawn()?;
        let input = process.stdin.take();
        let pid = process.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        self.limit_descriptors(pid);
        self.tell(&Event::Started(process.id().unwrap_or_default()));
        Ok(Running { process, _input: input, group: pid, since: clock::now() })
    }

    /// From outside, just after it began: between fork and exec nothing may be done without `unsafe`.
    fn limit_descriptors(&self, pid: Option<Pid>) {
        let Some(descriptors) = self.settings.descriptors else { return };
        let maximum = getrlimit(Resource::Nofile).maximum;
        let limit = Rlimit { current: Some(descriptors), maximum };
        if pid.is_some()
            && let Err(error) = prlimit(pid, Resource::Nofile, limit)
        {
            tracing::debug!(%error, "the application keeps our limit of file descriptors");
        }
    }

    async fn run(mut self, first: Running) {
        let mut running: io::Result<Running> = Ok(first);
        let mut backoff = self.settings.first_backoff;
        loop {
            match running {
                Ok(running) => {
                    let since = running.since;
                    if matches!(self.live(running).await, Life::ToldToStop) {
                        break;
                    }
                    if clock::now().saturating_duration_since(since) >= FORGIVEN_AFTER {
                        backoff = self.settings.first_backoff;
                    }
                }
                Err(error) => self.tell(&Event::CannotStart(error.to_string())),
            }
            self.state.send_replace(State::Waiting);
            self.tell(&Event::RestartsAfter(backoff));
            if self.is_told_to_stop_within(backoff).await {
                break;
            }
            backoff = (backoff * 2).min(MOST_BACKOFF);
            self.state.send_replace(State::Starting);
            running = self.spawn();
        }
        self.state.send_replace(State::Stopped);
        self.tell(&Event::Stopped);
    }

    async fn live(&mut self, mut running: Running) -> Life {
        let looking = until_it_answers(self.port, self.settings.path.clone());
        tokio::pin!(looking);
        let slow = clock::sleep_until(running.since + SLOW_AFTER);
        tokio::pin!(slow);
        let (mut is_starting, mut is_early) = (true, true);
        loop {
            tokio::select! {
                status = running.process.wait() => {
                    match status {
                        Ok(status) => self.tell(&Event::Ended(status)),
                        Err(error) => self.tell(&Event::CannotStart(error.to_string())),
                    }
                    return Life::Ended;
                }
                () = &mut looking, if is_starting => {
                    is_starting = false;
                    let after = clock::now().saturating_duration_since(running.since);
                    self.tell(&Event::Answers(after));
                    self.state.send_replace(State::Answering);
                }
                () = &mut slow, if is_starting && is_early => {
                    is_early = false;
                    self.tell(&Event::IsSlow);
                }
                order = self.orders.recv() => match order {
                    Some(Order::Signal(signal)) => running.signal(signal),
                    Some(Order::Stop) | None => {
                        self.stop(running).await;
                        return Life::ToldToStop;
                    }
                },
            }
        }
    }

    async fn stop(&self, mut running: Running) {
        self.tell(&Event::Stopping);
        running.signal(Signal::TERM);
        if clock::timeout(self.settings.stop_timeout, running.process.wait()).await.is_err() {
            self.tell(&Event::Killed);
            running.signal(Signal::KILL);
            drop(running.process.wait().await);
        }
    }

    async fn is_told_to_stop_within(&mut self, wait: Duration) -> bool {
        let told = async {
            while let Some(Order::Signal(_nobody_to_hear_it)) = self.orders.recv().await {}
        };
        clock::timeout(wait, told).await.is_ok()
    }

    fn tell(&self, event: &Event) {
        (self.listener)(event);
    }
}

/// A port nobody listens on just now. Another process may take it before the command does; the
/// command ends then, and its restart says so.
fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

async fn until_it_answers(port: u16, path: String) {
    loop {
        let v4 = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let v6 = SocketAddr::from((Ipv6Addr::LOCALHOST, port));
        for address in [v4, v6] {
            let look = clock::timeout(LOOK_TIMEOUT, look(address, &path));
            if matches!(look.await, Ok(Ok(true))) {
                return;
            }
        }
        clock::sleep(LOOK_EVERY).await;
    }
}

/// Any answer will do but those of a server that says it is not ready: an application that answers
/// `500` has something to show to its developer.
async fn look(address: SocketAddr, path: &str) -> io::Result<bool> {
    let mut stream = TcpStream::connect(address).await?;
    let port = address.port();
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: localhost:{port}\r\nuser-agent: forebay-probe\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    // Read to the end: an application whose answer is cut off would complain in its log.
    stream.take(LOOK_BYTES).read_to_end(&mut answer).await?;
    let status = answer.get(9..12).filter(|_| answer.starts_with(b"HTTP/1."));
    Ok(status.is_some_and(|status| !matches!(status, b"502" | b"503" | b"504")))
}
