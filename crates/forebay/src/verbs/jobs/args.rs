//! The command line of `forebay jobs`.

#![expect(clippy::doc_markdown, reason = "these docs are help texts for a terminal")]

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

/// `forebay jobs`.
#[derive(Debug, Subcommand)]
pub(crate) enum Jobs {
    /// Push a job
    Push(Push),
    /// Push many jobs of one class: a line of standard input each, a JSON list of its arguments
    Bulk(Bulk),
    /// List jobs: of a queue, scheduled, to be retried, or dead
    List(List),
    /// Show a job with all that is known of it
    Show(Show),
    /// Put jobs that failed or wait into their queues, now
    Retry(Act),
    /// Delete jobs
    Delete(Act),
    /// Move jobs that wait to the dead set
    Kill(Act),
    /// Pause a queue, or a class of jobs
    Pause(Pause),
    /// End a pause
    Resume(Pause),
    /// Numbers: queues, sets, processes
    Stats(Stats),
    /// Run jobs: deliver them by HTTP, or run a command for each
    Work(Work),
    /// Timetables: when they fire; pause, resume or fire one
    Cron(Cron),
}

/// Where.
#[derive(Debug, Clone, Args)]
pub(crate) struct Where {
    /// Where jobs are: a SQLite file, or redis://host:port/db, rediss://, unix:///path [default: ./forebay.db]
    #[arg(long, value_name = "FILE|URL", env = "FOREBAY_JOBS_STORE", hide_env_values = true)]
    pub(crate) store: Option<String>,
    /// Read the section `[jobs]` of this TOML file
    #[arg(long, value_name = "FILE", env = "FOREBAY_CONFIG", hide_env_values = true)]
    pub(crate) config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// What jobs that are pushed have in common.
#[derive(Debug, Clone, Args)]
pub(crate) struct Common {
    /// Queue
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub(crate) queue: String,
    /// Run it after this time: 90s, 5m, 2h, 1d
    #[arg(long = "in", value_name = "TIME", value_parser = time, conflicts_with = "at")]
    pub(crate) delay: Option<Duration>,
    /// Run it at this time: 2026-11-26T18:00:00Z
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Option<String>,
    /// How often it is tried again: a number, true, or false for never
    #[arg(long, value_name = "TIMES")]
    pub(crate) retry: Option<String>,
    /// It is not run any more when it has waited for so long
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) expires_in: Option<Duration>,
    /// Nothing like it is taken for so long, or until it has succeeded
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) unique_for: Option<Duration>,
}

/// `forebay jobs push`.
#[derive(Debug, Args)]
#[command(before_long_help = "\
Examples:
  forebay jobs push Welcome 7                      one argument, the number 7
  forebay jobs push Welcome '{\"user\":7}' --in 5m   in five minutes
  forebay jobs push Report '[1,2]' '\"text\"' --queue low --retry 3

TRACEPARENT of the environment goes along: the run of the job is a part of that trace.")]
pub(crate) struct Push {
    /// Class of the job
    #[arg(value_name = "CLASS")]
    pub(crate) class: String,
    /// Arguments, each as JSON
    #[arg(value_name = "ARG", allow_negative_numbers = true)]
    pub(crate) args: Vec<String>,
    /// What they have in common.
    #[command(flatten)]
    pub(crate) common: Common,
    /// Where.
    #[command(flatten)]
    pub(crate) at: Where,
}

/// `forebay jobs bulk`.
#[derive(Debug, Args)]
#[command(before_long_help = "\
Examples:
  seq 1000 | sed 's/.*/[&]/' | forebay jobs bulk Welcome     a thousand jobs")]
pub(crate) struct Bulk {
    /// Class of the jobs
    #[arg(value_name = "CLASS")]
    pub(crate) class: String,
    /// What they have in common.
    #[command(flatten)]
    pub(crate) common: Common,
    /// Where.
    #[command(flatten)]
    pub(crate) at: Where,
}

/// A sorted set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SetName {
    /// What waits for its time.
    Scheduled,
    /// What failed and is tried again.
    Retry,
    /// What failed for good.
    Dead,
}

/// `forebay jobs list`.
#[derive(Debug, Args)]
#[command(before_long_help = "\
Examples:
  forebay jobs list                  the queue `default`, the next first
  forebay jobs list --queue mail --newest
  forebay jobs list --set dead       what failed for good, and why")]
pub(crate) struct List {
    /// A queue
    #[arg(long, value_name = "NAME", conflicts_with = "set")]
    pub(crate) queue: Option<String>,
    /// A set
    #[arg(long, value_name = "SET")]
    pub(crate) set: Option<SetName>,
    /// The newest, or latest, first
    #[arg(long)]
    pub(crate) newest: bool,
    /// Leave out the first ones
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) skip: usize,
    /// How many
    #[arg(long, value_name = "N", default_value_t = 25)]
    pub(crate) limit: usize,
    /// Where.
    #[command(flatten)]
    pub(crate) at: Where,
}

/// `forebay jobs show`.
#[derive(Debug, Args)]
#[command(before_long_help = "\
Examples:
  forebay jobs show 73be174b8b6c448481692f0c

Looks through the sets, and the queue of --queue: on Redis that costs time by their length, in steps
that hold nobody up.")]
pub(crate) struct Show {
    /// Id of the job
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    /// Look in this queue too
    #[arg(long, value_name = "NAME")]
    pub(crate) queue: Option<String>,
    /// Where.
    #[command(flatten)]
    pub(crate) at: Where,
}

/// `forebay jobs retry`, `delete`, `kill`.
#[derive(Debug, Args)]
#[command(before_long_help = "\
Examples:
  forebay jobs retry 73be174b8b6c448481692f0c       one job, wherever it waits
  forebay jobs retry --set dead --all --dry-run     how many would that be?
  forebay jobs delete --set retry --all --yes       all of a set, without asking
  forebay jobs delete 73be174b8b6c448481692f0c --queue mail")]
#[group(id = "which", required = true, multiple = false, args = ["ids", "all"])]
pub(crate) struct Act {
    /// Ids of jobs
    #[arg(value_name = "ID")]
    pub(crate) ids: Vec<String>,
    /// All of a set, or of a queue
    #[arg(long)]
    pub(crate) all: bool,
    /// In this set; without it, an id is looked for in all of them
    #[arg(long, value_name = "SET")]
    pub(crate) set: Option<SetName>,
    /// In this queue
    #[arg(long, value_name = "NAME", conflicts_with = "set")]
    pub(crate) queue: Option<String>,
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
    /// Say how many it would be, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Where.
    #[command(flatten)]
    pub(crate) at: Where,
}

/// `forebay jobs pause` and `resume`.
#[derive(Debug, Args)]
#[command(before_long_help = "\
Examples:
  forebay jobs pause mail              nothing is taken from the queue `mail`
  forebay jobs pause --class Welcome   jobs of this class wait, in every queue")]
#[group(id = "what", required = true, multiple = false, args = ["queue", "class"])]
pub(crate) struct Pause {
    /// A queue
    #[arg(value_name = "QUEUE")]
    pub(crate) queue: Option<String>,
    /// A class of jobs, in every queue
    #[arg(long, value_name = "CLASS")]
    pub(crate) class: Option<String>,
    /// Where.
    #[command(flatten)]
    pub(crate) at: Where,
}

/// `forebay jobs stats`.
#[derive(Debug, Args)]
#[command(before_long_help = "\
Examples:
  forebay jobs stats                     the file ./forebay.db
  forebay jobs stats --store redis       the server of REDIS_URL
  forebay jobs stats --json              for programs

Every number costs the same at any depth.")]
pub(crate) struct Stats {
    /// Where.
    #[command(flatten)]
    pub(crate) at: Where,
}

/// What is done with a timetable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CronAct {
    /// It pushes nothing, in any process, and its ticks are over without it.
    Pause,
    /// It goes on with its next tick.
    Resume,
    /// Its job is pushed once, now; its ticks go on as before.
    Fire,
}

/// `forebay jobs cron`.
#[derive(Debug, Args)]
#[command(before_long_help = "\
Examples:
  forebay jobs cron --config forebay.toml          when they fired last and fire next
  forebay jobs cron pause 'nightly report'         nothing is pushed, whichever process knows it
  forebay jobs cron fire 'nightly report' --config forebay.toml")]
pub(crate) struct Cron {
    /// What to do with one; without it they are listed
    #[arg(value_name = "pause|resume|fire", requires = "name", hide_possible_values = true)]
    pub(crate) act: Option<CronAct>,
    /// Its name
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Where.
    #[command(flatten)]
    pub(crate) at: Where,
}

/// How runs by class are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum MetricsForm {
    /// As Sidekiq 8 reads them.
    #[value(name = "8")]
    Eight,
    /// As Sidekiq 6.5 and 7 read them.
    #[value(name = "7")]
    Seven,
    /// Not at all.
    Off,
}

/// `forebay jobs work`.
#[derive(Debug, Args)]
#[command(before_long_help = "\
Examples:
  forebay jobs work --config forebay.toml
      Does what [jobs] says: queues, timetables, and who runs jobs.
  forebay jobs work --http http://127.0.0.1:3000/jobs
      Delivers each job by POST; 2xx is done, everything else is tried again.
  forebay jobs work --queue mail=5 --queue low=1 -- bin/job
      Runs the command for each job, which it reads from standard input; exit code 0 is done.

SIGTSTP or SIGUSR1: take no more jobs. SIGTERM or SIGINT: end; what does not end within --grace goes back.")]
#[group(id = "how", multiple = false, args = ["http", "command"])]
pub(crate) struct Work {
    /// Deliver jobs to this address of the application
    #[arg(long, value_name = "URL", env = "FOREBAY_JOBS_HTTP", hide_env_values = true)]
    pub(crate) http: Option<String>,
    /// File with the secret that signs deliveries: `whsec_` and base64
    #[arg(long, value_name = "FILE", env = "FOREBAY_JOBS_SECRET_FILE", hide_env_values = true)]
    pub(crate) secret_file: Option<PathBuf>,
    /// Queues in order; with a weight each (`mail=5`) they are drawn by it [default: default]
    #[arg(long = "queue", value_name = "NAME[=WEIGHT]")]
    pub(crate) queues: Vec<String>,
    /// Jobs at once [default: 10]
    #[arg(long, value_name = "N", env = "RAILS_MAX_THREADS", hide_env_values = true)]
    pub(crate) concurrency: Option<usize>,
    /// How long a job may take [default: 10m]
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) deadline: Option<Duration>,
    /// How runs by class are written for the Metrics page of Sidekiq's Web UI, on Redis [default: 8]
    #[arg(long, value_name = "FORM")]
    pub(crate) metrics: Option<MetricsForm>,
    /// How long jobs may go on when it ends [default: 25s]
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) grace: Option<Duration>,
    /// Where.
    #[command(flatten)]
    pub(crate) at: Where,
    /// Command that runs a job
    #[arg(last = true, value_name = "CMD")]
    pub(crate) command: Vec<OsString>,
}

/// `90s`, `5m`, `2h`, `1d`, `500ms`.
fn time(text: &str) -> Result<Duration, String> {
    let number = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit_ms: u64 = match text.strip_prefix(number).unwrap_or_default() {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err("write a number and a unit: 500ms, 90s, 5m, 2h, 1d".into()),
    };
    let number: u64 = number.parse().map_err(|_| "write a whole number before the unit")?;
    let most = 10 * 365 * 86_400_000;
    match number.checked_mul(unit_ms) {
        Some(ms) if ms <= most => Ok(Duration::from_millis(ms)),
        _ => Err("that is longer than ten years".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit() {
        assert_eq!(time("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(time("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(time("1d"), Ok(Duration::from_secs(86_400)));
        for text in ["", "5", "s", "-1s", "1.5h", "99999999999999999999s", "99999d", "5w"] {
            assert!(time(text).is_err(), "{text}");
        }
    }
}
