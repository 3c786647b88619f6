//! The single door to every task of the project: `cargo xtask TASK`.

mod bench;
mod cargo;
mod check;
mod deep;
mod demo;
mod dist;
mod generate;
mod old_redis;
mod peers;
mod screens;
mod steps;
mod test;

use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask TASK [ARGUMENTS]

  demo [ARGUMENTS]  build forebay and run its demo: two shops, the edge before them, visitors
  test              bring the programs that the tests talk to, run every test
  check             formatting, lints, docs, dependencies, sizes, walls, generated files
  bench [edge]      measure against nginx, Varnish and H2O (see BENCHMARKING.md)
  bench jobs        measure against Ruby Sidekiq, and count jobs through kills and a full store
  generate          write docs/reference anew from the binary
  dist              the release binary with its unit, man page and completions, and a package for Debian
  screens           take the pictures of the documents from the running demo (needs Chromium)
  deep              what takes too long for CI: features one by one, fuzzing, a machine that boots, long runs
";

/// Done, or why not, in words that are printed as they are.
type Outcome = Result<(), String>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (task, rest) = match arguments.split_first() {
        Some((task, rest)) => (task.as_str(), rest),
        None => ("help", &[][..]),
    };
    let outcome = match task {
        "demo" => demo::run(rest),
        "test" => none(rest).and_then(|()| test::run()),
        "check" => none(rest).and_then(|()| check::run()),
        "bench" => bench::run(rest),
        "generate" => none(rest).and_then(|()| generate::run()),
        "dist" => dist::run(rest),
        "screens" => none(rest).and_then(|()| screens::run()),
        "deep" => none(rest).and_then(|()| deep::run()),
        "help" | "-h" | "--help" => {
            steps::print(USAGE);
            Ok(())
        }
        other => Err(format!("unknown task `{other}`\n\n{USAGE}")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            steps::say(&format!("error: {reason}"));
            ExitCode::FAILURE
        }
    }
}

fn none(arguments: &[String]) -> Outcome {
    match arguments.first() {
        Some(argument) => Err(format!("unexpected argument `{argument}`\n\n{USAGE}")),
        None => Ok(()),
    }
}
