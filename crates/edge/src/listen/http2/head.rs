//! From decoded fields to a request's head, by the same rules as over HTTP/1 (RFC 9113 §8.2, §8.3).

use std::sync::Arc;

use bytes::Bytes;
use http::header::COOKIE;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version};

use super::hpack::{Field, Reading, TargetScheme};
use super::priority::Priority;
use crate::exchange::Head;
use crate::listen::http1::head::{HeadError, HeadLimits, content_length};
use crate::listen::http1::target;

/// As much of a refused target as is worth a line of the log.
const LONGEST_SEEN: usize = 256;

/// Fields that speak of one connection (RFC 9110 §7.6.1): no message may have them (§8.2.2).
pub(super) fn is_hop_by_hop(name: &[u8]) -> bool {
    matches!(
        name,
        b"connection" | b"keep-alive" | b"proxy-connection" | b"transfer-encoding" | b"upgrade"
    )
}

/// A request as far as its head tells.
#[derive(Debug)]
pub(super) struct RequestHead {
    pub(super) head: Head,
    /// Content that it announces.
    pub(super) length: Option<u64>,
    /// `Expect: 100-continue`.
    pub(super) expects_continue: bool,
    pub(super) priority: Priority,
}

/// Why there is no request.
#[derive(Debug)]
pub(super) enum Refusal {
    /// RFC 9113 §8.1.1: the stream ends with `PROTOCOL_ERROR`.
    Malformed,
    /// The client is told in an answer. What is known of its request is for the log.
    Refused(HeadError, Box<Head>),
}

/// The same, before it is known what else the block says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Malformed,
    Refused(HeadError),
}

impl From<HeadError> for Verdict {
    fn from(error: HeadError) -> Verdict {
        Verdict::Refused(error)
    }
}

/// Takes the fields of one block as they are decoded.
#[derive(Debug, Default)]
pub(super) struct Builder {
    method: Option<Method>,
    scheme: Option<TargetScheme>,
    authority: Option<Reading<Arc<str>>>,
    path: Option<Reading<PathAndQuery>>,
    host: Option<HeaderValue>,
    length: Option<HeaderValue>,
    cookie: Option<Crumbs>,
    expects_continue: bool,
    priority: Priority,
    fields: HeaderMap,
    count: usize,
    bytes: usize,
    has_fields: bool,
    is_malformed: bool,
    refused: Option<HeadError>,
}

/// RFC 9113 §8.2.3: HTTP/2 may cut cookies into crumbs, HTTP/1 must see one field.
#[derive(Debug)]
enum Crumbs {
    One(HeaderValue),
    More(Vec<u8>),
}

impl Crumbs {
    fn add(self, crumb: &HeaderValue) -> Crumbs {
        let mut joined = match self {
            Crumbs::One(first) => first.as_bytes().to_vec(),
            Crumbs::More(joined) => joined,
        };
        joined.extend_from_slice(b"; ");
        joined.extend_from_slice(crumb.as_bytes());
        Crumbs::More(joined)
    }
}

impl Builder {
    /// Takes one field that counts so many bytes. Beyond the limits nothing is kept.
    pub(super) fn take(&mut self, field: Field, bytes: usize, limits: &HeadLimits) {
        self.bytes += bytes;
        if self.bytes > limits.head_bytes {
            self.refuse(HeadError::TooLarge);
            return;
        }
        let is_pseudo = !matches!(field, Field::Plain(..));
        self.has_fields |= !is_pseudo;
        // §8.3: pseudo fields come first, each once.
        let is_out_of_place = is_pseudo && self.has_fields;
        let is_repeated = match field {
            Field::Method(method) => self.method.replace(method).is_some(),
            Field::Scheme(scheme) => self.scheme.replace(scheme).is_some(),
            Field::Authority(authority) => self.authority.replace(authority).is_some(),
            Field::Path(path) => self.path.replace(path).is_some(),
            Field::Malformed(_) => true,
            Field::Plain(name, value) => {
                self.take_plain(name, value, limits);
                false
            }
        };
        self.is_malformed |= is_out_of_place || is_repeated;
    }

    /// Bytes that the fields weigh which are kept (RFC 9113 §6.5.2).
    pub(super) fn weight(&self, limits: &HeadLimits) -> usize {
        self.bytes.min(limits.head_bytes)
    }

    fn refuse(&mut self, error: HeadError) {
        self.refused.get_or_insert(error);
    }

    fn take_plain(&mut self, name: HeaderName, value: HeaderValue, limits: &HeadLimits) {
        match name.as_str() {
            "host" => {
                if self.host.replace(value).is_some() {
                    self.refuse(HeadError::BadHost);
                }
            }
            "content-length" => {
                if self.length.replace(value).is_some() {
                    self.refuse(HeadError::BadLength);
                }
            }
            "expect" => {
                self.expects_continue = value.as_bytes().eq_ignore_ascii_case(b"100-continue");
                if !self.expects_continue {
                    self.refuse(HeadError::BadExpectation);
                }
            }
            "te" => self.is_malformed |= !value.as_bytes().eq_ignore_ascii_case(b"trailers"),
            "cookie" => {
                self.cookie = Some(match self.cookie.take() {
                    None => Crumbs::One(value),
                    Some(crumbs) => crumbs.add(&value),
                });
            }
            // For this hop alone.
            "proxy-authorization" | "http2-settings" => {}
            plain if is_hop_by_hop(plain.as_bytes()) => self.is_malformed = true,
            // As over HTTP/1: gateways fold `_` and `-` into one.
            plain if plain.contains('_') => {}
            plain => {
                if plain == "priority" {
                    self.priority = Priority::read(value.as_bytes());
                }
                self.count += 1;
                let is_kept =
                    self.count <= limits.fields && self.fields.try_append(name, value).is_ok();
                if !is_kept {
                    self.refuse(HeadError::TooManyFields);
                }
            }
        }
    }

    /// What the block was, now that it is whole.
    pub(super) fn finish(mut self, limits: &HeadLimits) -> Result<RequestHead, Refusal> {
        self.check(limits).map_err(|verdict| match verdict {
            Verdict::Malformed => Refusal::Malformed,
            Verdict::Refused(error) => Refusal::Refused(error, Box::new(self.seen())),
        })
    }

    fn check(&mut self, limits: &HeadLimits) -> Result<RequestHead, Verdict> {
        if self.is_malformed {
            return Err(Verdict::Malformed);
        }
        if let Some(error) = self.refused {
            return Err(error.into());
        }
        let method = self.method.clone().ok_or(Verdict::Malformed)?;
        if method == Method::CONNECT || method == Method::TRACE {
            return Err(HeadError::BadMethod.into());
        }
        let (Some(scheme), Some(path)) = (self.scheme, &self.path) else {
            return Err(Verdict::Malformed);
        };
        let (TargetScheme::Web, Reading::Clear(path)) = (scheme, path) else {
            return Err(HeadError::BadTarget.into());
        };
        if path.as_str().len() > limits.target_bytes {
            return Err(HeadError::TargetTooLong.into());
        }
        let uri = target::from_path(&method, path.clone())?;
        let authority = authority(self.authority.as_ref(), self.host.as_ref())?;
        let length = match &self.length {
            Some(length) => Some(content_length(length.as_bytes()).ok_or(HeadError::BadLength)?),
            None => None,
        };
        match self.cookie.take() {
            None => {}
            Some(Crumbs::One(cookie)) => drop(self.fields.insert(COOKIE, cookie)),
            Some(Crumbs::More(cookie)) => {
                let cookie = HeaderValue::from_maybe_shared(Bytes::from(cookie));
                self.fields.insert(COOKIE, cookie.map_err(|_| HeadError::BadField)?);
            }
        }
        let fields = std::mem::take(&mut self.fields);
        let head = Head { method, uri, authority, version: Version::HTTP_2, fields };
        let (expects_continue, priority) = (self.expects_continue, self.priority);
        Ok(RequestHead { head, length, expects_continue, priority })
    }

    /// What can be told of a request that is none; `-` for what cannot.
    fn seen(self) -> Head {
        let target = match &self.path {
            Some(Reading::Clear(path)) => path.as_str(),
            _ => "-",
        };
        let target = target.get(..LONGEST_SEEN).unwrap_or(target);
        let uri = Uri::try_from(target).unwrap_or_else(|_| Uri::from_static("-"));
        let authority = match &self.authority {
            Some(Reading::Clear(authority)) => String::from(&**authority),
            _ => String::new(),
        };
        Head {
            method: self.method.unwrap_or_else(|| Method::from_bytes(b"-").expect("a token")),
            uri,
            authority,
            version: Version::HTTP_2,
            fields: self.fields,
        }
    }

    /// The fields as trailers, which have no pseudo fields (§8.1).
    pub(super) fn finish_trailers(self) -> Option<HeaderMap> {
        let has_pseudo = self.method.is_some()
            || self.scheme.is_some()
            || self.authority.is_some()
            || self.path.is_some();
        let is_good = !self.is_malformed && !has_pseudo && self.refused.is_none();
        is_good.then_some(self.fields)
    }
}

/// RFC 9113 §8.3.1: `:authority`, or Host; two that differ are a trap for somebody.
fn authority(
    pseudo: Option<&Reading<Arc<str>>>,
    host: Option<&HeaderValue>,
) -> Result<String, HeadError> {
    let pseudo = match pseudo {
        Some(Reading::Ambiguous) => return Err(HeadError::BadHost),
        Some(Reading::Clear(pseudo)) => Some(pseudo),
        None => None,
    };
    let Some(host) = host else {
        return pseudo.map_or(Err(HeadError::BadHost), |pseudo| Ok(String::from(&**pseudo)));
    };
    let host = target::authority(host.as_bytes()).ok_or(HeadError::BadHost)?;
    if pseudo.is_some_and(|pseudo| **pseudo != *host) {
        return Err(HeadError::HostMismatch);
    }
    Ok(host)
}

#[cfg(test)]
mod tests {
    use super::super::hpack::{Decoder, Encoder};
    use super::*;

    const LIMITS: HeadLimits = HeadLimits { head_bytes: 4_096, target_bytes: 20, fields: 4 };

    fn built(fields: &[(&str, &str)]) -> Builder {
        let mut block = Vec::new();
        let mut encoder = Encoder::new();
        for (name, value) in fields {
            encoder.field(name.as_bytes(), value.as_bytes(), &mut block);
        }
        let mut builder = Builder::default();
        let decoded =
            Decoder::new().decode(&block, |field, bytes| builder.take(field, bytes, &LIMITS));
        assert_eq!(decoded, Ok(()));
        builder
    }

    fn checked(method: &str, path: &str, extra: &[(&str, &str)]) -> Result<RequestHead, Verdict> {
        let mut fields = vec![(":method", method), (":scheme", "http"), (":path", path)];
        fields.extend_from_slice(extra);
        built(&fields).check(&LIMITS)
    }

    #[test]
    fn an_ordinary_head_passes_in_our_form() {
        let request = checked(
            "POST",
            "/p?q=1",
            &[
                (":authority", "Shop.Example:443"),
                ("cookie", "a=1"),
                ("x", "y"),
                ("te", "trailers"),
                ("x_y", "1"),
                ("cookie", "b=2"),
                ("cookie", "c=3"),
                ("content-length", "5"),
                ("expect", "100-Continue"),
                ("priority", "u=1, i"),
            ],
        );
        let request = request.expect("valid");
        assert_eq!(request.head.authority, "shop.example:443");
        assert_eq!(request.head.uri, "/p?q=1");
        assert_eq!(request.head.fields["cookie"], "a=1; b=2; c=3");
        assert_eq!(request.head.fields.len(), 3, "{:?}", request.head.fields);
        assert_eq!(request.length, Some(5));
        assert!(request.expects_continue);
        assert_eq!(request.priority, Priority::read(b"u=1, i"));
    }

    #[test]
    fn host_stands_in_for_a_missing_authority_and_must_not_differ_from_it() {
        let named =
            |fields: &[_]| checked("GET", "/", fields).map(|request| request.head.authority);
        assert_eq!(named(&[("host", "A.example")]), Ok("a.example".to_owned()));
        let both = |host| named(&[(":authority", "a.example"), ("host", host)]);
        assert_eq!(both("A.example"), Ok("a.example".to_owned()));
        assert_eq!(both("b.example"), Err(HeadError::HostMismatch.into()));
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        use HeadError as E;
        let ok = (":authority", "a");
        for (method, path, fields, expected) in [
            ("GET", "/", &[][..], E::BadHost),
            ("GET", "/", &[("host", "a"), ("host", "a")], E::BadHost),
            ("GET", "/", &[(":authority", "u@a")], E::BadHost),
            ("TRACE", "/", &[ok], E::BadMethod),
            ("GET", "/0123456789012345678901", &[ok], E::TargetTooLong),
            ("GET", "/a#b", &[ok], E::BadTarget),
            ("POST", "/", &[ok, ("content-length", "5"), ("content-length", "6")], E::BadLength),
            ("POST", "/", &[ok, ("content-length", "+5")], E::BadLength),
            ("GET", "/", &[ok, ("expect", "a miracle")], E::BadExpectation),
            (
                "GET",
                "/",
                &[ok, ("a", "1"), ("b", "1"), ("c", "1"), ("d", "1"), ("e", "1")],
                E::TooManyFields,
            ),
        ] {
            let result = checked(method, path, fields).map(|request| request.head.authority);
            assert_eq!(result, Err(expected.into()), "{method} {path} {fields:?}");
        }
        let large = "x".repeat(5_000);
        let result = checked("GET", "/", &[ok, ("a", &large)]).map(|request| request.length);
        assert_eq!(result, Err(E::TooLarge.into()));
        let scheme = [(":method", "GET"), (":scheme", "ftp"), (":path", "/"), ok];
        let result = built(&scheme).check(&LIMITS).map(|request| request.length);
        assert_eq!(result, Err(E::BadTarget.into()));
    }

    #[test]
    fn what_no_message_may_have_is_malformed() {
        let ok = (":authority", "a");
        for fields in [
            &[ok, ("x", "1"), (":path", "/")][..],
            &[ok, ok],
            &[ok, ("connection", "close")],
            &[ok, ("upgrade", "websocket")],
            &[ok, ("te", "gzip")],
            &[ok, ("x", " 1")],
        ] {
            let result = checked("GET", "/", fields).map(|request| request.head.authority);
            assert_eq!(result, Err(Verdict::Malformed), "{fields:?}");
        }
    }

    #[test]
    fn trailers_have_no_pseudo_fields() {
        let trailers = built(&[("checksum", "7")]).finish_trailers().expect("valid");
        assert_eq!(trailers["checksum"], "7");
        for fields in [&[(":path", "/")][..], &[("connection", "x")]] {
            assert_eq!(built(fields).finish_trailers(), None);
        }
    }
}
