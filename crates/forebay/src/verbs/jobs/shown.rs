//! A job as it is shown.

use forebay_jobs::job::Job;
use forebay_jobs::retry::backtrace_of;
use forebay_jobs::time::Moment;
use serde_json::{Map, Value as Json, json};

/// Longest list of arguments in a line.
const ARGS_CHARS: usize = 60;
/// Longest message in a line.
const MESSAGE_CHARS: usize = 100;

/// As JSON: where it is, and its payload. What is no job is shown as the text that it is.
pub(super) fn as_json(place: &str, at: Option<Moment>, payload: &[u8]) -> Json {
    let mut shown = Map::new();
    shown.insert("in".into(), place.into());
    if let Some(at) = at {
        shown.insert("at".into(), json!(at.as_score()));
    }
    let job = serde_json::from_slice::<Json>(payload);
    let text = || Json::from(String::from_utf8_lossy(payload).into_owned());
    shown.insert("job".into(), job.unwrap_or_else(|_| text()));
    if let Some(backtrace) = parse(payload).as_ref().and_then(backtrace_of) {
        shown.insert("backtrace".into(), backtrace.into());
    }
    Json::Object(shown)
}

/// As a line: id, class, arguments, and why it failed.
pub(super) fn line(payload: &[u8]) -> String {
    let Some(job) = parse(payload) else {
        let text = String::from_utf8_lossy(payload);
        return format!("{:<24}  no job: {}", "-", short(&text, ARGS_CHARS));
    };
    let args = String::from_utf8_lossy(job.args_json());
    let mut line = format!("{:<24}  {} {}", job.id(), job.class(), short(&args, ARGS_CHARS));
    if let Some(error) = text_of(&job, "error_class") {
        let message = text_of(&job, "error_message").unwrap_or_default();
        let message = short(&message, MESSAGE_CHARS);
        line = format!("{line}  failed {} x: {error}: {message}", job.failures());
    }
    line
}

pub(super) fn parse(payload: &[u8]) -> Option<Job> {
    Job::parse(bytes::Bytes::copy_from_slice(payload)).ok()
}

fn text_of(job: &Job, field: &str) -> Option<String> {
    serde_json::from_str(&job.field(field)?).ok()
}

/// Without what would move a terminal's cursor.
fn short(text: &str, most: usize) -> String {
    let mut chars = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut short: String = chars.by_ref().take(most).collect();
    if chars.next().is_some() {
        short.push('…');
    }
    short
}
