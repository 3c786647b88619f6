//! Fills templates with what the client sent, without letting it break out of its place.

use http::uri::PathAndQuery;
use http::{HeaderMap, Uri};

use super::Matched;
use super::index::capture;
use crate::config::route::PathRule;
use crate::config::template::{Part, Template};
use crate::error::{Error, ErrorKind};
use crate::exchange::{Exchange, Head, host_of};

impl Matched<'_> {
    /// The target for the origin, if this route rewrites it. The query is kept unless the template has one.
    pub fn rewritten(&self, exchange: &Exchange) -> Result<Option<Uri>, Error> {
        self.rewritten_head(&exchange.head)
    }

    /// The same for a head that is shown to the origin in place of the client's.
    pub fn rewritten_as(&self, exchange: &Exchange, shown: Uri) -> Result<Uri, Error> {
        if self.ready.rewrite.is_none() {
            return Ok(shown);
        }
        let head = &exchange.head;
        let head = Head {
            method: head.method.clone(),
            uri: shown,
            authority: head.authority.clone(),
            version: head.version,
            fields: HeaderMap::new(),
        };
        Ok(self.rewritten_head(&head)?.unwrap_or(head.uri))
    }

    pub(super) fn rewritten_head(&self, head: &Head) -> Result<Option<Uri>, Error> {
        let Some(template) = &self.ready.rewrite else { return Ok(None) };
        let has_dots = template.parts.iter().any(|part| match part {
            Part::Path => has_dot_segment(head.uri.path()),
            Part::Capture(name) => has_dot_segment(self.captured(head, name)),
            Part::Text(_) | Part::Query | Part::Host => false,
        });
        if has_dots {
            // The origin would resolve them and leave the place that the rewrite names.
            return Err(Error::new(ErrorKind::BadMessage, "dot segments in a rewritten path"));
        }
        let mut target = single_slash(self.fill(template, head));
        let speaks_of_query = template.parts.contains(&Part::Query) || target.contains('?');
        if let (false, Some(query)) = (speaks_of_query, head.uri.query()) {
            target = target + "?" + query;
        }
        let target = PathAndQuery::try_from(target).map_err(|error| {
            Error::new(ErrorKind::BadMessage, "the rewritten target is not valid").because(error)
        })?;
        Ok(Some(Uri::from(target)))
    }

    /// Value of `Location`, if this route redirects.
    pub(super) fn location(&self, head: &Head) -> Option<String> {
        let template = self.ready.redirect.as_ref()?;
        let target = self.fill(template, head);
        Some(if target.starts_with('/') { single_slash(target) } else { target })
    }

    fn fill(&self, template: &Template, head: &Head) -> String {
        let mut target = String::with_capacity(128);
        for part in &template.parts {
            match part {
                Part::Text(text) => target.push_str(text),
                Part::Host => push(&mut target, host_of(&head.authority)),
                Part::Path => {
                    let path = head.uri.path();
                    // `*` of OPTIONS must not become part of a host.
                    if !path.starts_with('/') {
                        target.push('/');
                    }
                    push(&mut target, path);
                }
                Part::Query => {
                    if let Some(query) = head.uri.query() {
                        target.push(if target.contains('?') { '&' } else { '?' });
                        push_query(&mut target, query);
                    }
                }
                Part::Capture(name) => push(&mut target, self.captured(head, name)),
            }
        }
        target
    }

    fn captured<'h>(&self, head: &'h Head, name: &str) -> &'h str {
        let PathRule::Pattern(pattern) = &self.route().path else { return "" };
        capture(pattern, head.uri.path(), name).unwrap_or_default()
    }
}

/// Appends a piece of a path; in a query it may not begin another parameter.
fn push(target: &mut String, piece: &str) {
    let is_query = target.contains('?');
    for byte in piece.bytes() {
        let breaks_out = is_query && matches!(byte, b'&' | b'=' | b'+' | b';');
        if breaks_out || matches!(byte, b'?' | b'#') || !is_safe(byte) {
            push_encoded(target, byte);
        } else {
            target.push(char::from(byte));
        }
    }
}

fn push_query(target: &mut String, query: &str) {
    for byte in query.bytes() {
        if byte != b'#' && is_safe(byte) {
            target.push(char::from(byte));
        } else {
            push_encoded(target, byte);
        }
    }
}

fn push_encoded(target: &mut String, byte: u8) {
    let digit =
        |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0').to_ascii_uppercase();
    target.extend(['%', digit(byte >> 4), digit(byte & 15)]);
}

/// Visible, and nothing that a browser or a log would read as something else (`\` is `/` to browsers).
fn is_safe(byte: u8) -> bool {
    byte.is_ascii_graphic()
        && !matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}')
}

/// `//evil` would be a host to whoever reads it as a reference (RFC 3986 §4.2).
fn single_slash(target: String) -> String {
    let rest = target.trim_start_matches('/');
    if rest.len() + 1 >= target.len() { target } else { format!("/{rest}") }
}

/// `.` and `..` as whole segments, however they are encoded.
fn has_dot_segment(path: &str) -> bool {
    let mut rest = path.as_bytes();
    let (mut dots, mut others) = (0_usize, 0_usize);
    let is_dots = |dots, others| others == 0 && (dots == 1 || dots == 2);
    while let Some((byte, after)) = next_decoded(rest) {
        rest = after;
        match byte {
            b'/' | b'\\' if is_dots(dots, others) => return true,
            b'/' | b'\\' => (dots, others) = (0, 0),
            b'.' => dots += 1,
            _ => others += 1,
        }
    }
    is_dots(dots, others)
}

/// The next byte with its percent-encoding undone.
fn next_decoded(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let hex = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    if let [b'%', high, low, rest @ ..] = bytes
        && let (Some(high), Some(low)) = (hex(*high), hex(*low))
    {
        return Some((high << 4 | low, rest));
    }
    bytes.split_first().map(|(byte, rest)| (*byte, rest))
}
