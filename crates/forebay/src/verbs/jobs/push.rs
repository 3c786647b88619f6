//! `forebay jobs push` and `bulk`.

use std::io::BufRead;
use std::process::ExitCode;

use forebay_jobs::job::{DEFAULT_RETRIES, Retry};
use forebay_jobs::push::{Outcome, PushError, Pushing, Unique};
use forebay_jobs::time::Moment;
use serde_json::value::RawValue;
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
    let args: Result<Vec<Argument>, Problem> = asked.args.iter().map(|arg| parsed(arg)).collect();
    let args = args?;
    let client = store::client(&asked.at).await?;
    let pushing = told(client.push_raw(&asked.class, &args), &asked.common)?;
    let outcome = pushing.await.map_err(not_pushed)?;
    Ok(tell(asked.at.json, &outcome))
}

/// JSON as it is stored.
type Argument = Box<RawValue>;

fn parsed(arg: &str) -> Result<Argument, Problem> {
    serde_json::from_str(arg).and_then(as_ruby_writes).map_err(|error| {
        Problem::new(format!("the argument `{arg}` is no JSON"))
            .because(error)
            .hint(format!("a text has quotes of its own: '\"{}\"'", arg.replace('"', "")))
    })
}

/// Without spaces and needless escapes: Ruby's API finds a job by what it would have written itself. Numbers and the order
/// of keys stay: what a float cannot hold is the application's to read.
fn as_ruby_writes(json: &RawValue) -> serde_json::Result<Argument> {
    let mut written = String::with_capacity(json.get().len());
    let mut left = json.get();
    while let Some(start) = left.find('"') {
        let (before, text) = left.split_at(start);
        written.extend(before.chars().filter(|it| !it.is_ascii_whitespace()));
        let mut texts = serde_json::Deserializer::from_str(text).into_iter::<String>();
        let read = texts.next().transpose()?.unwrap_or_default();
        written.push_str(&Json::from(read).to_string());
        left = text.get(texts.byte_offset()..).unwrap_or_default();
    }
    written.extend(left.chars().filter(|it| !it.is_ascii_whitespace()));
    RawValue::from_string(written)
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
    // As other programs of the command line have it: what they start goes on with their trace.
    if let Some(trace) = std::env::var("TRACEPARENT").ok().filter(|it| !it.is_empty()) {
        pushing = pushing.traceparent(&trace);
    }
    if let Some(ttl) = common.unique_for {
        pushing = pushing.unique(Unique::by_args().ttl(ttl));
    }
    Ok(pushing)
}

/// Pushes the lines of standard input.
pub(super) async fn bulk(asked: &Bulk) -> Result<ExitCode, Problem> {
    let client = store::client(&asked.at).await?;
    let (mut line, mut number, mut pushed, mut refused) = (String::new(), 0_u64, 0_u64, 0_u64);
    let mut slice: Vec<Argument> = Vec::new();
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

fn args_of(line: &str, number: u64, pushed: u64) -> Result<Argument, Problem> {
    let parsed = serde_json::from_str(line).and_then(as_ruby_writes);
    let problem = |why: String| {
        Problem::new(format!(
            "line {number} is no list of arguments: {why}; {pushed} jobs before it were pushed"
        ))
        .hint("a line a job, such as `[7, \"text\"]`")
    };
    match parsed {
        Ok(args) if args.get().starts_with('[') => Ok(args),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_written_as_ruby_writes_them_and_no_number_is_changed() {
        for (said, written) in [
            (
                r#" { "b" : [ 1.50 , 123456789012345678901234567890 ], "a" : "x y\"" } "#,
                r#"{"b":[1.50,123456789012345678901234567890],"a":"x y\""}"#,
            ),
            (r#""\u00e9\/\u001f""#, r#""é/\u001f""#),
            ("-0.5", "-0.5"),
            (r#""""#, r#""""#),
        ] {
            assert_eq!(parsed(said).map_err(|_| ()).unwrap().get(), written);
        }
        for wrong in ["x", "", "1 2", "[1"] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }
}
