//! The primary key: what makes two requests ask for the same stored answers.
//!
//! In: scheme, authority, path and query, and under a policy the fields and cookies that it names. Out:
//! bytes, and the query that the origin is shown, because what is keyed is what is sent. The host is
//! always in the key. Never: a part of the request that is left out of the key and still shown to the
//! origin of a shared answer; `safety` holds that side.

pub mod path;
pub mod query;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use http::Uri;
use http::header::{AUTHORIZATION, COOKIE, HeaderMap, HeaderName};

use crate::cache::rules::conditional::CONDITIONS;
use crate::config::policy::{Caching, Policy};
use crate::exchange::{Country, Scheme, cookies};

pub use path::{Ambiguity, ambiguous_path};

/// What the key is made of.
#[derive(Debug, Clone, Copy)]
pub struct KeySource<'a> {
    /// Scheme.
    pub scheme: Scheme,
    /// Host and port, lower case.
    pub authority: &'a str,
    /// Path.
    pub path: &'a str,
    /// Query, without its question mark.
    pub query: Option<&'a str>,
    /// End-to-end fields of the request.
    pub fields: &'a HeaderMap,
}

/// Writes the primary key into `key` (cleared first) and returns the query to send to the origin, `None`
/// for none. Without a policy nothing but the key is written and nothing is allocated.
///
/// `https://host/path?query`, then for each field of the policy `\n` name, `:` value a line; for each of
/// its cookies `\n;` name, `=` value. None of these can contain a line end, so that no two requests that
/// differ in one of them have equal keys.
pub fn primary_key<'a>(
    source: KeySource<'a>,
    policy: Option<&Policy>,
    key: &mut Vec<u8>,
) -> Option<Cow<'a, str>> {
    key.clear();
    key.extend_from_slice(source.scheme.as_str().as_bytes());
    key.extend_from_slice(b"://");
    key.extend_from_slice(source.authority.as_bytes());
    key.extend_from_slice(source.path.as_bytes());
    let policy = policy.filter(|policy| stores(policy));
    let query = match policy {
        Some(policy) => query::shown(source.query, &policy.key),
        None => source.query.map(Cow::Borrowed),
    };
    if let Some(query) = &query {
        key.push(b'?');
        key.extend_from_slice(query.as_bytes());
    }
    if let Some(policy) = policy {
        write_fields(source.fields, policy, key);
    }
    query
}

fn write_fields(fields: &HeaderMap, policy: &Policy, key: &mut Vec<u8>) {
    for name in &policy.key.fields {
        key.push(b'\n');
        key.extend_from_slice(name.as_str().as_bytes());
        for line in fields.get_all(name) {
            // A name holds no space and no colon, a value no line end: what follows cannot be mistaken.
            key.extend_from_slice(b"\n:");
            key.extend_from_slice(line.as_bytes());
        }
    }
    for name in &policy.key.cookies {
        key.extend_from_slice(b"\n;");
        key.extend_from_slice(name.as_bytes());
        for (_, value) in cookies(fields).filter(|(known, _)| *known == name.as_bytes()) {
            key.extend_from_slice(b"\n=");
            key.extend_from_slice(value);
        }
    }
}

/// Adds a route to a key: one that takes some requests for a URL and leaves others to the next may lead to
/// another application, or show it the request differently.
pub fn write_route(name: &str, key: &mut Vec<u8>) {
    key.extend_from_slice(b"\n@");
    key.extend_from_slice(name.as_bytes());
}

/// Adds an arm of a split route to a key: two applications never share an answer.
pub fn write_arm(origin: &str, key: &mut Vec<u8>) {
    key.extend_from_slice(b"\n%");
    key.extend_from_slice(origin.as_bytes());
}

/// Adds the client's country to a key, of a policy that keys by it; no country is one of its own.
pub fn write_country(country: Option<Country>, key: &mut Vec<u8>) {
    key.extend_from_slice(b"\n^");
    if let Some(country) = &country {
        key.extend_from_slice(country.as_str().as_bytes());
    }
}

/// The part of a key that every request for the same URL shares, whatever fields and cookies say.
pub fn url_of(key: &[u8]) -> &[u8] {
    let end = memchr::memchr(b'\n', key).unwrap_or(key.len());
    key.get(..end).unwrap_or(key)
}

/// Path and query for the origin, with the query that [`primary_key`] returned.
pub fn shown_target(uri: &Uri, query: Option<&str>) -> Uri {
    if uri.query() == query {
        return uri.clone();
    }
    let text = match query {
        Some(query) => format!("{}?{query}", uri.path()),
        None => uri.path().to_owned(),
    };
    // A selection of a valid query is valid; should it not be, nothing of the query is shown.
    text.parse().or_else(|_| uri.path().parse()).unwrap_or_else(|_| Uri::from_static("/"))
}

/// May answers under this policy be stored?
pub fn stores(policy: &Policy) -> bool {
    policy.caching != Caching::Off
}

/// Does the key hold all that an origin is shown of this field under the policy?
pub fn is_in_key(name: &HeaderName, policy: &Policy) -> bool {
    policy.key.fields.contains(name) || (*name == COOKIE && !policy.key.cookies.is_empty())
}

/// Is this field shown to the origin although it is not in the key? Never credentials and conditions,
/// whatever the policy says.
pub fn is_forwarded_for_log(name: &HeaderName, policy: &Policy) -> bool {
    policy.key.inform.contains(name)
        && *name != COOKIE
        && *name != AUTHORIZATION
        && !CONDITIONS.contains(name)
}

/// What a policy took out of a request, for `forebay cache why`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stripped {
    /// A query parameter, by name.
    Parameter(String),
    /// A field.
    Field(HeaderName),
    /// A cookie, by name.
    Cookie(String),
}

/// What of this request is neither keyed nor shown to the origin under the policy.
pub fn stripped(source: KeySource<'_>, policy: Option<&Policy>) -> Vec<Stripped> {
    let Some(policy) = policy.filter(|policy| stores(policy)) else { return Vec::new() };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let parameters = query::dropped(source.query.unwrap_or_default(), &policy.key);
    let mut all: Vec<Stripped> = parameters.map(Stripped::Parameter).collect();
    if !policy.key.fields.contains(&COOKIE) {
        let is_kept = |name: &[u8]| policy.key.cookies.iter().any(|kept| kept.as_bytes() == name);
        let gone = cookies(source.fields).filter(|(name, _)| !is_kept(name));
        all.extend(gone.map(|(name, _)| Stripped::Cookie(text(name))));
    }
    let gone = source.fields.keys().filter(|name| {
        **name != COOKIE && !is_in_key(name, policy) && !is_forwarded_for_log(name, policy)
    });
    all.extend(gone.cloned().map(Stripped::Field));
    all
}
