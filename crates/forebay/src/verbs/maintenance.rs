//! `forebay maintenance`: routes closed while an application is worked on.

use std::process::ExitCode;

use serde_json::{Value, json};

use crate::cli::{Maintenance, Switch};
use crate::client;
use crate::report::{self, Problem};

/// Asks the running forebay to close or open a route, or all of them.
pub(crate) fn run(asked: &Maintenance) -> Result<ExitCode, Problem> {
    let question = json!({ "on": asked.state == Switch::On, "route": asked.route });
    let answer: Value = client::act(&asked.client.admin, "/maintenance", &question)?;
    if asked.json {
        report::data(&format!("{answer}\n"));
        return Ok(ExitCode::SUCCESS);
    }
    let closed: Vec<&str> =
        answer["closed"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let said = if closed.is_empty() {
        "no route is in maintenance".to_owned()
    } else {
        format!("in maintenance: {}", closed.join(", "))
    };
    report::data(&format!("{said}\n"));
    Ok(ExitCode::SUCCESS)
}
