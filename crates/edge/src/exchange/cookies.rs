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

/// The first value of a cookie.
pub fn cookie<'f>(fields: &'f HeaderMap, name: &str) -> Option<&'f [u8]> {
    cookies(fields).find(|(known, _)| *known == name.as_bytes()).map(|(_, value)| value)
}

/// Takes a cookie out of a request, every one of its name, and returns the first value.
pub fn take_cookie(fields: &mut HeaderMap, name: &str) -> Option<Vec<u8>> {
    let value = cookie(fields, name)?.to_vec();
    let kept = |pair: &&[u8]| {
        let end = memchr::memchr(b'=', pair).unwrap_or(pair.len());
        let known = pair.get(..end).unwrap_or_default().trim_ascii();
        known != name.as_bytes() && !pair.trim_ascii().is_empty()
    };
    let mut lines = Vec::new();
    for line in fields.get_all(COOKIE) {
        let pairs = line.as_bytes().split(|byte| *byte == b';').filter(kept);
        let pairs: Vec<&[u8]> = pairs.map(<[u8]>::trim_ascii).collect();
        // Pieces of a valid value are valid.
        let line = HeaderValue::from_bytes(&pairs.join(&b"; "[..]));
        lines.extend(line.ok().filter(|line| !line.is_empty()));
    }
    fields.remove(COOKIE);
    for line in lines {
        fields.append(COOKIE, line);
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_that_is_taken_leaves_the_others_as_they_were() {
        let mut fields = HeaderMap::new();
        for line in ["a=1; mine=x; b=2", "mine=y", "c; ;minefield=3"] {
            fields.append(COOKIE, HeaderValue::from_static(line));
        }
        assert_eq!(take_cookie(&mut fields, "mine").as_deref(), Some(&b"x"[..]));
        let left: Vec<_> = fields.get_all(COOKIE).iter().collect();
        assert_eq!(left, ["a=1; b=2", "c; minefield=3"]);
        assert_eq!(take_cookie(&mut fields, "mine"), None);
        let mut alone = HeaderMap::from_iter([(COOKIE, HeaderValue::from_static("mine=x"))]);
        take_cookie(&mut alone, "mine");
        assert!(alone.is_empty(), "a request without cookies may be shared");
    }
}
