//! Conditional requests (RFC 9110 §13, RFC 9111 §4.3): the client's, answered from a stored answer, and
//! ours, by which the origin confirms one.

use std::time::{Duration, SystemTime};

use http::header::{
    CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderMap,
    HeaderName, HeaderValue, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    IF_UNMODIFIED_SINCE, LAST_MODIFIED, RANGE,
};

use super::dates::parse_date;

/// What a stored answer can be recognised by: the values of its fields, as they were sent.
#[derive(Debug, Clone, Copy, Default)]
pub struct Validators<'a> {
    /// `ETag`.
    pub etag: Option<&'a [u8]>,
    /// `Last-Modified`.
    pub last_modified: Option<&'a [u8]>,
    /// `Date`.
    pub date: Option<&'a [u8]>,
}

impl<'a> Validators<'a> {
    /// Those of an answer.
    pub fn of(fields: &'a HeaderMap) -> Validators<'a> {
        let value = |name| fields.get(name).map(HeaderValue::as_bytes);
        Validators {
            etag: value(http::header::ETAG),
            last_modified: value(LAST_MODIFIED),
            date: value(http::header::DATE),
        }
    }

    /// True if there is anything to ask the origin with.
    pub fn can_validate(&self) -> bool {
        self.etag.is_some() || self.last_modified.is_some()
    }
}

/// Does the client hold what is stored, so that a 304 is enough? For a stored 200 and GET or HEAD only.
/// `If-Match` and `If-Unmodified-Since` are not for caches (RFC 9111 §4.3.2).
pub fn is_not_modified(fields: &HeaderMap, stored: &Validators<'_>, now: SystemTime) -> bool {
    let mut tags = fields.get_all(IF_NONE_MATCH).iter().peekable();
    if tags.peek().is_some() {
        // With If-None-Match there, If-Modified-Since is not looked at (RFC 9110 §13.1.3).
        return tags.any(|line| none_match_holds(line.as_bytes(), stored.etag));
    }
    let Some(since) = fields.get(IF_MODIFIED_SINCE).map(HeaderValue::as_bytes) else {
        return false;
    };
    // Without Last-Modified the date of the answer stands in (RFC 9111 §4.3.2).
    let Some(modified) = stored.last_modified.or(stored.date) else { return false };
    if since == modified {
        return parse_date(since, now).is_some();
    }
    match (parse_date(since, now), parse_date(modified, now)) {
        (Some(since), Some(modified)) => modified <= since,
        _ => false,
    }
}

/// True if `line` names the stored tag, by weak comparison (RFC 9110 §8.8.3.2), or is `*`.
pub fn none_match_holds(line: &[u8], etag: Option<&[u8]>) -> bool {
    let line = line.trim_ascii();
    if line == b"*" {
        return true;
    }
    let Some(etag) = etag else { return false };
    // Tags without quotes are no tags; yet a client that returns what we gave it means that.
    line == etag || opaque(etag).is_some_and(|ours| tags(line).any(|theirs| theirs == ours))
}

/// May a `Range` be answered from what is stored (RFC 9110 §13.1.5)? Without `If-Range` it may.
pub fn range_applies(fields: &HeaderMap, stored: &Validators<'_>, now: SystemTime) -> bool {
    let mut conditions = fields.get_all(IF_RANGE).iter();
    let Some(condition) = conditions.next().map(|line| line.as_bytes().trim_ascii()) else {
        return true;
    };
    if conditions.next().is_some() {
        return false;
    }
    if condition.starts_with(b"\"") {
        return stored.etag == Some(condition) && opaque(condition).is_some();
    }
    stored.last_modified == Some(condition) && is_strong_date(stored, now)
}

/// A `Last-Modified` at least a second before `Date` stands for one state only (RFC 9110 §8.8.2.2).
fn is_strong_date(stored: &Validators<'_>, now: SystemTime) -> bool {
    let parsed = |text: Option<&[u8]>| text.and_then(|text| parse_date(text, now));
    match (parsed(stored.last_modified), parsed(stored.date)) {
        (Some(modified), Some(date)) => {
            date.duration_since(modified).is_ok_and(|gap| gap >= Duration::from_secs(1))
        }
        _ => false,
    }
}

/// Conditions and ranges of a client: not for a fill, which wants the whole.
pub const CONDITIONS: [HeaderName; 6] =
    [IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE, IF_RANGE, RANGE];

/// Makes a request one that fills the cache: the client's conditions and range are gone.
pub fn strip_conditions(fields: &mut HeaderMap) {
    for name in CONDITIONS {
        fields.remove(name);
    }
}

/// Makes a request one that validates what is stored (RFC 9111 §4.3.1).
pub fn add_validators(fields: &mut HeaderMap, stored: &Validators<'_>) {
    strip_conditions(fields);
    for (name, value) in [(IF_NONE_MATCH, stored.etag), (IF_MODIFIED_SINCE, stored.last_modified)] {
        // What came in as a field value goes out as one.
        if let Some(Ok(value)) = value.map(HeaderValue::from_bytes) {
            fields.insert(name, value);
        }
    }
}

/// May a field of the stored 200 stand in a 304 made of it (RFC 9110 §15.4.5)? What describes the
/// content stays away, unless it is all there is to recognise it by.
pub fn belongs_to_not_modified(name: &HeaderName, has_etag: bool) -> bool {
    const OF_CONTENT: [HeaderName; 5] =
        [CONTENT_TYPE, CONTENT_LENGTH, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_RANGE];
    !OF_CONTENT.contains(name) && (*name != LAST_MODIFIED || !has_etag)
}

/// Is this a strong tag (RFC 9110 §8.8.3)?
pub fn is_strong(etag: &[u8]) -> bool {
    etag.starts_with(b"\"") && opaque(etag).is_some()
}

/// Is this a tag at all, weak or strong?
pub fn is_tag(etag: &[u8]) -> bool {
    opaque(etag).is_some()
}

/// Opaque part of one tag, quotes included; weak or strong.
fn opaque(etag: &[u8]) -> Option<&[u8]> {
    let etag = etag.strip_prefix(b"W/").unwrap_or(etag);
    let inner = etag.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    (!inner.contains(&b'"')).then_some(etag)
}

/// Opaque parts of a list of tags; ends where the list is malformed.
fn tags(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = line;
    std::iter::from_fn(move || {
        let start = rest.iter().position(|byte| !matches!(byte, b',' | b' ' | b'\t'))?;
        let tag = rest.get(start..)?;
        let tag = tag.strip_prefix(b"W/").unwrap_or(tag);
        let inner = tag.strip_prefix(b"\"")?;
        let end = memchr::memchr(b'"', inner)? + 2;
        rest = tag.get(end..)?;
        tag.get(..end)
    })
}
