//! `forebay run`: serve.

use std::net::TcpListener;
use std::process::ExitCode;

use crate::cli::Run;
use crate::report::{self, Problem};
use crate::run::{self, Plan, Wrapped};
use crate::settings;

/// Serves until a signal.
pub(crate) fn run(asked: Run) -> Result<ExitCode, Problem> {
    report::log_to_stderr();
    let port = if asked.command.is_empty() { None } else { Some(free_port()?) };
    let loaded = settings::load(&asked.settings, port).map_err(|t| Problem::complete(&t))?;
    let again = asked.settings;
    let reread = move || {
        let loaded = settings::load(&again, port);
        loaded.map(|it| (it.config, it.jobs)).map_err(|t| Problem::complete(&t))
    };
    let command = asked.command;
    run::run(Plan {
        config: loaded.config,
        jobs: loaded.jobs,
        reread: Box::new(reread),
        child: port.map(|port| Wrapped { command, port }),
        ready: Box::new(|edge, admin| {
            for address in edge.entrance.addresses() {
                report::say(&format!("forebay: serving {address}"));
            }
            report::say(&format!(
                "forebay: operators ask at {admin}, for example `forebay status`"
            ));
        }),
    })
}

/// A port for the application. Another process could take it before the application does; then the
/// application says so and is started again.
pub(super) fn free_port() -> Result<u16, Problem> {
    TcpListener::bind(("127.0.0.1", 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|error| {
            Problem::ours("cannot find a free port for the application").because(error)
        })
}
