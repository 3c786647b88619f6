//! How fast jobs run and are pushed, on one Redis.

use std::process::Command;

use super::redis::Server;
use super::stage::{OURS, Stage};
use super::workers::{Setup, Worker};
use crate::bench::load::{Answers, read};
use crate::bench::report::{Bar, Figure, Report, real};

/// Ruby's settings: the best of them is the one to beat.
const THREADS: [(usize, &str); 3] =
    [(5, "sidekiq, 5 threads"), (10, "sidekiq, 10 threads"), (25, "sidekiq, 25 threads")];
const ANY_THREADS: &[&str] = &[THREADS[0].1, THREADS[1].1, THREADS[2].1];
/// Ours in all cases but those that say otherwise: the usual one of Sidekiq 6.
pub(super) const CONCURRENCY: usize = 10;
/// Jobs a second that no side reaches: so many are there that no queue runs dry.
const BEYOND: u64 = 250_000;
const BEYOND_RUBY: u64 = 20_000;

/// No-op jobs, leased and acknowledged, in one process.
pub(super) fn noop(stage: &Stage<'_>, report: &mut Report) -> Result<(), String> {
    if !stage.begins("noop", "no-op jobs in one process") {
        return Ok(());
    }
    let server = Server::start(stage)?;
    let (mut ours, mut theirs) = (Vec::new(), [Vec::new(), Vec::new(), Vec::new()]);
    for _ in 0..stage.options.rounds {
        fill(stage, &server, BEYOND)?;
        let worker = Worker::start(stage, Setup::of(&server.url, CONCURRENCY))?;
        ours.push(pace(stage, &server.url)?);
        worker.end()?;
        for ((threads, _), rates) in THREADS.iter().zip(&mut theirs) {
            fill(stage, &server, BEYOND_RUBY)?;
            let worker = Worker::sidekiq(stage, Setup::of(&server.url, *threads))?;
            rates.push(pace(stage, &server.url)?);
            worker.terminate();
        }
    }
    let figure = |who, rates| Figure::of("noop", "no-op jobs, one process", who, "jobs/s", rates);
    for ((_, who), rates) in THREADS.iter().zip(theirs) {
        report.add(figure(who, rates), &[]);
    }
    let detail = format!("{CONCURRENCY} at once, leased and acknowledged");
    let bars = [Bar::Times { least: 5.0, of: ANY_THREADS }, Bar::AtLeast { least: 50_000.0 }];
    report.add(figure(OURS, ours).saying(detail), &bars);
    Ok(())
}

/// The same at a great depth.
pub(super) fn depth(stage: &Stage<'_>, report: &mut Report) -> Result<(), String> {
    const SHALLOW: u64 = 1_000;
    let deep = stage.options.depth;
    if !stage.begins("depth", &format!("throughput at depth {deep} against {SHALLOW}")) {
        return Ok(());
    }
    let servers = [(Server::start(stage)?, SHALLOW), (Server::start(stage)?, deep)];
    let mut rates = [Vec::new(), Vec::new()];
    // The first round fills, and is not counted.
    for round in 0..=stage.options.rounds {
        for ((server, depth), rates) in servers.iter().zip(&mut rates) {
            let depth = depth.to_string();
            if round == 0 {
                let args = ["fill", "--store", &server.url, "--class", "Noop", "--count", &depth];
                stage.measure(&args)?;
            }
            let worker = Worker::start(stage, Setup::of(&server.url, CONCURRENCY))?;
            let seconds = stage.options.seconds.to_string();
            let args = ["keep", "--store", &server.url, "--depth", &depth, "--seconds", &seconds];
            let kept = stage.measure(&args)?;
            worker.end()?;
            // A queue that is empty slows the worker, and the shallow one would look bad.
            if kept.value("dry")? > 0.02 {
                return Err("the worker was faster than the one who fills".to_owned());
            }
            if round > 0 {
                rates.push(kept.value("rate")?);
            }
        }
    }
    let ratios = rates[0].iter().zip(&rates[1]).map(|(shallow, deep)| deep / shallow).collect();
    let [shallow, deep_rates] = rates;
    let of = |who, rates| {
        Figure::of("depth-rate", "no-op jobs while as many are pushed", who, "jobs/s", rates)
    };
    report.add(of("at depth 1,000", shallow), &[]);
    report.add(of("at the great depth", deep_rates), &[]);
    let used = servers[1].0.say(&["INFO", "memory"])?;
    let used = used.lines().find_map(|line| line.strip_prefix("used_memory_human:"));
    let detail = format!("depth {deep}, {}B in Redis", used.unwrap_or_default().trim());
    let figure = Figure::of("depth", "throughput deep against shallow", OURS, "x", ratios);
    report.add(figure.saying(detail), &[Bar::AtLeast { least: 0.95 }]);
    Ok(())
}

/// Case, what it is, callers, in bulk, Ruby's kind.
type Case = (&'static str, &'static str, &'static str, &'static str, &'static str, f64);
const PUSHES: [Case; 3] = [
    ("push-one", "enqueue, one caller", "1", "0", "one", 1.2),
    ("push-50", "enqueue, 50 callers on one client", "50", "0", "threads", 5.0),
    ("push-bulk", "enqueue in bulk of 1,000", "1", "1", "bulk", 2.0),
];
/// Ruby's pools of connections.
const POOLS: [(&str, &str); 2] = [("5", "sidekiq"), ("50", "sidekiq, pool of 50")];

/// Pushing: one caller, fifty on one client, in bulk.
pub(super) fn push(stage: &Stage<'_>, report: &mut Report) -> Result<(), String> {
    if !stage.begins("push", "jobs pushed by one caller, by 50, in bulk") {
        return Ok(());
    }
    let server = Server::start(stage)?;
    let seconds = stage.options.seconds.to_string();
    for (case, work, callers, bulk, kind, least) in PUSHES {
        let (mut ours, mut theirs) = (Vec::new(), [Vec::new(), Vec::new()]);
        for _ in 0..stage.options.rounds {
            server.empty()?;
            let flags = ["--callers", callers, "--bulk", bulk, "--seconds", &seconds];
            let said = stage.measure(&[&["push", "--store", &server.url][..], &flags].concat())?;
            all_there(&server, &said)?;
            ours.push(said.value("rate")?);
            for ((pool, _), rates) in POOLS.iter().zip(&mut theirs) {
                server.empty()?;
                let mut ruby = Command::new("ruby");
                ruby.arg(Stage::ruby("push.rb")).args([kind, &seconds, pool]);
                let said = Answers::read(&read(ruby.env("REDIS_URL", &server.url))?);
                all_there(&server, &said)?;
                rates.push(said.value("rate")?);
            }
        }
        for ((_, who), rates) in POOLS.iter().zip(theirs) {
            report.add(Figure::of(case, work, who, "jobs/s", rates), &[]);
        }
        let of = &[POOLS[0].1, POOLS[1].1];
        report.add(Figure::of(case, work, OURS, "jobs/s", ours), &[Bar::Times { least, of }]);
    }
    Ok(())
}

/// What was pushed, and the 200 that warm, is there.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is a count")]
fn all_there(server: &Server, said: &Answers) -> Result<(), String> {
    const WARM: u64 = 200;
    let pushed = said.value("pushed")? as u64 + WARM;
    let there = server.number(&["LLEN", "queue:default"])?;
    if there == pushed { Ok(()) } else { Err(format!("{pushed} were pushed, {there} are there")) }
}

/// As many jobs as are not run in the time of a measurement.
fn fill(stage: &Stage<'_>, server: &Server, a_second: u64) -> Result<(), String> {
    server.empty()?;
    let count = (a_second * (stage.options.seconds + 1)).to_string();
    let args = ["fill", "--store", &server.url, "--class", "Noop", "--count", &count];
    let filled = stage.measure(&args)?.value("filled")?;
    let there = server.number(&["LLEN", "queue:default"])?;
    if (real(there) - filled).abs() < 0.5 { Ok(()) } else { Err(format!("{there} of {count}")) }
}

/// Jobs that leave the queue in a second.
pub(super) fn pace(stage: &Stage<'_>, store: &str) -> Result<f64, String> {
    let seconds = stage.options.seconds.to_string();
    stage.measure(&["pace", "--store", store, "--seconds", &seconds])?.value("rate")
}
