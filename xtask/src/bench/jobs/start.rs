//! From the push to the start of the job, where the worker has nothing to do.

use std::fs;
use std::time::Duration;

use super::redis::Server;
use super::speed::CONCURRENCY;
use super::stage::{OURS, Stage, until};
use super::workers::{Setup, Worker};
use crate::bench::report::{Against, Bar, Figure, Report, real};

/// Jobs of a round; one every five milliseconds.
const JOBS: &str = "400";
const EVERY_US: &str = "5000";
const PATIENCE: Duration = Duration::from_secs(30);

/// Case and work of each percentile, and its bar.
struct Row([(&'static str, &'static str); 3], [Option<f64>; 3]);

const REDIS: Row = Row(
    [
        ("start-p50", "enqueue to start, light load, Redis, p50"),
        ("start-p90", "enqueue to start, light load, Redis, p90"),
        ("start-p99", "enqueue to start, light load, Redis, p99"),
    ],
    [Some(0.5), None, Some(2.0)],
);
const FILE: Row = Row(
    [
        ("sqlite-start-p50", "idle to start across processes, SQLite, p50"),
        ("sqlite-start-p90", "idle to start across processes, SQLite, p90"),
        ("sqlite-start-p99", "idle to start across processes, SQLite, p99"),
    ],
    [Some(2.0), None, None],
);

/// Times in milliseconds, a list for each of the percentiles.
#[derive(Default)]
struct Delays([Vec<f64>; 3]);

/// On Redis, Ruby beside.
pub(super) fn redis(stage: &Stage<'_>, report: &mut Report) -> Result<(), String> {
    if !stage.begins("start", "from the push to the start, light load") {
        return Ok(());
    }
    let server = Server::start(stage)?;
    let (mut ours, mut theirs) = (Delays::default(), Delays::default());
    for _ in 0..stage.options.rounds {
        server.empty()?;
        ours.add(delays(stage, &server.url)?);
        server.empty()?;
        theirs.add(ruby(stage, &server)?);
    }
    theirs.tell(&REDIS, "sidekiq", report);
    ours.tell(&REDIS, OURS, report);
    Ok(())
}

/// On a store in a file, which the pusher and the worker have open both.
pub(super) fn file(stage: &Stage<'_>, path: &str, report: &mut Report) -> Result<(), String> {
    let mut all = Delays::default();
    for _ in 0..stage.options.rounds {
        all.add(delays(stage, path)?);
    }
    all.tell(&FILE, OURS, report);
    Ok(())
}

/// One round of ours: each percentile in milliseconds.
fn delays(stage: &Stage<'_>, store: &str) -> Result<[f64; 3], String> {
    let worker = Worker::start(stage, Setup::of(store, CONCURRENCY))?;
    let pushed = push(stage, store)?;
    let said = worker.end()?;
    if (said.value("delays")? - pushed).abs() > 0.5 {
        return Err(format!("{pushed} were pushed, {} have run", said.value("delays")?));
    }
    let of = |name| said.value(name).map(|us| us / 1_000.0);
    Ok([of("p50_us")?, of("p90_us")?, of("p99_us")?])
}

fn push(stage: &Stage<'_>, store: &str) -> Result<f64, String> {
    let args = ["stamp", "--store", store, "--count", JOBS, "--every-us", EVERY_US];
    stage.measure(&args)?.value("pushed")
}

/// One round of Ruby's, from what its jobs have noted.
fn ruby(stage: &Stage<'_>, server: &Server) -> Result<[f64; 3], String> {
    let notes = stage.path("delays");
    fs::write(&notes, "").map_err(|error| format!("cannot write `{notes}`: {error}"))?;
    let setup = Setup { notes: &notes, ..Setup::of(&server.url, CONCURRENCY) };
    let worker = Worker::sidekiq(stage, setup)?;
    // It takes a second or more to start: what is pushed before would be late by that.
    until("Sidekiq starts", PATIENCE, || Ok(server.number(&["SCARD", "processes"])? > 0))?;
    let pushed = push(stage, &server.url)?;
    let times = || {
        let read = fs::read_to_string(&notes).map_err(|error| format!("`{notes}`: {error}"))?;
        let us = read.lines().filter_map(|line| line.split(' ').nth(1)?.parse::<f64>().ok());
        Ok::<Vec<f64>, String>(us.map(|us| us / 1_000.0).collect())
    };
    until("Sidekiq has run all", PATIENCE, || Ok(real(times()?.len() as u64) >= pushed))?;
    worker.terminate();
    let mut times = times()?;
    times.sort_by(f64::total_cmp);
    let part = |of: usize| times.get(times.len() * of / 1_000).copied().unwrap_or(f64::NAN);
    Ok([part(500), part(900), part(990)])
}

impl Delays {
    fn add(&mut self, of_a_round: [f64; 3]) {
        for (all, one) in self.0.iter_mut().zip(of_a_round) {
            all.push(one);
        }
    }

    fn tell(self, row: &Row, who: &'static str, report: &mut Report) {
        for (((case, work), most), times) in row.0.iter().zip(row.1).zip(self.0) {
            let bar = most.filter(|_| who == OURS);
            let bar = bar.map(|most| Bar::AtMost { most, against: Against::Nothing });
            report.add(Figure::of(case, work, who, "ms", times), bar.as_slice());
        }
    }
}
