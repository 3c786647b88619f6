//! Policies: what a route lets the cache do, and which inputs make the key.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;

/// May answers be stored at all?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caching {
    /// Never; everything is forwarded as it is.
    Off,
    /// Only what the answer grants by itself (RFC 9111 with explicit freshness).
    Granted,
    /// What the answer grants; where it says nothing, the policy's own `ttl` grants.
    GrantedOr(Duration),
}

/// What of the query is in the key, and so what the origin is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueryRule {
    /// All of it.
    Keep,
    /// None of it.
    DropAll,
    /// Only these parameters.
    Only(Vec<String>),
    /// All but these.
    Without(Vec<String>),
}

/// Key and forwarding under a policy: what is not here is not forwarded when the answer may be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRule {
    /// Query.
    pub query: QueryRule,
    /// Parameters that only follow people around (`utm_*`, `gclid`, …) are dropped as well.
    pub drops_marketing: bool,
    /// Parameters are sorted by name, so that their order makes no second object.
    pub sorts_query: bool,
    /// Fields in the key.
    pub fields: Vec<HeaderName>,
    /// Cookies in the key, by name.
    pub cookies: Vec<String>,
    /// The country of the client's address. Nothing finer: a city in the key would make an object of it
    /// for each city.
    pub by_country: bool,
    /// Fields that the origin may see, for its logs, although they are not in the key.
    pub inform: Vec<HeaderName>,
}

/// Answers that are stored although something speaks against it. Each is a named exception.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Exceptions {
    /// Store an answer with `Set-Cookie`, without that field.
    pub strips_set_cookie: bool,
    /// Store although the request carried `Authorization` and the answer gives no permission.
    pub ignores_authorization: bool,
}

/// A policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Name, as routes refer to it.
    pub name: String,
    /// Storing.
    pub caching: Caching,
    /// Freshness by guess (RFC 9111 §4.2.2) where the answer has `Last-Modified` and nothing else.
    pub is_heuristic: bool,
    /// Stale answers while one is fetched anew, where the answer says nothing itself (RFC 5861 §3).
    pub stale_while_revalidate: Option<Duration>,
    /// Stale answers when the origin fails, where the answer says nothing itself (RFC 5861 §4).
    pub stale_if_error: Option<Duration>,
    /// How much longer than that while the origin is overloaded.
    pub stale_if_overloaded: Option<Duration>,
    /// Freshness of errors (404, 410, 5xx, …) that say nothing themselves; `None` stores none.
    pub error_ttl: Option<Duration>,
    /// A client's `no-cache`, `max-age=0` and `Pragma` do not reach the origin.
    pub ignores_client_no_cache: bool,
    /// Key.
    pub key: KeyRule,
    /// Exceptions.
    pub exceptions: Exceptions,
}

impl Policy {
    /// Names of the ready policies.
    pub const READY: [&'static str; 4] = ["assets", "html", "api", "pass"];

    /// A ready policy by its name.
    pub fn ready(name: &str) -> Option<Arc<Policy>> {
        match name {
            "assets" => Some(Policy::assets()),
            "html" => Some(Policy::html()),
            "api" => Some(Policy::api()),
            "pass" => Some(Policy::pass()),
            _ => None,
        }
    }

    /// `assets`: fingerprinted files that never change under their name. A year, immutable.
    pub fn assets() -> Arc<Policy> {
        const DAY: Duration = Duration::from_secs(86_400);
        Arc::new(Policy {
            name: "assets".into(),
            caching: Caching::GrantedOr(365 * DAY),
            is_heuristic: false,
            stale_while_revalidate: Some(DAY),
            stale_if_error: Some(30 * DAY),
            stale_if_overloaded: None,
            error_ttl: Some(Duration::from_secs(1)),
            ignores_client_no_cache: true,
            key: KeyRule {
                query: QueryRule::Keep,
                drops_marketing: true,
                sorts_query: true,
                fields: Vec::new(),
                cookies: Vec::new(),
                by_country: false,
                inform: vec![http::header::USER_AGENT],
            },
            exceptions: Exceptions::default(),
        })
    }

    /// `html`: pages for everybody. Short, served stale while fetched anew, kept for an outage.
    /// Only by grant of the answer: a page without one may be somebody's own.
    pub fn html() -> Arc<Policy> {
        Arc::new(Policy {
            name: "html".into(),
            caching: Caching::Granted,
            is_heuristic: false,
            stale_while_revalidate: Some(Duration::from_secs(30)),
            stale_if_error: Some(Duration::from_secs(86_400)),
            stale_if_overloaded: None,
            error_ttl: Some(Duration::from_secs(1)),
            ignores_client_no_cache: true,
            key: KeyRule {
                query: QueryRule::Keep,
                drops_marketing: true,
                sorts_query: false,
                fields: Vec::new(),
                cookies: Vec::new(),
                by_country: false,
                inform: vec![http::header::USER_AGENT],
            },
            exceptions: Exceptions::default(),
        })
    }

    /// `api`: only on explicit grant, nothing by the policy itself, the query as it is.
    pub fn api() -> Arc<Policy> {
        Arc::new(Policy {
            name: "api".into(),
            caching: Caching::Granted,
            is_heuristic: false,
            stale_while_revalidate: None,
            stale_if_error: None,
            stale_if_overloaded: None,
            error_ttl: None,
            ignores_client_no_cache: false,
            key: KeyRule {
                query: QueryRule::Keep,
                drops_marketing: false,
                sorts_query: false,
                fields: vec![http::header::ACCEPT],
                cookies: Vec::new(),
                by_country: false,
                inform: vec![http::header::USER_AGENT],
            },
            exceptions: Exceptions::default(),
        })
    }

    /// `pass`: nothing is stored and everything is forwarded as it is.
    pub fn pass() -> Arc<Policy> {
        Arc::new(Policy {
            name: "pass".into(),
            caching: Caching::Off,
            is_heuristic: false,
            stale_while_revalidate: None,
            stale_if_error: None,
            stale_if_overloaded: None,
            error_ttl: None,
            ignores_client_no_cache: false,
            key: KeyRule {
                query: QueryRule::Keep,
                drops_marketing: false,
                sorts_query: false,
                fields: Vec::new(),
                cookies: Vec::new(),
                by_country: false,
                inform: Vec::new(),
            },
            exceptions: Exceptions::default(),
        })
    }
}
