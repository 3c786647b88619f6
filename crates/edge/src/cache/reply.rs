//! From a stored object to the answer that this client gets: 200, 206, 304 or 416.

use std::ops::Range;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use forebay_signals::clock;
use http::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, RANGE,
};
use http::{Method, StatusCode};

use super::rules::conditional::{
    Validators, belongs_to_not_modified, is_not_modified, range_applies,
};
use super::rules::multipart::{Piece, layout};
use super::rules::range::{self, Selection};
use super::store::Object;
use crate::exchange::{Answer, Body, Chain};
use crate::identity;

/// Answers `method` with these fields from `object`, which is `age` old. `held` is asked for a tag of the
/// same content in another encoding that the client holds and takes: then that is what it is answered for.
pub fn from_object(
    method: &Method,
    fields: &HeaderMap,
    object: &Object,
    age: Duration,
    held: impl FnOnce() -> Option<HeaderValue>,
) -> Answer {
    let mut answer = Answer::new(Body::Empty).with_status(object.status());
    answer.own.push("age", |out| {
        out.extend_from_slice(itoa::Buffer::new().format(age.as_secs()).as_bytes());
    });
    if object.status() == StatusCode::OK && has_condition(fields) {
        let stored_fields = object.fields();
        let stored = Validators::of(&stored_fields);
        // Every clock value comes late enough for a look at the wall: conditions are rare on a hit.
        let now = clock::wall();
        if is_not_modified(fields, &stored, now) {
            return not_modified(answer, &stored_fields);
        }
        if let Some(tag) = held() {
            let mut answer = not_modified(answer, &stored_fields);
            answer.fields.insert(ETAG, tag);
            return answer;
        }
        if *method == Method::GET && fields.contains_key(RANGE) {
            return ranged(answer, fields, object, &stored, now);
        }
    }
    if let Some(twin) = object.twin() {
        answer.twin = twin.lend();
    }
    answer.lines = object.lines();
    if *method == Method::HEAD {
        answer.fields.insert(CONTENT_LENGTH, HeaderValue::from(object.body_len()));
    } else {
        answer.body = object.body().into();
    }
    answer
}

fn has_condition(fields: &HeaderMap) -> bool {
    use http::header::{IF_MODIFIED_SINCE, IF_NONE_MATCH};
    // One look at the names: three searches cost a hit more.
    fields.keys().any(|name| *name == IF_NONE_MATCH || *name == IF_MODIFIED_SINCE || *name == RANGE)
}

/// A 304 with the fields that RFC 9110 §15.4.5 asks for.
pub fn not_modified(mut answer: Answer, stored: &HeaderMap) -> Answer {
    let has_etag = stored.contains_key(http::header::ETAG);
    answer.status = StatusCode::NOT_MODIFIED;
    for (name, value) in stored {
        if belongs_to_not_modified(name, has_etag) {
            answer.fields.append(name, value.clone());
        }
    }
    answer
}

fn ranged(
    mut answer: Answer,
    fields: &HeaderMap,
    object: &Object,
    stored: &Validators<'_>,
    now: SystemTime,
) -> Answer {
    let length = object.body_len();
    let selection = if range_applies(fields, stored, now) {
        range::select(fields, length)
    } else {
        Selection::Whole
    };
    if let Some(twin) = object.twin() {
        answer.twin = twin.lend();
    }
    answer.lines = object.lines();
    let body = object.body();
    match selection {
        Selection::Whole => answer.body = body.into(),
        Selection::One(part) => {
            answer.status = StatusCode::PARTIAL_CONTENT;
            answer.fields.insert(CONTENT_RANGE, range::content_range(&part, length));
            answer.body = slice(&body, &part).into();
        }
        Selection::Several(parts) => {
            answer.status = StatusCode::PARTIAL_CONTENT;
            several(&mut answer, &parts, length, |part| slice(&body, part).into());
        }
        Selection::Unsatisfiable => {
            answer.status = StatusCode::RANGE_NOT_SATISFIABLE;
            answer.lines = Bytes::new();
            answer.fields.insert(CONTENT_RANGE, range::content_range_unsatisfied(length));
            answer.fields.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        }
    }
    answer
}

/// Several parts of content that has `length` bytes. The parts are slices of it: a client that asks for much
/// and reads little costs no copy.
pub fn several(
    answer: &mut Answer,
    parts: &[Range<u64>],
    length: u64,
    slice: impl Fn(&Range<u64>) -> Body,
) {
    let content_type = answer.fields_mut().remove(CONTENT_TYPE);
    let boundary = identity::new_id();
    let boundary = std::str::from_utf8(&boundary).unwrap_or("forebay");
    let multipart = layout(parts, length, content_type.as_ref(), boundary);
    let pieces = multipart.pieces.into_iter().map(|piece| match piece {
        Piece::Text(text) => text.into(),
        Piece::Slice(part) => slice(&part),
    });
    answer.body = Body::stream(Chain::new(pieces.collect(), multipart.length));
    answer.fields.insert(CONTENT_TYPE, multipart.content_type);
}

fn slice(body: &Bytes, part: &Range<u64>) -> Bytes {
    let at = |offset: u64| usize::try_from(offset).map_or(body.len(), |at| at.min(body.len()));
    body.slice(at(part.start)..at(part.end).max(at(part.start)))
}
