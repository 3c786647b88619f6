//! `cargo xtask check`: everything about the source that is not a test.
//!
//! In: the working tree. Out: one line a check, and a reason for each failure with its place. It
//! never changes a file.

mod deny;
mod generated;
mod licence;
mod size;
mod source;
mod walls;

use crate::Outcome;
use crate::cargo::{cargo, metadata, root};
use crate::steps::{self, Steps};

/// Runs all checks, the quick ones first.
pub(crate) fn run() -> Outcome {
    let mut steps = Steps::begin("check");
    let quiet = |()| String::new();
    steps.step("fmt", || steps::run(&mut cargo(&["fmt", "--all", "--check"])).map(quiet));
    let metadata = metadata()?;
    let files = source::rust_files(&root())?;
    steps.step("walls", || walls::check(&metadata, &files));
    steps.step("size", || size::check(&files));
    steps.step("deny", deny::check);
    steps.step("clippy", || {
        let clippy = ["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"];
        steps::run(&mut cargo(&clippy)).map(quiet)
    });
    steps.step("doc", || {
        let doc = ["doc", "--quiet", "--workspace", "--no-deps", "--document-private-items"];
        steps::run(cargo(&doc).env("RUSTDOCFLAGS", "-D warnings")).map(quiet)
    });
    steps.step("generated", || generated::check(&metadata));
    steps.end()
}

/// Success with a remark, or all problems in one text.
pub(crate) fn verdict(problems: &[String], remark: String) -> Result<String, String> {
    if problems.is_empty() { Ok(remark) } else { Err(problems.join("\n")) }
}
