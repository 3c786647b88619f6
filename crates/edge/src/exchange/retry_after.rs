//! `Retry-After` (RFC 9110 §10.2.3).

use std::time::Duration;

use forebay_signals::clock;
use http::HeaderMap;
use http::header::RETRY_AFTER;

/// How long to wait from now on, told in seconds or as a date; a date that is past is no time at all.
pub fn retry_after(fields: &HeaderMap) -> Option<Duration> {
    let text = fields.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = httpdate::parse_http_date(text).ok()?;
    Some(at.duration_since(clock::wall()).unwrap_or_default())
}
