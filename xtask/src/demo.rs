//! `cargo xtask demo`: builds the binary quickly and lets it run the demo.

use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::cargo::{cargo, metadata};
use crate::{Outcome, steps};

/// Inherits release, without the slow link-time optimisation (see `Cargo.toml`).
const PROFILE: &str = "demo";

/// Builds and runs; the demo takes this process' place, so that signals reach it.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    steps::say("building forebay (the first time takes a few minutes) …");
    steps::run(&mut cargo(&["build", "--profile", PROFILE, "--package", "forebay"]))?;
    let program = metadata()?.target.join(PROFILE).join("forebay");
    let error = Command::new(&program).arg("demo").args(arguments).exec();
    Err(format!("cannot run `{}`: {error}", program.display()))
}
