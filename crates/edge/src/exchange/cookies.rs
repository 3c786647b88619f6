//! Cookies of a request.

use http::header::{COOKIE, HeaderMap, HeaderValue};

/// Cookies, name and value, in order. Every `Cookie` line is read: HTTP/2 may send each cookie by itself
/// (RFC 9113 §8.2.3). What has no `=` is a name without a value.
pub fn cookies(fields: &HeaderMap) -> impl Iterator<Item = (&[u8], &[u8])> {
    let lines = fields.get_all(COOKIE).into_iter().map(HeaderValue::as_bytes);
    lines.flat_map(|line| line.split(|byte| *byte == b';')).filter_map(|pair| {
        let pair = pair.trim_ascii();
        let at = memchr::memchr(b'=', pair).unwrap_or(pair.len());
        let (name, rest) = pair.split_at_checked(at)?;
        (!pair.is_empty()).then(|| (name.trim_ascii(), rest.get(1..).unwrap_or_default()))
    })
}
