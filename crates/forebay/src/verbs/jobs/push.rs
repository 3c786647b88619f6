//! `forebay jobs push` and `bulk`.

use std::io::BufRead;
use std::process::ExitCode;

use forebay_jobs::job::{DEFAULT_RETRIES, Retry};
use forebay_jobs::push::{Client, Outcome, PushError, Pushing, Unique};
use forebay_jobs::time::Moment;
use serde_json::{Value as Json, json};

use super::args::{Bulk, Common, Push};
use super::{refused, store};
use crate::report::{self, Problem};

/// Jobs of one call of the store.
const SLICE: usize = 1_000;
/// Longest line of standard input.
const LONGEST_LINE: usize = 16 << 20;

/// Pushes one job.
pub(super) async fn one(asked: &Push) -> Result<ExitCode, Problem> {
    let args: Result<Vec<Json>, Problem> = asked.args.iter().map(|arg| parsed(arg)).collect();
    let args = args?;
    let client = Client::new(store::open(&asked.at.store).await?);
    let pushing = told(client.push_raw(&asked.class, &Json::from(args)), &asked.common)?;
    let outcome = pushing.await.map_err(not_pushed)?;
    Ok(tell(asked.at.json, &outcome))
}

fn parsed(arg: &str) -> Result<Json, Problem> {
    serde_json::from_str(arg).map_err(|error| {
        Problem::new(format!("the argument `{arg}` is no JSON"))
            .because(error)
            .hint(format!("a text has quotes of its own: '\"{}\"'", arg.replace('"', "")))
    })
}

fn told<'c, K>(pushing: Pushing<'c, K>, common: &Common) -> Result<Pushing<'c, K>, Problem> {
    let mut pushing = pushing.queue(&common.queue);
    if let Some(delay) = common.delay {
        pushing = pushing.delay(delay);
    }
    if let Some(at) = &common.at {
        let moment = Moment::read(&json!(at)).ok_or_else(|| {
            Problem::new(format!("`--at {at}` is no time"))
                .hint("write it as 2026-11-26T18:00:00Z, or as seconds since 1970")
        })?;
        pushing = pushing.at(moment);
    }
    if let Some(retry) = &common.retry {
        let retry = match retry.as_str() {
            "true" => Retry::Times(DEFAULT_RETRIES),
            "false" => Retry::Never,
            number => Retry::Times(number.parse().map_err(|_| {
                Problem::new(format!("`--retry {number}` is no number of times"))
                    .hint("write a number, true, or false for never")
            })?),
        };
        pushing = pushing.retry(retry);
    }
    if let Some(time) = common.expires_in {
        pushing = pushing.expires_in(time);
    }
    if let Some(ttl) = common.unique_for {
        pushing = pushing.unique(Unique::by_args().ttl(ttl));
    }
    Ok(pushing)
}

/// Pushes the lines of standard input.
pub(super) async fn bulk(asked: &Bulk) -> Result<ExitCode, Problem> {
    let client = Client::new(store::open(&asked.at.store).await?);
    let (mut line, mut number, mut pushed, mut refused) = (String::new(), 0_u64, 0_u64, 0_u64);
    let mut slice: Vec<Json> = Vec::new();
    let mut input = std::io::stdin().lock();
    loop {
        line.clear();
        let read = std::io::Read::take(&mut input, LONGEST_LINE as u64).read_line(&mut line);
        let read = read.map_err(|error| Problem::new("cannot read the jobs").because(error))?;
        if read > 0 {
            number += 1;
            if !line.trim().is_empty() {
                slice.push(args_of(&line, number, pushed)?);
            }
        }
        if slice.len() == SLICE || (read == 0 && !slice.is_empty()) {
            let pushing = client.push_raw_bulk(&asked.class, &slice);
            for outcome in told(pushing, &asked.common)?.await.map_err(not_pushed)? {
                match outcome {
                    Outcome::Stored { .. } | Outcome::Buffered { .. } => pushed += 1,
                    _ => refused += 1,
                }
            }
            slice.clear();
        }
        if read == 0 {
            break;
        }
    }
    if asked.at.json {
        report::data(&format!("{:#}\n", json!({ "pushed": pushed, "not_pushed": refused })));
    } else {
        report::data(&format!("{pushed} pushed, {refused} there already\n"));
    }
    Ok(ExitCode::SUCCESS)
}

fn args_of(line: &str, number: u64, pushed: u64) -> Result<Json, Problem> {
    let parsed = serde_json::from_str::<Json>(line);
    let problem = |why: String| {
        Problem::new(format!(
            "line {number} is no list of arguments: {why}; {pushed} jobs before it were pushed"
        ))
        .hint("a line a job, such as `[7, \"text\"]`")
    };
    match parsed {
        Ok(args @ Json::Array(_)) => Ok(args),
        Ok(_) => Err(problem("it is no list".into())),
        Err(error) => Err(problem(error.to_string())),
    }
}

fn not_pushed(error: PushError) -> Problem {
    match error {
        PushError::Store(error) => refused(error),
        error => Problem::new(error.to_string()),
    }
}

fn tell(as_json: bool, outcome: &Outcome) -> ExitCode {
    let (answer, text, code) = match outcome {
        Outcome::Stored { id } | Outcome::Buffered { id } => {
            (json!({ "pushed": true, "jid": id }), id.clone(), ExitCode::SUCCESS)
        }
        Outcome::Duplicate { of } => (
            json!({ "pushed": false, "duplicate_of": &**of }),
            format!("not pushed: {of} is like it"),
            ExitCode::from(1),
        ),
        _ => (json!({ "pushed": false }), "not pushed".into(), ExitCode::from(1)),
    };
    report::data(&if as_json { format!("{answer:#}\n") } else { format!("{text}\n") });
    code
}
