//! `forebay jobs work`: a worker alone.

use std::process::ExitCode;

use forebay_jobs::deliver::Secret;
use forebay_jobs::fetch::Order;
use forebay_jobs::store::Metrics;

use super::args::{MetricsForm, Work};
use super::{Told, store, told};
use crate::jobs::Jobs;
use crate::jobs::open::Runner;
use crate::jobs::runners::{Http, url};
use crate::report::{self, Problem};

/// Runs jobs until somebody says that it is to end.
pub(super) async fn work(asked: Work) -> Result<ExitCode, Problem> {
    report::log_to_stderr();
    let jobs = told_by_flags(&asked, store::settings(&asked.at)?)?;
    let runner = Runner::new(&jobs)?;
    let store = store::open_of(&jobs).await?;
    let mut handle = runner.worker(&jobs, store).start();
    let queues: Vec<&str> = jobs.order.names().iter().map(|name| &**name).collect();
    report::say(&format!(
        "running jobs of {} from {}, {} at once; Ctrl-C ends it",
        queues.join(", "),
        jobs.store,
        jobs.concurrency
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
                handle.stop(jobs.grace).await;
                return Ok(ExitCode::SUCCESS);
            }
        }
    }
}

/// What the flags say wins over what the settings say.
fn told_by_flags(asked: &Work, mut jobs: Jobs) -> Result<Jobs, Problem> {
    if !asked.queues.is_empty() {
        jobs.order = order(&asked.queues)?;
    }
    jobs.concurrency = asked.concurrency.unwrap_or(jobs.concurrency).max(1);
    jobs.grace = asked.grace.unwrap_or(jobs.grace);
    jobs.metrics = match asked.metrics {
        Some(MetricsForm::Eight) => Metrics::Sidekiq8,
        Some(MetricsForm::Seven) => Metrics::Sidekiq7,
        Some(MetricsForm::Off) => Metrics::Off,
        None => jobs.metrics,
    };
    if let Some(deadline) = asked.deadline {
        jobs.deadline = deadline;
        jobs.http.iter_mut().for_each(|http| http.deadline = deadline);
    }
    if !asked.command.is_empty() {
        jobs.command.clone_from(&asked.command);
        jobs.http = None;
    }
    if let Some(text) = &asked.http {
        let url = url(text).map_err(|why| {
            Problem::new(format!("`--http {text}` {why}"))
                .hint("write `http://127.0.0.1:3000/jobs` or `https://shop.example/jobs`")
        })?;
        let deadline = jobs.deadline;
        let usual = Http { deadline, ..Http::to(url.clone()) };
        jobs.http = Some(Http { url, ..jobs.http.unwrap_or(usual) });
        jobs.command.clear();
    }
    if let (Some(path), Some(http)) = (&asked.secret_file, &mut jobs.http) {
        let text = std::fs::read_to_string(path).map_err(|error| {
            Problem::new(format!("cannot read the secret in `{}`", path.display())).because(error)
        })?;
        http.secret = Some(Secret::parse(&text).map_err(|error| {
            Problem::new(format!("`{}` holds no secret", path.display()))
                .because(error)
                .hint("make one: `echo whsec_$(openssl rand -base64 32)`")
        })?);
    }
    if !jobs.has_runner() {
        return Err(Problem::new("nobody is named who could run jobs").hint(
            "`--http URL`, a command after `--`, or `[jobs.http]` or `[jobs.exec]` in the file of `--config`",
        ));
    }
    Ok(jobs)
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
