//! The request's whole way, room after room:
//! `listen -> admit -> route -> cache -> compress -> origin`, or `files` in place of the last.
//!
//! What is stored is answered without a wait, so the way to a hit is a plain function; only a request
//! that the origin must be asked for becomes a future.

mod account;
mod arriving;
mod branch;
mod closing;
mod door;
mod early;
mod errand;
mod fetch;
mod folder;
mod for_ever;
mod held;
mod pass;
mod pour;
mod purging;
mod question;
mod refill;
mod sendfile;
mod stored;
mod twins;

use std::cell::LazyCell;
use std::sync::Arc;

use http::StatusCode;

use crate::admit::Credentials;
use crate::cache::lookup::{self, Found};
use crate::cache::status::CacheStatus;
use crate::doorman::{self, Inquiry};
use crate::edge::{Edge, Site, Snapshot};
use crate::error::{Error, ErrorKind};
use crate::exchange::{Answer, Body, Country, Exchange, Hints, Room};
use crate::listen::{Coming, Handler, Reply};
use crate::maintenance::Closed;
use crate::route::Matched;
use crate::{admit, identity};
use account::Underway;
use closing::{Notes, close, refusal};
use errand::{Ask, Errand};
use question::Question;

/// Answers every request that comes in; whatever goes wrong is an answer too.
#[derive(Debug, Clone)]
pub struct Pipeline(pub Arc<Edge>);

impl Handler for Pipeline {
    fn call(&self, mut exchange: Exchange) -> Reply {
        let edge = &self.0;
        let snapshot = edge.current();
        exchange.id = identity::new_id();
        if let Some(tracer) = &edge.telemetry.tracer {
            tracer.meet(&mut exchange);
        }
        if !snapshot.log.is_on() && !exchange.stamps.is_traced {
            exchange.stamps.only_the_beginning();
        }
        let mut notes = Notes::default();
        let mut reply = match walk(edge, &snapshot, &mut exchange, &mut notes) {
            Ok(Way::Answered(answer)) => Reply::Now(answer),
            Ok(Way::Works(work)) => return later(edge, &snapshot, exchange, notes, work),
            Err(error) => Reply::Now(refusal(&snapshot, &exchange, &notes, &error)),
        };
        // Where it lies: to move it once more costs a hit more than most rooms do.
        if let Reply::Now(answer) = &mut reply {
            close(edge, &snapshot, &mut exchange, notes, answer);
        }
        reply
    }

    fn refuse(&self, mut exchange: Exchange, error: Error) -> Answer {
        let snapshot = self.0.current();
        exchange.id = identity::new_id();
        if let Some(tracer) = &self.0.telemetry.tracer {
            tracer.meet(&mut exchange);
        }
        let status = CacheStatus::own().because(error.facts().label);
        let notes = Notes { status, ..Notes::default() };
        let mut answer = refusal(&snapshot, &exchange, &notes, &error);
        close(&self.0, &snapshot, &mut exchange, notes, &mut answer);
        answer
    }
}

/// Apart, so that the way of those without a rate stays as short as it is.
#[inline(never)]
fn ask_rates(
    edge: &Edge,
    site: &Site,
    exchange: &Exchange,
    notes: &mut Notes,
) -> Result<(), Error> {
    let standing = admit::rate(&site.meters, exchange, &edge.journal);
    notes.standing.insert(Box::new(standing)).verdict()
}

/// Where the walk ends.
#[expect(
    clippy::large_enum_variant,
    reason = "most requests end with an answer: a box would cost each hit"
)]
enum Way {
    /// With an answer.
    Answered(Answer),
    /// With something that takes its time.
    Works(Work),
}

/// What has to be waited for.
enum Work {
    /// The origin.
    Asks(Box<Errand>),
    /// Whether a password is right.
    Checks(Box<Credentials>),
    /// Whether the request may come in.
    Inquires(Box<Inquiry>),
    /// A purge.
    Purges(Box<purging::Request>),
}

/// The answer when the work is done.
fn later(
    edge: &Arc<Edge>,
    snapshot: &Arc<Snapshot>,
    exchange: Exchange,
    notes: Notes,
    work: Work,
) -> Reply {
    let hints = match &work {
        Work::Asks(_) | Work::Checks(_) | Work::Inquires(_) => {
            early::open(edge, snapshot, &exchange, &notes)
        }
        Work::Purges(_) => None,
    };
    let way = hints.clone();
    // Boxed, as the work is: the future is copied into its own box as a whole.
    let mut underway = Underway::new(edge, snapshot, Box::new(exchange), notes);
    let answer = async move {
        let (edge, snapshot, exchange, notes) = underway.parts();
        let answer = match work {
            Work::Asks(errand) => errand.telling(way).run(edge, snapshot, exchange, notes).await,
            Work::Checks(credentials) => {
                checked(edge, snapshot, exchange, notes, (credentials, way)).await
            }
            // Boxed, so that the future of those who ask an origin is no larger for it.
            Work::Inquires(inquiry) => {
                Box::pin(door::wait(edge, snapshot, exchange, notes, (*inquiry, way))).await
            }
            Work::Purges(request) => purging::run(edge, request).await,
        };
        let mut answer = answer.unwrap_or_else(|error| refusal(snapshot, exchange, notes, &error));
        let (exchange, notes) = underway.end();
        close(&underway.edge, &underway.snapshot, exchange, notes, &mut answer);
        answer
    };
    Reply::Later(Coming::new(answer, hints))
}

/// The way of a request whose password had to be checked first.
async fn checked(
    edge: &Arc<Edge>,
    snapshot: &Snapshot,
    exchange: &mut Exchange,
    notes: &mut Notes,
    (credentials, hints): (Box<Credentials>, Option<Hints>),
) -> Result<Answer, Error> {
    let Some((site, matched)) = door::site(snapshot, notes) else { return Err(door::lost()) };
    let Some(users) = &site.users else { return Err(door::lost()) };
    users.check(credentials, &mut exchange.head.fields).await?;
    let is_guarded = site.route.forward_auth.is_some();
    let way = if is_guarded { door::meet(site, exchange, notes)? } else { None };
    match way {
        Some(Way::Answered(answer)) => Ok(answer),
        Some(Way::Works(Work::Inquires(inquiry))) => {
            Box::pin(door::wait(edge, snapshot, exchange, notes, (*inquiry, hints))).await
        }
        _ => door::go_on(edge, snapshot, (matched, hints), exchange, notes).await,
    }
}

fn walk(
    edge: &Arc<Edge>,
    snapshot: &Snapshot,
    exchange: &mut Exchange,
    notes: &mut Notes,
) -> Result<Way, Error> {
    if !snapshot.reserved.is_empty() {
        // Before anybody reads them: only the edge may say these.
        doorman::strip(&snapshot.reserved, exchange);
    }
    admit::message(&snapshot.config.admit, |name, host| edge.covers(name, host), exchange)?;
    exchange.leave(Room::Admit);
    // Before the route: an authority is neither redirected nor asked for a password.
    if edge.acme.tokens.is_any()
        && let Some(answer) = edge.acme.tokens.answer(exchange)
    {
        return Ok(Way::Answered(answer));
    }
    // Before the route: what is purged need not be served by this name any more.
    if let Some(asked) = purging::asked(edge, &snapshot.config.purge, exchange) {
        return asked.map(|request| Way::Works(Work::Purges(request)));
    }

    let address = exchange.client.address;
    // Looked up only if a route or a key has to know, and once for both.
    let country = LazyCell::new(|| snapshot.geo.country(address));
    let Some(matched) = snapshot.table.find(exchange, || *country) else {
        return Err(Error::new(ErrorKind::NoRoute, "no route matches"));
    };
    let site = &snapshot.sites[matched.index];
    notes.site = Some(matched.index);
    if !site.meters.is_empty() {
        ask_rates(edge, site, exchange, notes)?;
    }
    // After the route is known: what is too much for one site may be right for another.
    admit::on_route(&snapshot.config.admit, &site.route, exchange)?;
    exchange.leave(Room::Route);
    if let Some(users) = &site.users
        && let Some(credentials) = users.ask(&mut exchange.head.fields)?
    {
        return Ok(Way::Works(Work::Checks(credentials)));
    }
    if site.route.forward_auth.is_some()
        && let Some(way) = door::meet(site, exchange, notes)?
    {
        return Ok(way);
    }
    inside(edge, snapshot, matched, exchange, &|| *country, notes)
}

/// The way of a request that may come in.
fn inside(
    edge: &Arc<Edge>,
    snapshot: &Snapshot,
    matched: Matched<'_>,
    exchange: &mut Exchange,
    country: &dyn Fn() -> Option<Country>,
    notes: &mut Notes,
) -> Result<Way, Error> {
    let site = &snapshot.sites[matched.index];
    if let Some(answer) = matched.own_answer(exchange) {
        return answer.map(Way::Answered);
    }
    if admit::goes_no_further(exchange) {
        return Ok(Way::Answered(Answer::new(Body::Empty).with_status(StatusCode::NO_CONTENT)));
    }

    let closed = edge.maintenance.stops(&snapshot.config, &site.route, exchange);
    let under_repair = || Error::new(ErrorKind::Maintenance, "the route is in maintenance");
    if closed == Some(Closed::Wholly) {
        return Err(under_repair());
    }
    let site = match &site.arms {
        None => site,
        // Its arm stands for the site from here on: key, fill and origin are the arm's own.
        Some(arms) => {
            let arm = *notes.arm.insert(arms.enter(exchange));
            arms.site(arm).unwrap_or(site)
        }
    };
    let question = match question::of(site, exchange, country)? {
        Question::Cacheable(question) => question,
        Question::Pass(_) if closed.is_some() => return Err(under_repair()),
        // Nothing of it may be stored or served from the store: it goes straight through.
        Question::Pass(refusal) => {
            let target = matched.rewritten(exchange)?.unwrap_or_else(|| exchange.head.uri.clone());
            return Ok(Way::Works(Work::Asks(Errand::new(site, target, Ask::Pass(refusal)))));
        }
    };
    let now_ms = edge.cache.ms(exchange.began());
    let view = question::view(exchange);
    let found = lookup::look(&edge.cache.memory, &question.key, view, site.policy(), now_ms);
    exchange.leave(Room::Cache);
    match found {
        Found::Usable(held, rule) => {
            Ok(Way::Answered(stored::hit(edge, exchange, &held, rule, notes)))
        }
        Found::StaleWhileRevalidate(held, rule) if closed.is_some() => {
            Ok(Way::Answered(stored::hit(edge, exchange, &held, Some(rule), notes)))
        }
        _ if closed.is_some() => Err(under_repair()),
        // Stale is served first and fetched anew behind: a slow origin must not be felt.
        Found::StaleWhileRevalidate(held, rule) => {
            let target = question.target(&matched, exchange)?;
            refill::behind(edge, site, &question, exchange, target, &held);
            Ok(Way::Answered(stored::hit(edge, exchange, &held, Some(rule), notes)))
        }
        // A fill is a task of its own: a client that leaves takes nothing from those who wait for it.
        found @ (Found::Validate(..) | Found::Missing | Found::MissingVariant(_)) => {
            let target = question.target(&matched, exchange)?;
            Ok(Way::Works(Work::Asks(Errand::new(site, target, Ask::Fill(question, found)))))
        }
    }
}
