//! A job is run as a command: the payload on its standard input, the exit code decides.
//!
//! | exit code | the job |
//! |---|---|
//! | 0 | is done |
//! | 65 (`EX_DATAERR`) | is dead: it will never be understood |
//! | 75 (`EX_TEMPFAIL`), any other, a signal | failed; tried again as it says itself |
//!
//! What the command writes to its standard error is the message of the failure, its last part if it is long, and
//! line by line its backtrace if the job wants one.

use std::ffi::OsString;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use forebay_signals::clock;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, Command};

use crate::job::Job;
use crate::retry::{Failure, Verdict};
use crate::run::{Handler, Performing, Run};

/// After `SIGTERM`, before `SIGKILL`.
const GRACE: Duration = Duration::from_secs(5);
/// Of what the command says so much is kept.
const MESSAGE_BYTES: usize = 4_096;
const EX_DATAERR: i32 = 65;

/// Runs each job as a command; the handler for whatever class comes.
///
/// ```
/// # use {std::{sync::Arc, time::Duration}, forebay_jobs::{store::memory::Memory, worker::Worker}};
/// use forebay_jobs::deliver::exec::Commands;
/// let command = vec!["bin/rails".into(), "runner".into(), "Jobs.run($stdin)".into()];
/// let commands = Commands { command, deadline: Duration::from_secs(600) };
/// let worker = Worker::builder(Arc::new(Memory::default())).otherwise(commands).build();
/// ```
#[derive(Debug, Clone)]
pub struct Commands {
    /// The program and its arguments.
    pub command: Vec<OsString>,
    /// How long one may run.
    pub deadline: Duration,
}

impl Commands {
    async fn run(&self, run: &Run) -> Result<(), Failure> {
        let mut child = self.spawn(run).map_err(|error| {
            let program = self.command.first().map(|it| it.to_string_lossy().into_owned());
            let program = program.unwrap_or_default();
            Failure::new("SpawnError", format!("cannot run `{program}`: {error}"))
        })?;
        let group = Group::of(&child);
        let (stdin, stderr) = (child.stdin.take(), child.stderr.take());
        let payload = run.job().bytes().clone();
        let feed = async move {
            if let Some(mut stdin) = stdin {
                // A command that does not read its job may well do it.
                drop(stdin.write_all(&payload).await);
            }
        };
        let listen = async move {
            match stderr {
                Some(stderr) => last_words(stderr).await,
                None => String::new(),
            }
        };
        let work = async { tokio::join!(feed, listen, child.wait()) };
        let done = Box::pin(clock::timeout(self.deadline, work)).await;
        let Ok(((), words, status)) = done else {
            group.end(&mut child).await;
            let message = format!("it did not end within `{:?}`", self.deadline);
            return Err(Failure::new("DeadlineExceeded", message));
        };
        group.forget();
        let status = status.map_err(|error| Failure::new("WaitError", error.to_string()))?;
        judge(status, &words)
    }

    fn spawn(&self, run: &Run) -> std::io::Result<Child> {
        let (program, arguments) = self.command.split_first().ok_or_else(|| {
            std::io::Error::new(std::io::ErrorKind::InvalidInput, "no command is given")
        })?;
        let job = run.job();
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env("FOREBAY_JOB_ID", job.id())
            .env("FOREBAY_JOB_CLASS", job.class())
            .env("FOREBAY_JOB_QUEUE", run.queue())
            .env("FOREBAY_JOB_ATTEMPT", (job.failures() + 1).to_string())
            .env("FOREBAY_JOB_DEADLINE", self.deadline.as_secs().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::inherit())
            .stderr(Stdio::piped())
            // What it starts ends with it, and a signal from the terminal is ours to pass on.
            .process_group(0)
            .kill_on_drop(true);
        if let Some(trace) = run.traceparent() {
            command.env("TRACEPARENT", trace);
        }
        command.spawn()
    }
}

impl Handler for Commands {
    fn handle<'r>(&'r self, run: &'r Run) -> Performing<'r> {
        Box::pin(self.run(run))
    }

    fn deadline(&self, _: &Job) -> Option<Duration> {
        // Ours is the nearer one: it ends the command in order.
        Some(self.deadline + 2 * GRACE)
    }
}

/// The processes of a command. Whoever drops the run ends them all: the job goes back, and must not run here
/// as well.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Group {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Group(id.and_then(Pid::from_raw))
    }

    fn tell(&self, signal: Signal) {
        if let Some(group) = self.0
            && let Err(error) = kill_process_group(group, signal)
        {
            tracing::debug!(%error, "a command was gone before it was told to go");
        }
    }

    async fn end(mut self, child: &mut Child) {
        self.tell(Signal::TERM);
        if clock::timeout(GRACE, child.wait()).await.is_err() {
            self.tell(Signal::KILL);
            drop(clock::timeout(GRACE, child.wait()).await);
        }
        self.0 = None;
    }

    fn forget(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.tell(Signal::KILL);
    }
}

/// What it said last.
async fn last_words(mut from: ChildStderr) -> String {
    let mut kept: Vec<u8> = Vec::new();
    let mut piece = vec![0; MESSAGE_BYTES];
    while let Ok(read @ 1..) = from.read(&mut piece).await {
        kept.extend_from_slice(piece.get(..read).unwrap_or_default());
        if let Some(beyond) = kept.len().checked_sub(MESSAGE_BYTES) {
            kept.drain(..beyond);
        }
    }
    String::from_utf8_lossy(&kept).trim().to_owned()
}

fn judge(status: ExitStatus, words: &str) -> Result<(), Failure> {
    if status.success() {
        return Ok(());
    }
    let class = match status.code() {
        Some(code) => format!("Exit {code}"),
        None => "Killed".to_owned(),
    };
    let message = if words.is_empty() { status.to_string() } else { words.to_owned() };
    let is_nonsense = status.code() == Some(EX_DATAERR);
    let verdict = if is_nonsense { Verdict::Kill } else { Verdict::Retry };
    let mut failure = Failure::new(class, message).then(verdict);
    failure.backtrace = words.lines().map(str::to_owned).collect();
    Err(failure)
}
