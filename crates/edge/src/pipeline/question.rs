//! What is asked of the cache, or why it is not asked.

use http::{Method, Uri};

use crate::cache::key::shown_target;
use crate::cache::rules::{Refusal, RequestView};
use crate::cache::safety;
use crate::edge::Site;
use crate::error::{Error, ErrorKind};
use crate::exchange::{Country, Exchange};
use crate::geo::ShownPlace;
use crate::route::Matched;

/// A request that the cache may answer.
#[derive(Debug)]
pub(super) struct Cacheable {
    /// Primary key.
    pub(super) key: Vec<u8>,
    /// What the key has of the client's place.
    pub(super) place: ShownPlace,
    /// Path and query as the origin is shown them: what is keyed is what is sent.
    pub(super) shown: Option<Uri>,
}

impl Cacheable {
    /// Path and query for the origin: rewritten by the route, with no more of the query than the key has.
    pub(super) fn target(&self, matched: &Matched<'_>, exchange: &Exchange) -> Result<Uri, Error> {
        let shown = self.shown.as_ref().unwrap_or(&exchange.head.uri);
        matched.rewritten_as(exchange, shown.clone())
    }
}

/// Whether the cache is asked.
#[derive(Debug)]
pub(super) enum Question {
    /// It is.
    Cacheable(Cacheable),
    /// It is not, for this reason.
    Pass(Refusal),
}

/// Decides whether the cache is asked, and under which key. `country` is asked only if the key has it.
pub(super) fn of(
    site: &Site,
    exchange: &Exchange,
    country: impl Fn() -> Option<Country>,
) -> Result<Question, Error> {
    let policy = site.route.policy.as_deref();
    let head = &exchange.head;
    let is_read = head.method == Method::GET || head.method == Method::HEAD;
    // Content on a read is in no key, and an upgrade has no answer to store.
    if !is_read || exchange.upgrade.is_some() || !exchange.body.is_empty() {
        return Ok(Question::Pass(Refusal::Method));
    }
    if let Err(refusal) = safety::must_pass(view(exchange), policy) {
        return Ok(Question::Pass(refusal));
    }
    if site.is_personal {
        return Ok(Question::Pass(Refusal::Identity));
    }
    if safety::ambiguity(&head.uri, policy).is_some() {
        return Err(Error::new(
            ErrorKind::BadMessage,
            "path that two programs may read differently",
        ));
    }
    Ok(Question::Cacheable(cacheable(site, exchange, country)))
}

/// The request as the rules read it.
pub(super) fn view(exchange: &Exchange) -> RequestView<'_> {
    RequestView { method: &exchange.head.method, fields: &exchange.head.fields }
}

fn cacheable(site: &Site, exchange: &Exchange, country: impl Fn() -> Option<Country>) -> Cacheable {
    let head = &exchange.head;
    let mut key = Vec::with_capacity(128);
    let source = site.key_source(exchange.client.scheme, head);
    let (query, place) = site.write_key(source, country, &mut key);
    let is_changed = site.folder.is_none() && query.as_deref() != head.uri.query();
    let shown = is_changed.then(|| shown_target(&head.uri, query.as_deref()));
    Cacheable { key, place, shown }
}
