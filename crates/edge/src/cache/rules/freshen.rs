//! What a 304 does to a stored answer (RFC 9111 §3.2, §4.3.4).

use http::header::{
    AGE, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, DATE, ETAG,
    HeaderMap, HeaderName, HeaderValue, LAST_MODIFIED, SET_COOKIE,
};

use super::conditional::{Validators, is_strong, none_match_holds};
use super::directives::members;
use super::store::HOP_BY_HOP;

/// Does the 304 speak of what is stored? If not, the stored answer must not be updated by it; the
/// request has to be sent again without conditions.
pub fn confirms(stored: &Validators<'_>, not_modified: &HeaderMap) -> bool {
    let fresh = Validators::of(not_modified);
    match (fresh.etag, stored.etag) {
        (Some(fresh), Some(stored)) if is_strong(fresh) => fresh == stored,
        (Some(fresh), Some(stored)) => none_match_holds(fresh, Some(stored)),
        (Some(_), None) => false,
        (None, _) => match (fresh.last_modified, stored.last_modified) {
            (Some(fresh), Some(stored)) => fresh == stored,
            // It names none: there was one stored answer, and it was asked about that one.
            _ => true,
        },
    }
}

/// Fields of the stored answer after a 304 that [`confirms`] it. Ask [`super::may_store`] again with
/// them, a status of 200 and the arrival of the 304: what it grants replaces the old freshness, and if
/// it refuses, the stored answer has to go.
pub fn freshen(stored: &HeaderMap, not_modified: &HeaderMap) -> HeaderMap {
    let named: Vec<HeaderName> = not_modified
        .get_all(CONNECTION)
        .iter()
        .flat_map(|line| members(line.as_bytes()))
        .filter_map(|name| HeaderName::from_bytes(name).ok())
        .collect();
    let updates = |name: &HeaderName| !named.contains(name) && may_update(name);
    let mut fields = stored.clone();
    // Age and Date belong to the message: where the 304 brings none, the old ones say nothing now.
    for name in [AGE, DATE].iter().chain(not_modified.keys().filter(|name| updates(name))) {
        fields.remove(name);
    }
    for (name, value) in not_modified.iter().filter(|(name, _)| updates(name)) {
        fields.append(name.clone(), value.clone());
    }
    fields
}

/// Content and its framing stay as they are stored; a cookie in a 304 is for the one who asked.
fn may_update(name: &HeaderName) -> bool {
    const FIXED: [HeaderName; 5] =
        [CONTENT_LENGTH, CONTENT_ENCODING, CONTENT_TYPE, CONTENT_RANGE, SET_COOKIE];
    !FIXED.contains(name) && !HOP_BY_HOP.contains(name)
}

/// Values of `ETag` and `Last-Modified` to keep beside the object.
pub fn kept_validators(fields: &HeaderMap) -> (Option<HeaderValue>, Option<HeaderValue>) {
    (fields.get(ETAG).cloned(), fields.get(LAST_MODIFIED).cloned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut fields = HeaderMap::new();
        for (name, value) in lines {
            fields.append(*name, HeaderValue::from_static(value));
        }
        fields
    }

    #[test]
    fn a_304_updates_what_it_brings_and_never_the_content() {
        let stored = fields(&[
            ("date", "old"),
            ("age", "9"),
            ("content-length", "5"),
            ("content-type", "text/plain"),
            ("content-encoding", "gzip"),
            ("cache-control", "max-age=1"),
            ("link", "a"),
            ("link", "b"),
            ("x-kept", "1"),
            ("x-hop", "old"),
        ]);
        let update = fields(&[
            ("date", "new"),
            ("content-length", "0"),
            ("content-type", "text/html"),
            ("content-encoding", "br"),
            ("content-range", "bytes 0-1/2"),
            ("cache-control", "max-age=2"),
            ("link", "c"),
            ("set-cookie", "session=a"),
            ("connection", "x-hop, close"),
            ("x-hop", "new"),
            ("keep-alive", "timeout=5"),
            ("x-new", "1"),
        ]);
        let expected = fields(&[
            ("date", "new"),
            ("content-length", "5"),
            ("content-type", "text/plain"),
            ("content-encoding", "gzip"),
            ("cache-control", "max-age=2"),
            ("link", "c"),
            ("x-kept", "1"),
            ("x-hop", "old"),
            ("x-new", "1"),
        ]);
        assert_eq!(freshen(&stored, &update), expected);
        assert!(!freshen(&stored, &HeaderMap::new()).contains_key(DATE));
    }

    #[test]
    fn a_304_for_another_answer_confirms_nothing() {
        let check = |stored: &[(&'static str, &'static str)], fresh| {
            confirms(&Validators::of(&fields(stored)), &fields(fresh))
        };
        assert!(check(&[("etag", "\"a\"")], &[("etag", "\"a\"")]));
        assert!(!check(&[("etag", "\"a\"")], &[("etag", "\"b\"")]));
        assert!(!check(&[("etag", "W/\"a\"")], &[("etag", "\"a\"")]));
        assert!(check(&[("etag", "\"a\"")], &[("etag", "W/\"a\"")]));
        assert!(check(&[("etag", "\"a\"")], &[]));
        assert!(!check(&[("last-modified", "x")], &[("etag", "\"a\"")]));
        assert!(check(&[("last-modified", "x")], &[("last-modified", "x")]));
        assert!(!check(&[("last-modified", "x")], &[("last-modified", "y")]));
    }
}
