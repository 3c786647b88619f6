//! `forebay jobs`: push jobs, look at them, change what becomes of them, run them.
//!
//! It speaks to the store itself: nothing else needs to run.

pub(crate) mod args;
mod change;
mod cron;
mod look;
mod push;
mod shown;
mod store;
mod work;

use std::process::ExitCode;

use forebay_jobs::act::What;
use forebay_jobs::store::StoreError;
use forebay_signals::clock;

use crate::report::Problem;
use args::Jobs;

/// Does it.
pub(crate) fn run(asked: Jobs) -> Result<ExitCode, Problem> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| Problem::ours("cannot start a runtime").because(error))?;
    runtime.block_on(async {
        match asked {
            Jobs::Push(push) => push::one(&push).await,
            Jobs::Bulk(bulk) => push::bulk(&bulk).await,
            Jobs::List(list) => look::list(&list).await,
            Jobs::Show(show) => look::show(&show).await,
            Jobs::Stats(stats) => look::stats(&stats).await,
            Jobs::Retry(act) => change::jobs(&act, What::Retry).await,
            Jobs::Delete(act) => change::jobs(&act, What::Delete).await,
            Jobs::Kill(act) => change::jobs(&act, What::Kill).await,
            Jobs::Pause(pause) => change::pause(&pause, true).await,
            Jobs::Resume(pause) => change::pause(&pause, false).await,
            Jobs::Work(work) => work::work(work).await,
            Jobs::Cron(cron) => cron::cron(&cron).await,
        }
    })
}

/// A store that did not answer, as a person reads it.
#[expect(clippy::needless_pass_by_value, reason = "it is handed to `map_err`")]
fn refused(error: StoreError) -> Problem {
    let hint = match &error {
        StoreError::Away(_) => "is it up, and is this its address? `--store FILE|URL`",
        StoreError::Full(_) => "make room: run or delete what is there, or give it more",
        StoreError::ReadOnly(_) => "write to the primary, or to a file that this user may write",
        _ => "is this a store of jobs? `--store FILE|URL`",
    };
    Problem::ours(error.to_string()).because_of(reason(&error)).hint(hint)
}

fn reason(error: &StoreError) -> Option<String> {
    let mut next = std::error::Error::source(error);
    let mut text: Option<String> = None;
    while let Some(error) = next {
        text = Some(text.map_or_else(|| error.to_string(), |text| format!("{text}: {error}")));
        next = error.source();
    }
    text
}

/// Seconds as a person says them.
fn age(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        7_200..=172_799 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// Waits until a signal of the process says that it is to end, or to take no more.
async fn told() -> Told {
    use tokio::signal::unix::{SignalKind, signal};
    let listen = |kind| signal(kind);
    let (Ok(mut term), Ok(mut int), Ok(mut quiet)) = (
        listen(SignalKind::terminate()),
        listen(SignalKind::interrupt()),
        listen(SignalKind::user_defined1()),
    ) else {
        clock::sleep(std::time::Duration::MAX).await;
        return Told::End;
    };
    // SIGTSTP has no name there: 20 on Linux.
    let tstp = listen(SignalKind::from_raw(20));
    let stop = async move {
        match tstp {
            Ok(mut tstp) => tstp.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = term.recv() => Told::End,
        _ = int.recv() => Told::End,
        _ = quiet.recv() => Told::Quiet,
        _ = stop => Told::Quiet,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    End,
    Quiet,
}
