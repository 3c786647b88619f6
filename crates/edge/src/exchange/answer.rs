//! The answer on its way back to the client.

use std::fmt;

use bytes::Bytes;
use http::header::{DATE, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};

use super::lines::{OwnLines, field_lines};
use super::{Body, Lent, Upgraded};
use crate::error::Error;

/// What a client gets. Hop-by-hop fields are already gone; framing is the business of `listen`.
pub struct Answer {
    /// Status; 1xx only for a `101` with `upgrade`.
    pub status: StatusCode,
    /// Fields as they lie in a stored object, serialised once: `name: value\r\n` lines, names in
    /// lower case, without `content-length`. The HTTP/1 writer copies them as they are, so that a hit
    /// builds no map; whoever must change one of them calls [`Answer::fields_mut`].
    pub lines: Bytes,
    /// Fields that are not in `lines`. A `content-length` counts here only if there is no content to
    /// count (HEAD, 304).
    pub fields: HeaderMap,
    /// Field lines that the edge adds behind all others: age, `Cache-Status`, request id, date.
    pub own: OwnLines,
    /// Content.
    pub body: Body,
    /// A second copy of stored content that the body may be made of.
    pub twin: Option<Lent>,
    /// Where a `101` leads.
    pub upgrade: Option<Upgraded>,
}

impl Answer {
    /// A `200` with this content and no fields.
    pub fn new(body: impl Into<Body>) -> Answer {
        Answer {
            status: StatusCode::OK,
            lines: Bytes::new(),
            fields: HeaderMap::new(),
            own: OwnLines::default(),
            body: body.into(),
            twin: None,
            upgrade: None,
        }
    }

    /// The same with another status.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Answer {
        self.status = status;
        self
    }

    /// The same with one more field.
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: HeaderValue) -> Answer {
        self.fields.insert(name, value);
        self
    }

    /// All fields as a map, to change them: `lines` and `own` are moved into it, in the order in which
    /// they would be written.
    pub fn fields_mut(&mut self) -> &mut HeaderMap {
        if !self.lines.is_empty() {
            let lines = std::mem::take(&mut self.lines);
            let later = std::mem::take(&mut self.fields);
            self.fields.reserve(FIELDS_OF_A_STORED_ANSWER + later.len());
            append(&mut self.fields, &lines);
            for (name, value) in &later {
                self.fields.append(name, value.clone());
            }
        }
        if !self.own.as_bytes().is_empty() {
            let own: Bytes = std::mem::take(&mut self.own).into();
            for (name, mut value) in field_lines(&own) {
                // Another value in every answer: a compression table full of them (RFC 7541 §2.3.2)
                // would hold nothing that is ever found again.
                value.set_sensitive(name != DATE);
                self.fields.append(name, value);
            }
        }
        &mut self.fields
    }

    /// The first value of a field, wherever it lies.
    pub fn field(&self, name: &HeaderName) -> Option<HeaderValue> {
        self.fields
            .get(name)
            .cloned()
            .or_else(|| field_lines(&self.lines).find(|(n, _)| n == name).map(|(_, value)| value))
    }
}

/// Room for the fields of a usual stored answer and our own, so that the map grows once.
const FIELDS_OF_A_STORED_ANSWER: usize = 12;

fn append(fields: &mut HeaderMap, lines: &Bytes) {
    for (name, value) in field_lines(lines) {
        fields.append(name, value);
    }
}

impl From<&Error> for Answer {
    /// The plain form; `route` may put an error page of the site in its place.
    fn from(error: &Error) -> Answer {
        let facts = error.facts();
        Answer::new(format!("{} {}\n", facts.status.as_u16(), facts.sentence))
            .with_status(facts.status)
            .with(http::header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"))
            .with(FOREBAY_ERROR, HeaderValue::from_static(facts.label))
            .with(http::header::CACHE_CONTROL, HeaderValue::from_static("no-store"))
    }
}

impl From<Answer> for Response<Body> {
    fn from(mut answer: Answer) -> Response<Body> {
        answer.fields_mut();
        let mut response = Response::new(answer.body);
        *response.status_mut() = answer.status;
        *response.headers_mut() = answer.fields;
        response
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Answer({}, {:?}, {:?})", self.status, self.fields, self.body)
    }
}

/// Names the kind of error an answer of ours stands for.
pub const FOREBAY_ERROR: HeaderName = HeaderName::from_static("forebay-error");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_lines_become_a_map_when_somebody_must_change_them() {
        let mut answer = Answer::new("x");
        answer.lines = Bytes::from_static(b"etag: \"a\"\r\nempty: \r\nvary: accept\r\nvary: b\r\n");
        let etag = answer.field(&http::header::ETAG).expect("it is in the lines");
        assert_eq!(etag, "\"a\"");
        let fields = answer.fields_mut();
        assert_eq!(fields.get_all("vary").iter().count(), 2);
        assert_eq!(fields["empty"], "");
        assert!(answer.lines.is_empty());
    }

    #[test]
    fn our_own_lines_stand_behind_those_of_the_origin() {
        let mut answer = Answer::new("x").with(CACHE_STATUS, HeaderValue::from_static("second"));
        answer.lines = Bytes::from_static(b"cache-status: first\r\n");
        answer.own.push("cache-status", |out| out.extend_from_slice(b"third"));
        let all: Vec<_> = answer.fields_mut().get_all(CACHE_STATUS).iter().cloned().collect();
        assert_eq!(all, ["first", "second", "third"]);
    }

    const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
}
