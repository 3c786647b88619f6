//! `Link` (RFC 8288), as far as early hints are made of it (RFC 8297).

#![warn(clippy::indexing_slicing)]

use http::HeaderMap;
use http::header::LINK;

use crate::exchange::is_fingerprinted;

/// Links of a page that are hinted at: a browser loads no more at once.
pub const MOST_LINKS: usize = 32;
/// Bytes of them.
pub const MOST_LINK_BYTES: usize = 4 * 1024;

/// Relations that are worth a hint.
const HINTED: [&[u8]; 3] = [b"preload", b"preconnect", b"modulepreload"];
/// What is loaded is the same for all who use the application.
const FOR_ALL: [&[u8]; 3] = [b"style", b"script", b"font"];

/// Whose links these are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// The answer may be stored for everybody who asks the same.
    Everybody,
    /// It may be for one client. Only styles, scripts and fonts under a name that carries a digest are no
    /// secret of that one: they belong to the application.
    MaybeOne,
}

/// The links of an answer that may be told the next client before there is an answer, as the value of one
/// `Link`; empty if there are none.
pub fn hinted(fields: &HeaderMap, audience: Audience) -> Vec<u8> {
    let mut value = Vec::new();
    let links = fields.get_all(LINK).iter().flat_map(|value| Links(value.as_bytes()));
    let wanted = links.filter(Link::is_hinted);
    let told = wanted.filter(|link| audience == Audience::Everybody || link.is_for_all());
    for link in told.take(MOST_LINKS) {
        let length = value.len();
        if length > 0 {
            value.extend_from_slice(b", ");
        }
        link.write(&mut value);
        if value.len() > MOST_LINK_BYTES {
            value.truncate(length);
        }
    }
    value
}

struct Link<'v> {
    target: &'v [u8],
    /// Names and values as they are written, quotes included.
    parameters: Vec<(&'v [u8], Option<&'v [u8]>)>,
}

impl Link<'_> {
    fn value(&self, name: &[u8]) -> Option<&[u8]> {
        // RFC 8288 §3.3: the first one counts.
        let named = self.parameters.iter().find(|(it, _)| it.eq_ignore_ascii_case(name));
        let value = named.and_then(|(_, value)| *value)?;
        let quoted = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
        Some(quoted.unwrap_or(value))
    }

    fn has_relation(&self, wanted: &[&[u8]]) -> bool {
        let relations = self.value(b"rel").unwrap_or_default();
        let mut relations = relations.split(|byte| *byte == b' ');
        relations.any(|relation| wanted.iter().any(|it| relation.eq_ignore_ascii_case(it)))
    }

    fn is_hinted(&self) -> bool {
        // With an anchor it is a link of something else than this page (RFC 8288 §3.2).
        self.has_relation(&HINTED) && self.value(b"anchor").is_none()
    }

    fn is_for_all(&self) -> bool {
        let is_kind = |kind: &[u8]| FOR_ALL.iter().any(|it| kind.eq_ignore_ascii_case(it));
        let is_asset = match self.value(b"as") {
            Some(kind) => is_kind(kind),
            None => self.has_relation(&[b"modulepreload"]),
        };
        let path = std::str::from_utf8(self.target).unwrap_or_default();
        is_asset && !path.contains(['?', '#']) && is_fingerprinted(path)
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.push(b'<');
        out.extend_from_slice(self.target);
        out.push(b'>');
        for (name, value) in &self.parameters {
            // A nonce is good for one answer (Content Security Policy §7.1).
            if name.eq_ignore_ascii_case(b"nonce") {
                continue;
            }
            out.extend_from_slice(b"; ");
            out.extend_from_slice(name);
            if let Some(value) = value {
                out.push(b'=');
                out.extend_from_slice(value);
            }
        }
    }
}

/// The links of a field value; it ends with the first that is none.
struct Links<'v>(&'v [u8]);

impl<'v> Iterator for Links<'v> {
    type Item = Link<'v>;

    fn next(&mut self) -> Option<Link<'v>> {
        let link = self.read();
        if link.is_none() {
            self.0 = b"";
        }
        link
    }
}

impl<'v> Links<'v> {
    fn read(&mut self) -> Option<Link<'v>> {
        self.take_while(|byte| matches!(byte, b' ' | b'\t' | b','));
        self.0 = self.0.strip_prefix(b"<")?;
        let target = self.take_while(|byte| byte != b'>');
        self.0 = self.0.strip_prefix(b">")?;
        let mut parameters = Vec::new();
        loop {
            self.blank();
            match self.0.split_first() {
                None | Some((b',', _)) => return Some(Link { target, parameters }),
                Some((b';', rest)) => self.0 = rest,
                Some(_) => return None,
            }
            self.blank();
            let name = self.take_while(is_token);
            self.blank();
            let value = match self.0.strip_prefix(b"=") {
                Some(rest) => {
                    self.0 = rest;
                    self.blank();
                    Some(self.value()?)
                }
                None => None,
            };
            if !name.is_empty() {
                parameters.push((name, value));
            }
        }
    }

    fn value(&mut self) -> Option<&'v [u8]> {
        if !self.0.starts_with(b"\"") {
            let value = self.take_while(|byte| !matches!(byte, b' ' | b'\t' | b';' | b',' | b'"'));
            return (!value.is_empty()).then_some(value);
        }
        let mut is_escaped = false;
        let end = self.0.iter().skip(1).position(|byte| {
            let ends = *byte == b'"' && !is_escaped;
            is_escaped = *byte == b'\\' && !is_escaped;
            ends
        })?;
        let (value, rest) = self.0.split_at_checked(end + 2)?;
        self.0 = rest;
        Some(value)
    }

    fn blank(&mut self) {
        self.take_while(|byte| matches!(byte, b' ' | b'\t'));
    }

    fn take_while(&mut self, belongs: impl Fn(u8) -> bool) -> &'v [u8] {
        let end = self.0.iter().position(|byte| !belongs(*byte)).unwrap_or(self.0.len());
        let (taken, rest) = self.0.split_at_checked(end).unwrap_or((self.0, b""));
        self.0 = rest;
        taken
    }
}

/// RFC 9110 §5.6.2, with the `*` of RFC 8187.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
#[path = "link_tests.rs"]
mod tests;
