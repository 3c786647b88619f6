//! `forebay-shop --port N --name a`: one origin of the demo as a process of its own.

use std::process::ExitCode;

use forebay_signals::drain::Drain;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

const USAGE: &str = "usage: forebay-shop [--port N] [--name NAME]\n";

fn main() -> ExitCode {
    let Some((port, name)) = arguments(std::env::args().skip(1)) else {
        say(USAGE);
        return ExitCode::from(1);
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.and_then(|runtime| runtime.block_on(run(port, &name))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: cannot serve on port `{port}`: {error}\n"));
            ExitCode::from(1)
        }
    }
}

fn arguments(mut rest: impl Iterator<Item = String>) -> Option<(u16, String)> {
    let (mut port, mut name) = (3000, String::from("shop"));
    while let Some(flag) = rest.next() {
        match (flag.as_str(), rest.next()) {
            ("--port", Some(value)) => port = value.parse().ok()?,
            ("--name", Some(value)) => name = value,
            _ => return None,
        }
    }
    Some((port, name))
}

async fn run(port: u16, name: &str) -> std::io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    say(&format!("origin `{name}` listens on http://{}\n", listener.local_addr()?));
    let stop = Drain::default();
    let serving = forebay_shop::serve(listener, name, stop.clone());
    tokio::pin!(serving);
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        served = serving.as_mut() => return served,
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    stop.begin();
    serving.await
}

/// Talk goes to stderr; a closed stderr is no reason to stop.
fn say(text: &str) {
    use std::io::Write;
    drop(std::io::stderr().write_all(text.as_bytes()));
}
