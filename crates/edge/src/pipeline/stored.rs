//! Answers from the store.

use std::sync::Arc;

use bytes::Bytes;
use forebay_signals::clock;
use http::header::{ACCEPT_ENCODING, IF_NONE_MATCH, RANGE};
use http::{HeaderMap, HeaderValue};

use super::closing::Notes;
use super::twins;
use crate::cache::lookup::{Stored, at};
use crate::cache::reply;
use crate::cache::rules::conditional::none_match_holds;
use crate::cache::rules::{Failure, Rule, may_serve_stale_on_error};
use crate::cache::status::CacheStatus;
use crate::cache::store::Object;
use crate::compress::{self, Preferences, Quality, encoded_fields, forbids_transform};
use crate::edge::Edge;
use crate::exchange::{Answer, Encoding, Exchange, Head};
use crate::traffic::Outcome;

/// Answers from `stored` without asking anybody; `rule` is why a stale one may be used.
pub(super) fn hit(
    edge: &Arc<Edge>,
    exchange: &Exchange,
    stored: &Stored,
    rule: Option<Rule>,
    notes: &mut Notes,
) -> Answer {
    notes.status = CacheStatus::hit(stored.ttl());
    notes.outcome = Outcome::Hit;
    if let Some(rule) = rule {
        notes.status = notes.status.because(rule.label());
        notes.outcome = outcome_of(rule);
    }
    answer(edge, exchange, stored)
}

/// The rule that lets what is held stand in for an origin that failed, or the one that forbids it. It has
/// aged while the origin was waited for.
pub(super) fn may_bridge(edge: &Edge, held: &Stored, failure: Failure) -> Result<Rule, Rule> {
    let memory = &edge.cache.memory;
    // An unsafe request has been there since (RFC 9111 §4.4), or it was purged while the origin was waited for.
    if memory.must_validate(&held.object) || memory.is_gone(&held.object) {
        return Err(Rule::Stale);
    }
    let held = at(Arc::clone(&held.object), edge.cache.ms(clock::now()));
    may_serve_stale_on_error(&held.freshness(), held.age, failure)
}

/// The answer alone, in the encoding that suits the client best.
pub(super) fn answer(edge: &Arc<Edge>, exchange: &Exchange, stored: &Stored) -> Answer {
    let (head, age) = (&exchange.head, stored.age);
    let hits = stored.object.hit();
    let held = || tag_held(&head.fields, stored.object.etag());
    if let Some(encoded) = encoded(edge, head, stored, hits) {
        if encoded.is_worth_a_twin() {
            twins::wish(edge, exchange, &encoded, &stored.object, encoded.hit());
        }
        return reply::from_object(&head.method, &head.fields, &encoded, age, held);
    }
    if stored.object.is_worth_a_twin() {
        twins::wish(edge, exchange, &stored.object, &stored.object, hits);
    }
    let mut answer = reply::from_object(&head.method, &head.fields, &stored.object, age, held);
    if stored.object.varies_now() {
        answer.own.push("vary", |out| out.extend_from_slice(b"accept-encoding"));
    }
    answer
}

/// The tag of the encoding that the client holds, of content whose own tag is `tag`. Which encoding is
/// selected is for the edge to say (RFC 9110 §12.1): one that the client takes and holds already is as good
/// as any, and `If-None-Match` is then compared with its tag (§13.1.2). The tags of encodings are made of
/// the content's by the edge itself, so that one of them names this content and no other.
pub(super) fn tag_held(asked: &HeaderMap, tag: Option<&[u8]>) -> Option<HeaderValue> {
    let tag = tag.filter(|_| asked.contains_key(IF_NONE_MATCH))?;
    let tag = HeaderValue::from_bytes(tag).ok()?;
    let preferences = Preferences::of(asked);
    let holds = |tag: &HeaderValue| {
        let mut lines = asked.get_all(IF_NONE_MATCH).iter();
        lines.any(|line| none_match_holds(line.as_bytes(), Some(tag.as_bytes())))
    };
    let held =
        |(encoding, tag): &(Encoding, HeaderValue)| preferences.accepts(*encoding) && holds(tag);
    compress::tags(&tag).find(held).map(|(_, tag)| tag)
}

/// A stored encoding, if the client likes one better and it is there; otherwise one is made behind.
fn encoded(edge: &Arc<Edge>, head: &Head, stored: &Stored, hits: u32) -> Option<Arc<Object>> {
    // A range is one of the identity: parts of two encodings never meet.
    let (mut wishes, mut is_ranged) = (false, false);
    for name in head.fields.keys() {
        wishes |= *name == ACCEPT_ENCODING;
        is_ranged |= *name == RANGE;
    }
    if !wishes || is_ranged {
        return None;
    }
    if forbids_transform(&head.fields) {
        return None;
    }
    let object = &stored.object;
    let compressor = edge.compressor();
    if !compressor.is_candidate(object.content_type(), object.body_len()) {
        return None;
    }
    let wished = Preferences::of(&head.fields).best(compressor.order(), |_| true);
    if wished == Encoding::Identity {
        return None;
    }
    let found = edge.cache.memory.encoded(object, wished);
    let is_due = hits >= compressor.hits_before_best() && object.is_first_wish_for_best(wished);
    let found = found.or_else(|| {
        let order = compressor.order();
        let second = Preferences::of(&head.fields).best(order, |it| object.has_encoding(it));
        edge.cache.memory.encoded(object, second)
    });
    // What was made on the way does until the object has earned the best. Where there is nothing, the
    // first who wishes for an encoding has it made, and whoever comes meanwhile gets it as it is.
    if is_due || (found.is_none() && object.is_first_wish(wished)) {
        let quality = if is_due { Quality::Best } else { Quality::First };
        encode_behind(edge, object, wished, quality);
    }
    found
}

fn encode_behind(edge: &Arc<Edge>, object: &Arc<Object>, encoding: Encoding, quality: Quality) {
    let fields = object.fields();
    let length = object.body_len();
    let compressor = edge.compressor();
    if !compressor.may_encode(object.status(), &fields, Some(length)) {
        return;
    }
    let (edge_then, object_then) = (Arc::clone(edge), Arc::clone(object));
    let pushed = compressor.behind(object.body(), encoding, quality, move |content| {
        let fields = encoded_fields(&fields, encoding);
        let encoded = object_then.in_encoding(encoding, &fields, &[Bytes::from(content)]);
        let Ok(encoded) = encoded else { return };
        if let Err(refused) = edge_then.cache.memory.insert_encoded(&object_then, encoded) {
            tracing::debug!(%refused, "encoding not stored");
        }
    });
    if pushed.is_err() {
        object.forget_wish(encoding);
        tracing::debug!("encoding not made: the pool is full");
    }
}

fn outcome_of(rule: Rule) -> Outcome {
    match rule {
        Rule::StaleWhileRevalidate | Rule::PolicyStaleWhileRevalidate => {
            Outcome::StaleWhileRevalidate
        }
        Rule::StaleIfError
        | Rule::PolicyStaleIfError
        | Rule::PolicyStaleIfOverloaded
        | Rule::Disconnected => Outcome::StaleIfError,
        _ => Outcome::Hit,
    }
}
