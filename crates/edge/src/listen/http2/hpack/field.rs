//! One decoded field, parsed once: a table keeps it parsed for all requests that repeat it.

#![warn(clippy::indexing_slicing)]

use std::sync::Arc;

use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Method};

use crate::listen::http1::target;

/// A field's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Name {
    /// `:method`
    Method,
    /// `:scheme`
    Scheme,
    /// `:authority`
    Authority,
    /// `:path`
    Path,
    /// Any other name with a colon: none belongs into a request.
    OtherPseudo,
    /// An ordinary field.
    Plain(HeaderName),
    /// Forbidden by RFC 9113 §8.2.1: upper case, blanks, nothing at all.
    Malformed,
}

impl Name {
    pub(super) fn of(text: &[u8]) -> Name {
        match text {
            b":method" => Name::Method,
            b":scheme" => Name::Scheme,
            b":authority" => Name::Authority,
            b":path" => Name::Path,
            [b':', ..] => Name::OtherPseudo,
            _ => HeaderName::from_lowercase(text).map_or(Name::Malformed, Name::Plain),
        }
    }
}

/// What `:scheme` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetScheme {
    /// `http` or `https`: which of them the connection says better than the client.
    Web,
    /// One that we do not serve.
    Other,
}

/// A value as all programs read it, or one that they might read in two ways.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading<T> {
    /// There is one way to read it.
    Clear(T),
    /// There is more than one, or none.
    Ambiguous,
}

impl<T> From<Option<T>> for Reading<T> {
    fn from(value: Option<T>) -> Reading<T> {
        value.map_or(Reading::Ambiguous, Reading::Clear)
    }
}

/// A field with a value that is fit for its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field {
    /// `:method`
    Method(Method),
    /// `:scheme`
    Scheme(TargetScheme),
    /// `:authority`, lower case.
    Authority(Reading<Arc<str>>),
    /// `:path`
    Path(Reading<PathAndQuery>),
    /// An ordinary field.
    Plain(HeaderName, HeaderValue),
    /// What makes a message malformed (RFC 9113 §8.2.1, §8.3).
    Malformed(Name),
}

impl Field {
    pub(super) fn of(name: Name, value: &[u8]) -> Field {
        let field = match &name {
            Name::Method => Method::from_bytes(value).ok().map(Field::Method),
            Name::Scheme if !value.is_empty() => {
                let is_web = [&b"http"[..], b"https"].iter().any(|s| value.eq_ignore_ascii_case(s));
                Some(Field::Scheme(if is_web { TargetScheme::Web } else { TargetScheme::Other }))
            }
            Name::Authority => {
                Some(Field::Authority(target::authority(value).map(Arc::from).into()))
            }
            Name::Path if !value.is_empty() => {
                Some(Field::Path(target::path_and_query(value).into()))
            }
            Name::Plain(name) if !has_blank_edges(value) => {
                HeaderValue::from_bytes(value).ok().map(|value| Field::Plain(name.clone(), value))
            }
            _ => None,
        };
        field.unwrap_or(Field::Malformed(name))
    }

    /// The name alone, for a field with another value.
    pub(super) fn name(&self) -> Name {
        match self {
            Field::Method(_) => Name::Method,
            Field::Scheme(_) => Name::Scheme,
            Field::Authority(_) => Name::Authority,
            Field::Path(_) => Name::Path,
            Field::Plain(name, _) => Name::Plain(name.clone()),
            Field::Malformed(name) => name.clone(),
        }
    }
}

/// RFC 9113 §8.2.1: parsers behind us would cut them, or not.
fn has_blank_edges(value: &[u8]) -> bool {
    let is_blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    is_blank(value.first()) || is_blank(value.last())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_no_message_may_have_is_malformed() {
        for (name, value) in [
            ("X-Upper", "1"),
            ("a b", "1"),
            ("", "1"),
            (":status", "200"),
            (":protocol", "websocket"),
            (":path", ""),
            (":scheme", ""),
            (":method", "G T"),
            ("a", "1\n"),
            ("a", "1\0"),
            ("a", " 1"),
            ("a", "1\t"),
        ] {
            let field = Field::of(Name::of(name.as_bytes()), value.as_bytes());
            assert!(matches!(field, Field::Malformed(_)), "{name}: {value:?} {field:?}");
        }
    }

    #[test]
    fn fields_are_parsed_for_what_they_are() {
        let of = |name: &str, value: &str| Field::of(Name::of(name.as_bytes()), value.as_bytes());
        assert_eq!(of(":method", "PURGE"), Field::Method(Method::from_bytes(b"PURGE").expect("m")));
        assert_eq!(of(":scheme", "HTTPS"), Field::Scheme(TargetScheme::Web));
        assert_eq!(of(":scheme", "ftp"), Field::Scheme(TargetScheme::Other));
        assert_eq!(
            of(":authority", "A.example:80"),
            Field::Authority(Reading::Clear("a.example:80".into()))
        );
        assert_eq!(of(":authority", "u@a"), Field::Authority(Reading::Ambiguous));
        assert_eq!(
            of(":path", "/a?b"),
            Field::Path(Reading::Clear(PathAndQuery::from_static("/a?b")))
        );
        assert_eq!(of(":path", "/a#b"), Field::Path(Reading::Ambiguous));
        let empty = Field::Plain(http::header::ACCEPT, HeaderValue::from_static(""));
        assert_eq!(of("accept", ""), empty);
    }
}
