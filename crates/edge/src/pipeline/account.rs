//! The account of a request: a line of the log and the counters, once its answer has gone or its client has.

use std::borrow::Borrow;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use forebay_signals::clock;
use http::{Method, StatusCode};
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::closing::Notes;
use crate::access_log::{AccessLog, Record};
use crate::edge::{Edge, Site, Snapshot};
use crate::error::Error;
use crate::exchange::{Answer, Body, BoxedBody, Exchange};
use crate::top::{self, Seen};
use crate::trace::{Over, Tracer};
use crate::traffic::RouteTraffic;

/// Status of a request whose client left before there was an answer: no answer has it, and operators know
/// it from the logs of other servers.
const CLIENT_GONE: u16 = 499;
/// Content up to this size goes into the socket's buffer in one piece: its account is written beforehand.
const AT_ONCE: usize = 64 * 1024;
/// Larger content is handed out and counted in pieces of this size, few enough to cost nothing.
const PIECE: usize = 256 * 1024;

/// Sees to it that the account is written when `answer` ends, and not before, as far as that matters.
pub(super) fn keep(
    edge: &Edge,
    snapshot: &Snapshot,
    exchange: impl Borrow<Exchange> + Into<Box<Exchange>>,
    notes: Notes,
    answer: &mut Answer,
) {
    let status = answer.status.as_u16();
    // Of an answer to HEAD nothing is sent but the head.
    let has_content = exchange.borrow().head.method != Method::HEAD;
    let inner: BoxedBody = match std::mem::take(&mut answer.body) {
        Body::Stream(inner) if has_content => inner,
        Body::Whole(bytes) if has_content && bytes.len() > AT_ONCE => {
            Box::pin(Pieces { left: Some(bytes) })
        }
        body => {
            let bytes = body.size_hint().exact().filter(|_| has_content).unwrap_or(0);
            answer.body = body;
            let site = notes.site.and_then(|index| snapshot.sites.get(index));
            let traffic = site.map_or_else(|| edge.traffic.none(), |site| &site.traffic);
            let site = site.map(|site| &**site);
            let exchange = exchange.borrow();
            let account = Account { exchange, notes: &notes, status, site };
            let tracer = edge.telemetry.tracer.as_deref();
            return account.write(traffic, (Some(&snapshot.log), tracer), bytes, Ended::Whole);
        }
    };
    let ticket = Ticket::new(edge, snapshot, exchange.into(), notes, status);
    answer.body = Body::stream(Counted { inner, ticket: Some(ticket), taken: 0, handed_out: 0 });
}

/// A request whose answer is waited for. Dropped before that is there, it writes the account of a client
/// that left.
pub(super) struct Underway {
    pub(super) edge: Arc<Edge>,
    pub(super) snapshot: Arc<Snapshot>,
    request: Option<(Box<Exchange>, Notes)>,
}

impl Underway {
    pub(super) fn new(
        edge: &Arc<Edge>,
        snapshot: &Arc<Snapshot>,
        exchange: Box<Exchange>,
        notes: Notes,
    ) -> Underway {
        let request = Some((exchange, notes));
        Underway { edge: Arc::clone(edge), snapshot: Arc::clone(snapshot), request }
    }

    /// The request, what is noted of it, and what it is answered from.
    pub(super) fn parts(&mut self) -> (&Arc<Edge>, &Snapshot, &mut Exchange, &mut Notes) {
        let (exchange, notes) = self.request.as_mut().expect("it is taken at the end alone");
        (&self.edge, &self.snapshot, exchange, notes)
    }

    /// It has an answer: whoever closes it writes the account.
    pub(super) fn end(&mut self) -> (Box<Exchange>, Notes) {
        self.request.take().expect("it ends once")
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        let Some((exchange, notes)) = self.request.take() else { return };
        // A panic is answered by `listen`.
        let internal = StatusCode::INTERNAL_SERVER_ERROR.as_u16();
        let status = if std::thread::panicking() { internal } else { CLIENT_GONE };
        let ticket = Ticket::new(&self.edge, &self.snapshot, exchange, notes, status);
        ticket.write(0, Ended::BrokenOff);
    }
}

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    Whole,
    BrokenOff,
}

/// What the account says of one request.
struct Account<'a> {
    exchange: &'a Exchange,
    notes: &'a Notes,
    status: u16,
    site: Option<&'a Site>,
}

impl Account<'_> {
    fn write(
        &self,
        traffic: &RouteTraffic,
        (log, tracer): (Option<&AccessLog>, Option<&Tracer>),
        bytes: u64,
        ended: Ended,
    ) {
        let total = clock::now().saturating_duration_since(self.exchange.began());
        traffic.record(self.status, self.notes.outcome, bytes, total);
        let (exchange, site, outcome) = (self.exchange, self.site, self.notes.outcome);
        top::saw(&Seen { exchange, site, outcome, bytes });
        if let Some(arm) = self.notes.arm {
            let arms = self.site.and_then(|site| site.arms.as_deref());
            if let Some(site) = arms.and_then(|arms| arms.site(arm)) {
                site.traffic.record(self.status, self.notes.outcome, bytes, total);
            }
        }
        if exchange.stamps.is_traced
            && let Some(tracer) = tracer
        {
            self.trace(tracer, bytes, total, ended);
        }
        let Some(log) = log.filter(|log| log.is_on()) else { return };
        log.write(&Record {
            exchange: self.exchange,
            route: self.site.map_or("-", |site| &site.route.name),
            status: self.status,
            bytes,
            outcome: self.notes.outcome,
            total,
            is_whole: ended == Ended::Whole,
        });
    }

    /// Apart and never inlined: most requests are not traced.
    #[cold]
    #[inline(never)]
    fn trace(&self, tracer: &Tracer, bytes: u64, total: Duration, ended: Ended) {
        tracer.server(&Over {
            exchange: self.exchange,
            route: self.site.map_or("-", |site| &site.route.name),
            status: self.status,
            outcome: self.notes.outcome.label(),
            bytes,
            total,
            is_whole: ended == Ended::Whole,
            awaited: self.notes.awaited.as_deref().copied(),
        });
    }
}

/// All that the account needs when the last byte has gone.
struct Ticket {
    traffic: Arc<RouteTraffic>,
    site: Option<Arc<Site>>,
    log: Option<AccessLog>,
    tracer: Option<Arc<Tracer>>,
    exchange: Box<Exchange>,
    notes: Notes,
    status: u16,
}

impl Ticket {
    fn new(
        edge: &Edge,
        snapshot: &Snapshot,
        exchange: Box<Exchange>,
        notes: Notes,
        status: u16,
    ) -> Ticket {
        let site = notes.site.and_then(|index| snapshot.sites.get(index)).cloned();
        let traffic = site.as_ref().map_or_else(|| edge.traffic.none(), |site| &site.traffic);
        let log = snapshot.log.is_on().then(|| snapshot.log.clone());
        let tracer = edge.telemetry.tracer.as_ref().filter(|_| exchange.stamps.is_traced).cloned();
        Ticket { traffic: Arc::clone(traffic), site, log, tracer, exchange, notes, status }
    }

    fn write(&self, bytes: u64, ended: Ended) {
        let site = self.site.as_deref();
        let (exchange, notes, status) = (&self.exchange, &self.notes, self.status);
        let account = Account { exchange, notes, status, site };
        account.write(&self.traffic, (self.log.as_ref(), self.tracer.as_deref()), bytes, ended);
    }
}

/// A streamed answer that writes its account when it ends, one way or the other.
struct Counted {
    inner: BoxedBody,
    ticket: Option<Ticket>,
    /// Bytes that have gone: whoever asks for more has sent what it had.
    taken: u64,
    /// Bytes on their way.
    handed_out: u64,
}

impl Counted {
    fn end(&mut self, ended: Ended) {
        let Some(ticket) = self.ticket.take() else { return };
        if ended == Ended::Whole {
            self.taken += std::mem::take(&mut self.handed_out);
        }
        ticket.write(self.taken, ended);
    }
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        self.taken += std::mem::take(&mut self.handed_out);
        let frame = ready!(self.inner.as_mut().poll_frame(context));
        match &frame {
            Some(Ok(frame)) => {
                self.handed_out = frame.data_ref().map_or(0, |data| data.len() as u64);
            }
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
        // With a known length the writer may stop at the last byte and not ask again.
        let ended = if self.inner.is_end_stream() || self.inner.size_hint().exact() == Some(0) {
            Ended::Whole
        } else {
            Ended::BrokenOff
        };
        self.end(ended);
    }
}

/// Content at hand that is not given away at once. It has ended only when it was asked for what comes
/// after the last piece: by then that piece has gone.
struct Pieces {
    left: Option<Bytes>,
}

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Some(left) = self.left.as_mut().filter(|left| !left.is_empty()) else {
            self.left = None;
            return Poll::Ready(None);
        };
        let piece = left.split_to(left.len().min(PIECE));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.left {
            None => SizeHint::with_exact(0),
            // The last piece is out; whether it has gone is not known yet.
            Some(left) if left.is_empty() => SizeHint::default(),
            Some(left) => SizeHint::with_exact(left.len() as u64),
        }
    }
}
