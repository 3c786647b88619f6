//! Workers: ours and Ruby's, each a process of its own.

use std::io::Read;
use std::process::{Child, Command, Stdio};

use super::stage::Stage;
use crate::bench::load::Answers;
use crate::bench::report::note;
use crate::bench::stage::stop;

/// How a worker is to be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setup<'a> {
    pub(super) store: &'a str,
    pub(super) queue: &'a str,
    /// Jobs at once.
    pub(super) concurrency: usize,
    /// Where runs are noted; nowhere if it is empty.
    pub(super) notes: &'a str,
    /// How long a `Mark` takes.
    pub(super) mark_us: u64,
}

impl<'a> Setup<'a> {
    pub(super) fn of(store: &'a str, concurrency: usize) -> Setup<'a> {
        Setup { store, queue: "default", concurrency, notes: "", mark_us: 0 }
    }
}

/// A worker that runs. It is killed with this value, if it was not ended before.
pub(super) struct Worker {
    child: Option<Child>,
}

impl Worker {
    /// Ours.
    pub(super) fn start(stage: &Stage<'_>, setup: Setup<'_>) -> Result<Worker, String> {
        let (concurrency, mark_us) = (setup.concurrency.to_string(), setup.mark_us.to_string());
        let args = ["work", "--store", setup.store, "--concurrency", &concurrency];
        let mut command = stage.instrument(&args);
        command.args(["--mark-us", &mark_us, "--queue", setup.queue]);
        if !setup.notes.is_empty() {
            command.args(["--notes", setup.notes]);
        }
        Worker::spawn(command.stdout(Stdio::piped()))
    }

    /// Ruby Sidekiq, as Debian starts it.
    pub(super) fn sidekiq(stage: &Stage<'_>, setup: Setup<'_>) -> Result<Worker, String> {
        let mut command = Command::new("sidekiq");
        command.arg("-r").arg(Stage::ruby("jobs.rb")).arg("-c").arg(setup.concurrency.to_string());
        command.args(["-q", setup.queue, "-e", "production"]).current_dir(&stage.folder);
        command.env("REDIS_URL", setup.store).env("BENCH_MARK_US", setup.mark_us.to_string());
        if !setup.notes.is_empty() {
            command.env("BENCH_NOTES", setup.notes);
        }
        // What it says of each failure would fill a pipe that nobody reads.
        Worker::spawn(command.stdout(Stdio::null()))
    }

    fn spawn(command: &mut Command) -> Result<Worker, String> {
        let child = command.stdin(Stdio::piped()).spawn();
        let child = child.map_err(|error| format!("cannot start a worker: {error}"))?;
        Ok(Worker { child: Some(child) })
    }

    /// Ends ours in order, and gives what it says of itself.
    pub(super) fn end(mut self) -> Result<Answers, String> {
        let mut child = self.child.take().ok_or("the worker has ended")?;
        // The end of its input is its end.
        drop(child.stdin.take());
        let mut said = String::new();
        if let Some(mut stdout) = child.stdout.take() {
            let read = stdout.read_to_string(&mut said);
            read.map_err(|error| format!("a worker says nothing: {error}"))?;
        }
        let status = child.wait().map_err(|error| format!("a worker does not end: {error}"))?;
        if status.success() { Ok(Answers::read(&said)) } else { Err("a worker failed".to_owned()) }
    }

    /// Ends Ruby's in order.
    pub(super) fn terminate(mut self) {
        if let Some(mut child) = self.child.take() {
            stop(&mut child);
        }
    }

    /// `kill -9`.
    pub(super) fn kill(&mut self) {
        if let Some(mut child) = self.child.take()
            && let Err(error) = child.kill().and_then(|()| child.wait())
        {
            note(&format!("worker {} does not end: {error}", child.id()));
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.kill();
    }
}
