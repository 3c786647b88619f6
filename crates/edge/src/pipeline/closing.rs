//! The end of every request: errors become pages, fields are edited, the account is written.

use std::cell::RefCell;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use forebay_signals::clock;
use http::header::{CONTENT_TYPE, DATE, HeaderValue, RETRY_AFTER};
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::access_log::Record;
use crate::admit;
use crate::cache::status::CacheStatus;
use crate::edge::{Edge, Site, Snapshot};
use crate::error::{Error, ErrorKind, Side};
use crate::exchange::{Answer, Body, BoxedBody, Exchange};
use crate::identity::X_REQUEST_ID;
use crate::route;
use crate::traffic::Outcome;

/// What the rooms note of a request for its end.
#[derive(Debug)]
pub(super) struct Notes {
    /// Its place among the requests in flight.
    pub(super) seat: Option<admit::Limit>,
    /// Its route.
    pub(super) site: Option<Arc<Site>>,
    /// What the cache did.
    pub(super) outcome: Outcome,
    /// The same in the words of RFC 9211.
    pub(super) status: CacheStatus,
}

impl Default for Notes {
    fn default() -> Notes {
        Notes { seat: None, site: None, outcome: Outcome::None, status: CacheStatus::own() }
    }
}

/// Finishes an answer, or makes one of an error.
pub(super) fn close(
    edge: &Edge,
    snapshot: &Arc<Snapshot>,
    exchange: Exchange,
    notes: Notes,
    answer: Result<Answer, Error>,
) -> Answer {
    let mut answer = match answer {
        Ok(answer) => answer,
        Err(error) => refusal(&exchange, notes.site.as_deref(), &error),
    };
    if let Some(site) = notes.site.as_deref().filter(|site| !site.route.answer_fields.is_empty()) {
        route::edit_answer(&site.route.answer_fields, &mut answer);
    }
    notes.status.append_to(&mut answer.fields);
    let id = HeaderValue::from_bytes(&exchange.id).expect("hex digits are a valid value");
    answer.fields.insert(X_REQUEST_ID, id);
    // A stored answer keeps the date of its origin, or its age would not add up.
    if answer.lines.is_empty() && !answer.fields.contains_key(DATE) {
        answer.fields.insert(DATE, date());
    }
    let status = answer.status.as_u16();
    let ticket = Ticket { snapshot: Arc::clone(snapshot), exchange, notes, status };
    match std::mem::take(&mut answer.body) {
        Body::Stream(inner) => {
            let edge_traffic = edge.traffic.of_none();
            let counted = Counted { inner, ticket: Some(ticket), none: edge_traffic, bytes: 0 };
            answer.body = Body::stream(counted);
        }
        whole => {
            let bytes = whole.size_hint().exact().unwrap_or(0);
            ticket.write(&edge.traffic.of_none(), bytes, Ended::Whole);
            answer.body = whole;
        }
    }
    answer
}

/// The answer for an error: the site's own page, if it has one.
fn refusal(exchange: &Exchange, site: Option<&Site>, error: &Error) -> Answer {
    let facts = error.facts();
    if facts.side == Side::Client {
        tracing::debug!(kind = facts.label, %error, "refused");
    } else {
        let source = std::error::Error::source(error).map(ToString::to_string);
        let id = std::str::from_utf8(&exchange.id).unwrap_or_default();
        tracing::debug!(kind = facts.label, %error, source, id, "no answer from the origin");
    }
    let mut answer = Answer::from(error);
    let page = site.and_then(|site| site.route.error_pages.get(&facts.status.as_u16()));
    if let Some(page) = page {
        answer.body = page.clone().into();
        let html = HeaderValue::from_static("text/html; charset=utf-8");
        answer.fields.insert(CONTENT_TYPE, html);
    }
    if matches!(error.kind(), ErrorKind::Saturated | ErrorKind::OriginUnavailable) {
        answer.fields.insert(RETRY_AFTER, admit::RETRY_AFTER);
    }
    answer
}

/// `Date` of now; the text of a second is made once in that second.
fn date() -> HeaderValue {
    thread_local! {
        static LAST: RefCell<(u64, HeaderValue)> =
            const { RefCell::new((0, HeaderValue::from_static(""))) };
    }
    let now: SystemTime = clock::wall();
    let second = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    LAST.with_borrow_mut(|(made_in, text)| {
        if *made_in != second {
            let formatted = httpdate::fmt_http_date(now);
            *made_in = second;
            *text = HeaderValue::from_str(&formatted).expect("an IMF-fixdate is a valid value");
        }
        text.clone()
    })
}

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    Whole,
    BrokenOff,
}

/// All that the account needs when the last byte has gone.
struct Ticket {
    snapshot: Arc<Snapshot>,
    exchange: Exchange,
    notes: Notes,
    status: u16,
}

impl Ticket {
    fn write(&self, none: &crate::traffic::RouteTraffic, bytes: u64, ended: Ended) {
        let total = clock::now().saturating_duration_since(self.exchange.began());
        let site = self.notes.site.as_deref();
        let traffic = site.map_or(none, |site| &site.traffic);
        traffic.record(self.status, self.notes.outcome, bytes, total);
        if self.snapshot.log.is_on() {
            self.log(site, bytes, total, ended);
        }
    }

    fn log(&self, site: Option<&Site>, bytes: u64, total: Duration, ended: Ended) {
        self.snapshot.log.write(&Record {
            exchange: &self.exchange,
            route: site.map_or("-", |site| &site.route.name),
            status: self.status,
            bytes,
            outcome: self.notes.outcome,
            total,
            is_whole: ended == Ended::Whole,
        });
    }
}

/// A streamed answer that writes its account when it ends, one way or the other.
struct Counted {
    inner: BoxedBody,
    ticket: Option<Ticket>,
    none: Arc<crate::traffic::RouteTraffic>,
    bytes: u64,
}

impl Counted {
    fn end(&mut self, ended: Ended) {
        if let Some(ticket) = self.ticket.take() {
            ticket.write(&self.none, self.bytes, ended);
        }
    }
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = ready!(self.inner.as_mut().poll_frame(context));
        match &frame {
            Some(Ok(frame)) => self.bytes += frame.data_ref().map_or(0, |data| data.len() as u64),
            Some(Err(_)) => self.end(Ended::BrokenOff),
            None => self.end(Ended::Whole),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        // With a known length the writer stops at the last byte and does not ask again.
        let ended = if self.inner.is_end_stream() || self.inner.size_hint().exact() == Some(0) {
            Ended::Whole
        } else {
            Ended::BrokenOff
        };
        self.end(ended);
    }
}
