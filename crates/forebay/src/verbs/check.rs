//! `forebay check`: are the settings good, and what do they come to?

use std::process::ExitCode;

use forebay_edge::config::file::{self, Value};
use forebay_edge::edge::{Edge, StartError};
use forebay_edge::error::with_causes;
use serde_json::{Value as Json, json};

use super::run::free_port;
use crate::cli::Check;
use crate::jobs::open::{self, Runner};
use crate::report::{self, Problem};
use crate::settings::{self, Loaded, Trouble};

/// What is wrong.
enum Wrong {
    /// Values and files that they name.
    Settings(Trouble),
    /// What shows only when they are put to use.
    Start(StartError),
    /// The same of jobs.
    Jobs(Problem),
}

/// Settings that are good.
struct Good {
    routes: usize,
    values: Vec<Value>,
    /// The store of jobs, and why it does not answer. That is no fault of the settings: the edge serves without.
    store: Option<(String, Result<(), String>)>,
}

/// Checks everything that can be checked without serving: values, files, certificates, names.
pub(crate) fn run(asked: &Check) -> Result<ExitCode, Problem> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| Problem::ours("cannot start a runtime").because(error))?;
    // Nothing listens there: it stands for the port that the application will be told.
    let port = if asked.command.is_empty() { None } else { Some(free_port()?) };
    let good = match runtime.block_on(check(asked, port)) {
        Ok(good) => good,
        Err(wrong) if asked.json => {
            let answer = json!({ "ok": false, "problems": wrong.problems() });
            report::data(&format!("{answer:#}\n"));
            return Ok(ExitCode::from(1));
        }
        Err(Wrong::Settings(trouble)) => return Err(Problem::complete(&trouble)),
        Err(Wrong::Start(error)) => return Err(crate::run::start_problem(&error)),
        Err(Wrong::Jobs(problem)) => return Err(problem),
    };
    let Good { routes, values, store } = good;
    if let Some((place, Err(why))) = &store {
        report::say(&format!("note: the job store `{place}` does not answer now: {why}"));
    }
    if asked.json {
        let values = file::explain(&values);
        let mut answer = json!({ "ok": true, "routes": routes, "values": values });
        if let Some((place, reached)) = store {
            answer["jobs"] =
                json!({ "store": place, "answers": reached.is_ok(), "why": reached.err() });
        }
        report::data(&format!("{answer:#}\n"));
    } else if asked.explain {
        report::data(&(file::explain(&values).join("\n") + "\n"));
    } else {
        report::data(&format!("ok: {}\n", report::counted(routes, "route")));
    }
    Ok(ExitCode::SUCCESS)
}

async fn check(asked: &Check, port: Option<u16>) -> Result<Good, Wrong> {
    let loaded = settings::check(&asked.settings, port).map_err(Wrong::Settings)?;
    let Loaded { config, jobs, values } = loaded;
    let routes = config.routes.len();
    Edge::check(config).await.map_err(Wrong::Start)?;
    let store = match jobs {
        Some(jobs) => {
            Runner::new(&jobs).map_err(Wrong::Jobs)?;
            Some((jobs.store.to_string(), open::reach(&jobs).await))
        }
        None => None,
    };
    Ok(Good { routes, values, store })
}

impl Wrong {
    fn problems(&self) -> Vec<Json> {
        let trouble = match self {
            Wrong::Settings(trouble) => trouble,
            Wrong::Start(error) => {
                let problem = with_causes(error);
                return vec![json!({ "place": "", "problem": problem, "hint": error.hint() })];
            }
            Wrong::Jobs(problem) => {
                return vec![json!({ "place": "", "problem": problem.sentence(), "hint": null })];
            }
        };
        let problem =
            |p: &file::Problem| json!({ "place": p.place, "problem": p.text, "hint": p.hint });
        trouble.problems().iter().map(problem).collect()
    }
}
