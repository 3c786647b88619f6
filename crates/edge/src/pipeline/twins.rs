//! Twins of what is asked for often: copies from which the kernel sends.

use std::sync::Arc;

use http::Version;
use tokio::sync::Semaphore;

use crate::cache::store::Object;
use crate::edge::Edge;
use crate::exchange::Exchange;

/// Who asks once may be the only one.
const FIRST_HIT: u32 = 2;

/// Copying is work of the memory alone: one thread at a time fills it.
static SEAT: Semaphore = Semaphore::const_new(1);

/// Has a twin made behind, if this request is one that would have been sent from it. What could not be made,
/// or was given up for others, is tried anew each time the hits have doubled.
#[inline(never)]
pub(super) fn wish(
    edge: &Arc<Edge>,
    exchange: &Exchange,
    object: &Arc<Object>,
    whole: &Arc<Object>,
    hits: u32,
) {
    if hits < FIRST_HIT || !hits.is_power_of_two() {
        return;
    }
    // Through TLS and in frames content is copied anyway.
    let is_plain = exchange.client.server_name.is_none() && exchange.head.version < Version::HTTP_2;
    let has_one = object.twin().is_some_and(|twin| twin.slot().is_open());
    if !is_plain || has_one {
        return;
    }
    let Ok(seat) = SEAT.try_acquire() else { return };
    let (edge, object, whole) = (Arc::clone(edge), Arc::clone(object), Arc::clone(whole));
    // Nobody waits for it: it ends by itself, and nothing is lost if it does not begin.
    drop(tokio::task::spawn_blocking(move || {
        edge.cache.memory.give_twin(&object, &whole);
        drop(seat);
    }));
}
