//! Forebay: the delivery layer of a web application in one binary.

mod admin;
mod cli;
mod client;
mod descriptors;
mod jobs;
mod otel;
mod reference;
mod reload;
mod report;
mod run;
mod settings;
mod systemd;
mod verbs;

#[cfg(test)]
mod documents_tests;

use std::process::ExitCode;

use cli::{Cache, Cli, Verb};
use report::Problem;

/// Gives memory back and does not fragment under many small objects.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = match cli::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => {
            let is_asked = !error.use_stderr();
            // A reader that goes away is not an error.
            drop(error.print());
            return ExitCode::from(u8::from(!is_asked));
        }
    };
    perform(cli).unwrap_or_else(|problem| problem.report())
}

fn perform(cli: Cli) -> Result<ExitCode, Problem> {
    match cli.verb {
        Verb::Run(run) => verbs::run::run(run),
        Verb::Demo(demo) => verbs::demo::run(&demo),
        Verb::Check(check) => verbs::check::run(&check),
        Verb::Reload(reload) => verbs::reload::run(&reload.client.admin),
        Verb::Maintenance(asked) => verbs::maintenance::run(&asked),
        Verb::Mark(mark) => verbs::mark::run(&mark),
        Verb::Status(status) => {
            let show = match (status.json, status.once) {
                (true, _) => verbs::status::Show::Json,
                (false, true) => verbs::status::Show::Once,
                (false, false) => verbs::status::Show::Live,
            };
            verbs::status::run(&status.client.admin, show)
        }
        Verb::Top(top) => verbs::top::run(&top),
        Verb::Cache(Cache::Why(why)) => verbs::cache::why(&why),
        Verb::Cache(Cache::Purge(purge)) => verbs::cache::purge(&purge),
        Verb::Jobs(jobs) => verbs::jobs::run(jobs),
        Verb::Completions(completions) => {
            let text = cli::completions(completions.shell);
            report::data(&String::from_utf8_lossy(&text));
            Ok(ExitCode::SUCCESS)
        }
        Verb::Man => {
            let page = reference::man()
                .map_err(|error| Problem::ours("cannot write the man page").because(error))?;
            report::data(&String::from_utf8_lossy(&page));
            Ok(ExitCode::SUCCESS)
        }
        Verb::Version(version) => {
            let number = env!("CARGO_PKG_VERSION");
            report::data(&if version.json {
                format!("{{\"name\":\"forebay\",\"version\":\"{number}\"}}\n")
            } else {
                format!("forebay {number}\n")
            });
            Ok(ExitCode::SUCCESS)
        }
        Verb::GenerateDocs(generate) => {
            reference::write(&generate.folder).map_err(|error| {
                let folder = generate.folder.display();
                Problem::new(format!("cannot write into `{folder}`")).because(error)
            })?;
            Ok(ExitCode::SUCCESS)
        }
    }
}
