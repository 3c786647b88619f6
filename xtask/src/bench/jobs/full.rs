//! A Redis that has no memory left and evicts nothing, and jobs that fail on it.

use std::time::Duration;

use super::redis::Server;
use super::speed::CONCURRENCY;
use super::stage::{OURS, Stage, until};
use super::workers::{Setup, Worker};
use crate::bench::report::{Against, Bar, Figure, Report, real};

const JOBS: u64 = 50;
const PATIENCE: Duration = Duration::from_secs(60);

/// Fifty jobs fail when nothing more can be written; what is in no set and no queue after that is lost.
pub(super) fn run(stage: &Stage<'_>, report: &mut Report) -> Result<(), String> {
    if !stage.begins("full", "50 failing jobs on a Redis without memory") {
        return Ok(());
    }
    let case = "full";
    let work = "Redis at maxmemory, noeviction, 50 failing jobs: lost";
    let (theirs, _) = fail(stage, Worker::sidekiq)?;
    report.add(Figure::of(case, work, "sidekiq", "jobs", vec![theirs]), &[]);
    let (ours, processes) = fail(stage, Worker::start)?;
    let none = Bar::AtMost { most: 0.0, against: Against::Nothing };
    report.add(Figure::of(case, work, OURS, "jobs", vec![ours]), &[none]);
    let work = "the same: our processes in the Web UI's list";
    let figure = Figure::of("full-seen", work, OURS, "processes", vec![processes]);
    report.add(figure, &[Bar::AtLeast { least: 1.0 }]);
    Ok(())
}

/// Jobs that are lost, and processes that the Web UI would list.
fn fail(
    stage: &Stage<'_>,
    start: fn(&Stage<'_>, Setup<'_>) -> Result<Worker, String>,
) -> Result<(f64, f64), String> {
    let server = Server::start(stage)?;
    let count = JOBS.to_string();
    stage.measure(&["fill", "--store", &server.url, "--class", "Fail", "--count", &count])?;
    fill_up(&server)?;
    let worker = start(stage, Setup::of(&server.url, CONCURRENCY))?;
    let left = || server.number(&["LLEN", "queue:default"]);
    until("all jobs were taken", PATIENCE, || Ok(left()? == 0))?;
    // What was taken is under way to where it is kept. Time enough for that is as long as a beat.
    let kept = || Ok::<u64, String>(left()? + server.number(&["ZCARD", "retry"])?);
    drop(until("all jobs are kept", Duration::from_secs(8), || Ok(kept()? == JOBS)));
    let mut seen = 0;
    for identity in server.say(&["SMEMBERS", "processes"])?.lines().filter(|it| !it.is_empty()) {
        seen += server.number(&["HEXISTS", identity.trim(), "beat"])?;
    }
    drop(worker);
    Ok((real(JOBS.saturating_sub(kept()?)), real(seen)))
}

/// Until it refuses to write.
fn fill_up(server: &Server) -> Result<(), String> {
    const BALLAST: &str = "16384";
    let used = server.say(&["INFO", "memory"])?;
    let used = used.lines().find_map(|line| line.strip_prefix("used_memory:"));
    let used: u64 = used.and_then(|it| it.trim().parse().ok()).ok_or("no `used_memory`")?;
    let most = (used + (4 << 20)).to_string();
    server.say(&["CONFIG", "SET", "maxmemory", &most])?;
    server.say(&["CONFIG", "SET", "maxmemory-policy", "noeviction"])?;
    for bytes in [BALLAST, "64"] {
        // `SETRANGE` to a length makes a value of it; the keys are drawn by the number.
        for number in 0..10_000 {
            let key = format!("ballast:{bytes}:{number}");
            if server.say(&["SETRANGE", &key, bytes, "x"])?.contains("OOM") {
                break;
            }
        }
    }
    let refused = server.say(&["SET", "ballast", "x"])?;
    if refused.contains("OOM") { Ok(()) } else { Err(format!("a full Redis says `{refused}`")) }
}
