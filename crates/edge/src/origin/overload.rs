//! How an answer says that its server has too much to do.

use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderName, StatusCode};

/// Envoy's mark on what it refuses to protect what is behind it.
const X_ENVOY_OVERLOADED: HeaderName = HeaderName::from_static("x-envoy-overloaded");
/// A server that asks for longer than this is closed, and not overloaded.
const SHORT: Duration = Duration::from_secs(60);

/// True if the server took this request for one too many.
pub(super) fn is_refusal(status: StatusCode, fields: &HeaderMap) -> bool {
    status == StatusCode::SERVICE_UNAVAILABLE
        && retry_after(fields).is_none_or(|pause| pause <= SHORT)
}

/// True if another server must not be asked either: the answer says when to come again, or that it is the
/// load which speaks. Asking around is how one server's overload becomes that of all.
pub(super) fn forbids_retry(status: StatusCode, fields: &HeaderMap) -> bool {
    let is_marked = fields.contains_key(RETRY_AFTER) || fields.contains_key(X_ENVOY_OVERLOADED);
    is_marked && matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS)
}

/// Seconds of `Retry-After`; its form of a date is one of planned work (RFC 9110 §10.2.3).
fn retry_after(fields: &HeaderMap) -> Option<Duration> {
    let value = fields.get(RETRY_AFTER)?;
    let seconds = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    Some(seconds.map_or(Duration::MAX, Duration::from_secs))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(status: u16, pause: Option<&'static str>) -> (bool, bool) {
        let mut fields = HeaderMap::new();
        fields.extend(pause.map(|pause| (RETRY_AFTER, http::HeaderValue::from_static(pause))));
        let status = StatusCode::from_u16(status).expect("a status");
        (is_refusal(status, &fields), forbids_retry(status, &fields))
    }

    #[test]
    fn overload_is_told_from_planned_work_and_from_faults() {
        assert_eq!(said(503, None), (true, false));
        assert_eq!(said(503, Some("1")), (true, true));
        assert_eq!(said(503, Some("3600")), (false, true));
        assert_eq!(said(503, Some("Wed, 21 Oct 2026 07:28:00 GMT")), (false, true));
        assert_eq!(said(429, Some("1")), (false, true), "one client's, not the load");
        assert_eq!(said(500, Some("1")), (false, false));
        assert_eq!(said(200, None), (false, false));
    }
}
