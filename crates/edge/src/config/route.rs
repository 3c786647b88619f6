//! `[[route]]`: which request goes where, under which policy.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode};

use super::forward_auth::ForwardAuth;
use super::mirror::Mirror;
use super::policy::Policy;
use super::rate::Rate;
use super::users::BasicAuth;
use crate::exchange::{Country, Scheme};

/// Which hosts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HostRule {
    /// Exactly this host, lower case, without port.
    Exact(String),
    /// `*.example.com`: any name below, not the name itself. Kept as `.example.com`.
    Below(String),
}

/// Which paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathRule {
    /// Any path.
    Any,
    /// Exactly this path.
    Exact(String),
    /// This path and all below; `/admin` takes `/admin` and `/admin/x`, not `/administrator`.
    Prefix(String),
    /// `/users/:id/photo` and `/files/*rest`: whole segments captured by name.
    Pattern(Vec<Segment>),
}

/// A segment of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// This text.
    Literal(String),
    /// Any one segment, captured.
    One(String),
    /// Everything that follows, captured; last only.
    Rest(String),
}

/// A named value that a request must have: a field or a cookie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedValue {
    /// Name; fields lower case.
    pub name: String,
    /// Value; `None` is "present with any value".
    pub value: Option<String>,
}

/// A field set or removed on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldEdit {
    /// In place of whatever was there.
    Set(HeaderName, HeaderValue),
    /// Besides what is there.
    Add(HeaderName, HeaderValue),
    /// Away.
    Remove(HeaderName),
}

/// What a route does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Ask this origin, by its name.
    Forward(String),
    /// Answer with a redirect; the target may hold `{name}` captures, `{path}`, `{query}`, `{host}`.
    Redirect(StatusCode, String),
    /// Answer with a fixed text.
    Fixed(StatusCode, Bytes),
    /// Answer with a file of a folder.
    Files(Files),
}

/// File that a folder's own path stands for.
pub const INDEX: &str = "index.html";

/// Files of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The folder. Looked up anew for each file, so that a link to the release of today may move.
    pub folder: PathBuf,
    /// The file that stands for a folder below; `None` serves none.
    pub index: Option<String>,
    /// What is served in place of a page that is not there: an application that finds its way by itself.
    pub fallback: Option<String>,
    /// How long clients may use a file unasked. Without it they ask each time, and are told in a few
    /// bytes that nothing has changed.
    pub max_age: Option<Duration>,
}

impl Files {
    /// Everything below `folder`, with every other setting at its default.
    pub fn below(folder: impl Into<PathBuf>) -> Files {
        Files { folder: folder.into(), index: Some(INDEX.into()), fallback: None, max_age: None }
    }
}

/// Shares of a split are so many parts of a percent.
pub const PARTS_OF_PERCENT: u32 = 100;
/// All of them.
pub const ALL_PARTS: u32 = 100 * PARTS_OF_PERCENT;

/// What so many parts are in percent.
pub fn percent(parts: u32) -> f64 {
    f64::from(parts) / f64::from(PARTS_OF_PERCENT)
}
/// Cookie that keeps a client in its arm.
pub const STICKY_COOKIE: &str = "forebay-split";

/// Requests that go to other origins than the route's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// Origin and share of [`ALL_PARTS`]; what is left is the route's own origin's.
    pub shares: Vec<(String, u32)>,
    /// What keeps a client in its arm.
    pub sticky: Sticky,
}

/// What keeps a client in its arm of a split.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sticky {
    /// A cookie of this name, which the edge sets and keeps from the origin.
    Cookie(String),
    /// Its address; of IPv6 the first 64 bits.
    Address,
    /// Nothing: every request is drawn anew.
    Off,
}

/// What clients that open a page are told before its answer (RFC 8297).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EarlyHints {
    /// Nothing.
    Off,
    /// What the application says.
    #[default]
    Pass,
    /// That, and what the page's last answer linked to.
    Make,
}

/// A route.
#[derive(Debug, Clone)]
pub struct Route {
    /// Name for logs, metrics and `cache why`.
    pub name: String,
    /// Scheme by which the client came; `None` is either.
    pub scheme: Option<Scheme>,
    /// Hosts; empty is every host.
    pub hosts: Vec<HostRule>,
    /// Path.
    pub path: PathRule,
    /// Methods; empty is every method.
    pub methods: Vec<Method>,
    /// Fields, all of them.
    pub fields: Vec<NamedValue>,
    /// Cookies, all of them.
    pub cookies: Vec<NamedValue>,
    /// Countries of the client's address; empty is every country, and addresses of none.
    pub countries: Vec<Country>,
    /// What to do.
    pub action: Action,
    /// Other origins that take a share of what is forwarded.
    pub split: Option<Split>,
    /// Policy; `None` keys on everything that `Vary` names and forwards every end-to-end field.
    pub policy: Option<Arc<Policy>>,
    /// New path for the origin; may hold captures as redirects do. The key keeps the client's path.
    pub rewrite: Option<String>,
    /// Folders whose files the application may name in place of its content (`X-Accel-Redirect`,
    /// `X-Sendfile`), each under a prefix that begins and ends with a slash.
    pub sendfile: Vec<(String, PathBuf)>,
    /// Hints for clients that open a page.
    pub early_hints: EarlyHints,
    /// Towards the origin.
    pub request_fields: Vec<FieldEdit>,
    /// Towards the client.
    pub answer_fields: Vec<FieldEdit>,
    /// Pages in place of our own errors, by status.
    pub error_pages: BTreeMap<u16, Bytes>,
    /// Content limit, where it differs from `[admit]`.
    pub max_content_bytes: Option<u64>,
    /// How often clients may ask.
    pub rates: Vec<Arc<Rate>>,
    /// Who may use it, by name and password.
    pub basic_auth: Option<Arc<BasicAuth>>,
    /// Who says whether a request may come in.
    pub forward_auth: Option<Arc<ForwardAuth>>,
    /// Who gets copies of what the origin is asked.
    pub mirror: Option<Mirror>,
    /// Its application is worked on: clients get the page of `[maintenance]`.
    pub is_in_maintenance: bool,
}

impl Route {
    /// The route's name, if it does not take every request for a URL: then it belongs into keys.
    pub fn keyed_name(&self) -> Option<&str> {
        let is_conditional =
            !self.fields.is_empty() || !self.cookies.is_empty() || !self.countries.is_empty();
        is_conditional.then_some(self.name.as_str())
    }

    /// True if requests of this route go to the origin of this name.
    pub fn asks(&self, origin: &str) -> bool {
        let is_own = matches!(&self.action, Action::Forward(name) if name == origin);
        let mut shares = self.split.iter().flat_map(|split| &split.shares);
        is_own
            || shares.any(|(name, _)| name == origin)
            || self.mirror.as_ref().is_some_and(|mirror| mirror.origin == origin)
            || self.forward_auth.as_ref().is_some_and(|auth| auth.origin == origin)
    }

    /// A route for everything to one origin, without a policy: `forebay run` without a file.
    pub fn everything_to(origin: &str) -> Route {
        Route {
            name: "default".into(),
            scheme: None,
            hosts: Vec::new(),
            path: PathRule::Any,
            methods: Vec::new(),
            fields: Vec::new(),
            cookies: Vec::new(),
            countries: Vec::new(),
            action: Action::Forward(origin.into()),
            split: None,
            policy: None,
            rewrite: None,
            sendfile: Vec::new(),
            early_hints: EarlyHints::default(),
            request_fields: Vec::new(),
            answer_fields: Vec::new(),
            error_pages: BTreeMap::new(),
            max_content_bytes: None,
            rates: Vec::new(),
            basic_auth: None,
            forward_auth: None,
            mirror: None,
            is_in_maintenance: false,
        }
    }
}
