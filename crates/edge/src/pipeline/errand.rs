//! What is left to do for a request that the store does not answer.

use std::sync::Arc;

use http::Uri;

use super::closing::Notes;
use super::early::{self, Goal};
use super::pass::{self, Forwarding, How};
use super::question::Cacheable;
use super::refill;
use crate::cache::lookup::Found;
use crate::cache::rules::Refusal;
use crate::edge::{Edge, Site, Snapshot};
use crate::error::Error;
use crate::exchange::{Answer, Exchange, Hints};
use crate::geo::ShownPlace;

/// A request at the origin's door.
#[derive(Debug)]
pub(super) struct Errand {
    site: Arc<Site>,
    goal: Goal,
    ask: Ask,
}

/// How the origin is asked.
#[derive(Debug)]
pub(super) enum Ask {
    /// Past the cache, for this reason.
    Pass(Refusal),
    /// For the cache, and for whoever else waits for the same.
    Fill(Cacheable, Found),
}

impl Errand {
    pub(super) fn new(site: &Arc<Site>, target: Uri, ask: Ask) -> Box<Errand> {
        Box::new(Errand { site: Arc::clone(site), goal: target.into(), ask })
    }

    /// The same for a client that may be told something before its answer.
    pub(super) fn telling(mut self: Box<Self>, hints: Option<Hints>) -> Box<Errand> {
        self.goal.hints = hints;
        self
    }

    /// Asks the origin, if there is room for one request more. What the store answers never comes here:
    /// when the edge is full, misses are shed and hits go on.
    pub(super) async fn run(
        self: Box<Self>,
        edge: &Arc<Edge>,
        snapshot: &Snapshot,
        exchange: &mut Exchange,
        notes: &mut Notes,
    ) -> Result<Answer, Error> {
        let Errand { site, goal, ask } = *self;
        let seat = edge.in_flight.enter(snapshot.config.admit.max_in_flight);
        match ask {
            Ask::Pass(refusal) => {
                refill::only_if_cached(&exchange.head.fields, notes)?;
                pass::note(notes, refusal.into(), Some(refusal.label()));
                notes.seat = Some(seat?);
                let how = How {
                    forwarding: Forwarding::Everything,
                    place: ShownPlace::Everything,
                    priority: pass::priority(exchange),
                };
                pass::through(edge, &site, exchange, goal, how, notes).await
            }
            Ask::Fill(question, found) => {
                notes.seat = match seat {
                    Ok(seat) => Some(seat),
                    Err(error) => return refill::shed(edge, &site, exchange, found, error, notes),
                };
                early::tell(edge, &site, &question.key, &goal);
                refill::ask(edge, &site, question, exchange, goal, found, notes).await
            }
        }
    }
}
