//! A request's head, held to the same rules as over HTTP/1 (RFC 9113 §8.2, §8.3).

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, COOKIE, EXPECT, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Method, request};

use crate::error::{Error, ErrorKind};
use crate::exchange::Head;
use crate::listen::http1::head::{HeadError, HeadLimits, content_length};
use crate::listen::http1::target;

/// Fields that speak of one connection (RFC 9110 §7.6.1).
fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection" | "keep-alive" | "proxy-connection" | "transfer-encoding" | "upgrade"
    )
}

/// Those, and what a request says to its next hop alone.
fn ends_here(name: &HeaderName) -> bool {
    is_hop_by_hop(name)
        || matches!(name.as_str(), "te" | "trailer" | "proxy-authorization" | "http2-settings")
        // As over HTTP/1: gateways fold `_` and `-` into one.
        || name.as_str().contains('_')
}

/// Removes fields that are seldom there: looking is cheaper than to try each of them.
fn remove(fields: &mut HeaderMap, is_one: fn(&HeaderName) -> bool) {
    while let Some(name) = fields.keys().find(|name| is_one(name)).cloned() {
        fields.remove(name);
    }
}

/// The same for an answer.
pub(super) fn remove_hop_by_hop(fields: &mut HeaderMap) {
    remove(fields, is_hop_by_hop);
}

/// Checks what the engine let through and puts it into our form.
pub(super) fn check(parts: request::Parts, limits: &HeadLimits) -> Result<Head, Error> {
    let request::Parts { method, uri, version, headers: mut fields, .. } = parts;
    if method == Method::CONNECT || method == Method::TRACE {
        return Err(HeadError::BadMethod.into());
    }
    if uri.scheme_str().is_some_and(|scheme| scheme != "http" && scheme != "https") {
        return Err(HeadError::BadTarget.into());
    }
    let named = uri.authority().map(|named| parse_authority(named.as_str().as_bytes()));
    let named = named.transpose()?;
    let path = uri.into_parts().path_and_query.ok_or(HeadError::BadTarget)?;
    if path.as_str().len() > limits.target_bytes {
        return Err(HeadError::TargetTooLong.into());
    }
    let uri = target::from_path(&method, path)?;
    if fields.len() > limits.fields {
        return Err(HeadError::TooManyFields.into());
    }
    if fields.values().any(has_blank_edges) {
        return Err(HeadError::BadField.into());
    }
    let authority = authority(named, &mut fields)?;
    // One look at all names instead of a search for each that is seldom there.
    if fields.keys().any(is_settled_here) {
        take_content_length(&mut fields)?;
        take_expectation(&mut fields)?;
        remove(&mut fields, ends_here);
        join_cookies(&mut fields)?;
    }
    Ok(Head { method, uri, authority, version, fields })
}

/// Fields that [`check`] removes or rewrites.
fn is_settled_here(name: &HeaderName) -> bool {
    ends_here(name) || matches!(name.as_str(), "content-length" | "expect" | "cookie")
}

/// RFC 9113 §8.2.1: parsers behind us would cut them, or not.
fn has_blank_edges(value: &HeaderValue) -> bool {
    let is_blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    is_blank(value.as_bytes().first()) || is_blank(value.as_bytes().last())
}

/// RFC 9113 §8.3.1: `:authority`, or Host; two that differ are a trap for somebody.
fn authority(pseudo: Option<String>, fields: &mut HeaderMap) -> Result<String, Error> {
    let pseudo = match pseudo {
        Some(pseudo) if !fields.contains_key(HOST) => return Ok(pseudo),
        pseudo => pseudo,
    };
    let mut hosts = fields.get_all(HOST).iter();
    let (host, second) = (hosts.next(), hosts.next());
    if second.is_some() {
        return Err(HeadError::BadHost.into());
    }
    let host = host.map(|value| parse_authority(value.as_bytes())).transpose()?;
    fields.remove(HOST);
    match (pseudo, host) {
        (Some(pseudo), Some(host)) if pseudo != host => Err(HeadError::HostMismatch.into()),
        (Some(authority), _) | (None, Some(authority)) => Ok(authority),
        (None, None) => Err(HeadError::BadHost.into()),
    }
}

fn parse_authority(bytes: &[u8]) -> Result<String, HeadError> {
    target::authority(bytes).ok_or(HeadError::BadHost)
}

/// The engine holds the content to it; behind us framing is made anew.
fn take_content_length(fields: &mut HeaderMap) -> Result<(), Error> {
    let mut lengths = fields.get_all(CONTENT_LENGTH).iter();
    let (first, second) = (lengths.next(), lengths.next());
    let is_bad = first.is_some_and(|value| content_length(value.as_bytes()).is_none());
    if is_bad || second.is_some() {
        return Err(HeadError::BadLength.into());
    }
    fields.remove(CONTENT_LENGTH);
    Ok(())
}

fn take_expectation(fields: &mut HeaderMap) -> Result<(), Error> {
    let is_known = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
    if !fields.get_all(EXPECT).iter().all(is_known) {
        return Err(HeadError::BadExpectation.into());
    }
    // The engine cannot send `100`; a client that waits for it sends after a while of its own.
    fields.remove(EXPECT);
    Ok(())
}

/// RFC 9113 §8.2.3: HTTP/2 may cut cookies into crumbs, HTTP/1 must see one field.
fn join_cookies(fields: &mut HeaderMap) -> Result<(), Error> {
    let mut crumbs = fields.get_all(COOKIE).iter();
    let (Some(first), Some(second)) = (crumbs.next(), crumbs.next()) else { return Ok(()) };
    let mut joined = first.as_bytes().to_vec();
    for crumb in std::iter::once(second).chain(crumbs) {
        joined.extend_from_slice(b"; ");
        joined.extend_from_slice(crumb.as_bytes());
    }
    let joined = HeaderValue::from_maybe_shared(Bytes::from(joined));
    fields.insert(COOKIE, joined.map_err(|_| HeadError::BadField)?);
    Ok(())
}

impl HeadError {
    /// The sentence alone, for tests of this file.
    #[cfg(test)]
    fn sentence(error: &Error) -> String {
        std::error::Error::source(error).map(ToString::to_string).unwrap_or_default()
    }
}

/// A refusal of ours that is not about one field.
pub(super) fn too_late() -> Error {
    Error::new(ErrorKind::Internal, "the answer cannot be sent over HTTP/2")
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn checked(uri: &str, method: &str, fields: &[(&str, &str)]) -> Result<Head, String> {
        let mut request = Request::builder().uri(uri).method(method);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).expect("a request").into_parts();
        check(parts, &HeadLimits { fields: 4, target_bytes: 20, ..HeadLimits::default() })
            .map_err(|error| HeadError::sentence(&error))
    }

    #[test]
    fn an_ordinary_head_passes_in_our_form() {
        let fields = [("cookie", "a=1"), ("x", "y"), ("cookie", "b=2"), ("content-length", "5")];
        let head = checked("https://Shop.Example:443/p?q=1", "GET", &fields).expect("valid");
        assert_eq!(head.authority, "shop.example:443");
        assert_eq!(head.uri, "/p?q=1");
        assert_eq!(head.fields["cookie"], "a=1; b=2");
        assert_eq!(head.fields.len(), 2, "{:?}", head.fields);
    }

    #[test]
    fn host_stands_in_for_a_missing_authority_and_must_not_differ_from_it() {
        let host = |uri, value| checked(uri, "GET", &[("host", value)]).map(|head| head.authority);
        assert_eq!(host("/", "A.example"), Ok("a.example".to_owned()));
        assert_eq!(host("http://a.example/", "A.example"), Ok("a.example".to_owned()));
        let mismatch = Err(HeadError::HostMismatch.to_string());
        assert_eq!(host("http://a.example/", "b.example"), mismatch);
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        use HeadError as E;
        let ok = "http://a/";
        for (uri, method, fields, expected) in [
            ("/", "GET", &[][..], E::BadHost),
            (ok, "GET", &[("host", "a"), ("host", "a")], E::BadHost),
            ("http://u@a/", "GET", &[], E::BadHost),
            (ok, "TRACE", &[], E::BadMethod),
            ("ftp://a/", "GET", &[], E::BadTarget),
            ("http://a/0123456789012345678901", "GET", &[], E::TargetTooLong),
            (ok, "GET", &[("x", " y")], E::BadField),
            (ok, "GET", &[("x", "y\t")], E::BadField),
            (ok, "POST", &[("content-length", "5"), ("content-length", "6")], E::BadLength),
            (ok, "POST", &[("content-length", "+5")], E::BadLength),
            (ok, "GET", &[("expect", "a miracle")], E::BadExpectation),
            (
                ok,
                "GET",
                &[("a", "1"), ("b", "1"), ("c", "1"), ("d", "1"), ("e", "1")],
                E::TooManyFields,
            ),
        ] {
            let result = checked(uri, method, fields).map(|head| head.authority);
            assert_eq!(result, Err(expected.to_string()), "{uri} {method} {fields:?}");
        }
    }
}
