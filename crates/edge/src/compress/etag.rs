//! Entity tags of encoded content.
//!
//! A strong tag names bytes, so that each encoding needs one of its own (RFC 9110 §8.8.3.3): `"abc"`
//! in br is `"abc--br"`. Weak tags name content and stay as they are. An origin that is asked with a
//! tag of ours is asked with its own; its `304` comes back with the client's.

use http::header::{ETAG, HeaderMap, HeaderValue, IF_MATCH, IF_NONE_MATCH, VARY};

use crate::exchange::Encoding;

const ENCODINGS: [Encoding; 3] = [Encoding::Gzip, Encoding::Brotli, Encoding::Zstd];

/// The tags under which the same content goes out: as it is, and in each encoding. Weak ones are one.
pub fn tags(tag: &HeaderValue) -> impl Iterator<Item = (Encoding, HeaderValue)> {
    let encoded = |encoding| Some((encoding, of_encoding(tag, encoding)?));
    let encoded: Vec<_> = ENCODINGS.into_iter().filter_map(encoded).collect();
    std::iter::once((Encoding::Identity, tag.clone())).chain(encoded)
}

/// The tag of `encoding`; `None` if it is the same.
pub(super) fn of_encoding(tag: &HeaderValue, encoding: Encoding) -> Option<HeaderValue> {
    let opaque = tag.as_bytes().strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    let token = encoding.token();
    let mut value = Vec::with_capacity(opaque.len() + token.len() + 4);
    value.push(b'"');
    value.extend_from_slice(opaque);
    value.extend_from_slice(b"--");
    value.extend_from_slice(token.as_bytes());
    value.push(b'"');
    HeaderValue::from_bytes(&value).ok()
}

/// Gives the origin its own entity tags back, in a request that is sent on: takes our suffixes from
/// `If-None-Match` and `If-Match`. Not from `If-Range`: the range of an
/// encoding is not the range of the content, and the origin must not take it for that.
pub fn toward_origin(fields: &mut HeaderMap) {
    for name in [IF_NONE_MATCH, IF_MATCH] {
        let lines: Vec<HeaderValue> = fields.get_all(&name).iter().map(without_suffixes).collect();
        if lines.is_empty() {
            continue;
        }
        fields.remove(&name);
        for line in lines {
            fields.append(&name, line);
        }
    }
}

/// Gives a `304` the tag by which the client knows what it holds.
pub(super) fn toward_client(asked: &HeaderMap, not_modified: &mut HeaderMap) {
    let Some(tag) = not_modified.get(ETAG).cloned() else { return };
    let mut held = ENCODINGS.into_iter().filter_map(|encoding| of_encoding(&tag, encoding));
    let names = |line: &HeaderValue, tag: &HeaderValue| {
        memchr::memmem::find(line.as_bytes(), tag.as_bytes()).is_some()
    };
    let lines = asked.get_all(IF_NONE_MATCH);
    // A client that holds it as it is, too, can take the 304 for that.
    if lines.iter().any(|line| names(line, &tag)) {
        return;
    }
    if let Some(held) = held.find(|held| lines.iter().any(|line| names(line, held))) {
        not_modified.insert(ETAG, held);
        if !not_modified.contains_key(VARY) {
            not_modified.insert(VARY, HeaderValue::from_static("accept-encoding"));
        }
    }
}

fn without_suffixes(line: &HeaderValue) -> HeaderValue {
    let mut left = line.as_bytes();
    let mut value = Vec::with_capacity(left.len());
    while let Some(at) = memchr::memmem::find(left, b"--") {
        let (before, after) = left.split_at(at);
        value.extend_from_slice(before);
        let suffix = ENCODINGS.into_iter().map(|encoding| encoding.token().len()).find(|len| {
            let token = after.get(2..2 + len).unwrap_or_default();
            let is_ours = ENCODINGS.into_iter().any(|e| e.token().as_bytes() == token);
            is_ours && after.get(2 + len) == Some(&b'"')
        });
        let skipped = if let Some(len) = suffix {
            2 + len
        } else {
            value.push(b'-');
            1
        };
        left = after.get(skipped..).unwrap_or_default();
    }
    value.extend_from_slice(left);
    HeaderValue::from_bytes(&value).unwrap_or_else(|_| line.clone())
}

#[cfg(test)]
mod tests {
    use http::header::IF_RANGE;

    use super::*;

    fn origin_sees(name: http::HeaderName, line: &str) -> String {
        let mut fields = HeaderMap::new();
        fields.insert(name.clone(), HeaderValue::from_str(line).unwrap());
        toward_origin(&mut fields);
        fields[name].to_str().unwrap().to_owned()
    }

    #[test]
    fn strong_tags_differ_by_encoding_and_weak_ones_do_not() {
        let strong = HeaderValue::from_static("\"abc\"");
        assert_eq!(of_encoding(&strong, Encoding::Brotli).unwrap(), "\"abc--br\"");
        assert_eq!(of_encoding(&strong, Encoding::Zstd).unwrap(), "\"abc--zstd\"");
        assert_eq!(of_encoding(&HeaderValue::from_static("W/\"abc\""), Encoding::Gzip), None);
        assert_eq!(of_encoding(&HeaderValue::from_static("\""), Encoding::Gzip), None);
    }

    #[test]
    fn an_origin_sees_its_own_tags_only() {
        for (line, seen) in [
            ("\"abc--br\"", "\"abc\""),
            ("\"a--gzip\", W/\"b\", \"c--zstd\" ,\"d\"", "\"a\", W/\"b\", \"c\" ,\"d\""),
            ("\"a--br--br\"", "\"a--br\""),
            ("\"a---br\"", "\"a-\""),
            ("\"a--brx\", \"--\", \"x--lz\"", "\"a--brx\", \"--\", \"x--lz\""),
            ("*", "*"),
        ] {
            assert_eq!(origin_sees(IF_NONE_MATCH, line), seen);
            assert_eq!(origin_sees(IF_MATCH, line), seen);
        }
        assert_eq!(origin_sees(IF_RANGE, "\"abc--br\""), "\"abc--br\"");
    }

    #[test]
    fn a_304_names_what_the_client_holds() {
        let told = |holds: &'static str| {
            let asked = HeaderMap::from_iter([(IF_NONE_MATCH, HeaderValue::from_static(holds))]);
            let mut answer = HeaderMap::from_iter([(ETAG, HeaderValue::from_static("\"abc\""))]);
            toward_client(&asked, &mut answer);
            answer[ETAG].to_str().unwrap().to_owned()
        };
        assert_eq!(told("\"x\", \"abc--br\""), "\"abc--br\"");
        assert_eq!(told("\"abc\""), "\"abc\"");
        assert_eq!(told("\"abc\", \"abc--br\""), "\"abc\"");
        assert_eq!(told("\"abc--lz\""), "\"abc\"");
    }
}
