//! What looking costs the server, and what a worker that has nothing to do holds.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use forebay_signals::clock;

use super::redis::Server;
use super::stage::{OURS, Stage, until};
use super::workers::{Setup, Worker};
use crate::bench::machine::memory_of_tree;
use crate::bench::report::{Against, Bar, Figure, Report, median, real};
use crate::bench::stage::{build, built_folder, stop};
use crate::{cargo::root, old_redis};

/// Each of all our numbers is asked for so often.
const ASKED: &str = "5000";
const SHALLOW: u64 = 100;
/// Processes that are there to be listed.
const WORKERS: u64 = 3;
const PATIENCE: Duration = Duration::from_secs(30);

/// All our numbers at a great depth against a small one, by the server's own account.
pub(super) fn metrics(stage: &Stage<'_>, report: &mut Report) -> Result<(), String> {
    let deep = stage.options.metrics;
    if !stage.begins("metrics", &format!("all our numbers at depth {deep} against {SHALLOW}")) {
        return Ok(());
    }
    old_redis::bring()?;
    let old = root().join("target/peers/redis-server-6.2.14");
    for (program, case, work) in [
        (
            PathBuf::from("redis-server"),
            "metrics-7",
            "cost of all our metrics, deep against shallow, Redis 7",
        ),
        (old, "metrics-6", "cost of all our metrics, deep against shallow, Redis 6.2.14"),
    ] {
        let shallow = numbers(stage, &program, SHALLOW)?;
        let deep_us = numbers(stage, &program, deep)?;
        let ratios: Vec<f64> =
            shallow.iter().zip(&deep_us).map(|(shallow, deep)| deep / shallow).collect();
        let detail = format!(
            "{:.1} µs of the server at {deep} jobs in a queue and as many scheduled, {:.1} µs at {SHALLOW}",
            median(deep_us),
            median(shallow)
        );
        let figure = Figure::of(case, work, OURS, "x", ratios).saying(detail);
        report.add(figure, &[Bar::AtMost { most: 1.1, against: Against::Nothing }]);
    }
    Ok(())
}

/// Microseconds of the server's for all our numbers once, in each round.
fn numbers(stage: &Stage<'_>, program: &Path, depth: u64) -> Result<Vec<f64>, String> {
    let server = Server::of(stage, program)?;
    let _workers = (0..WORKERS)
        .map(|_| {
            // Of another queue: what lies in the deep one stays there.
            Worker::start(stage, Setup { queue: "idle", ..Setup::of(&server.url, 10) })
        })
        .collect::<Result<Vec<_>, _>>()?;
    until("the workers beat", PATIENCE, || Ok(server.number(&["SCARD", "processes"])? == WORKERS))?;
    let mut all = Vec::new();
    for round in 0..stage.options.rounds {
        let depth = if round == 0 { depth } else { 0 }.to_string();
        let args = ["metrics", "--store", &server.url, "--depth", &depth, "--rounds", ASKED];
        all.push(stage.measure(&args)?.value("server_us")?);
    }
    Ok(all)
}

/// `forebay jobs work` with nothing to do.
pub(super) fn memory(stage: &Stage<'_>, report: &mut Report) -> Result<(), String> {
    if !stage.begins("memory", "an idle worker") {
        return Ok(());
    }
    let forebay = if let Some(path) = &stage.options.binary {
        path.clone()
    } else {
        build("forebay")?;
        built_folder()?.join("forebay")
    };
    let server = Server::start(stage)?;
    let file = stage.path("idle.db");
    for (store, case, work) in [
        (server.url.as_str(), "memory", "memory of an idle worker, Redis"),
        (file.as_str(), "memory-file", "memory of an idle worker, SQLite"),
    ] {
        let idle = Idle(idle(&forebay, store)?);
        // Long enough for everything that it does now and then to have happened.
        clock::block_for(Duration::from_secs(6));
        let bytes = memory_of_tree(idle.0.id())?;
        if bytes == 0 {
            return Err(format!("`forebay jobs work --store {store}` has ended"));
        }
        let figure = Figure::of(case, work, OURS, "MiB", vec![real(bytes) / f64::from(1 << 20)]);
        let bar = Bar::AtMost { most: 25.0, against: Against::Nothing };
        report.add(figure.saying("proportional set size".to_owned()), &[bar]);
    }
    Ok(())
}

struct Idle(Child);

impl Drop for Idle {
    fn drop(&mut self) {
        stop(&mut self.0);
    }
}

fn idle(forebay: &Path, store: &str) -> Result<Child, String> {
    Command::new(forebay)
        .args(["jobs", "work", "--store", store, "--", "true"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("cannot start `{}`: {error}", forebay.display()))
}
