//! From a miss to an answer: one request of many asks the origin, the others read along.

use std::sync::Arc;

use forebay_signals::clock;
use http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, RANGE};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use http_body::Body as _;

use super::closing::Notes;
use super::fetch::Fill;
use super::pass::{self, Forwarding};
use super::question::Cacheable;
use super::stored;
use crate::cache::Head;
use crate::cache::fill::{FillReader, Join, Missed, Part};
use crate::cache::lookup::{Found, Stored, at};
use crate::cache::rules::conditional::{Validators, is_not_modified, range_applies};
use crate::cache::rules::directives::RequestDirectives;
use crate::cache::rules::range::{self, Selection};
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
    // A key that was found not to be shareable makes nobody wait for another's answer. A HEAD and a range
    // fetch the whole: whoever asks next finds it.
    let now_ms = edge.cache.ms(clock::now());
    if edge.cache.memory.is_passed(&question.key, now_ms) {
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
        if exchange.head.fields.contains_key(RANGE) && !is_kept(edge, &head, &reader) {
            // Too much would go by before the part that is asked for, and nobody else would have it.
            drop(reader);
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

/// True if the answer will be stored, as far as its head says.
fn is_kept(edge: &Edge, head: &Head, reader: &FillReader<Head>) -> bool {
    let length = reader.size_hint().lower();
    match head {
        Head::Stored { .. } => true,
        Head::Arriving { grant, .. } => {
            grant.is_ok() && length <= edge.cache.memory.max_object_bytes()
        }
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
    if exchange.head.method == Method::GET
        && status == StatusCode::OK
        && let Some(length) = reader.size_hint().exact()
        && let Some(part) = part_of(asked, fields, length)
    {
        return partial(answer, part, length, reader);
    }
    answer.body = Body::stream(reader);
    let shared = if matches!(head, Head::Arriving { grant: Ok(_), .. }) {
        crate::compress::Shared::Yes
    } else {
        crate::compress::Shared::No
    };
    if exchange.head.method == Method::HEAD {
        if let Some(length) = answer.body.size_hint().exact() {
            answer.fields.insert(CONTENT_LENGTH, length.into());
        }
        // The fill goes on without this reader if the answer may be stored.
        answer.body = Body::Empty;
    }
    let answer = edge.compressor.on_the_way(&exchange.head, answer, shared);
    exchange.leave(Room::Compress);
    answer
}

/// The one part of an arriving answer that is asked for; of several, the whole is the better answer.
fn part_of(asked: &HeaderMap, fields: &HeaderMap, length: u64) -> Option<Selection> {
    let applies =
        asked.contains_key(RANGE) && range_applies(asked, &Validators::of(fields), clock::wall());
    let selection = if applies { range::select(asked, length) } else { Selection::Whole };
    matches!(selection, Selection::One(_) | Selection::Unsatisfiable).then_some(selection)
}

fn partial(mut answer: Answer, part: Selection, length: u64, reader: FillReader<Head>) -> Answer {
    if let Selection::One(part) = part {
        answer.status = StatusCode::PARTIAL_CONTENT;
        answer.fields.insert(CONTENT_RANGE, range::content_range(&part, length));
        answer.body = Body::stream(Part::new(reader, part));
    } else {
        answer.status = StatusCode::RANGE_NOT_SATISFIABLE;
        answer.fields.clear();
        answer.fields.insert(CONTENT_RANGE, range::content_range_unsatisfied(length));
        answer.fields.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    }
    answer
}
