//! `forebay check`: are the settings good, and what do they come to?

use std::process::ExitCode;

use forebay_edge::config::file;
use forebay_edge::edge::Edge;
use serde_json::json;

use crate::cli::Check;
use crate::report::{self, Problem};
use crate::settings;

/// Checks everything that can be checked without serving: values, files, certificates, names.
pub(crate) fn run(asked: &Check) -> Result<ExitCode, Problem> {
    let loaded = match settings::load(&asked.settings, None) {
        Ok(loaded) => loaded,
        Err(trouble) if asked.json => {
            let problems: Vec<_> = trouble
                .problems()
                .iter()
                .map(|p| json!({ "place": p.place, "problem": p.text, "hint": p.hint }))
                .collect();
            report::data(&format!("{:#}\n", json!({ "ok": false, "problems": problems })));
            return Ok(ExitCode::from(1));
        }
        Err(trouble) => return Err(Problem::complete(&trouble)),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| Problem::ours("cannot start a runtime").because(error))?;
    let routes = loaded.config.routes.len();
    runtime
        .block_on(Edge::check(loaded.config))
        .map_err(|error| crate::run::start_problem(&error))?;
    if asked.json {
        let values: Vec<_> = file::explain(&loaded.values);
        report::data(&format!("{:#}\n", json!({ "ok": true, "routes": routes, "values": values })));
    } else if asked.explain {
        report::data(&(file::explain(&loaded.values).join("\n") + "\n"));
    } else {
        report::data(&format!("ok: {routes} routes\n"));
    }
    Ok(ExitCode::SUCCESS)
}
