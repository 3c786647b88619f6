//! `cargo xtask generate`: the reference that the binary writes about itself.

use std::path::Path;

use crate::cargo::{cargo, root};
use crate::{Outcome, steps};

/// Where the reference lies, from the root.
pub(crate) const REFERENCE: &str = "docs/reference";

/// Writes the reference anew.
pub(crate) fn run() -> Outcome {
    into(&root().join(REFERENCE))?;
    steps::say(&format!("wrote {REFERENCE}"));
    Ok(())
}

/// Lets the binary write its reference into `folder`.
pub(crate) fn into(folder: &Path) -> Outcome {
    let folder = folder.to_str().ok_or("the folder's name is not UTF-8")?;
    steps::run(&mut cargo(&[
        "run",
        "--quiet",
        "--package",
        "forebay",
        "--",
        "generate-docs",
        folder,
    ]))
}
