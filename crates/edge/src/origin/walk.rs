//! One request's way from try to try.

use std::time::Instant;

use forebay_signals::clock;
use http::{Method, Response, StatusCode};
use http_body::Body as _;
use hyper::body::Incoming;

use super::attempt::{Attempt, Reuse, Stage};
use super::content::{self, Content, Lease};
use super::message::{self, Asked, Breach, Outgoing};
use super::upstream::{Ticket, Upstream};
use crate::error::{Error, ErrorKind};
use crate::exchange::{Answer, Body};

/// A request, and what became of it so far.
pub(super) struct Walk<'a> {
    upstream: &'a Upstream,
    ticket: Ticket,
    attempt: Attempt,
    /// The same request again, where it may be sent twice.
    copy: Option<Outgoing>,
    asked: Asked,
    breach: Option<Breach>,
    tried: Vec<usize>,
    tries_left: u32,
    began: Instant,
    give_up_at: Instant,
}

/// Where a request goes after a failed try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// The same server at once: it closed a connection that it had left idle, which is its right.
    AtOnce,
    /// Another server; the same one again only if there is no other.
    AnyServer,
    /// Another server or none.
    OtherServer,
    /// None: the fault is not the server's.
    Nowhere,
}

impl<'a> Walk<'a> {
    pub(super) fn new(upstream: &'a Upstream, ticket: Ticket, outgoing: Outgoing) -> Walk<'a> {
        let began = clock::now();
        let asked = Asked {
            is_head: outgoing.method() == Method::HEAD,
            upgrade: outgoing.upgrade().cloned(),
        };
        Walk {
            upstream,
            ticket,
            breach: outgoing.breach(),
            attempt: Attempt::new(outgoing),
            copy: None,
            asked,
            tried: Vec::new(),
            tries_left: upstream.settings.max_tries.max(1),
            began,
            give_up_at: began + upstream.settings.total_timeout,
        }
    }

    pub(super) async fn run(mut self) -> Result<Answer, Error> {
        let settings = &self.upstream.settings;
        let Some(mut member) = self.upstream.choose(&[], self.began) else {
            return Err(Error::new(ErrorKind::OriginUnavailable, "no server may be asked"));
        };
        let mut now = self.began;
        loop {
            self.ticket.sit(member);
            self.tries_left = self.tries_left.saturating_sub(1);
            // Made only if it can be of use: it is most of what a retry costs in advance.
            self.copy = match &self.attempt.outgoing {
                Some(outgoing) if self.tries_left > 0 => outgoing.copy(),
                _ => None,
            };
            let limit = settings.try_timeout.min(self.give_up_at.saturating_duration_since(now));
            let server = &self.upstream.members[member].server;
            let run = self.attempt.run(server, settings, &self.upstream.running.counts);
            let next = match clock::timeout(limit, run).await {
                Ok(Ok((response, lease))) => match self.instead_of(&response, member) {
                    None => return self.answer(response, lease),
                    Some(other) => {
                        self.attempt.outgoing = self.copy.take();
                        Ok(other)
                    }
                },
                Ok(Err(error)) => self.after(error, member),
                Err(_) => self.after_deadline(member),
            };
            member = next?;
            now = clock::now();
        }
    }

    /// The server to ask next, or the error that this walk ends with.
    fn after(&mut self, error: Error, member: usize) -> Result<usize, Error> {
        if let Some((kind, detail)) = self.breach.as_ref().and_then(|breach| breach.get()) {
            return Err(Error::new(*kind, detail));
        }
        let next = match (error.kind(), self.attempt.stage) {
            (ErrorKind::BadMessage | ErrorKind::Internal, _) => Next::Nowhere,
            (_, Stage::OnUsed) => Next::AtOnce,
            (_, Stage::OnNew) => Next::AnyServer,
            (_, Stage::Connecting | Stage::Garbled) => Next::OtherServer,
        };
        self.retry(error, member, next)
    }

    fn after_deadline(&mut self, member: usize) -> Result<usize, Error> {
        let (kind, detail) = match self.attempt.stage {
            Stage::Connecting => (ErrorKind::OriginUnreachable, "no connection in time"),
            _ => (ErrorKind::OriginTimeout, "no answer in time"),
        };
        self.retry(Error::new(kind, detail), member, Next::OtherServer)
    }

    fn retry(&mut self, error: Error, member: usize, next: Next) -> Result<usize, Error> {
        if matches!(next, Next::AnyServer | Next::OtherServer) {
            self.upstream.server_failed(member, &error);
            self.tried.push(member);
        }
        let is_unsent = self.attempt.outgoing.is_some();
        self.attempt.outgoing = self.attempt.outgoing.take().or_else(|| self.copy.take());
        // What the server never heard of costs neither a try nor the budget: it happens once, since
        // the next connection is a new one.
        let is_free = is_unsent && next == Next::AtOnce && self.attempt.reuse == Reuse::Allowed;
        if is_free {
            self.tries_left += 1;
        }
        let now = clock::now();
        let may = self.attempt.outgoing.is_some()
            && next != Next::Nowhere
            && self.tries_left > 0
            && now < self.give_up_at;
        if !may {
            return Err(error);
        }
        let other = match next {
            Next::AtOnce => {
                self.attempt.reuse = Reuse::Never;
                Some(member)
            }
            Next::AnyServer => {
                let other = self.upstream.choose(&self.tried, now);
                other.or_else(|| self.upstream.choose(&[], now))
            }
            _ => self.upstream.choose(&self.tried, now),
        };
        match other {
            Some(other) if is_free || self.upstream.may_retry() => Ok(other),
            _ => Err(error),
        }
    }

    /// Another server to ask in place of this answer, if its status says so and that is safe.
    fn instead_of(&mut self, response: &Response<Incoming>, member: usize) -> Option<usize> {
        if !self.upstream.settings.failover_statuses.contains(&response.status()) {
            self.upstream.server_succeeded(member);
            return None;
        }
        let detail = "a status that asks for another server";
        let error = Error::new(ErrorKind::OriginUnavailable, detail);
        self.upstream.server_failed(member, &error.because(response.status().to_string()));
        self.tried.push(member);
        self.copy.as_ref()?;
        let other = self.upstream.choose(&self.tried, clock::now())?;
        self.upstream.may_retry().then_some(other)
    }

    fn answer(self, mut response: Response<Incoming>, lease: Lease) -> Result<Answer, Error> {
        let Walk { upstream, ticket, asked, began, .. } = self;
        upstream.running.counts.latency.record(clock::now().saturating_duration_since(began));
        let status = response.status();
        if let Err(error) = message::clean(status, response.headers_mut(), &asked) {
            upstream.server_failed(ticket.member, &error);
            return Err(error);
        }
        let mut answer = Answer::new(Body::Empty).with_status(status);
        if status == StatusCode::SWITCHING_PROTOCOLS {
            answer.upgrade = Some(hyper::upgrade::on(&mut response));
            answer.fields = std::mem::take(response.headers_mut());
            // From here on it is a tunnel of `listen`, which has limits for it: not in flight here.
            if let Lease::Http1(mut connection) = lease {
                connection.task.detach();
            }
            return Ok(answer);
        }
        let (parts, incoming) = response.into_parts();
        answer.fields = parts.headers;
        if incoming.is_end_stream() {
            content::finish(lease, &ticket);
        } else {
            answer.body = Body::stream(Content::new(incoming, lease, ticket));
        }
        Ok(answer)
    }
}
