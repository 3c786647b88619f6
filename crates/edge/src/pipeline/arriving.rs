//! What a client gets of an answer that is arriving, or was confirmed, for it and others.

use std::sync::Arc;
use std::time::Duration;

use forebay_signals::clock;
use http::header::{ACCEPT_RANGES, AGE, CONTENT_LENGTH, CONTENT_RANGE, ETAG, RANGE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use http_body::Body as _;

use super::branch::Branch;
use super::closing::Notes;
use super::stored;
use crate::cache::Head;
use crate::cache::fill::{FillReader, Part};
use crate::cache::lookup::at;
use crate::cache::rules::conditional::{Validators, is_not_modified, range_applies};
use crate::cache::rules::range::{self, Selection};
use crate::compress::Shared;
use crate::edge::Edge;
use crate::exchange::{self, Answer, Body, Exchange, Room};
use crate::traffic::Outcome;

/// True if the answer will be stored, as far as its head says.
pub(super) fn is_kept(edge: &Edge, head: &Head, reader: &FillReader<Head>) -> bool {
    let length = reader.size_hint().lower();
    match head {
        Head::Stored { .. } => true,
        Head::Arriving { grant, .. } => {
            grant.is_ok() && length <= edge.cache.memory.max_object_bytes()
        }
    }
}

/// The answer for one reader of a fill.
pub(super) fn answer_of(
    edge: &Arc<Edge>,
    exchange: &mut Exchange,
    head: &Arc<Head>,
    reader: FillReader<Head>,
    is_leader: bool,
    notes: &mut Notes,
) -> Answer {
    notes.outcome = if is_leader { Outcome::Miss } else { Outcome::Collapsed };
    if !is_leader {
        notes.status = notes.status.collapsed();
    }
    let mut answer = Answer::new(Body::Empty);
    match &**head {
        Head::Stored { object, rule, status, .. } => {
            let held = at(Arc::clone(object), edge.cache.ms(clock::now()));
            notes.status = notes.status.answered(*status).stored(held.ttl());
            if *status == StatusCode::NOT_MODIFIED {
                notes.outcome = Outcome::Revalidated;
            }
            if let Some(rule) = rule {
                notes.status = notes.status.because(rule.label());
                notes.outcome = Outcome::StaleIfError;
            }
            return stored::answer(edge, exchange, &held);
        }
        Head::Arriving { status, fields, grant, personal, .. } => {
            answer.status = *status;
            answer.fields = fields.clone();
            notes.status = notes.status.answered(*status);
            match grant {
                Ok((freshness, since_ms)) => {
                    let here = edge.cache.ms(clock::now()).saturating_sub(*since_ms);
                    let age = freshness.age(Duration::from_millis(here));
                    notes.status = notes.status.stored(freshness.ttl(age));
                    if !is_leader {
                        for name in personal {
                            answer.fields.remove(name);
                        }
                        answer.fields.insert(AGE, age.as_secs().into());
                    }
                }
                Err(refusal) => notes.status = notes.status.because(refusal.label()),
            }
        }
    }
    if answer.status == StatusCode::OK && is_held(&exchange.head.fields, &mut answer.fields) {
        answer.status = StatusCode::NOT_MODIFIED;
        return answer;
    }
    let (status, fields) = (answer.status, &answer.fields);
    let asked = &exchange.head.fields;
    if exchange.head.method == Method::GET
        && status == StatusCode::OK
        && let Some(length) = reader.size_hint().exact()
        && let Some(part) = part_of(asked, fields, length)
    {
        return partial(answer, part, length, reader);
    }
    let branch = is_kept(edge, head, &reader).then(|| Branch::new(edge, head, &reader));
    answer.body = Body::stream(reader);
    if exchange.head.method == Method::HEAD {
        if let Some(length) = answer.body.size_hint().exact() {
            answer.fields.insert(CONTENT_LENGTH, length.into());
        }
        // The fill goes on without this reader if the answer may be stored.
        answer.body = Body::Empty;
    }
    let answer = encoded(edge, &exchange.head, answer, branch);
    exchange.leave(Room::Compress);
    answer
}

/// Does the client hold the answer, in whatever encoding? Then the answer bears the tag that it knows.
fn is_held(asked: &HeaderMap, fields: &mut HeaderMap) -> bool {
    if is_not_modified(asked, &Validators::of(fields), clock::wall()) {
        return true;
    }
    let held = stored::tag_held(asked, fields.get(ETAG).map(HeaderValue::as_bytes));
    held.map(|tag| fields.insert(ETAG, tag)).is_some()
}

/// The answer in the encoding that suits: a shared one, if the answer itself is shared.
fn encoded(edge: &Edge, asked: &exchange::Head, answer: Answer, branch: Option<Branch>) -> Answer {
    let compressor = edge.compressor();
    let Some(branch) = branch else { return compressor.on_the_way(asked, answer, Shared::No) };
    let encoder = |body, encoding| branch.encoded(&compressor, body, encoding);
    compressor.on_the_way_by(asked, answer, encoder)
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
