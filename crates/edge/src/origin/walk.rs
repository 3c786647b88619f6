//! One request's way from try to try.

use std::sync::Arc;
use std::time::Instant;

use forebay_signals::clock;
use http::StatusCode;

use super::attempt::{Attempt, Reply, Reuse, Stage, Try};
use super::content::{self, Content, Lease};
use super::message::{self, Outgoing};
use super::overload;
use super::upload::Sender;
use super::upstream::{Ticket, Upstream};
use crate::error::{Error, ErrorKind};
use crate::exchange::{Answer, Body};
use crate::trace::Asking;

/// A request, and what became of it so far.
pub(super) struct Walk<'a> {
    upstream: &'a Upstream,
    ticket: Ticket,
    affinity: u64,
    attempt: Attempt,
    sender: Option<Arc<Sender>>,
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
    pub(super) fn new(
        upstream: &'a Upstream,
        ticket: Ticket,
        affinity: u64,
        outgoing: Outgoing,
    ) -> Walk<'a> {
        let began = clock::now();
        Walk {
            upstream,
            ticket,
            affinity,
            sender: outgoing.sender(),
            attempt: Attempt::new(outgoing),
            tried: Vec::new(),
            tries_left: upstream.settings.max_tries.max(1),
            began,
            give_up_at: began + upstream.settings.total_timeout,
        }
    }

    pub(super) async fn run(&mut self, mut span: Option<&mut Asking>) -> Result<Reply, Error> {
        let settings = &self.upstream.settings;
        let Some(mut member) = self.upstream.choose(self.affinity, &[], self.began) else {
            return Err(Error::new(ErrorKind::OriginUnavailable, "no server may be asked"));
        };
        let mut now = self.began;
        loop {
            self.ticket.sit(member);
            self.tries_left = self.tries_left.saturating_sub(1);
            if let Some(span) = &mut span {
                let server = self.ticket.server();
                span.tries(server.scheme(), &server.label);
            }
            let to = Try {
                server: &self.upstream.members[member].server,
                settings,
                counts: &self.upstream.running.counts,
                began: now,
                until: self.give_up_at.min(now + settings.try_timeout),
                may_follow: self.tries_left > 0,
            };
            member = match self.attempt.run(to).await {
                Ok(reply) => match self.instead_of(&reply, member) {
                    None => return Ok(reply),
                    Some(other) => other,
                },
                Err(error) => self.after(error, member)?,
            };
            now = clock::now();
        }
    }

    /// The server to ask next, or the error that this walk ends with.
    fn after(&mut self, error: Error, member: usize) -> Result<usize, Error> {
        if let Some((kind, detail)) = self.sender.as_ref().and_then(|sender| sender.broke()) {
            return Err(Error::new(kind, detail));
        }
        let next = match (error.kind(), self.attempt.stage) {
            (ErrorKind::BadMessage | ErrorKind::Internal, _) => Next::Nowhere,
            (ErrorKind::OriginTimeout, _) | (_, Stage::Connecting | Stage::Garbled) => {
                Next::OtherServer
            }
            (_, Stage::OnUsed | Stage::Refused) => Next::AtOnce,
            (_, Stage::OnNew) => Next::AnyServer,
        };
        self.retry(error, member, next)
    }

    fn retry(&mut self, error: Error, member: usize, next: Next) -> Result<usize, Error> {
        if matches!(next, Next::AnyServer | Next::OtherServer) {
            self.upstream.server_failed(member, &error);
            self.tried.push(member);
        }
        // What the server never heard of costs neither a try nor the budget: it happens once, since
        // the next connection is a new one.
        let is_free = self.attempt.is_unsent
            && self.attempt.stage == Stage::OnUsed
            && self.attempt.reuse == Reuse::Allowed;
        if is_free {
            self.tries_left += 1;
        }
        let now = clock::now();
        let may = self.attempt.may_go_again()
            && next != Next::Nowhere
            && self.tries_left > 0
            && now < self.give_up_at;
        if !may {
            return Err(error);
        }
        if next == Next::AtOnce {
            self.attempt.reuse = Reuse::Never;
        }
        let (upstream, affinity, tried) = (self.upstream, self.affinity, &self.tried);
        let choose = || match next {
            Next::AtOnce => Some(member),
            Next::AnyServer => {
                let other = upstream.choose(affinity, tried, now);
                other.or_else(|| upstream.choose(affinity, &[], now))
            }
            Next::OtherServer | Next::Nowhere => upstream.choose(affinity, tried, now),
        };
        let other = if is_free { choose() } else { upstream.retry(choose) };
        other.ok_or(error)
    }

    /// Another server to ask in place of this answer, if its status says so and that is safe.
    fn instead_of(&mut self, reply: &Reply, member: usize) -> Option<usize> {
        let status = reply.status;
        if overload::forbids_retry(status, &reply.fields) {
            // It is well, and busy.
            self.upstream.server_succeeded(member);
            return None;
        }
        if !self.upstream.settings.failover_statuses.contains(&status) {
            self.upstream.server_succeeded(member);
            return None;
        }
        let detail = "a status that asks for another server";
        let error = Error::new(ErrorKind::OriginUnavailable, detail);
        self.upstream.server_failed(member, &error.because(status.to_string()));
        self.tried.push(member);
        if !self.attempt.may_go_again() || self.tries_left == 0 {
            return None;
        }
        self.upstream.retry(|| self.upstream.choose(self.affinity, &self.tried, clock::now()))
    }

    /// The answer, with the connection as its content as long as that is still to be read.
    pub(super) fn answer(self: Box<Self>, reply: Reply) -> Answer {
        let Walk { upstream, ticket, began, .. } = *self;
        let Reply { status, mut fields, lease } = reply;
        let now = clock::now();
        upstream.running.counts.latency.record(now.saturating_duration_since(began));
        message::date(&mut fields);
        let mut answer = Answer::new(Body::Empty).with_status(status);
        answer.fields = fields;
        match lease {
            // From here on it is a tunnel of `listen`, which has limits for it: not in flight here.
            Lease::Http1(connection) if status == StatusCode::SWITCHING_PROTOCOLS => {
                answer.upgrade = Some(connection.into_upgraded());
            }
            mut lease => {
                answer.body = lease.take_whole().map(Body::from).unwrap_or_default();
                if lease.is_at_end() {
                    content::finish(lease, &ticket, now);
                } else {
                    answer.body = Body::stream(Content::new(lease, ticket));
                }
            }
        }
        answer
    }
}
