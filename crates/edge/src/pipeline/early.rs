//! What a client is told before its answer: hints of the application, and those that the edge makes of the
//! links of the page's last answer.
//!
//! Only whoever waits for the origin is told: a stored answer says it all at once.

use std::sync::Arc;

use bytes::Bytes;
use forebay_signals::clock;
use http::header::{ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, CONTENT_TYPE, HeaderMap, HeaderName};
use http::{Method, StatusCode, Uri, Version};

use super::closing::Notes;
use crate::cache::rules::Grant;
use crate::cache::rules::link::{Audience, hinted};
use crate::config::route::EarlyHints;
use crate::edge::{Edge, Site, Snapshot};
use crate::exchange::{Exchange, HintedBy, Hints, OwnLines};

const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// What the origin is asked for, and where what comes before its answer goes.
#[derive(Debug, Clone)]
pub(super) struct Goal {
    /// Path and query as the origin is shown them.
    pub(super) uri: Uri,
    /// The way to the client, if it has a use for that.
    pub(super) hints: Option<Hints>,
}

impl From<Uri> for Goal {
    fn from(uri: Uri) -> Goal {
        Goal { uri, hints: None }
    }
}

/// A way to a client that has a use for hints: one that opens a page and says so. Browsers use no others, and
/// a client that never says it may be one that takes a 103 for the answer (RFC 8297 §3).
pub(super) fn open(
    edge: &Edge,
    snapshot: &Snapshot,
    exchange: &Exchange,
    notes: &Notes,
) -> Option<Hints> {
    let site = snapshot.sites.get(notes.site?)?;
    let head = &exchange.head;
    let opens_page = site.route.early_hints != EarlyHints::Off
        && head.method == Method::GET
        && head.version >= Version::HTTP_11
        && exchange.upgrade.is_none()
        && head.fields.get(SEC_FETCH_MODE).is_some_and(|mode| mode == "navigate");
    opens_page.then(|| Hints::new(exchange.id, Arc::clone(&edge.hints)))
}

/// Tells the client what the page's last answer linked to, while the origin is asked for the next.
pub(super) fn tell(edge: &Edge, site: &Site, key: &[u8], goal: &Goal) {
    if site.route.early_hints != EarlyHints::Make {
        return;
    }
    if let Some(hints) = &goal.hints
        && let Some(lines) = edge.cache.links.of(key, edge.cache.ms(clock::now()))
    {
        hints.push(lines, HintedBy::Memory);
    }
}

/// Keeps the links of a page. True if there were some.
pub(super) fn keep(
    edge: &Edge,
    site: &Site,
    key: &[u8],
    (status, fields): (StatusCode, &HeaderMap),
    audience: Audience,
) -> bool {
    if site.route.early_hints != EarlyHints::Make || status != StatusCode::OK || !is_page(fields) {
        return false;
    }
    let value = hinted(fields, audience);
    let mut lines = OwnLines::with_capacity(value.len() + b"link: \r\n".len());
    if !value.is_empty() {
        lines.push("link", |out| out.extend_from_slice(&value));
    }
    edge.cache.links.keep(key, lines.into(), edge.cache.ms(clock::now()));
    !value.is_empty()
}

/// Forgets them.
pub(super) fn forget(edge: &Edge, key: &[u8]) {
    edge.cache.links.keep(key, Bytes::new(), edge.cache.ms(clock::now()));
}

/// Who may be told of the links of an answer that is stored under this grant, or not at all.
pub(super) fn audience(grant: Option<&Grant>) -> Audience {
    let Some(grant) = grant else { return Audience::MaybeOne };
    // Of variants by a cookie or a field of the application's own, each may be for one.
    let is_for_all = |name: &HeaderName| [ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE].contains(name);
    if grant.vary.iter().all(is_for_all) { Audience::Everybody } else { Audience::MaybeOne }
}

fn is_page(fields: &HeaderMap) -> bool {
    let kind = fields.get(CONTENT_TYPE).map_or(&b""[..], |kind| kind.as_bytes());
    kind.get(..9).is_some_and(|kind| kind.eq_ignore_ascii_case(b"text/html"))
}
