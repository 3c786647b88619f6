//! `cargo xtask deep`: what takes too long for CI. Before a piece of work is called done.

use std::fs;
use std::process::Command;

use crate::cargo::{Metadata, cargo, metadata, root};
use crate::steps::{self, Steps};
use crate::{Outcome, dist};

/// Fuzzing time of each target.
const FUZZ_SECONDS: u32 = 60;

/// Name filter of the long runs.
const LONG_RUNS: &str = "deep_";

/// Features one by one, fuzzing, the package on a machine, long runs; says what it skipped.
pub(crate) fn run() -> Outcome {
    let mut steps = Steps::begin("deep");
    features(&mut steps, &metadata()?);
    fuzz(&mut steps);
    steps.step("package on a machine", || {
        steps::run(&mut cargo(&["build", "--quiet", "--package", "forebay"]))?;
        let target = metadata()?.target;
        dist::boot(&target.join("debug/forebay"), &target.join("machine"))
    });
    long_runs(&mut steps);
    steps.end()
}

fn features(steps: &mut Steps, metadata: &Metadata) {
    let mut checked = 0;
    for package in metadata.packages.iter().filter(|package| package.is_ours) {
        for feature in &package.features {
            checked += 1;
            steps.step(&format!("feature {}/{feature}", package.name), || {
                let alone = ["--no-default-features", "--features", feature];
                let check = ["check", "--quiet", "--all-targets", "--package", &package.name];
                steps::run(cargo(&check).args(alone)).map(|()| String::new())
            });
        }
    }
    if checked == 0 {
        steps.skip("features one by one", "no crate of ours has a feature");
    }
}

fn fuzz(steps: &mut Steps) {
    let Some(fuzzer) = [nightly as Fuzzer, stable].into_iter().find(|fuzzer| is_there(*fuzzer))
    else {
        return steps.skip("fuzzing", "needs `cargo install cargo-fuzz --locked`");
    };
    for target in fuzz_targets() {
        steps.step(&format!("fuzz {target}"), || {
            // Finds go to a folder of their own: the corpus under version control stays small.
            let found = root().join("target/fuzz-corpus").join(&target);
            fs::create_dir_all(&found).map_err(|error| error.to_string())?;
            let found = found.to_string_lossy().into_owned();
            let time = format!("-max_total_time={FUZZ_SECONDS}");
            let seeds = format!("fuzz/corpus/{target}");
            let mut run = fuzzer(&["run", &target, &found, &seeds, "--", &time]);
            steps::run(&mut run).map(|()| format!("{FUZZ_SECONDS} s without a find"))
        });
    }
}

/// `cargo fuzz` with these arguments.
type Fuzzer = fn(&[&str]) -> Command;

/// Through rustup, for the cargo that runs us has its toolchain chosen.
fn nightly(arguments: &[&str]) -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", "nightly", "cargo", "fuzz"]).args(arguments).current_dir(root());
    command
}

/// The sanitizers that it asks for are in a stable compiler too, behind this variable.
fn stable(arguments: &[&str]) -> Command {
    let mut command = cargo(&["fuzz"]);
    command.args(arguments).env("RUSTC_BOOTSTRAP", "1");
    command
}

fn is_there(fuzzer: Fuzzer) -> bool {
    steps::output(&mut fuzzer(&["--version"])).is_ok()
}

/// Kill and soak runs: tests named `deep_*` and marked `#[ignore = "deep: …"]`, one at a time, for each
/// wants the machine for itself. What is ignored for other reasons is not run.
fn long_runs(steps: &mut Steps) {
    let tests = |more: &[&str]| {
        let mut tests = cargo(&["test", "--workspace", "--quiet", "--", "--ignored", LONG_RUNS]);
        tests.args(more);
        tests
    };
    let listed = match steps::output(&mut tests(&["--list"])) {
        Ok(listed) => listed,
        Err(reason) => return steps.step("long runs", || Err(reason)),
    };
    let count = listed.lines().filter(|line| line.ends_with(": test")).count();
    if count == 0 {
        let reason = format!("no ignored test has `{LONG_RUNS}` in its name");
        return steps.skip("long runs", &reason);
    }
    steps.step("long runs", || {
        let ran = format!("{count} tests named `{LONG_RUNS}*`");
        steps::run(&mut tests(&["--test-threads", "1"])).map(|()| ran)
    });
}

fn fuzz_targets() -> Vec<String> {
    let Ok(files) = fs::read_dir(root().join("fuzz/fuzz_targets")) else { return Vec::new() };
    let name = |path: std::path::PathBuf| Some(path.file_stem()?.to_str()?.to_owned());
    let mut targets: Vec<String> = files.flatten().filter_map(|file| name(file.path())).collect();
    targets.sort();
    targets
}
