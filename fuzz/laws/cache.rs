//! What the cache reads of others.

use forebay_edge::cache::key::path::ambiguous_path;
use forebay_edge::cache::rules::dictionary;
use forebay_edge::cache::rules::directives::{
    AnswerDirectives, DELTA_MAX, RequestDirectives, Scope, members,
};
use forebay_edge::cache::rules::range::{MAX_RANGES, Selection, select_from};
use forebay_edge::exchange::cookies;
use http::header::{CACHE_CONTROL, COOKIE, HeaderMap};

/// A restriction is never lost by what stands behind it, and numbers stay within their bound.
pub(crate) fn cache_control(bytes: &[u8]) {
    let mut fields = HeaderMap::new();
    for value in super::values(bytes) {
        fields.append(CACHE_CONTROL, value);
    }
    let read = AnswerDirectives::of(&fields);
    let numbers = [read.max_age, read.s_maxage, read.stale_while_revalidate, read.stale_if_error];
    assert!(numbers.into_iter().flatten().all(|number| number <= DELTA_MAX));
    RequestDirectives::of(&fields);
    fields.append(CACHE_CONTROL, http::HeaderValue::from_static("no-store, private, no-cache"));
    let more = AnswerDirectives::of(&fields);
    assert!(more.no_store && more.private == Scope::Whole && more.no_cache == Scope::Whole);
    assert_eq!(more.max_age, read.max_age);
}

/// A dictionary (RFC 8941) parses or does not; the members of a list are not empty.
pub(crate) fn targeted_cache_control(bytes: &[u8]) {
    if let Some(read) = dictionary::parse(bytes) {
        assert_eq!(read.is_empty(), bytes.iter().all(|byte| *byte == b' '));
    }
    assert!(members(bytes).all(|member| !member.is_empty()));
}

/// Parts lie within the whole, do not overlap, and are few.
pub(crate) fn range(bytes: &[u8]) {
    for length in [0, 1, 100, 10_000, u64::MAX] {
        match select_from(bytes, length) {
            Selection::Whole | Selection::Unsatisfiable => {}
            Selection::One(part) => assert!(part.start < part.end && part.end <= length),
            Selection::Several(mut parts) => {
                assert!(parts.len() <= MAX_RANGES && parts.len() > 1);
                assert!(parts.iter().all(|part| part.start < part.end && part.end <= length));
                parts.sort_unstable_by_key(|part| part.start);
                assert!(parts.windows(2).all(|pair| pair[0].end <= pair[1].start));
            }
        }
    }
}

/// What goes into a key is a part of what came in.
pub(crate) fn key(bytes: &[u8]) {
    if let Ok(path) = std::str::from_utf8(bytes) {
        let plain = path.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'/');
        let is_odd = path.contains("//");
        assert!(!plain || is_odd || ambiguous_path(path).is_none(), "{path} is called ambiguous");
    }
    let mut fields = HeaderMap::new();
    for value in super::values(bytes) {
        fields.append(COOKIE, value);
    }
    for (name, value) in cookies(&fields) {
        assert!(name.len() + value.len() <= bytes.len());
        assert!(!name.contains(&b';') && !value.contains(&b';'));
    }
}
