//! `forebay mark`: a line in the journal, for whoever looks later.

use std::process::ExitCode;

use serde_json::{Value, json};

use crate::cli::Mark;
use crate::client;
use crate::report::{self, Problem};

/// Marks this moment.
pub(crate) fn run(asked: &Mark) -> Result<ExitCode, Problem> {
    let question = json!({ "what": asked.what, "who": asked.who });
    let entry: Value = client::act(&asked.client.admin, "/mark", &question)?;
    report::data(&format!("marked as entry {} of the journal\n", entry["number"]));
    Ok(ExitCode::SUCCESS)
}
