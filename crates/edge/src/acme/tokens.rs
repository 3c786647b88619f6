//! Pages that prove to an authority that a name is ours (RFC 8555 §8.3).

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Method, Uri};

use crate::exchange::{Answer, Exchange};

const PREFIX: &str = "/.well-known/acme-challenge/";

/// What is shown while an order is under way, by token.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    /// Nothing of what follows is looked at while there is none: every request passes here.
    is_any: AtomicBool,
    held: Mutex<HashMap<String, String>>,
}

impl Tokens {
    /// True while some request may be for one of them.
    #[inline]
    pub(crate) fn is_any(&self) -> bool {
        self.is_any.load(Ordering::Relaxed)
    }

    /// The answer, if a request is for one of them; every other request goes its usual way, also below the
    /// same path: an application may have an authority of its own.
    #[cold]
    #[inline(never)]
    pub(crate) fn answer(&self, exchange: &Exchange) -> Option<Answer> {
        let text = self.find(&exchange.head.method, &exchange.head.uri)?;
        let answer = Answer::new(bytes::Bytes::from(text))
            .with(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"))
            .with(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Some(answer)
    }

    fn find(&self, method: &Method, uri: &Uri) -> Option<String> {
        if !matches!(*method, Method::GET | Method::HEAD) {
            return None;
        }
        self.lock().get(uri.path().strip_prefix(PREFIX)?).cloned()
    }

    pub(super) fn show(&self, token: &str, text: &str) {
        let mut held = self.lock();
        held.insert(token.to_owned(), text.to_owned());
        self.is_any.store(true, Ordering::Relaxed);
    }

    pub(super) fn hide(&self, token: &str) {
        let mut held = self.lock();
        held.remove(token);
        self.is_any.store(!held.is_empty(), Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, String>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_token_that_is_held_is_answered_and_only_while_it_is() {
        let tokens = Tokens::default();
        let find = |method: Method, path: &str| {
            tokens.find(&method, &path.parse().expect("a path")).unwrap_or_default()
        };
        assert!(!tokens.is_any());
        tokens.show("abc", "abc.def");
        tokens.show("xyz", "xyz.def");
        assert!(tokens.is_any());
        assert_eq!(find(Method::GET, "/.well-known/acme-challenge/abc"), "abc.def");
        assert_eq!(find(Method::GET, "/.well-known/acme-challenge/abc?x"), "abc.def");
        for path in ["/.well-known/acme-challenge/ab", "/.well-known/acme-challenge/", "/abc", "/"]
        {
            assert_eq!(find(Method::GET, path), "", "{path}");
        }
        assert_eq!(find(Method::POST, "/.well-known/acme-challenge/abc"), "");
        tokens.hide("abc");
        assert!(tokens.is_any());
        assert_eq!(find(Method::GET, "/.well-known/acme-challenge/abc"), "");
        tokens.hide("xyz");
        assert!(!tokens.is_any());
    }
}
