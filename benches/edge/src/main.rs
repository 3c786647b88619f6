//! The instruments of `cargo xtask bench edge`: the floor and the bare `listen` to compare with, the origin
//! behind every server, and the clients that wrk and h2load cannot play.
//!
//! A program of its own, so that it is always built for release and can be pinned to a core. In:
//! one verb and `--name value` pairs. Out: one line of `name=value` pairs. It trusts its peers and
//! must never be used outside a benchmark.

mod bare;
mod clients;
mod floor;
mod idle;
mod origin;
mod serve;
mod swarm;

use std::collections::HashMap;
use std::process::ExitCode;
use std::str::FromStr;

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

/// `--name value` pairs.
pub(crate) struct Flags(HashMap<String, String>);

impl Flags {
    fn read(mut args: impl Iterator<Item = String>) -> Result<Flags, String> {
        let mut pairs = HashMap::new();
        while let Some(name) = args.next() {
            let name = name.strip_prefix("--").ok_or(format!("expected a flag, got `{name}`"))?;
            let value = args.next().ok_or(format!("`--{name}` needs a value"))?;
            pairs.insert(name.to_owned(), value);
        }
        Ok(Flags(pairs))
    }

    /// The value of a flag that must be there.
    pub(crate) fn value<T: FromStr>(&self, name: &str) -> Result<T, String> {
        let text = self.0.get(name).ok_or(format!("`--{name}` is missing"))?;
        text.parse().map_err(|_| format!("`--{name}` cannot be `{text}`"))
    }

    /// The value of a flag, or `default`.
    pub(crate) fn value_or<T: FromStr>(&self, name: &str, default: T) -> Result<T, String> {
        if self.0.contains_key(name) { self.value(name) } else { Ok(default) }
    }
}

/// Prints a result: what the caller reads.
#[expect(clippy::print_stdout, reason = "the answer to the caller is data on stdout")]
pub(crate) fn say(line: &str) {
    println!("{line}");
}

#[expect(clippy::print_stderr, reason = "the only place that speaks to people")]
fn complain(line: &str) {
    eprintln!("bench-edge: {line}");
}
