//! One origin: choose a server, try, judge, try again where that is safe.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use forebay_signals::clock;
use forebay_signals::counter::Counter;
use forebay_signals::histogram::Histogram;
use forebay_signals::journal::Journal;
use http::HeaderValue;

use super::balance::Schedule;
use super::budget::Budget;
use super::health::{Change, since_start};
use super::message::Outgoing;
use super::overload;
use super::server::Server;
use super::throttle::{Outcome, Step, Throttle};
use super::walk::Walk;
use crate::config::origin::{Factor, Origin};
use crate::error::{Error, ErrorKind};
use crate::exchange::{Answer, Ask, Priority};

/// One origin, shared by all cores.
pub struct Upstream {
    pub(super) settings: Arc<Origin>,
    pub(super) members: Vec<Member>,
    pub(super) groups: Vec<Group>,
    host: Option<HeaderValue>,
    pub(super) running: Arc<Running>,
    journal: Arc<Journal>,
}

/// What an origin keeps over a reload.
#[derive(Default)]
pub(super) struct Running {
    pub(super) in_flight: AtomicUsize,
    pub(super) budget: Budget,
    pub(super) throttle: Throttle,
    pub(super) last_resort_ms: AtomicU64,
    pub(super) counts: Counts,
}

/// A server in this origin.
pub(super) struct Member {
    pub(super) server: Arc<Server>,
    pub(super) weight: u32,
    pub(super) group: u8,
}

pub(super) struct Group {
    pub(super) members: Vec<usize>,
    pub(super) schedule: Schedule,
}

/// What an origin counts.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) requests: Counter,
    pub(super) retries: Counter,
    pub(super) retries_refused: Counter,
    pub(super) opened: Counter,
    pub(super) reused: Counter,
    pub(super) saturated: Counter,
    pub(super) shed: Counter,
    pub(super) unavailable: Counter,
    pub(super) unreachable: Counter,
    pub(super) timeout: Counter,
    pub(super) protocol: Counter,
    /// Time until the head of the answer, all tries together.
    pub(super) latency: Histogram,
}

impl Counts {
    /// Failures by the label of their kind.
    pub(super) fn failures(&self) -> Vec<(&'static str, u64)> {
        let label = |kind: ErrorKind, counter: &Counter| (kind.facts().label, counter.value());
        vec![
            label(ErrorKind::Saturated, &self.saturated),
            label(ErrorKind::Shed, &self.shed),
            label(ErrorKind::OriginUnavailable, &self.unavailable),
            label(ErrorKind::OriginUnreachable, &self.unreachable),
            label(ErrorKind::OriginTimeout, &self.timeout),
            label(ErrorKind::OriginProtocol, &self.protocol),
        ]
    }

    fn failure(&self, kind: ErrorKind) {
        match kind {
            ErrorKind::Saturated => self.saturated.increment(),
            ErrorKind::Shed => self.shed.increment(),
            ErrorKind::OriginUnavailable => self.unavailable.increment(),
            ErrorKind::OriginUnreachable => self.unreachable.increment(),
            ErrorKind::OriginTimeout => self.timeout.increment(),
            ErrorKind::OriginProtocol => self.protocol.increment(),
            _ => {}
        }
    }
}

/// A request in flight: counted from its beginning to the end of its answer's content.
pub(super) struct Ticket {
    upstream: Arc<Upstream>,
    pub(super) member: usize,
    is_seated: bool,
}

impl Ticket {
    fn enter(upstream: &Arc<Upstream>) -> Result<Ticket, Error> {
        let before = upstream.running.in_flight.fetch_add(1, Ordering::Relaxed);
        let ticket = Ticket { upstream: Arc::clone(upstream), member: 0, is_seated: false };
        if before >= upstream.settings.max_in_flight {
            return Err(Error::new(ErrorKind::Saturated, "too many requests in flight"));
        }
        Ok(ticket)
    }

    pub(super) fn sit(&mut self, member: usize) {
        self.stand_up();
        self.member = member;
        self.is_seated = true;
        self.server().in_flight.fetch_add(1, Ordering::Relaxed);
    }

    fn stand_up(&mut self) {
        if std::mem::take(&mut self.is_seated) {
            self.server().in_flight.fetch_sub(1, Ordering::Relaxed);
        }
    }

    pub(super) fn settings(&self) -> &Origin {
        &self.upstream.settings
    }

    pub(super) fn server(&self) -> &Server {
        &self.upstream.members[self.member].server
    }

    /// The answer broke off within its content.
    pub(super) fn broke_off(&self, error: &Error) {
        self.upstream.running.counts.failure(error.kind());
        self.upstream.server_failed(self.member, error);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.stand_up();
        self.upstream.running.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Upstream {
    pub(super) fn new(
        settings: Arc<Origin>,
        members: Vec<Member>,
        host: Option<HeaderValue>,
        running: Arc<Running>,
        journal: Arc<Journal>,
    ) -> Upstream {
        let mut numbers: Vec<u8> = members.iter().map(|member| member.group).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let group = |number: u8| {
            let within = (0..members.len()).filter(|i| members[*i].group == number);
            let within: Vec<usize> = within.collect();
            let weights: Vec<u32> = within.iter().map(|i| members[*i].weight).collect();
            Group { members: within, schedule: Schedule::new(&weights) }
        };
        let groups = numbers.into_iter().map(group).collect();
        Upstream { settings, members, groups, host, running, journal }
    }

    /// Asks the origin: one answer, or the error of the last try. The request is taken before the first
    /// poll, and boxed: every future around this one would be larger by it, and is copied into its box.
    pub fn fetch(
        self: &Arc<Self>,
        mut ask: Ask,
    ) -> impl Future<Output = Result<Answer, Error>> + Send + use<'_> {
        self.running.counts.requests.increment();
        self.running.budget.earn(self.settings.retry_budget_percent);
        let priority = ask.priority;
        let mut span = ask.span.take();
        if let Some(span) = &mut span {
            span.begin(&ask.method, &ask.uri, self.name());
        }
        let walk = self.walk(ask);
        async move {
            let answer = match walk {
                Ok(mut walk) => walk.run(span.as_deref_mut()).await.map(|reply| walk.answer(reply)),
                Err(error) => Err(error),
            };
            if let Some(span) = span {
                (*span).end(answer.as_ref().map(|answer| answer.status));
            }
            self.note(priority, &answer);
            if let Err(error) = &answer {
                self.running.counts.failure(error.kind());
            }
            answer
        }
    }

    /// May a request of this priority be sent? An origin that takes fewer than come is not asked for all.
    pub fn admits(&self, priority: Priority) -> Result<(), Error> {
        let Some(Factor(factor)) = self.settings.throttle_factor else { return Ok(()) };
        let (may, step) = self.running.throttle.admits(priority, factor, clock::now());
        self.tell_step(step);
        if may {
            return Ok(());
        }
        let error = Error::new(ErrorKind::Shed, "the origin takes fewer requests than come");
        self.running.counts.failure(error.kind());
        Err(error)
    }

    /// How the origin took it. What it has never heard of says nothing of it.
    fn note(&self, priority: Priority, answer: &Result<Answer, Error>) {
        let Some(Factor(factor)) = self.settings.throttle_factor else { return };
        let outcome = match answer.as_ref().map_err(Error::kind) {
            Ok(answer) if overload::is_refusal(answer.status, &answer.fields) => Outcome::Refused,
            Ok(_) => Outcome::Accepted,
            Err(ErrorKind::OriginTimeout | ErrorKind::OriginUnreachable) => Outcome::Refused,
            Err(_) => return,
        };
        self.tell_step(self.running.throttle.note(priority, outcome, factor, clock::now()));
    }

    fn tell_step(&self, step: Option<Step>) {
        if let Some(step) = step {
            self.tell(&step.sentence());
        }
    }

    fn walk(self: &Arc<Self>, ask: Ask) -> Result<Box<Walk<'_>>, Error> {
        let ticket = Ticket::enter(self)?;
        let affinity = ask.affinity;
        let outgoing = Outgoing::new(ask, self.host.as_ref())?;
        Ok(Box::new(Walk::new(self, ticket, affinity, outgoing)))
    }

    /// True when the next request would be refused: misses are shed then, hits flow on.
    pub fn is_saturated(&self) -> bool {
        self.running.in_flight.load(Ordering::Relaxed) >= self.settings.max_in_flight
    }

    /// The origin's name.
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// Whom a retry goes to, if the budget allows one. The budget is asked first: a choice may spend the
    /// only trial of a half-open breaker. It gets the retry back if there is nobody to ask.
    pub(super) fn retry(&self, choose: impl FnOnce() -> Option<usize>) -> Option<usize> {
        let Running { budget, counts, .. } = &*self.running;
        if !budget.spend(self.settings.retry_budget_percent) {
            counts.retries_refused.increment();
            return None;
        }
        let chosen = choose();
        if chosen.is_some() {
            counts.retries.increment();
        } else {
            budget.give_back();
        }
        chosen
    }

    pub(super) fn server_succeeded(&self, member: usize) {
        let server = &self.members[member].server;
        if server.health.succeeded() == Change::Closed {
            server.health.warm_up(since_start(clock::now()));
            self.tell(&format!("breaker of `{}` closed", server.label));
        }
    }

    pub(super) fn server_failed(&self, member: usize, error: &Error) {
        let server = &self.members[member].server;
        server.failures.increment();
        server.note(error);
        let Origin { breaker_failures, breaker_open_for, .. } = *self.settings;
        let now_ms = since_start(clock::now());
        if server.health.failed(now_ms, breaker_failures, breaker_open_for) == Change::Opened {
            self.tell(&format!("breaker of `{}` opened: {error}", server.label));
        }
    }

    pub(super) fn tell(&self, what: &str) {
        self.journal.write("origin", format!("{}: {what}", self.settings.name));
    }
}
