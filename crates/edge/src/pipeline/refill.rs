//! From a miss to an answer: one request of many asks the origin, the others read along.

use std::sync::Arc;
use std::time::{Duration, Instant};

use forebay_signals::clock;
use http::header::RANGE;
use http::{HeaderMap, StatusCode, Uri};

use super::arriving;
use super::closing::Notes;
use super::early::{self, Goal};
use super::fetch::{self, Fill};
use super::held::Held;
use super::pass::{self, Forwarding, How};
use super::pour::hand_over;
use super::question::{self, Cacheable};
use super::stored;
use crate::cache::Head;
use crate::cache::fill::{FillLead, FillReader, Join, Keep, Missed};
use crate::cache::lookup::{self, Found, Stored, at};
use crate::cache::rules::directives::RequestDirectives;
use crate::cache::rules::link::Audience;
use crate::cache::rules::{AnswerView, Arrival, Failure, RequestView, Rule, may_store};
use crate::cache::status::{CacheStatus, Forward};
use crate::cache::store::{Object, Pass};
use crate::edge::{Edge, Site};
use crate::error::{Error, ErrorKind};
use crate::exchange::{Answer, Exchange, Priority, Room};
use crate::traffic::Outcome;

/// Asks the origin, or reads along with whoever does.
pub(super) async fn ask(
    edge: &Arc<Edge>,
    site: &Arc<Site>,
    question: Cacheable,
    exchange: &mut Exchange,
    goal: Goal,
    found: Found,
    notes: &mut Notes,
) -> Result<Answer, Error> {
    let (reason, rule, held) = reason_of(edge, found);
    notes.status = CacheStatus::forwarded(reason);
    if let Some(rule) = rule {
        notes.status = notes.status.because(rule.label());
    }
    only_if_cached(&exchange.head.fields, notes)?;
    let priority = priority(edge, site, exchange, &held);
    let alone = (&question, priority);
    // A key that was found not to be shareable makes nobody wait for another's answer. A HEAD and a range
    // fetch the whole: whoever asks next finds it.
    let now_ms = edge.cache.ms(clock::now());
    if let Some(pass) = edge.cache.memory.passed(&question.key, now_ms) {
        let asked = clock::now();
        let answer = go_alone(edge, site, exchange, goal, alone, notes).await;
        notes.status = notes.status.because(pass.refusal.label());
        if let Ok(answer) = &answer {
            look_again(edge, site, &question, exchange, (pass, asked), answer);
        }
        return answer.or_else(|error| rescue(edge, site, exchange, held, error, notes));
    }
    let mut key = question.key.clone();
    if is_personal(site, exchange) {
        // Its answer may turn out to be for one user: those without such fields do not wait for that.
        key.extend_from_slice(PERSONAL);
    }
    loop {
        let (mut reader, is_leader) = match join(edge, &question, &key) {
            Join::Follow(reader) => (reader, false),
            Join::Lead(lead, reader) => {
                if let Some(hit) = second_look(edge, site, &question, exchange) {
                    answer_from_store(edge, lead, Arc::clone(&hit.object));
                    return Ok(stored::hit(edge, exchange, &hit, None, notes));
                }
                let how = (goal.clone(), priority);
                let begun = begin(edge, site, &question, exchange, how, held.clone(), lead);
                if let Err(error) = begun {
                    return rescue(edge, site, exchange, held, error, notes);
                }
                (reader, true)
            }
        };
        let head = match arrived(&mut reader, is_leader, exchange, notes).await {
            Ok(head) => head,
            Err(Missed::NotShareable) => {
                notes.status = notes.status.because("not-shareable");
                let answer = go_alone(edge, site, exchange, goal, alone, notes).await;
                return answer.or_else(|error| rescue(edge, site, exchange, held, error, notes));
            }
            Err(Missed::Failed(error)) => return rescue(edge, site, exchange, held, error, notes),
        };
        if !is_leader && !is_good_still(edge, site, &question, exchange, &reader, &head) {
            edge.cache.fills.outlived(&reader);
            continue;
        }
        if let Some(secondary) = head.other_variant(&exchange.head.fields, site.policy()) {
            // They read a variant that is not ours. Those who want ours gather under its own name.
            if !key.ends_with(&secondary) {
                key.truncate(question.key.len());
                key.extend_from_slice(b"\n~");
                key.extend_from_slice(&secondary);
                continue;
            }
            return go_alone(edge, site, exchange, goal, alone, notes).await;
        }
        if exchange.head.fields.contains_key(RANGE) && !arriving::is_kept(edge, &head, &reader) {
            // Too much would go by before the part that is asked for, and nobody else would have it.
            drop(reader);
            return go_alone(edge, site, exchange, goal, alone, notes).await;
        }
        return Ok(arriving::answer_of(edge, exchange, &head, reader, is_leader, notes));
    }
}

/// Waits for the head; notes which question that took, if it was another request's.
async fn arrived(
    reader: &mut FillReader<Head>,
    is_leader: bool,
    exchange: &mut Exchange,
    notes: &mut Notes,
) -> Result<Arc<Head>, Missed> {
    let head = reader.head().await;
    exchange.leave(Room::Origin);
    if !is_leader && exchange.stamps.is_traced {
        notes.awaited = reader.question().map(Box::new);
    }
    head
}

/// Refuses to ask the origin where the request forbids that (RFC 9111 §5.2.1.7).
pub(super) fn only_if_cached(fields: &HeaderMap, notes: &mut Notes) -> Result<(), Error> {
    if !RequestDirectives::of(fields).only_if_cached {
        return Ok(());
    }
    notes.status = CacheStatus::own().because("only-if-cached");
    Err(Error::new(ErrorKind::NotCached, "only-if-cached, and nothing usable is stored"))
}

/// The edge is full: what is held may still do, where the rules allow it.
pub(super) fn shed(
    edge: &Arc<Edge>,
    site: &Site,
    exchange: &Exchange,
    found: Found,
    error: Error,
    notes: &mut Notes,
) -> Result<Answer, Error> {
    let (reason, rule, held) = reason_of(edge, found);
    notes.status = CacheStatus::forwarded(reason);
    if let Some(rule) = rule {
        notes.status = notes.status.because(rule.label());
    }
    rescue(edge, site, exchange, held, error, notes)
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
    let Join::Lead(lead, _) = edge.cache.fills.join(&question.key) else { return };
    let (how, held) = ((target.into(), Priority::Covered), Held::Answer(held.clone()));
    if let Err(error) = begin(edge, site, question, exchange, how, held, lead) {
        tracing::debug!(%error, "not fetched anew");
    }
}

/// Begins a fill, unless the origin must be spared.
fn begin(
    edge: &Arc<Edge>,
    site: &Arc<Site>,
    question: &Cacheable,
    exchange: &Exchange,
    (goal, priority): (Goal, Priority),
    held: Held,
    lead: FillLead<Head>,
) -> Result<(), Error> {
    if let Some(folder) = &site.folder {
        let (folder, fill) = (Arc::clone(folder), Fill::new(edge, site, question, exchange, held));
        tokio::spawn(async move { fill.look_up(&folder, goal.uri.path(), lead).await });
        return Ok(());
    }
    if let Err(error) = pass::upstream(site).and_then(|upstream| upstream.admits(priority)) {
        lead.fail(&error);
        return Err(error);
    }
    let fill = Fill::new(edge, site, question, exchange, held);
    let how = How { forwarding: Forwarding::Listed, place: question.place, priority };
    let ask = fill.ask(exchange, goal, how);
    if let Some(span) = &ask.span {
        lead.asks_in(span.context());
    }
    tokio::spawn(fill.run(ask, lead));
    Ok(())
}

fn reason_of(edge: &Edge, found: Found) -> (Forward, Option<Rule>, Held) {
    match found {
        Found::Validate(stored, rule) => (rule.into(), Some(rule), Held::Answer(stored)),
        Found::MissingVariant(varying) => {
            let mut variants = edge.cache.memory.variants(&varying);
            variants.retain(|held| held.status() == StatusCode::OK && held.etag().is_some());
            let held = if variants.is_empty() { Held::Nothing } else { Held::Variants(variants) };
            (Forward::VaryMiss, None, held)
        }
        // The other two were served already.
        Found::Missing | Found::Usable(..) | Found::StaleWhileRevalidate(..) => {
            (Forward::UriMiss, None, Held::Nothing)
        }
    }
}

/// What is lost if the origin is not asked.
fn priority(edge: &Edge, site: &Site, exchange: &Exchange, held: &Held) -> Priority {
    let Some(held) = held.stored() else { return pass::priority(exchange) };
    match stored::may_bridge(edge, held, Failure::Shed(longer(site))) {
        Ok(Rule::PolicyStaleIfOverloaded) => Priority::Overdue,
        Ok(_) => Priority::Covered,
        Err(_) => pass::priority(exchange),
    }
}

/// How much longer the route's policy lets stale answers be used while its origin is overloaded.
fn longer(site: &Site) -> Duration {
    site.policy().and_then(|policy| policy.stale_if_overloaded).unwrap_or_default()
}

async fn go_alone(
    edge: &Arc<Edge>,
    site: &Arc<Site>,
    exchange: &mut Exchange,
    goal: Goal,
    (question, priority): (&Cacheable, Priority),
    notes: &mut Notes,
) -> Result<Answer, Error> {
    notes.outcome = Outcome::Pass;
    let forwarding = match site.policy() {
        None => Forwarding::Fields,
        Some(_) => Forwarding::Listed,
    };
    let how = How { forwarding, place: question.place, priority };
    let answer = pass::through(edge, site, exchange, goal, how, notes).await?;
    let seen = (answer.status, &answer.fields);
    early::keep(edge, site, &question.key, seen, Audience::MaybeOne);
    Ok(answer)
}

/// The origin failed: what is held may still do, where the rules allow it.
fn rescue(
    edge: &Arc<Edge>,
    site: &Site,
    exchange: &Exchange,
    held: Held,
    error: Error,
    notes: &mut Notes,
) -> Result<Answer, Error> {
    let Some(held) = held.answer() else { return Err(error) };
    let failure = match error.kind() {
        ErrorKind::Saturated | ErrorKind::Shed => Failure::Shed(longer(site)),
        _ => Failure::Unreachable,
    };
    match stored::may_bridge(edge, &held, failure) {
        Ok(rule) => {
            tracing::debug!(%error, rule = rule.label(), "served stale");
            let held = at(held.object, edge.cache.ms(clock::now()));
            Ok(stored::hit(edge, exchange, &held, Some(rule), notes))
        }
        Err(_) => Err(error),
    }
}

/// Whether an answer that others asked for would be used if it were stored by now: it may have been
/// arriving for a while, and it may have been purged since.
fn is_good_still(
    edge: &Edge,
    site: &Site,
    question: &Cacheable,
    exchange: &Exchange,
    reader: &FillReader<Head>,
    head: &Head,
) -> bool {
    if edge.cache.is_purged(&question.key, head) {
        return false;
    }
    if !reader.is_late() {
        return true;
    }
    let Head::Arriving { grant: Ok((freshness, since_ms)), .. } = head else { return true };
    let here = edge.cache.ms(clock::now()).saturating_sub(*since_ms);
    let age = freshness.age(Duration::from_millis(here));
    lookup::may_use(question::view(exchange), freshness, age, site.policy())
}

/// Finds whom to read along with, or asks in the name of `key`.
fn join(edge: &Edge, question: &Cacheable, key: &[u8]) -> Join<Head> {
    if key.ends_with(PERSONAL)
        && let Some(reader) = edge.cache.fills.follow(&question.key)
    {
        return Join::Follow(reader);
    }
    edge.cache.fills.join(key)
}

/// Ends the key of fills whose answer may turn out to be for one user.
const PERSONAL: &[u8] = b"\n!";

/// Credentials and cookies that an origin without a policy is shown, and a client that wants nothing stored.
fn is_personal(site: &Site, exchange: &Exchange) -> bool {
    let fields = &exchange.head.fields;
    let is_shown = site.policy().is_none() && site.folder.is_none() && pass::is_known(fields);
    is_shown || RequestDirectives::of(fields).no_store
}

/// Whether the mark on a key still holds (hit-for-miss): an answer that might have been stored ends it,
/// one that forbids that again renews it, once half of its time is over or the reason is another.
fn look_again(
    edge: &Edge,
    site: &Site,
    question: &Cacheable,
    exchange: &Exchange,
    (pass, asked): (Pass, Instant),
    answer: &Answer,
) {
    let fields = &exchange.head.fields;
    if is_personal(site, exchange) || fields.contains_key(RANGE) || answer.status.is_server_error()
    {
        return;
    }
    let seen = AnswerView { status: answer.status, fields: &answer.fields };
    let arrival = Arrival { asked, answered: clock::now(), wall: clock::wall() };
    let request = RequestView { method: &exchange.head.method, fields };
    match may_store(request, seen, site.policy(), &arrival) {
        Ok(_) => edge.cache.memory.pass_no_more(&question.key),
        Err(refusal) if refusal.is_of_request() || answer.status == StatusCode::NOT_MODIFIED => {}
        Err(refusal) => {
            let until = edge.cache.ms(arrival.answered + fetch::PASS_FOR);
            let half = edge.cache.ms(arrival.answered + fetch::PASS_FOR / 2);
            if pass.until_ms < half || pass.refusal != refusal {
                edge.cache.memory.pass_until(&question.key, until, refusal);
            }
        }
    }
}

/// The fill before this one may have ended between the look-up and now: a thousand requests must not make
/// two because they came on two cores.
fn second_look(
    edge: &Edge,
    site: &Site,
    question: &Cacheable,
    exchange: &Exchange,
) -> Option<Stored> {
    let now_ms = edge.cache.ms(clock::now());
    let view = question::view(exchange);
    match lookup::look(&edge.cache.memory, &question.key, view, site.policy(), now_ms) {
        Found::Usable(stored, None) => Some(stored),
        _ => None,
    }
}

/// Gives whoever joined this fill meanwhile what was found.
fn answer_from_store(edge: &Edge, lead: FillLead<Head>, object: Arc<Object>) {
    let (status, ticket) = (object.status(), edge.cache.memory.ticket());
    let head = Head::Stored { object, rule: None, status, ticket };
    hand_over(lead, head, Keep::Share);
}
