use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, ETAG, HeaderMap, HeaderValue};
use http::{HeaderName, StatusCode};

use super::*;
use crate::cache::rules::{Freshness, Rule};
use crate::config::cache::Visibility;
use crate::exchange::{Answer, Encoding};

fn fields(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for (name, value) in pairs {
        fields.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    fields
}

fn fresh(seconds: u64) -> Freshness {
    Freshness::new(Rule::MaxAge, Duration::from_secs(seconds), Duration::ZERO)
}

fn parts<'a>(fields: &'a HeaderMap, body: &'a [Bytes]) -> Parts<'a> {
    Parts {
        key: b"http://shop.example/a",
        secondary: b"",
        status: StatusCode::OK,
        encoding: Encoding::Identity,
        stored_at_ms: 5,
        freshness: fresh(60),
        fields,
        tags: Visibility::Hidden,
        body,
    }
}

#[test]
fn an_object_gives_back_what_it_was_built_from() {
    let fields = fields(&[
        ("etag", "\"a\""),
        ("content-type", "text/html"),
        ("last-modified", "Mon, 23 Nov 2026 04:00:00 GMT"),
        ("date", "Tue, 24 Nov 2026 04:00:00 GMT"),
        ("x-empty", ""),
        ("set", "a"),
        ("set", "b"),
    ]);
    let body = [Bytes::from_static(b"hello "), Bytes::from_static(b"world")];
    let object = Object::build(&Parts { secondary: b"sv", ..parts(&fields, &body) }).unwrap();
    assert_eq!(object.key(), b"http://shop.example/a");
    assert_eq!(object.secondary(), b"sv");
    assert_eq!(object.body(), "hello world");
    assert_eq!(object.body_len(), 11);
    assert_eq!(object.fields(), fields);
    assert_eq!(object.etag(), Some(&b"\"a\""[..]));
    assert_eq!(object.content_type(), Some(&b"text/html"[..]));
    assert_eq!(object.last_modified(), Some(&b"Mon, 23 Nov 2026 04:00:00 GMT"[..]));
    assert_eq!(object.field(&HeaderName::from_static("set")).unwrap(), "a");
    assert_eq!(object.freshness(), fresh(60));
    let mut answer = Answer::new(object.body());
    answer.lines = object.lines();
    assert_eq!(*answer.fields_mut(), fields);
}

#[test]
fn fields_of_the_hop_and_of_the_moment_are_not_stored() {
    let fields = fields(&[
        ("connection", "close"),
        ("keep-alive", "timeout=5"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("trailer", "x"),
        ("te", "trailers"),
        ("proxy-authenticate", "Basic"),
        ("proxy-connection", "close"),
        ("content-length", "5"),
        ("age", "7"),
        ("vary", "accept"),
    ]);
    let object = Object::build(&parts(&fields, &[])).unwrap();
    assert_eq!(object.lines(), "vary: accept\r\n");
    assert_eq!((object.etag(), object.content_type(), object.last_modified()), (None, None, None));
}

#[test]
fn lines_and_body_share_the_memory_of_the_object() {
    let fields = fields(&[("etag", "\"a\"")]);
    let object = Object::build(&parts(&fields, &[Bytes::from_static(b"body")])).unwrap();
    assert_eq!(object.body().as_ptr(), object.body().as_ptr());
    let end_of_lines = object.lines().as_ptr().wrapping_add(object.lines().len());
    assert_eq!(object.body().as_ptr(), end_of_lines);
}

#[test]
fn a_freshened_object_has_new_fields_and_the_old_body() {
    let old = fields(&[("etag", "\"a\""), ("date", "Mon, 23 Nov 2026 04:00:00 GMT")]);
    let object = Object::build(&parts(&old, &[Bytes::from_static(b"body")])).unwrap();
    assert_eq!(object.hit(), 1);
    let new = fields(&[("etag", "\"a\""), ("date", "Tue, 24 Nov 2026 04:00:00 GMT")]);
    let freshened = object.with_fields(&new, 9, fresh(0)).unwrap();
    assert_eq!(freshened.fields(), new);
    assert_eq!(freshened.body(), "body");
    assert_eq!(freshened.stored_at_ms(), 9);
    assert_eq!(freshened.hits(), 1);
}

#[test]
fn what_does_not_fit_is_refused() {
    let long = vec![b'k'; 65_536];
    let none = HeaderMap::new();
    let error = Object::build(&Parts { key: &long, ..parts(&none, &[]) }).unwrap_err();
    assert_eq!(error, Unstorable::KeyTooLong);
    let mut many = HeaderMap::new();
    many.insert(ETAG, HeaderValue::from_bytes(&long[..40_000]).unwrap());
    many.insert(CONTENT_TYPE, HeaderValue::from_bytes(&long[..40_000]).unwrap());
    let error = Object::build(&parts(&many, &[])).unwrap_err();
    assert_eq!(error, Unstorable::FieldsTooLong);
}

#[test]
fn an_encoding_is_wished_for_once() {
    let none = HeaderMap::new();
    let object = Object::build(&parts(&none, &[])).unwrap();
    assert!(object.is_first_wish(Encoding::Brotli));
    assert!(!object.is_first_wish(Encoding::Brotli));
    assert!(object.is_first_wish(Encoding::Gzip));
    object.forget_wish(Encoding::Brotli);
    assert!(object.is_first_wish(Encoding::Brotli));
}

#[test]
fn the_record_stays_small() {
    // With the counts of its `Arc` just a size that allocators have.
    assert!(size_of::<Object>() <= 112, "{}", size_of::<Object>());
}
