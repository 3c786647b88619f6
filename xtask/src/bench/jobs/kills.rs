//! Workers that are killed with `kill -9`, and every job counted.

use std::collections::HashMap;
use std::fs;
use std::time::{Duration, UNIX_EPOCH};

use forebay_signals::clock;

use super::redis::Server;
use super::speed::CONCURRENCY;
use super::stage::{OURS, Stage, until};
use super::workers::{Setup, Worker};
use crate::bench::report::{Against, Bar, Figure, Report, real};

/// Jobs of the first case, and how many of them run when the process is killed.
const JOBS: u64 = 40;
/// Longer than anything here takes: what runs is there still when it is killed.
const FOR_EVER_US: u64 = 3_600_000_000;
const PATIENCE: Duration = Duration::from_secs(60);

/// What became of the jobs.
#[derive(Debug, Default, Clone, Copy)]
struct Tally {
    lost: f64,
    again: f64,
    leased_after_s: f64,
}

/// Where jobs of a case lie.
struct Place {
    name: &'static str,
    server: Option<Server>,
    store: String,
}

/// What a job noted of its runs.
#[derive(Debug, Default)]
struct Runs {
    begun: Vec<u64>,
    ended: u64,
}

/// Killed with ten of forty running.
pub(super) fn one(stage: &Stage<'_>, report: &mut Report) -> Result<(), String> {
    if !stage.begins("killed", "kill -9 with 10 of 40 running") {
        return Ok(());
    }
    let server = Server::start(stage)?;
    let theirs = killed_once(stage, &server.url, Worker::sidekiq)?;
    let at_most = |most: f64| Bar::AtMost { most, against: Against::Nothing };
    let figures = |who, work: [&'static str; 3], cases: [&'static str; 3], tally: Tally| {
        let values = [(tally.lost, "jobs"), (tally.again, "jobs"), (tally.leased_after_s, "s")];
        let all = work.into_iter().zip(cases).zip(values);
        all.map(|((work, case), (value, unit))| Figure::of(case, work, who, unit, vec![value]))
            .collect::<Vec<_>>()
    };
    for (place, cases, work) in [
        (
            Place::redis(stage)?,
            ["kill-lost", "kill-again", "kill-leased"],
            [
                "kill -9 with 10 of 40 running, Redis: lost",
                "the same: run again",
                "the same: until all were leased again",
            ],
        ),
        (
            Place::file(stage, "kill.db"),
            ["kill-file-lost", "kill-file-again", "kill-file-leased"],
            [
                "kill -9 with 10 of 40 running, SQLite: lost",
                "the same, SQLite: run again",
                "the same, SQLite: until all were leased again",
            ],
        ),
    ] {
        let tally = killed_once(stage, &place.store, Worker::start)?;
        if place.server.is_some() {
            report.add(figures("sidekiq", work, cases, theirs).swap_remove(0), &[]);
        }
        let bars = [at_most(0.0), at_most(real(CONCURRENCY as u64)), at_most(30.0)];
        for (figure, bar) in figures(OURS, work, cases, tally).into_iter().zip(bars) {
            report.add(figure, &[bar]);
        }
    }
    Ok(())
}

fn killed_once(
    stage: &Stage<'_>,
    store: &str,
    start: fn(&Stage<'_>, Setup<'_>) -> Result<Worker, String>,
) -> Result<Tally, String> {
    let notes = stage.path("kill.notes");
    forget(&notes)?;
    let count = JOBS.to_string();
    stage.measure(&["fill", "--store", store, "--class", "Mark", "--count", &count])?;
    let setup = Setup { notes: &notes, ..Setup::of(store, CONCURRENCY) };
    let mut first = start(stage, Setup { mark_us: FOR_EVER_US, ..setup })?;
    until("ten jobs run", PATIENCE, || Ok(runs(&notes)?.len() == CONCURRENCY))?;
    first.kill();
    let (killed, killed_us) = (clock::now(), now_us());
    let second = start(stage, setup)?;
    // What is lost never ends: half a minute is what is allowed, and some seconds are to start Ruby.
    let longest = Duration::from_secs(40);
    let has_ended =
        |runs: &HashMap<u64, Runs>| runs.values().filter(|it| it.ended > 0).count() as u64;
    while has_ended(&runs(&notes)?) < JOBS && clock::now() - killed < longest {
        clock::block_for(Duration::from_millis(20));
    }
    let all = runs(&notes)?;
    drop(second);
    let again: Vec<u64> = all
        .values()
        .filter(|it| it.begun.len() > 1)
        .filter_map(|it| it.begun.last().copied())
        .collect();
    let last = again.iter().copied().max().unwrap_or(killed_us);
    let more_than_twice =
        all.values().map(|it| it.begun.len().saturating_sub(2) as u64).sum::<u64>();
    Ok(Tally {
        lost: real(JOBS.saturating_sub(has_ended(&all))),
        again: real(again.len() as u64 + more_than_twice),
        leased_after_s: real(last.saturating_sub(killed_us)) / 1e6,
    })
}

/// Killed again and again at moments that are drawn from a seed.
pub(super) fn many(stage: &Stage<'_>, report: &mut Report) -> Result<(), String> {
    let kills = stage.options.kills;
    if !stage.begins("kills", &format!("{kills} workers killed on each store")) {
        return Ok(());
    }
    for (place, case, work) in [
        (Place::redis(stage)?, "kills", "kills at random moments, Redis: jobs lost"),
        (
            Place::file(stage, "kills.db"),
            "kills-file",
            "kills at random moments, SQLite: jobs lost",
        ),
    ] {
        let (lost, detail) = killed_often(stage, &place, kills)?;
        let figure = Figure::of(case, work, OURS, "jobs", vec![lost]);
        let bar = Bar::AtMost { most: 0.0, against: Against::Nothing };
        report.add(figure.saying(detail), &[bar]);
    }
    Ok(())
}

fn killed_often(stage: &Stage<'_>, place: &Place, kills: u64) -> Result<(f64, String), String> {
    /// A worker starts in 10 ms; some are killed while they do.
    const SHORTEST_MS: u64 = 5;
    const LONGEST_MS: u64 = 400;
    /// Jobs of a kill: as many as a worker runs in its time, so that the last is killed at work.
    const JOBS_OF_A_KILL: u64 = 150;
    const A_JOB_US: u64 = 10_000;
    let notes = stage.path("kills.notes");
    forget(&notes)?;
    let count = kills * JOBS_OF_A_KILL;
    let text = count.to_string();
    stage.measure(&["fill", "--store", &place.store, "--class", "Mark", "--count", &text])?;
    let setup = Setup { notes: &notes, mark_us: A_JOB_US, ..Setup::of(&place.store, CONCURRENCY) };
    let mut state = stage.options.seed;
    for _ in 0..kills {
        let mut worker = Worker::start(stage, setup)?;
        let time = SHORTEST_MS + next(&mut state) % (LONGEST_MS - SHORTEST_MS);
        clock::block_for(Duration::from_millis(time));
        worker.kill();
    }
    let at_last = runs(&notes)?;
    let begun = at_last.values().filter(|it| it.ended == 0).count();
    let setup = Setup { mark_us: 0, ..setup };
    let last = Worker::start(stage, setup)?;
    let all_run = || {
        until(&format!("all jobs on {} have run", place.name), PATIENCE * 3, || {
            let counts = stage.measure(&["counts", "--store", &place.store])?;
            let left = counts.value("enqueued")? + counts.value("leased")?;
            Ok(left + counts.value("retries")? < 0.5)
        })
    };
    all_run()?;
    // A job that was killed three times is dead, and not lost: called back, it runs.
    let dead = stage.measure(&["revive", "--store", &place.store])?.value("revived")?;
    all_run()?;
    last.end()?;
    let all = runs(&notes)?;
    let ended = all.values().filter(|it| it.ended > 0).count() as u64;
    let again = all.values().filter(|it| it.ended > 1).count();
    let detail = format!(
        "{kills} kills, seed {}, {count} jobs: {ended} ended, {again} of them more than once, {dead} had been \
         killed three times and were called back from the dead set; {begun} were cut off and had not ended before the last start",
        stage.options.seed
    );
    Ok((real(count.saturating_sub(ended)), detail))
}

impl Place {
    fn redis(stage: &Stage<'_>) -> Result<Place, String> {
        let server = Server::start(stage)?;
        Ok(Place { name: "Redis", store: server.url.clone(), server: Some(server) })
    }

    fn file(stage: &Stage<'_>, name: &str) -> Place {
        Place { name: "SQLite", store: stage.path(name), server: None }
    }
}

fn forget(notes: &str) -> Result<(), String> {
    fs::write(notes, "").map_err(|error| format!("cannot write `{notes}`: {error}"))
}

fn now_us() -> u64 {
    let since = clock::wall().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// The next of a row of numbers that look drawn (`SplitMix64`).
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// What the jobs noted, by their numbers. A line is written whole or not at all.
fn runs(notes: &str) -> Result<HashMap<u64, Runs>, String> {
    let text =
        fs::read_to_string(notes).map_err(|error| format!("cannot read `{notes}`: {error}"))?;
    let mut all: HashMap<u64, Runs> = HashMap::new();
    for line in text.lines() {
        let mut words = line.split(' ');
        let (what, number, at) = (words.next(), words.next(), words.next());
        let parse = |text: Option<&str>| text.and_then(|it| it.parse::<u64>().ok());
        let (Some(what), Some(job), Some(at)) = (what, parse(number), parse(at)) else {
            return Err(format!("a job noted `{line}`"));
        };
        let runs = all.entry(job).or_default();
        match what {
            "begun" => runs.begun.push(at),
            _ => runs.ended += 1,
        }
    }
    Ok(all)
}
