//! Answers of the server, read as what they should be. What is in a key is foreign: nothing is taken for
//! granted.

use std::sync::Arc;

use bytes::Bytes;
use forebay_redis::Value;
use forebay_redis::connect::Error;

use super::super::{Entry, StoreError};
use crate::time::Moment;

/// An answer that makes no sense.
#[derive(Debug, Clone, thiserror::Error)]
#[error("Redis answered `{0}` where {1} belongs")]
struct Strange(String, &'static str);

impl From<Error> for StoreError {
    fn from(error: Error) -> StoreError {
        match &error {
            Error::Full(_) => StoreError::Full(Arc::new(error)),
            Error::ReadOnly(_) => StoreError::ReadOnly(Arc::new(error)),
            Error::Refused(_) => StoreError::Broken(Arc::new(error)),
            // And whatever else there may be: the careful reading is that it may have been done.
            _ => StoreError::Away(Arc::new(error)),
        }
    }
}

pub(super) fn strange(value: &Value, expected: &'static str) -> StoreError {
    let mut shown = format!("{value:?}");
    if let Some((end, _)) = shown.char_indices().nth(80) {
        shown.truncate(end);
    }
    StoreError::Broken(Arc::new(Strange(shown, expected)))
}

/// A number: as such, or in digits.
pub(super) fn number(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        Value::Boolean(it) => Some(i64::from(*it)),
        Value::BulkString(text) => std::str::from_utf8(text).ok()?.trim().parse().ok(),
        _ => None,
    }
}

/// How many there are; nothing where another kind of value lies in a key of that name.
pub(super) fn count(value: Option<&Value>) -> u64 {
    value.and_then(number).and_then(|it| u64::try_from(it).ok()).unwrap_or(0)
}

pub(super) fn is_true(value: &Value) -> bool {
    number(value).is_some_and(|it| it != 0)
}

pub(super) fn bytes(value: Value) -> Option<Bytes> {
    match value {
        Value::BulkString(bytes) => Some(bytes.into()),
        Value::SimpleString(text) => Some(text.into()),
        _ => None,
    }
}

pub(super) fn text(value: Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

pub(super) fn score(value: &Value) -> Option<Moment> {
    match value {
        Value::Double(seconds) => Some(Moment::from_score(*seconds)),
        Value::BulkString(text) => {
            let seconds = std::str::from_utf8(text).ok()?.parse().ok()?;
            Some(Moment::from_score(seconds))
        }
        _ => None,
    }
}

/// A list, whatever kind it is; of a map its keys and values by turns.
pub(super) fn list(value: Value) -> Vec<Value> {
    match value {
        Value::Array(values) | Value::Set(values) => values,
        Value::Map(pairs) => pairs.into_iter().flat_map(|(key, value)| [key, value]).collect(),
        _ => Vec::new(),
    }
}

/// Texts; what is none is left out.
pub(super) fn texts(value: Value) -> Vec<String> {
    list(value).into_iter().filter_map(text).collect()
}

/// Members of a sorted set with their scores: flat, or in pairs.
pub(super) fn entries(value: Value) -> Vec<Entry> {
    let mut flat = Vec::new();
    for value in list(value) {
        match value {
            Value::Array(pair) => flat.extend(pair),
            other => flat.push(other),
        }
    }
    let mut entries = Vec::with_capacity(flat.len() / 2);
    let mut flat = flat.into_iter();
    while let (Some(member), Some(at)) = (flat.next(), flat.next()) {
        if let (Some(payload), Some(at)) = (bytes(member), score(&at)) {
            entries.push(Entry { at, payload });
        }
    }
    entries
}
