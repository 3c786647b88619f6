//! `[forward_auth.NAME]`: an application that says of each request whether it may come in, and whose it is.

use std::fmt;
use std::time::Duration;

use http::{HeaderName, Uri, header};

/// Time that a request waits for it: a person waits for no page longer than that.
pub const TIMEOUT: Duration = Duration::from_secs(5);
/// Longest time that an answer of it is used for: who is logged out is out after that.
pub const MAX_TTL: Duration = Duration::from_secs(60);
/// Fields of a request that it is shown: credentials, and what tells a page from a call of a script.
pub const SHOW_FIELDS: [HeaderName; 4] = [
    header::ACCEPT,
    header::AUTHORIZATION,
    header::COOKIE,
    HeaderName::from_static("x-requested-with"),
];
/// Shortest secret: 32 digits of `openssl rand -hex` are not guessed.
pub const MIN_SECRET_BYTES: usize = 32;
/// Longest secret.
pub const MAX_SECRET_BYTES: usize = 1_024;

/// What it is told of a request besides scheme, host and fields. All that it is told makes the key under
/// which its answers are remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// Method.
    Method,
    /// Path and query.
    Target,
    /// The client's address.
    Address,
}

/// What becomes of requests while it does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// They are refused.
    Refuse,
    /// They go on, of nobody.
    LetIn,
}

/// `[forward_auth.NAME]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForwardAuth {
    /// Name, in the journal and metrics.
    pub name: String,
    /// The origin that is asked.
    pub origin: String,
    /// Path and query that it is asked for.
    pub path: Uri,
    /// What it is told of the request itself.
    pub show: Vec<Shown>,
    /// Which of the request's fields it is shown.
    pub show_fields: Vec<HeaderName>,
    /// Which cookies, if not all.
    pub show_cookies: Option<Vec<String>>,
    /// Which fields of its answer the request takes along to its origin.
    pub take: Vec<HeaderName>,
    /// What these are signed with.
    pub keys: Option<Keys>,
    /// Time that a request waits for it.
    pub timeout: Duration,
    /// Longest time that an answer is used for; `None` asks for every request.
    pub max_ttl: Option<Duration>,
    /// What becomes of requests while it does not answer.
    pub on_failure: OnFailure,
}

/// Keys that edge and application share. The first one signs. Not shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys(Vec<(String, Box<[u8]>)>);

impl Keys {
    /// Reads `id:secret` a line. Says which line is wrong.
    pub fn parse(text: &str) -> Result<Keys, (usize, &'static str)> {
        let mut keys: Vec<(String, Box<[u8]>)> = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (id, secret) = line.split_once(':').ok_or((number, "is not `id:secret`"))?;
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            if id.is_empty() || !id.bytes().all(is_plain) {
                return Err((number, "has no id of letters, digits, `-`, `_` and `.`"));
            }
            let is_secret = (MIN_SECRET_BYTES..=MAX_SECRET_BYTES).contains(&secret.len())
                && secret.bytes().all(|byte| byte.is_ascii_graphic());
            if !is_secret {
                return Err((number, "has no secret of 32 visible characters or more"));
            }
            if keys.iter().any(|(known, _)| known == id) {
                return Err((number, "has the id of an earlier line"));
            }
            keys.push((id.to_owned(), secret.as_bytes().into()));
        }
        if keys.is_empty() { Err((0, "has no key")) } else { Ok(Keys(keys)) }
    }

    /// Id and secret of the key that signs.
    pub fn signing(&self) -> Option<(&str, &[u8])> {
        self.0.first().map(|(id, secret)| (id.as_str(), &**secret))
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({})", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_key_signs_and_none_is_shown() {
        let (one, two) = ("1".repeat(32), "2".repeat(40));
        let keys = Keys::parse(&format!("# keys\n\n2026-a:{one}\nb:{two}\n")).expect("keys");
        assert_eq!(keys.signing(), Some(("2026-a", one.as_bytes())));
        assert_eq!(format!("{keys:?}"), "Keys(2)");
        for (text, line) in [
            ("", 0),
            ("# nothing", 0),
            ("a", 1),
            (":12345678901234567890123456789012", 1),
            ("a b:12345678901234567890123456789012", 1),
            ("a:1234567890123456789012345678901", 1),
            ("a:1234567890123456 123456789012345", 1),
            ("a:12345678901234567890123456789012\na:12345678901234567890123456789012", 2),
        ] {
            assert_eq!(Keys::parse(text).map_err(|(line, _)| line), Err(line), "{text}");
        }
    }
}
