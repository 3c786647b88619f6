//! The request's whole way, room after room:
//! `listen -> admit -> route -> cache -> compress -> origin`.

mod closing;
mod fetch;
mod pass;
mod question;
mod refill;
mod stored;

use std::sync::Arc;

use forebay_signals::clock;

use crate::cache::lookup::{self, Found};
use crate::edge::{Edge, Snapshot};
use crate::error::{Error, ErrorKind};
use crate::exchange::{Answer, Exchange, Room};
use crate::{admit, identity};
use closing::Notes;
use pass::Forwarding;
use question::Question;

/// Answers one request; whatever goes wrong is an answer too.
pub async fn serve(edge: Arc<Edge>, mut exchange: Exchange) -> Answer {
    let snapshot = edge.snapshot();
    exchange.id = identity::new_id();
    let mut notes = Notes::default();
    let answer = walk(&edge, &snapshot, &mut exchange, &mut notes).await;
    closing::close(&edge, &snapshot, exchange, notes, answer)
}

async fn walk(
    edge: &Arc<Edge>,
    snapshot: &Arc<Snapshot>,
    exchange: &mut Exchange,
    notes: &mut Notes,
) -> Result<Answer, Error> {
    // Counted first: a refusal must cost less than what it protects.
    notes.seat = Some(edge.in_flight.enter(snapshot.config.admit.max_in_flight)?);
    admit::message(&snapshot.config.admit, |name, host| edge.covers(name, host), exchange)?;
    exchange.stamps.leave(Room::Admit, clock::now());

    let Some(matched) = snapshot.table.find(exchange) else {
        return Err(Error::new(ErrorKind::NoRoute, "no route matches"));
    };
    let site = &snapshot.sites[matched.index];
    notes.site = Some(Arc::clone(site));
    // After the route is known: what is too much for one site may be right for another.
    admit::on_route(&site.route, exchange)?;
    if let Some(answer) = matched.own_answer(exchange) {
        return answer;
    }

    let question = match question::of(site, exchange)? {
        Question::Cacheable(question) => question,
        // Nothing of it may be stored or served from the store: it goes straight through.
        Question::Pass(refusal) => {
            pass::note(notes, refusal.into(), Some(refusal.label()));
            let target = matched.rewritten(exchange)?.unwrap_or_else(|| exchange.head.uri.clone());
            let sent = pass::through(edge, site, exchange, target, Forwarding::Everything, notes);
            return Box::pin(sent).await;
        }
    };
    let now_ms = edge.cache.ms(exchange.began());
    let view = question::view(exchange);
    let found = lookup::look(&edge.cache.memory, &question.key, view, site.policy(), now_ms);
    exchange.stamps.leave(Room::Cache, clock::now());
    match found {
        Found::Usable(held, rule) => Ok(stored::hit(edge, exchange, &held, rule, notes)),
        // Stale is served first and fetched anew behind: a slow origin must not be felt.
        Found::StaleWhileRevalidate(held, rule) => {
            let target = question.target(&matched, exchange)?;
            refill::behind(edge, site, &question, exchange, target, &held);
            Ok(stored::hit(edge, exchange, &held, Some(rule), notes))
        }
        // A fill is a task of its own: a client that leaves takes nothing from those who wait for it.
        found @ (Found::Validate(..) | Found::Missing | Found::MissingVariant) => {
            let target = question.target(&matched, exchange)?;
            Box::pin(refill::ask(edge, site, question, exchange, target, found, notes)).await
        }
    }
}
