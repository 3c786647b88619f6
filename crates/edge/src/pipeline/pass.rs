//! Past the cache: the request as it is, the answer as it comes.

use std::sync::Arc;

use http::HeaderMap;
use http::header::{ACCEPT_ENCODING, AUTHORIZATION, COOKIE, HeaderValue};

use super::closing::Notes;
use super::early::Goal;
use super::folder;
use super::sendfile;
use crate::cache::rules::AnswerView;
use crate::cache::rules::conditional::CONDITIONS;
use crate::cache::rules::invalidate::{Target, invalidated};
use crate::cache::safety;
use crate::cache::status::{CacheStatus, Forward};
use crate::cache::tags;
use crate::config::cache::Visibility;
use crate::edge::{Edge, Site};
use crate::error::{Error, ErrorKind};
use crate::exchange::{Answer, Ask, Exchange, OwnLines, Priority, Room};
use crate::forward::{Shows, introduce};
use crate::geo::{self, ShownPlace};
use crate::identity::traceparent;
use crate::origin::Upstream;
use crate::route;
use crate::trace::Asking;
use crate::traffic::Outcome;

/// What of the request the origin is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Forwarding {
    /// Every end-to-end field, and where the client is: the answer is for this client alone.
    Everything,
    /// Every end-to-end field: the answer turned out to be for this client alone, after it might have been
    /// shared. What an origin is shown must not change with that.
    Fields,
    /// What the policy lists: the route's answers are shared, even if this one turned out not to be.
    Listed,
}

/// How the origin is asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct How {
    /// What of the request it is shown.
    pub(super) forwarding: Forwarding,
    /// What of the client's place.
    pub(super) place: ShownPlace,
    /// What whoever waits has to lose.
    pub(super) priority: Priority,
}

/// Sends the request on and its answer back.
pub(super) async fn through(
    edge: &Edge,
    site: &Site,
    exchange: &mut Exchange,
    goal: Goal,
    how: How,
    notes: &mut Notes,
) -> Result<Answer, Error> {
    if let Some(source) = &site.folder {
        return folder::through(edge, site, source, exchange, &goal.uri, notes).await;
    }
    let upstream = upstream(site)?;
    upstream.admits(how.priority)?;
    let mut ask = ask(edge, site, exchange, goal, how);
    if how.forwarding == Forwarding::Listed {
        // The answer is for this client alone and may be what its conditions and ranges make of it.
        for name in CONDITIONS {
            for value in exchange.head.fields.get_all(&name) {
                ask.fields.append(name.clone(), value.clone());
            }
        }
    }
    ask.body = std::mem::take(&mut exchange.body);
    ask.upgrade = exchange.upgrade.take();
    finish(site, exchange, &mut ask);
    let fetched = upstream.fetch(ask).await;
    exchange.leave(Room::Origin);
    let mut answer = sendfile::in_place(site, fetched?, Some(&exchange.head)).await?;
    if edge.current().config.cache.tags == Visibility::Hidden {
        tags::hide(&mut answer.fields);
    }
    notes.status = notes.status.answered(answer.status);
    invalidate(edge, exchange, &answer);
    let is_for_one = crate::compress::Shared::No;
    let answer = edge.compressor().on_the_way(&exchange.head, answer, is_for_one);
    exchange.leave(Room::Compress);
    Ok(answer)
}

/// Notes that the request goes past the cache.
pub(super) fn note(notes: &mut Notes, reason: Forward, label: Option<&'static str>) {
    notes.outcome = Outcome::Pass;
    notes.status = CacheStatus::forwarded(reason);
    if let Some(label) = label {
        notes.status = notes.status.because(label);
    }
}

/// The application of a route that forwards.
pub(super) fn upstream(site: &Site) -> Result<&Arc<Upstream>, Error> {
    // The settings are checked: a route that forwards has its origin.
    site.upstream
        .as_ref()
        .ok_or_else(|| Error::new(ErrorKind::Internal, "a route without its origin"))
}

/// What is lost with a request that no stored answer can stand in for. Who shows a cookie or credentials is
/// in the middle of something.
pub(super) fn priority(exchange: &Exchange) -> Priority {
    if is_known(&exchange.head.fields) { Priority::Known } else { Priority::Unknown }
}

/// True for a request that shows a cookie or credentials: its answer may be for one user.
pub(super) fn is_known(fields: &HeaderMap) -> bool {
    fields.contains_key(COOKIE) || fields.contains_key(AUTHORIZATION)
}

/// Where in its trace whoever is asked for this request stands.
pub(super) fn trace_of(edge: &Edge, exchange: &Exchange) -> [u8; 55] {
    let tracer = edge.telemetry.tracer.as_ref();
    let is_sampled = tracer.map(|_| exchange.stamps.is_traced);
    traceparent(&exchange.head.fields, &exchange.id, is_sampled)
}

/// The question for the origin, without content.
pub(super) fn ask(edge: &Edge, site: &Site, exchange: &Exchange, goal: Goal, how: How) -> Ask {
    let Goal { uri, hints } = goal;
    let How { forwarding, place, priority } = how;
    let head = &exchange.head;
    let policy = site.route.policy.as_deref();
    let (mut fields, shows): (HeaderMap, Shows) = match forwarding {
        Forwarding::Everything | Forwarding::Fields => (head.fields.clone(), Shows::Client),
        Forwarding::Listed if policy.is_none() => {
            (safety::forwarded_fields(&head.fields, None), Shows::Client)
        }
        Forwarding::Listed => (safety::forwarded_fields(&head.fields, policy), Shows::NoClient),
    };
    if forwarding == Forwarding::Listed {
        // Encodings are ours: one answer of the origin serves clients of every encoding.
        fields.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }
    crate::compress::toward_origin(&mut fields);
    sendfile::announce(site, &mut fields);
    let tracer = edge.telemetry.tracer.as_ref().filter(|_| exchange.stamps.is_traced);
    let trace = trace_of(edge, exchange);
    let mut own = introduce(exchange, shows, &trace, &mut fields);
    locate(edge, exchange, place, (&mut fields, &mut own));
    let affinity = site.upstream.as_ref().map_or(0, |upstream| upstream.affinity(exchange, &uri));
    let mut ask = Ask {
        method: head.method.clone(),
        uri,
        authority: head.authority.clone(),
        fields,
        own,
        body: crate::exchange::Body::Empty,
        upgrade: None,
        priority,
        affinity,
        hints,
        span: tracer.map(|it| Box::new(Asking::new(it, exchange, &trace))),
    };
    if !site.route.request_fields.is_empty() {
        route::edit(&site.route.request_fields, ask.fields_mut());
    }
    ask
}

/// What is done to a question when it is as the origin shall have it: signed, and copied for a mirror.
pub(super) fn finish(site: &Site, exchange: &Exchange, ask: &mut Ask) {
    if let Some(doorman) = &site.doorman {
        doorman.sign(ask);
    }
    if let Some(mirror) = &site.mirror {
        mirror.reflect(&exchange.id, ask);
    }
}

/// Says where the client is, in place of what it says itself.
fn locate(
    edge: &Edge,
    exchange: &Exchange,
    place: ShownPlace,
    (fields, own): (&mut HeaderMap, &mut OwnLines),
) {
    let snapshot = edge.current();
    // Claims of strangers are gone since `admit`. What a trusted proxy says counts where we know nothing.
    if !snapshot.geo.is_off() {
        geo::strip(fields);
    }
    match place {
        ShownPlace::Nothing => {}
        ShownPlace::Country(_) => place.push_country(own),
        ShownPlace::Everything => snapshot.geo.tell(exchange.client.address, own),
    }
}

/// RFC 9111 §4.4: what an unsafe request may have changed is asked for again.
fn invalidate(edge: &Edge, exchange: &Exchange, answer: &Answer) {
    let head = &exchange.head;
    let target =
        Target { scheme: exchange.client.scheme, authority: &head.authority, uri: &head.uri };
    let seen = AnswerView { status: answer.status, fields: &answer.fields };
    let changed = invalidated(&head.method, target, seen);
    if changed.is_empty() {
        return;
    }
    let snapshot = edge.snapshot();
    for uri in changed {
        let url = snapshot.stored_url(exchange.client.scheme, &head.authority, &uri);
        edge.cache.invalidate(&url);
    }
}
