//! `forebay reload`: settings read again, checked whole, taken whole.

use std::process::ExitCode;

use serde_json::{Value, json};

use crate::client;
use crate::report::{self, Problem};

/// Asks the forebay behind `admin` to reload.
pub(crate) fn run(admin: &str) -> Result<ExitCode, Problem> {
    let said: Value = client::act(admin, "/reload", &json!({}))?;
    report::data(&format!("{}\n", said["said"].as_str().unwrap_or("reloaded")));
    Ok(ExitCode::SUCCESS)
}
