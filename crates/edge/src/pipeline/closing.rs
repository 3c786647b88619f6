//! The end of every request: errors become pages, fields are edited.

use std::borrow::Borrow;
use std::cell::Cell;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use forebay_signals::clock;
use http::header::{CONTENT_TYPE, DATE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};

use super::account;
use crate::admit;
use crate::cache::status::CacheStatus;
use crate::edge::{Edge, Site, Snapshot};
use crate::error::{Error, ErrorKind, Side};
use crate::exchange::{Answer, Exchange};
use crate::identity::X_REQUEST_ID;
use crate::route;
use crate::split::Arm;
use crate::trace::SpanContext;
use crate::traffic::Outcome;

/// What the rooms note of a request for its end.
#[derive(Debug)]
pub(super) struct Notes {
    /// What the rates of its route say of it.
    pub(super) standing: Option<Box<admit::Standing>>,
    /// Its place among the requests in flight.
    pub(super) seat: Option<admit::Limit>,
    /// Its route, as a place among the sites of the snapshot.
    pub(super) site: Option<usize>,
    /// Its arm, if the route is split.
    pub(super) arm: Option<Arm>,
    /// What the cache did.
    pub(super) outcome: Outcome,
    /// The same in the words of RFC 9211.
    pub(super) status: CacheStatus,
    /// The question of another request that it waited for, if both are traced.
    pub(super) awaited: Option<Box<SpanContext>>,
}

impl Default for Notes {
    fn default() -> Notes {
        Notes {
            standing: None,
            seat: None,
            site: None,
            arm: None,
            outcome: Outcome::None,
            status: CacheStatus::own(),
            awaited: None,
        }
    }
}

/// Finishes an answer where it lies: to move one costs a hit more than most of what is done here.
pub(super) fn close(
    edge: &Edge,
    snapshot: &Snapshot,
    exchange: impl Borrow<Exchange> + Into<Box<Exchange>>,
    notes: Notes,
    answer: &mut Answer,
) {
    let site = notes.site.and_then(|index| snapshot.sites.get(index));
    if let Some(site) = site.filter(|site| !site.route.answer_fields.is_empty()) {
        route::edit_answer(&site.route.answer_fields, answer);
    }
    let arms = site.and_then(|site| site.arms.as_deref());
    if let (Some(arm), Some(arms)) = (notes.arm, arms) {
        arms.tell(arm, exchange.borrow(), answer);
    }
    sign(exchange.borrow(), &notes, site, answer);
    if !snapshot.config.geo.domains.is_empty() {
        suggest(snapshot, exchange.borrow(), answer);
    }
    account::keep(edge, snapshot, exchange, notes, answer);
}

/// Tells who asks a host that is made for another country which one is made for theirs. Of an answer's fields
/// a page's script can read this one alone, so that a page that is stored for all needs no place of its own.
fn suggest(snapshot: &Snapshot, exchange: &Exchange, answer: &mut Answer) {
    let country = || snapshot.geo.country(exchange.client.address);
    if let Some(domain) = snapshot.config.geo.better_domain(exchange.host(), country) {
        answer.own.push("server-timing", |out| {
            for part in ["domain;desc=\"", domain, "\""] {
                out.extend_from_slice(part.as_bytes());
            }
        });
    }
}

/// Says in the answer's own lines what the edge did with it.
fn sign(exchange: &Exchange, notes: &Notes, site: Option<&Arc<Site>>, answer: &mut Answer) {
    answer.own.push("cache-status", |out| notes.status.write(out));
    if !answer.fields.is_empty() {
        answer.fields.remove(X_REQUEST_ID);
    }
    answer.own.push("x-request-id", |out| out.extend_from_slice(&exchange.id));
    if let (Some(standing), Some(site)) = (&notes.standing, site) {
        tell(standing, &site.meters, answer);
    }
    // A stored answer keeps the date of its origin, or its age would not add up.
    if answer.lines.is_empty() && !answer.fields.contains_key(DATE) {
        answer.own.push("date", |out| out.extend_from_slice(&date()));
    }
}

/// Says what is left of the client's rates.
#[inline(never)]
fn tell(standing: &admit::Standing, meters: &[Arc<admit::Meter>], answer: &mut Answer) {
    if standing.is_announced(meters) {
        answer.own.push("ratelimit", |out| standing.write_limit(meters, out));
        answer.own.push("ratelimit-policy", |out| standing.write_policy(meters, out));
    }
    if let Some(seconds) = standing.retry_after() {
        answer.own.push("retry-after", |out| {
            out.extend_from_slice(itoa::Buffer::new().format(seconds).as_bytes());
        });
    }
}

/// The answer for an error: the site's own page, if it has one.
pub(super) fn refusal(
    snapshot: &Snapshot,
    exchange: &Exchange,
    notes: &Notes,
    error: &Error,
) -> Answer {
    let facts = error.facts();
    let site = notes.site.and_then(|index| snapshot.sites.get(index));
    if facts.side == Side::Client {
        tracing::debug!(kind = facts.label, %error, "refused");
    } else {
        let source = std::error::Error::source(error).map(ToString::to_string);
        let id = std::str::from_utf8(&exchange.id).unwrap_or_default();
        tracing::debug!(kind = facts.label, %error, source, id, "no answer from the origin");
    }
    let mut answer = Answer::from(error);
    let users = site.and_then(|site| site.route.basic_auth.as_ref());
    if let (ErrorKind::Unauthorized, Some(users)) = (error.kind(), users) {
        let challenge = format!("Basic realm=\"{}\", charset=\"UTF-8\"", users.realm);
        // The settings are checked: a realm is printable.
        answer
            .fields
            .extend(HeaderValue::try_from(challenge).ok().map(|it| (WWW_AUTHENTICATE, it)));
    }
    let mut page = site.and_then(|site| site.route.error_pages.get(&facts.status.as_u16()));
    if error.kind() == ErrorKind::Maintenance {
        let settings = &snapshot.config.maintenance;
        page = settings.page.as_ref().or(page);
        answer.fields.insert(RETRY_AFTER, settings.retry_after.as_secs().max(1).into());
    }
    if let Some(page) = page {
        put_page(&mut answer, page);
    }
    if matches!(
        error.kind(),
        ErrorKind::Saturated
            | ErrorKind::Shed
            | ErrorKind::OriginUnavailable
            | ErrorKind::Unverified
    ) {
        answer.fields.insert(RETRY_AFTER, admit::RETRY_AFTER);
    }
    answer
}

/// Puts a page of the site in the place of what an error says.
pub(super) fn put_page(answer: &mut Answer, page: &Bytes) {
    answer.body = page.clone().into();
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    answer.fields.insert(CONTENT_TYPE, html);
}

/// `Date` of now; the text of a second is made once in that second.
fn date() -> [u8; 29] {
    thread_local! {
        static LAST: Cell<(u64, [u8; 29])> = const { Cell::new((0, [b' '; 29])) };
    }
    let now: SystemTime = clock::wall();
    let second = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (made_in, text) = LAST.get();
    if made_in == second {
        return text;
    }
    let formatted = httpdate::fmt_http_date(now);
    let text = <[u8; 29]>::try_from(formatted.as_bytes()).expect("an IMF-fixdate has 29 bytes");
    LAST.set((second, text));
    text
}
