//! From a miss to an answer: one request of many asks the origin, the others read along.

use std::sync::Arc;

use forebay_signals::clock;
use http::header::RANGE;
use http::{Method, StatusCode, Uri};

use super::closing::Notes;
use super::fetch::Fill;
use super::pass::{self, Forwarding};
use super::question::Cacheable;
use super::stored;
use crate::cache::Head;
use crate::cache::fill::{FillReader, Join, Missed};
use crate::cache::lookup::{Found, Stored, at};
use crate::cache::rules::conditional::{Validators, is_not_modified};
use crate::cache::rules::directives::RequestDirectives;
use crate::cache::rules::{Failure, Rule, may_serve_stale_on_error};
use crate::cache::status::{CacheStatus, Forward};
use crate::edge::{Edge, Site};
use crate::error::{Error, ErrorKind};
use crate::exchange::{Answer, Body, Exchange, Room};
use crate::traffic::Outcome;

/// Asks the origin, or reads along with whoever does.
pub(super) async fn ask(
    edge: &Arc<Edge>,
    site: &Arc<Site>,
    question: Cacheable,
    exchange: &mut Exchange,
    target: Uri,
    found: Found,
    notes: &mut Notes,
) -> Result<Answer, Error> {
    let (reason, rule, held) = reason_of(found);
    notes.status = CacheStatus::forwarded(reason);
    if let Some(rule) = rule {
        notes.status = notes.status.because(rule.label());
    }
    let fields = &exchange.head.fields;
    if RequestDirectives::of(fields).only_if_cached {
        notes.status = CacheStatus::own().because("only-if-cached");
        return Err(Error::new(
            ErrorKind::NotCached,
            "only-if-cached, and nothing usable is stored",
        ));
    }
    // A HEAD stores nothing, a range fetches less than the whole, and a key that was found not to be
    // shareable makes nobody wait for another's answer.
    let now_ms = edge.cache.ms(clock::now());
    let is_whole =
        exchange.head.method == Method::GET && (held.is_some() || !fields.contains_key(RANGE));
    if !is_whole || edge.cache.memory.is_passed(&question.key, now_ms) {
        let answer = go_alone(edge, site, exchange, target, notes).await;
        return answer.or_else(|error| rescue(edge, exchange, held, error, notes));
    }
    let mut key = question.key.clone();
    loop {
        let (mut reader, is_leader) = match edge.cache.fills.join(&key) {
            Join::Follow(reader) => (reader, false),
            Join::Lead(lead, reader) => {
                let (fill, ask) =
                    Fill::new(edge, site, &question, exchange, target.clone(), held.clone());
                tokio::spawn(fill.run(ask, lead));
                (reader, true)
            }
        };
        let head = match reader.head().await {
            Ok(head) => head,
            Err(Missed::NotShareable) => {
                notes.status = notes.status.because("not-shareable");
                return go_alone(edge, site, exchange, target, notes).await;
            }
            Err(Missed::Failed(error)) => return rescue(edge, exchange, held, error, notes),
        };
        exchange.leave(Room::Origin);
        if let Some(secondary) = head.other_variant(&exchange.head.fields, site.policy()) {
            // They read a variant that is not ours. Those who want ours gather under its own name.
            if key.len() == question.key.len() {
                key.extend_from_slice(b"\n~");
                key.extend_from_slice(&secondary);
                continue;
            }
            return go_alone(edge, site, exchange, target, notes).await;
        }
        return Ok(answer_of(edge, exchange, &head, reader, is_leader, notes));
    }
}

/// The edge is full: what is held may still do, where the rules allow it.
pub(super) fn shed(
    edge: &Arc<Edge>,
    exchange: &Exchange,
    found: Found,
    error: Error,
    notes: &mut Notes,
) -> Result<Answer, Error> {
    let (reason, rule, held) = reason_of(found);
    notes.status = CacheStatus::forwarded(reason);
    if let Some(rule) = rule {
        notes.status = notes.status.because(rule.label());
    }
    rescue(edge, exchange, held, error, notes)
}

/// Fetches anew behind a stale answer that is being served.
pub(super) fn behind(
    edge: &Arc<Edge>,
    site: &Arc<Site>,
    question: &Cacheable,
    exchange: &Exchange,
    target: Uri,
    held: &Stored,
) {
    if let Join::Lead(lead, _) = edge.cache.fills.join(&question.key) {
        let (fill, ask) = Fill::new(edge, site, question, exchange, target, Some(held.clone()));
        tokio::spawn(fill.run(ask, lead));
    }
}

fn reason_of(found: Found) -> (Forward, Option<Rule>, Option<Stored>) {
    match found {
        Found::Validate(stored, rule) => (rule.into(), Some(rule), Some(stored)),
        Found::MissingVariant => (Forward::VaryMiss, None, None),
        // The other two were served already.
        Found::Missing | Found::Usable(..) | Found::StaleWhileRevalidate(..) => {
            (Forward::UriMiss, None, None)
        }
    }
}

async fn go_alone(
    edge: &Arc<Edge>,
    site: &Arc<Site>,
    exchange: &mut Exchange,
    target: Uri,
    notes: &mut Notes,
) -> Result<Answer, Error> {
    notes.outcome = Outcome::Pass;
    let forwarding = match site.policy() {
        None => Forwarding::Everything,
        Some(_) => Forwarding::Listed,
    };
    pass::through(edge, site, exchange, target, forwarding, notes).await
}

/// The origin failed: what is held may still do, where the rules allow it.
fn rescue(
    edge: &Arc<Edge>,
    exchange: &Exchange,
    held: Option<Stored>,
    error: Error,
    notes: &mut Notes,
) -> Result<Answer, Error> {
    let Some(held) = held else { return Err(error) };
    let failure = match error.kind() {
        ErrorKind::Saturated => Failure::ServerError,
        _ => Failure::Unreachable,
    };
    // It has aged while the origin was waited for.
    let held = at(held.object, edge.cache.ms(clock::now()));
    match may_serve_stale_on_error(held.freshness(), held.age, failure) {
        Ok(rule) => {
            tracing::debug!(%error, rule = rule.label(), "served stale");
            Ok(stored::hit(edge, exchange, &held, Some(rule), notes))
        }
        Err(_) => Err(error),
    }
}

fn answer_of(
    edge: &Arc<Edge>,
    exchange: &mut Exchange,
    head: &Head,
    reader: FillReader<Head>,
    is_leader: bool,
    notes: &mut Notes,
) -> Answer {
    notes.outcome = if is_leader { Outcome::Miss } else { Outcome::Collapsed };
    if !is_leader {
        notes.status = notes.status.collapsed();
    }
    let (status, fields) = match head {
        Head::Stored { object, rule, status } => {
            let held = at(Arc::clone(object), edge.cache.ms(clock::now()));
            notes.status = notes.status.answered(*status).stored(held.ttl());
            notes.outcome = Outcome::Revalidated;
            if let Some(rule) = rule {
                notes.status = notes.status.because(rule.label());
                notes.outcome = Outcome::StaleIfError;
            }
            return stored::answer(edge, exchange, &held);
        }
        Head::Arriving { status, fields, grant, .. } => {
            notes.status = notes.status.answered(*status);
            match grant {
                Ok(ttl) => notes.status = notes.status.stored(*ttl),
                Err(refusal) => notes.status = notes.status.because(refusal.label()),
            }
            (*status, fields)
        }
    };
    let mut answer = Answer::new(Body::Empty).with_status(status);
    answer.fields = fields.clone();
    let asked = &exchange.head.fields;
    if status == StatusCode::OK && is_not_modified(asked, &Validators::of(fields), clock::wall()) {
        answer.status = StatusCode::NOT_MODIFIED;
        return answer;
    }
    answer.body = Body::stream(reader);
    let shared = if matches!(head, Head::Arriving { grant: Ok(_), .. }) {
        crate::compress::Shared::Yes
    } else {
        crate::compress::Shared::No
    };
    let answer = edge.compressor.on_the_way(&exchange.head, answer, shared);
    exchange.leave(Room::Compress);
    answer
}
