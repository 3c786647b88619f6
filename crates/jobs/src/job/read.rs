//! What a field of a payload says, in every form that was ever written.

use std::borrow::Cow;
use std::time::Duration;

use serde_json::Value;

use super::{Backtrace, DEFAULT_RETRIES, Malformed, Retry};
use crate::payload::Fields;
use crate::time::Moment;

/// Longest id; Sidekiq's have 24 digits, those of others pass too.
const MAX_ID_BYTES: usize = 255;
/// Longest name of a queue or class.
const MAX_NAME_BYTES: usize = 255;
/// Longest window or expiry: Sidekiq refuses more than 1e9 seconds.
const LONGEST: Duration = Duration::from_secs(1_000_000_000);

pub(super) fn name(
    fields: &Fields<'_>,
    field: &'static str,
) -> Result<Option<Box<str>>, Malformed> {
    let Some(json) = present(fields, field) else { return Ok(None) };
    let most = if field == "jid" { MAX_ID_BYTES } else { MAX_NAME_BYTES };
    match serde_json::from_str::<Cow<'_, str>>(json) {
        Ok(text) if !text.is_empty() && text.len() <= most => Ok(Some(text.into())),
        _ => Err(wrong(field, json, "a text of 1 to 255 bytes")),
    }
}

pub(super) fn retry(fields: &Fields<'_>) -> Result<Retry, Malformed> {
    match present(fields, "retry") {
        None => Ok(Retry::AsClass),
        Some("true") => Ok(Retry::Times(DEFAULT_RETRIES)),
        Some("false") => Ok(Retry::Never),
        Some(json) => match whole(json) {
            Some(times) => Ok(Retry::Times(times)),
            None => Err(wrong("retry", json, "true, false, null or a number of times")),
        },
    }
}

pub(super) fn backtrace(fields: &Fields<'_>) -> Result<Backtrace, Malformed> {
    match present(fields, "backtrace") {
        None | Some("false") => Ok(Backtrace::None),
        Some("true") => Ok(Backtrace::Lines(usize::MAX)),
        Some(json) => match whole(json) {
            Some(lines) => Ok(Backtrace::Lines(usize::try_from(lines).unwrap_or(usize::MAX))),
            None => Err(wrong("backtrace", json, "true, false or a number of lines")),
        },
    }
}

pub(super) fn count(fields: &Fields<'_>) -> Result<Option<u32>, Malformed> {
    let Some(json) = present(fields, "retry_count") else { return Ok(None) };
    // Ruby's Web UI gives a try back by counting down, from 0 too.
    if serde_json::from_str::<f64>(json).is_ok_and(|count| count < 0.0) {
        return Ok(None);
    }
    whole(json).map(Some).ok_or_else(|| wrong("retry_count", json, "a number of retries"))
}

pub(super) fn seconds(
    fields: &Fields<'_>,
    field: &'static str,
) -> Result<Option<Duration>, Malformed> {
    let Some(json) = present(fields, field) else { return Ok(None) };
    let seconds = serde_json::from_str::<f64>(json).ok();
    match seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()) {
        Some(duration) if duration <= LONGEST => Ok(Some(duration)),
        _ => Err(wrong(field, json, "a number of seconds of at most 1e9")),
    }
}

/// Times are shown and measured, and decide nothing that could harm: what says no time is none.
pub(super) fn moment(fields: &Fields<'_>, field: &str) -> Option<Moment> {
    let value: Value = serde_json::from_str(present(fields, field)?).ok()?;
    Moment::read(&value)
}

/// A number without sign; one that is beyond counting is very often. Ruby also writes `3.0`.
fn whole(json: &str) -> Option<u32> {
    let number: f64 = serde_json::from_str(json).ok()?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
    (number >= 0.0 && number.fract() == 0.0).then_some(number as u32)
}

fn present<'f>(fields: &'f Fields<'_>, field: &str) -> Option<&'f str> {
    fields.find(field).filter(|json| *json != "null")
}

pub(super) fn wrong(field: &'static str, json: &str, expected: &'static str) -> Malformed {
    const SHOWN: usize = 60;
    let mut found: String = json.chars().take(SHOWN).collect();
    if found.len() < json.len() {
        found.push('…');
    }
    Malformed::Wrong { field, found, expected }
}
