//! `[purge]`: who may purge by HTTP.

use std::fmt;
use std::hint::black_box;
use std::net::IpAddr;

use super::admit::{Proxy, names_client};

/// Shortest token: 16 characters of a good source are not guessed over a network.
pub const MIN_TOKEN_BYTES: usize = 16;
/// Longest token: it has to fit a field of a request.
pub const MAX_TOKEN_BYTES: usize = 1_024;

/// `[purge]`.
#[derive(Debug, Clone, Default)]
pub struct Purge {
    /// Who may because of where he is.
    pub allow: Vec<Proxy>,
    /// What lets anybody who knows it.
    pub token: Option<Token>,
}

impl Purge {
    /// True if `PURGE` is for the edge at all.
    pub fn is_on(&self) -> bool {
        !self.allow.is_empty() || self.token.is_some()
    }

    /// True for an address that may purge.
    pub fn allows(&self, has_peer: bool, address: IpAddr) -> bool {
        names_client(&self.allow, has_peer, address)
    }
}

/// A secret that is never printed.
#[derive(Clone)]
pub struct Token(Box<[u8]>);

impl Token {
    /// A token of visible characters, blanks around it cut off; `None` if it is too short, too long or has
    /// others.
    pub fn new(text: &[u8]) -> Option<Token> {
        let text = text.trim_ascii();
        let is_token = (MIN_TOKEN_BYTES..=MAX_TOKEN_BYTES).contains(&text.len())
            && text.iter().all(u8::is_ascii_graphic);
        is_token.then(|| Token(text.into()))
    }

    /// Compares in a time that depends on the lengths alone.
    pub fn is(&self, given: &[u8]) -> bool {
        if given.len() != self.0.len() {
            return false;
        }
        let pairs = self.0.iter().zip(given);
        black_box(pairs.fold(0, |differs, (ours, theirs)| black_box(differs | (ours ^ theirs))))
            == 0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn purge(allow: &[&str]) -> Purge {
        let allow = allow.iter().map(|text| text.parse().expect("a network")).collect();
        Purge { allow, token: None }
    }

    #[test]
    fn only_the_token_is_the_token() {
        let token = Token::new(b" 0123456789abcdef\n").expect("it is one");
        assert!(token.is(b"0123456789abcdef"));
        for other in [&b"0123456789abcdeg"[..], b"1123456789abcdef", b"0123456789abcde", b""] {
            assert!(!token.is(other));
        }
        assert_eq!(format!("{token:?}"), "Token(…)");
        for bad in [&b"0123456789abcde"[..], b"0123456789 abcdef", b"", &[b'x'; 1_025]] {
            assert!(Token::new(bad).is_none());
        }
    }

    #[test]
    fn addresses_are_allowed_by_network_and_sockets_by_name() {
        let near = purge(&["10.0.0.0/8", "::1"]);
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        assert!(near.allows(true, address("10.1.2.3")));
        assert!(near.allows(true, address("::ffff:10.1.2.3")));
        assert!(near.allows(true, address("::1")) && !near.allows(false, address("::1")));
        assert!(!near.allows(true, address("11.0.0.1")));
        let socket = purge(&["unix"]);
        assert!(socket.allows(false, address("127.0.0.1")));
        assert!(!socket.allows(true, address("127.0.0.1")));
        assert!(!Purge::default().is_on() && socket.is_on());
    }
}
