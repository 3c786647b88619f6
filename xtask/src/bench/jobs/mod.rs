//! `cargo xtask bench jobs`: what a job costs here and in Ruby Sidekiq, and that none is lost.
//!
//! For: filling the second table of `BENCHMARKING.md` from one run on one machine. In: the instruments in
//! `benches/jobs`, Ruby Sidekiq and Redis from Debian, Redis 6.2 from a Python package. Out: medians,
//! ratios and a verdict for each bar, as for the edge. Never: a figure from a run in which a job is missing,
//! and never a server or a file that was there before.

mod costs;
mod full;
mod kills;
mod options;
mod redis;
mod speed;
mod sqlite;
mod stage;
mod start;
mod workers;

use self::options::Options;
use self::stage::Stage;
use super::report::{self, Report};

/// Runs what `args` select. An error is also a bar that is not reached.
pub(super) fn run(args: &[String]) -> Result<(), String> {
    let options = Options::read(args)?;
    if options.wants_help {
        report::say(options::HELP);
        return Ok(());
    }
    let stage = Stage::set(&options)?;
    let mut report = Report::new(stage.heading(), stage::OURS);
    speed::noop(&stage, &mut report)?;
    speed::depth(&stage, &mut report)?;
    speed::push(&stage, &mut report)?;
    start::redis(&stage, &mut report)?;
    sqlite::run(&stage, &mut report)?;
    kills::one(&stage, &mut report)?;
    kills::many(&stage, &mut report)?;
    full::run(&stage, &mut report)?;
    costs::metrics(&stage, &mut report)?;
    costs::memory(&stage, &mut report)?;
    let text = report.markdown();
    report::say(&text);
    if options.writes {
        report::write("BENCHMARKING.md", "jobs", &text)?;
    }
    report.verdict()
}
