//! Targets of redirects and rewrites: text with `{name}` in it.

use std::fmt;

/// A template, parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// Its parts in order.
    pub parts: Vec<Part>,
}

/// A part of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// This text.
    Text(String),
    /// The client's path.
    Path,
    /// The client's query with its question mark; nothing if there is none.
    Query,
    /// The client's host, without port.
    Host,
    /// What a pattern captured under this name.
    Capture(String),
}

/// What a template is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A path for the origin.
    Rewrite,
    /// A `Location`.
    Redirect,
}

/// Why a text is no template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TemplateError {
    /// A brace without its other half.
    Unclosed,
    /// A name that nothing captures.
    Unknown(String),
    /// It begins with neither a path nor, for a redirect, a scheme that we know.
    Start,
    /// A capture where the client could choose the host: an open redirect.
    Authority(String),
    /// A byte that a target must not hold.
    Byte,
}

impl Template {
    /// Parses and checks; `captures` are the names that the route's pattern has.
    pub fn parse(
        text: &str,
        captures: &[&str],
        purpose: Purpose,
    ) -> Result<Template, TemplateError> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, from_brace) = rest.split_at(at);
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            let inner = from_brace.strip_prefix('{').ok_or(TemplateError::Unclosed)?;
            let (name, after) = inner.split_once('}').ok_or(TemplateError::Unclosed)?;
            parts.push(match name {
                "path" => Part::Path,
                "query" => Part::Query,
                "host" => Part::Host,
                _ if captures.contains(&name) => Part::Capture(name.to_owned()),
                _ => return Err(TemplateError::Unknown(name.to_owned())),
            });
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        let template = Template { parts };
        template.check(purpose)?;
        Ok(template)
    }

    fn check(&self, purpose: Purpose) -> Result<(), TemplateError> {
        let texts = self.parts.iter().filter_map(|part| match part {
            Part::Text(text) => Some(text),
            _ => None,
        });
        let is_bad = |b: u8| !(0x21..0x7f).contains(&b) || matches!(b, b'\\' | b'"' | b'<' | b'>');
        if texts.clone().any(|text| text.bytes().any(is_bad)) {
            return Err(TemplateError::Byte);
        }
        match self.parts.first() {
            Some(Part::Path) => Ok(()),
            Some(Part::Text(text)) if text.starts_with("//") => Err(TemplateError::Start),
            Some(Part::Text(text)) if text.starts_with('/') => Ok(()),
            Some(Part::Text(text)) if purpose == Purpose::Redirect => self.check_absolute(text),
            _ => Err(TemplateError::Start),
        }
    }

    /// `https://host/…`: up to the path only `{host}` may be filled in, or a client would choose where it
    /// is sent, and could send others there.
    fn check_absolute(&self, first: &str) -> Result<(), TemplateError> {
        let after = first.strip_prefix("https://").or_else(|| first.strip_prefix("http://"));
        let mut authority = after.ok_or(TemplateError::Start)?.to_owned();
        for part in self.parts.iter().skip(1) {
            if authority.contains(['/', '?', '#']) {
                break;
            }
            match part {
                Part::Text(text) => authority.push_str(text),
                Part::Host => authority.push('h'),
                // Both begin with a byte that ends an authority, or are empty.
                Part::Path | Part::Query => authority.push('/'),
                Part::Capture(name) => return Err(TemplateError::Authority(name.clone())),
            }
        }
        let is_named = !authority.is_empty() && !authority.starts_with(['/', '?', '#']);
        if is_named { Ok(()) } else { Err(TemplateError::Start) }
    }
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TemplateError::Unclosed => f.write_str("has a brace without its other half"),
            TemplateError::Unknown(name) => write!(f, "uses `{{{name}}}`, which nothing captures"),
            TemplateError::Start => f.write_str("does not begin with a path or a host"),
            TemplateError::Authority(name) => {
                write!(f, "lets the client choose the host by `{{{name}}}`")
            }
            TemplateError::Byte => f.write_str("holds a byte that must be percent-encoded"),
        }
    }
}

impl std::error::Error for TemplateError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Template, TemplateError> {
        Template::parse(text, &["id", "rest"], Purpose::Redirect)
    }

    #[test]
    fn parts_are_told_apart() {
        let template = parse("https://{host}/u/{id}{query}").expect("it is valid");
        assert_eq!(
            template.parts,
            [
                Part::Text("https://".into()),
                Part::Host,
                Part::Text("/u/".into()),
                Part::Capture("id".into()),
                Part::Query
            ]
        );
        assert!(parse("https://{host}{path}{query}").is_ok());
        assert!(parse("{path}").is_ok());
    }

    #[test]
    fn a_client_never_chooses_the_host() {
        for text in ["https://{id}/", "https://shop.example{rest}", "https://a.{id}.example/x"] {
            assert!(matches!(parse(text), Err(TemplateError::Authority(_))), "{text}");
        }
        for text in ["{rest}", "//evil", "javascript:{id}", "https:///x", "https://{path}", ""] {
            assert_eq!(parse(text), Err(TemplateError::Start), "{text}");
        }
        let absolute = Template::parse("https://a/", &[], Purpose::Rewrite);
        assert_eq!(absolute, Err(TemplateError::Start));
    }

    #[test]
    fn unknown_and_unclosed_names_are_refused() {
        assert_eq!(parse("/{nobody}"), Err(TemplateError::Unknown("nobody".into())));
        assert_eq!(parse("/{id"), Err(TemplateError::Unclosed));
        assert_eq!(parse("/id}"), Err(TemplateError::Unclosed));
        assert_eq!(parse("/a b"), Err(TemplateError::Byte));
    }
}
