//! What an unsafe request makes invalid (RFC 9111 §4.4).

use http::header::{CONTENT_LOCATION, LOCATION};
use http::uri::{PathAndQuery, Uri};
use http::{Method, StatusCode};

use super::AnswerView;
use crate::exchange::{Scheme, host_of};

/// The resource that a request named.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// Scheme.
    pub scheme: Scheme,
    /// Host and port, lower case.
    pub authority: &'a str,
    /// Path and query.
    pub uri: &'a Uri,
}

/// Path and query of everything that this answer makes invalid, on the target's own origin: the target,
/// `Location` and `Content-Location`. Empty for safe methods and for errors.
pub fn invalidated(method: &Method, target: Target<'_>, answer: AnswerView<'_>) -> Vec<Uri> {
    if is_safe(method) || !is_non_error(answer.status) {
        return Vec::new();
    }
    let mut gone = vec![path_of(target.uri)];
    for name in [LOCATION, CONTENT_LOCATION] {
        for line in answer.fields.get_all(name) {
            let reference = line.to_str().ok().and_then(|text| resolve(target, text));
            gone.extend(reference.filter(|uri| !gone.contains(uri)));
        }
    }
    gone
}

/// Safe methods (RFC 9110 §9.2.1); any other, known or not, may have changed something.
pub fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE)
}

fn is_non_error(status: StatusCode) -> bool {
    status.is_success() || status.is_redirection()
}

fn path_of(uri: &Uri) -> Uri {
    Uri::from(uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/")))
}

/// Resolves a reference against the target (RFC 3986 §5.2); `None` for another origin.
fn resolve(target: Target<'_>, reference: &str) -> Option<Uri> {
    let reference = reference.split('#').next()?.trim_ascii();
    let (scheme, rest) = match reference.split_once(':') {
        Some((scheme, rest)) if is_scheme(scheme) => (Some(scheme), rest),
        _ => (None, reference),
    };
    if scheme.is_some_and(|scheme| !scheme.eq_ignore_ascii_case(target.scheme.as_str())) {
        return None;
    }
    let path = match rest.strip_prefix("//") {
        Some(rest) => {
            let end = rest.find(['/', '?']).unwrap_or(rest.len());
            let (authority, path) = rest.split_at(end);
            if !is_same_authority(target, authority) {
                return None;
            }
            if path.starts_with('/') { path.to_owned() } else { format!("/{path}") }
        }
        None if scheme.is_some() => return None,
        None => absolute(target.uri, rest),
    };
    let (path, query) = match path.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (path.as_str(), None),
    };
    let path = without_dots(path);
    query.map_or(path.clone(), |query| format!("{path}?{query}")).parse().ok()
}

fn is_scheme(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

fn is_same_authority(target: Target<'_>, authority: &str) -> bool {
    let default = match target.scheme {
        Scheme::Http => "80",
        Scheme::Https => "443",
    };
    let parts = |authority: &str| {
        let host = host_of(authority).to_ascii_lowercase();
        let port = authority.get(host.len() + 1..).filter(|port| !port.is_empty());
        (host, port.unwrap_or(default).to_owned())
    };
    parts(target.authority) == parts(authority)
}

/// The reference without scheme and authority, made absolute.
fn absolute(base: &Uri, reference: &str) -> String {
    let path = base.path();
    if reference.is_empty() {
        return base.path_and_query().map_or_else(|| path.to_owned(), ToString::to_string);
    }
    if reference.starts_with('/') {
        return reference.to_owned();
    }
    if reference.starts_with('?') {
        return format!("{path}{reference}");
    }
    let folder = path.rfind('/').map_or("/", |slash| &path[..=slash]);
    format!("{folder}{reference}")
}

/// RFC 3986 §5.2.4.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." if is_last => kept.push(""),
            "." => {}
            ".." => {
                kept.pop();
                if is_last {
                    kept.push("");
                }
            }
            _ => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};
    use proptest::prelude::*;

    use super::*;

    fn gone(method: &str, status: u16, lines: &[(&'static str, &str)]) -> Vec<String> {
        let mut fields = HeaderMap::new();
        for (name, value) in lines {
            fields.append(*name, HeaderValue::from_str(value).unwrap());
        }
        let uri: Uri = "/a/b?c=d".parse().unwrap();
        let target = Target { scheme: Scheme::Https, authority: "shop.example", uri: &uri };
        let answer = AnswerView { status: StatusCode::from_u16(status).unwrap(), fields: &fields };
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        invalidated(&method, target, answer).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn only_unsafe_methods_that_went_well_invalidate() {
        for method in ["POST", "PUT", "DELETE", "PATCH", "FROB"] {
            assert_eq!(gone(method, 200, &[]), ["/a/b?c=d"], "{method}");
            assert_eq!(gone(method, 303, &[]), ["/a/b?c=d"], "{method}");
            assert!(gone(method, 404, &[]).is_empty() && gone(method, 500, &[]).is_empty());
        }
        for method in ["GET", "HEAD", "OPTIONS", "TRACE"] {
            assert!(gone(method, 200, &[]).is_empty(), "{method}");
        }
    }

    #[test]
    fn locations_count_on_the_same_origin_only() {
        let table = [
            ("/x", Some("/x")),
            ("x?y=1#z", Some("/a/x?y=1")),
            ("../x", Some("/x")),
            ("./", Some("/a/")),
            ("?q", Some("/a/b?q")),
            ("https://shop.example/x", Some("/x")),
            ("HTTPS://Shop.Example:443", Some("/")),
            ("https://shop.example?q", Some("/?q")),
            ("//shop.example/x/../y", Some("/y")),
            ("http://shop.example/x", None),
            ("https://shop.example:8443/x", None),
            ("https://other.example/x", None),
            ("https://shop.example@other.example/x", None),
            ("mailto:x@shop.example", None),
            ("/\u{7f}", None),
        ];
        for (location, expected) in table {
            let Ok(_) = HeaderValue::from_str(location) else { continue };
            let all = gone("POST", 201, &[("location", location)]);
            assert_eq!(all.get(1).map(String::as_str), expected, "`{location}`");
        }
        let both = [("location", "/x"), ("content-location", "/y")];
        assert_eq!(gone("PUT", 201, &both), ["/a/b?c=d", "/x", "/y"]);
    }

    proptest! {
        #[test]
        fn any_reference_is_read_without_a_panic(reference in "\\PC{0,60}") {
            let uri: Uri = "/a/b?c=d".parse().unwrap();
            let target = Target { scheme: Scheme::Http, authority: "[::1]:80", uri: &uri };
            if let Some(uri) = resolve(target, &reference) {
                prop_assert!(uri.path().starts_with('/'));
            }
        }
    }
}
