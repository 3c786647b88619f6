//! Answers: caching fields, validators, conditional requests.

use std::time::SystemTime;

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderName, HeaderValue,
    IF_NONE_MATCH, LINK, LOCATION, REFERRER_POLICY, SET_COOKIE, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, Response, StatusCode};
use http_body_util::{Either, Full};

use crate::assets::{ASSETS, fingerprint};
use crate::events::Events;

/// Content: a page at hand, or an event stream.
pub(crate) type Content = Either<Full<Bytes>, Events>;

/// Who may keep an answer, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// The same for everybody: ten seconds in shared caches, stale while it is made anew, a day
    /// when no origin answers. Browsers ask each time.
    Page,
    /// As a page, five seconds, and not without an origin.
    Data,
    /// Its name changes with its content.
    Forever,
    /// Somebody's own.
    Private,
}

impl Keep {
    fn cache_control(self) -> &'static str {
        match self {
            Keep::Page => "public, s-maxage=10, stale-while-revalidate=30, stale-if-error=86400",
            Keep::Data => "public, s-maxage=5",
            Keep::Forever => "public, max-age=31536000, immutable",
            Keep::Private => "private, no-store",
        }
    }
}

/// Tags of an answer, separated by blanks.
const SURROGATE_KEY: HeaderName = HeaderName::from_static("surrogate-key");

/// HTML, JavaScript and pictures come from here, and nowhere else.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
    connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// An answer with content.
pub(crate) fn of(
    keep: Keep,
    media_type: &'static str,
    content: impl Into<Bytes>,
) -> Response<Content> {
    let mut answer = Response::new(Either::Left(Full::new(content.into())));
    let fields = answer.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    fields.insert(CACHE_CONTROL, HeaderValue::from_static(keep.cache_control()));
    fields.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if media_type.starts_with("text/html") {
        fields.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
        fields.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
        // What every page loads, for whoever stands between and has the time to say so.
        if let Ok(links) = HeaderValue::from_str(&ASSETS.links()) {
            fields.insert(LINK, links);
        }
    }
    if keep != Keep::Private {
        fields.insert(VARY, HeaderValue::from_static("accept-encoding"));
    }
    answer
}

/// "See there" after a form (RFC 9110 §15.4.4).
pub(crate) fn see(place: &'static str) -> Response<Content> {
    let mut answer = of(Keep::Private, "text/plain; charset=utf-8", "see there\n");
    *answer.status_mut() = StatusCode::SEE_OTHER;
    answer.headers_mut().insert(LOCATION, HeaderValue::from_static(place));
    answer
}

/// The same with another status.
pub(crate) fn with_status(mut answer: Response<Content>, status: StatusCode) -> Response<Content> {
    *answer.status_mut() = status;
    answer
}

/// The same with tags, under which caches that know them drop it when what it shows has changed.
pub(crate) fn with_tags(mut answer: Response<Content>, tags: &str) -> Response<Content> {
    if let Ok(tags) = HeaderValue::from_str(tags) {
        answer.headers_mut().insert(SURROGATE_KEY, tags);
    }
    answer
}

/// The same with a cookie; a value that no field may hold is left out.
pub(crate) fn with_cookie(mut answer: Response<Content>, cookie: &str) -> Response<Content> {
    if let Ok(cookie) = HeaderValue::from_str(cookie) {
        answer.headers_mut().append(SET_COOKIE, cookie);
    }
    answer
}

/// Which state of the shop an answer shows: same text, same answer.
///
/// It is weak, for the origin's name and the time of making differ while the meaning is the same.
pub(crate) fn validator(parts: &[&str]) -> String {
    format!("W/\"{}\"", fingerprint(parts.join("\0").as_bytes()))
}

/// Adds the validator, and turns the answer into a 304 for whoever has it already.
pub(crate) fn validated(
    mut answer: Response<Content>,
    validator: &str,
    asked: &HeaderMap,
) -> Response<Content> {
    if let Ok(etag) = HeaderValue::from_str(validator) {
        answer.headers_mut().insert(ETAG, etag);
    }
    if is_held(asked, validator) {
        answer.headers_mut().remove(CONTENT_TYPE);
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
        *answer.body_mut() = Either::Left(Full::default());
    }
    answer
}

/// Weak comparison with `If-None-Match` (RFC 9110 §13.1.2).
fn is_held(asked: &HeaderMap, validator: &str) -> bool {
    let opaque = validator.trim_start_matches("W/");
    asked.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok()).any(|value| {
        value
            .split(',')
            .map(str::trim)
            .any(|tag| tag == "*" || tag.trim_start_matches("W/") == opaque)
    })
}

/// A time as `2026-01-31T12:00:00Z` for `<time datetime>`, made from the IMF-fixdate.
pub(crate) fn machine_time(now: SystemTime) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let text = httpdate::fmt_http_date(now);
    let mut words = text.split(' ').skip(1);
    let mut next = || words.next().unwrap_or_default();
    let (day, month, year, time) = (next(), next(), next(), next());
    let month = MONTHS.iter().position(|name| *name == month).map_or(1, |index| index + 1);
    format!("{year}-{month:02}-{day}T{time}Z")
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn a_held_validator_compares_weakly_and_in_lists() {
        let asked = |value: &'static str| {
            HeaderMap::from_iter([(IF_NONE_MATCH, HeaderValue::from_static(value))])
        };
        assert!(is_held(&asked("\"a\", W/\"b\""), "W/\"a\""));
        assert!(is_held(&asked("*"), "W/\"a\""));
        assert!(!is_held(&asked("W/\"b\""), "W/\"a\""));
        assert!(!is_held(&HeaderMap::new(), "W/\"a\""));
    }

    #[test]
    fn machine_time_is_sortable() {
        let time = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        assert_eq!(machine_time(time), "2023-11-14T22:13:20Z");
    }
}
