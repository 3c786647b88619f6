//! The way of a request that an application must vouch for first.

use std::sync::Arc;

use super::closing::{Notes, refusal};
use super::pass::trace_of;
use super::{Way, Work, inside};
use crate::cache::status::CacheStatus;
use crate::config::route::Action;
use crate::doorman::Inquiry;
use crate::edge::{Edge, Site, Snapshot};
use crate::error::{Error, ErrorKind};
use crate::exchange::{Answer, Exchange, Hints, Room};
use crate::maintenance::Closed;
use crate::route::Matched;

/// What `Cache-Status` says of a client that was turned away.
const LABEL: &str = "forward-auth";

/// Where the way of a request ends that was said of before, or has to be asked of. `None` lets it in: nobody whose
/// route has a doorman that is not there.
#[inline(never)]
pub(super) fn meet(
    site: &Site,
    exchange: &mut Exchange,
    notes: &mut Notes,
) -> Result<Option<Way>, Error> {
    let doorman = site.doorman.as_ref().ok_or_else(lost)?;
    Ok(match doorman.knows(exchange) {
        Ok(ruling) => doorman.apply(&ruling, exchange).map(|answer| {
            notes.status = CacheStatus::own().because(LABEL);
            Way::Answered(answer)
        }),
        Err(inquiry) => Some(Way::Works(Work::Inquires(inquiry))),
    })
}

/// Asks, and goes on with whoever is let in. The content of the request waits with its client.
pub(super) async fn wait(
    edge: &Arc<Edge>,
    snapshot: &Snapshot,
    exchange: &mut Exchange,
    notes: &mut Notes,
    (inquiry, hints): (Inquiry, Option<Hints>),
) -> Result<Answer, Error> {
    let Some((site, matched)) = site(snapshot, notes) else { return Err(lost()) };
    let Some(doorman) = &site.doorman else { return Err(lost()) };
    let is_own = matches!(site.route.action, Action::Redirect(..) | Action::Fixed(..));
    let closed = edge.maintenance.stops(&snapshot.config, &site.route, exchange);
    if closed == Some(Closed::Wholly) && !is_own {
        // Who may come in need not be known where nobody may; what could say it may be closed as well.
        return Err(Error::new(ErrorKind::Maintenance, "the route is in maintenance"));
    }
    // Whoever waits here counts among those in the rooms.
    let seat = edge.in_flight.enter(snapshot.config.admit.max_in_flight)?;
    let ask = doorman.question(&inquiry, exchange, &trace_of(edge, exchange));
    let ruling = doorman.ask(inquiry, ask, seat, &edge.journal).await?;
    exchange.leave(Room::Admit);
    if let Some(answer) = doorman.apply(&ruling, exchange) {
        notes.status = CacheStatus::own().because(LABEL);
        return Ok(answer);
    }
    // A session that was renewed is the client's, whatever comes of the rest.
    let answer = go_on(edge, snapshot, (matched, hints), exchange, notes).await;
    let mut answer = answer.unwrap_or_else(|error| refusal(snapshot, exchange, notes, &error));
    ruling.tell(&mut answer);
    Ok(answer)
}

/// The route of a request that has waited.
pub(super) fn site<'s>(
    snapshot: &'s Snapshot,
    notes: &Notes,
) -> Option<(&'s Arc<Site>, Matched<'s>)> {
    let index = notes.site?;
    Some((snapshot.sites.get(index)?, snapshot.table.at(index)?))
}

/// The rest of the way of a request that has waited and is let in.
pub(super) async fn go_on(
    edge: &Arc<Edge>,
    snapshot: &Snapshot,
    (matched, hints): (Matched<'_>, Option<Hints>),
    exchange: &mut Exchange,
    notes: &mut Notes,
) -> Result<Answer, Error> {
    let address = exchange.client.address;
    let country = || snapshot.geo.country(address);
    match inside(edge, snapshot, matched, exchange, &country, notes)? {
        Way::Answered(answer) => Ok(answer),
        Way::Works(Work::Asks(errand)) => {
            errand.telling(hints).run(edge, snapshot, exchange, notes).await
        }
        Way::Works(_) => Err(Error::new(ErrorKind::Internal, "a way that begins again")),
    }
}

pub(super) fn lost() -> Error {
    Error::new(ErrorKind::Internal, "a request that waited for nothing of its route")
}
