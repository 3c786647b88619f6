//! The instruments of `cargo xtask bench edge`: the floor and the bare `listen` to compare with, the origin
//! behind every server, and the clients that wrk and h2load cannot play.
//!
//! A program of its own, so that it is always built for release and can be pinned to a core. In:
//! one verb and `--name value` pairs. Out: one line of `name=value` pairs. It trusts its peers and
//! must never be used outside a benchmark.

mod bare;
mod clients;
#[path = "../../flags.rs"]
mod flags;
mod floor;
mod idle;
mod origin;
mod serve;
mod swarm;

use std::process::ExitCode;

pub(crate) use flags::{Flags, say};

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let verb = args.next().unwrap_or_default();
    let outcome = Flags::read(args).and_then(|flags| match verb.as_str() {
        "bare" => bare::run(flags.value("port")?),
        "floor" => floor::run(flags.value("port")?),
        "origin" => origin::run(flags.value("port")?),
        "steady" => clients::steady(&flags),
        "fill" => clients::fill(&flags),
        "recall" => clients::recall(&flags),
        "herd" => clients::herd(&flags),
        "open" => clients::open(&flags),
        "idle" => idle::run(&flags),
        other => Err(format!("unknown verb `{other}`")),
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            complain(&reason);
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "the only place that speaks to people")]
fn complain(line: &str) {
    eprintln!("bench-edge: {line}");
}
