//! `forebay jobs work`: a worker alone.

use std::process::ExitCode;

use forebay_jobs::deliver::Secret;
use forebay_jobs::deliver::exec::Commands;
use forebay_jobs::deliver::http::{Deliveries, Settings};
use forebay_jobs::fetch::Order;
use forebay_jobs::worker::{Builder, Worker};

use super::args::Work;
use super::{Told, store, told};
use crate::report::{self, Problem};

/// Runs jobs until somebody says that it is to end.
pub(super) async fn work(asked: Work) -> Result<ExitCode, Problem> {
    report::log_to_stderr();
    let order = order(&asked.queues)?;
    let store = store::open(&asked.at.store).await?;
    let worker = Worker::builder(store)
        .order(order)
        .concurrency(asked.concurrency)
        .grace(asked.grace)
        .tag("forebay");
    let mut handle = handler(worker, &asked)?.start();
    report::say(&format!(
        "running jobs of {} from {}, {} at once; Ctrl-C ends it",
        asked.queues.join(", "),
        asked.at.store,
        asked.concurrency
    ));
    loop {
        let word = tokio::select! {
            // Somebody said so by way of the store.
            () = handle.ended() => return Ok(ExitCode::SUCCESS),
            word = told() => word,
        };
        match word {
            Told::Quiet => {
                handle.quiet();
                report::say("no more jobs are taken; those that run go on");
            }
            Told::End => {
                report::say("ending: what runs has its time, the rest goes back");
                handle.stop(asked.grace).await;
                return Ok(ExitCode::SUCCESS);
            }
        }
    }
}

/// Who runs them.
fn handler(worker: Builder, asked: &Work) -> Result<Builder, Problem> {
    let Some(url) = &asked.http else {
        let command = asked.command.clone();
        return Ok(worker.otherwise(Commands { command, deadline: asked.deadline }));
    };
    let parsed = url.parse().map_err(|error: http::uri::InvalidUri| {
        Problem::new(format!("`--http {url}` is no address")).because(error)
    })?;
    let secret = asked.secret_file.as_ref().map(|path| {
        let text = std::fs::read_to_string(path).map_err(|error| {
            Problem::new(format!("cannot read the secret in `{}`", path.display())).because(error)
        })?;
        Secret::parse(&text).map_err(|error| {
            Problem::new(format!("`{}` holds no secret", path.display()))
                .because(error)
                .hint("make one: `echo whsec_$(openssl rand -base64 32)`")
        })
    });
    let settings =
        Settings { url: parsed, secret: secret.transpose()?, deadline: asked.deadline, tls: None };
    let deliveries = Deliveries::new(settings).map_err(|error| {
        Problem::new(error.to_string())
            .hint("deliveries by https are to come: stand the edge before it")
    })?;
    Ok(worker.otherwise(deliveries))
}

/// `mail=5` and `low=1` are drawn by their weights; without any the order is strict.
fn order(queues: &[String]) -> Result<Order, Problem> {
    let mut weighted = Vec::new();
    for queue in queues {
        let (name, weight) = queue.rsplit_once('=').unwrap_or((queue, "0"));
        let weight: u32 = weight.parse().map_err(|_| {
            Problem::new(format!("`--queue {queue}` has no weight that is a number"))
                .hint("write `--queue mail=5`, or `--queue mail`")
        })?;
        weighted.push((name, weight));
    }
    if weighted.iter().all(|(_, weight)| *weight == 0) {
        return Ok(Order::strict(weighted.into_iter().map(|(name, _)| name)));
    }
    if let Some((name, _)) = weighted.iter().find(|(_, weight)| *weight == 0) {
        return Err(Problem::new(format!("the queue `{name}` has no weight, and others have"))
            .hint("give a weight of 1 or more to all of them, or to none"));
    }
    Ok(Order::weighted(weighted))
}
