//! `cargo xtask bench edge`: what a request costs here and in nginx, Varnish and H2O.
//!
//! For: filling the table of `BENCHMARKING.md` from one run on one machine. In: the release build
//! of forebay, the peers from Debian, the instruments in `benches/edge`. Out: medians, ratios and
//! a verdict for each bar, printed and with `--write` put between the markers of the document.
//! Never: a figure from a run in which an answer failed or a hit reached the origin, and never a
//! file outside its own temporary folder and `BENCHMARKING.md`.
//!
//! Figures of different runs are not comparable; ratios within one run are. `cargo xtask bench jobs` is in
//! [`jobs`].

mod configured;
mod files;
mod instructions;
mod jobs;
mod load;
mod machine;
mod memory;
mod options;
mod peers;
mod pressure;
mod purge;
mod rates;
mod report;
mod servers;
mod stage;
mod tails;

use machine::Machine;
use options::Options;
use report::Report;
use stage::Stage;

/// Runs what `args` select. An error is also a bar that is not reached.
pub(crate) fn run(args: &[String]) -> Result<(), String> {
    if args.first().is_some_and(|arg| arg == "jobs") {
        return jobs::run(&args[1..]);
    }
    let options = Options::read(args)?;
    if options.wants_help {
        report::say(options::HELP);
        return Ok(());
    }
    let machine = Machine::look()?;
    peers::bring(&options)?;
    let stage = Stage::set(&options, machine)?;
    let mut report = Report::begin(&stage);
    rates::run(&stage, &mut report)?;
    files::run(&stage, &mut report)?;
    rates::cores(&stage, &mut report)?;
    memory::objects(&stage, &mut report)?;
    memory::idle(&stage, &mut report)?;
    tails::herd(&stage, &mut report)?;
    tails::misses(&stage, &mut report)?;
    tails::reloads(&stage, &mut report)?;
    tails::routes(&stage, &mut report)?;
    purge::by_tag(&stage, &mut report)?;
    pressure::attack(&stage, &mut report)?;
    pressure::overload(&stage, &mut report)?;
    instructions::run(&stage, &mut report)?;
    configured::run(&stage, &mut report)?;
    let text = report.markdown();
    report::say(&text);
    if options.writes {
        report::write("BENCHMARKING.md", "edge", &text)?;
    }
    report.verdict()
}
