//! Which objects have a twin ([`crate::exchange::Twin`]): those that are asked for often, as many as there
//! are descriptors for. A twin counts against the bound of the store, and goes with its object.

use std::collections::VecDeque;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rustix::process::{Resource, getrlimit};

use super::index::Entry;
use super::{Found, Memory, Object};
use crate::exchange::{Seat, Twin, TwinSlot, twin_weight};

/// Descriptors for twins, whatever the process may open: thousands of large objects that are asked for in
/// turn are not what twins are for.
const MOST: usize = 1_024;
/// And no more than this part of what the process may open: connections need them more.
const PART_OF_DESCRIPTORS: u64 = 4;

/// Those there are.
#[derive(Debug, Default)]
pub(super) struct Twins {
    /// Files that are open, whoever holds them.
    open: Arc<AtomicUsize>,
    /// In the order of their turns to be given up.
    turns: Mutex<VecDeque<Weak<TwinSlot>>>,
}

impl Memory {
    /// Gives `object` a twin, if it may have one; `whole` is what it is an encoding of, or itself. Copies
    /// the content: not for a runtime's thread.
    pub fn give_twin(&self, object: &Object, whole: &Object) {
        let weight = object.plain_weight() + twin_weight(object.body_len());
        if Twin::are_refused() || weight > self.max_object_bytes() {
            return;
        }
        let Some(place) = self.place_now(object, whole) else { return };
        let Some(seat) = self.twins.seat(most_now()) else { return };
        match Twin::write(object.body(), seat) {
            Ok(twin) => self.put_twin(place, object, Arc::new(twin)),
            Err(error) => Twin::note_failure(&error),
        }
    }

    /// Puts the same object with its twin in its place, if it is still there.
    fn put_twin(&self, place: u64, object: &Object, twin: Arc<Twin>) {
        // As whoever stores: nothing is invalidated or purged while the one is copied into the other.
        let _open = (self.stripe_of(object.key()), self.purges.storing());
        if self.purges.are_under_way() {
            return;
        }
        let Some(Entry::Object(there, _)) = self.index.peek(&place) else { return };
        if there.id != object.id {
            return;
        }
        let slot = Arc::downgrade(twin.slot());
        let next = Arc::new(there.with_twin(twin));
        there.note_replaced();
        if self.index.replace(place, Entry::of(next), true).is_ok() {
            self.twins.note(slot);
        }
    }

    fn place_now(&self, object: &Object, whole: &Object) -> Option<u64> {
        if object.id != whole.id {
            return Some(self.place_of_encoding(whole, object.encoding()));
        }
        match self.find(object.key())? {
            Found::Object(_) => Some(self.place(object.key())),
            Found::Varies(varying) => Some(self.place_of_variant(&varying, object.secondary())),
        }
    }
}

impl Twins {
    /// A free seat, or that of the first in turn which was not sent from since its last turn.
    fn seat(&self, most: usize) -> Option<Seat> {
        let mut turns = self.turns();
        for _ in 0..=turns.len() {
            if let Some(seat) = Seat::take(&self.open, most) {
                return Some(seat);
            }
            let first = turns.pop_front()?;
            match first.upgrade() {
                Some(slot) if slot.was_used() => turns.push_back(first),
                // Those who are sent from it still hold it open; then it is the next one's turn.
                Some(slot) => slot.close(),
                None => {}
            }
        }
        Seat::take(&self.open, most)
    }

    fn note(&self, slot: Weak<TwinSlot>) {
        let mut turns = self.turns();
        if turns.len() >= 2 * MOST {
            // Objects go without a word. Of those that stay there are no more than seats.
            turns.retain(|slot| slot.upgrade().is_some_and(|slot| slot.is_open()));
        }
        turns.push_back(slot);
    }

    fn turns(&self) -> MutexGuard<'_, VecDeque<Weak<TwinSlot>>> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn most_now() -> usize {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(limit / PART_OF_DESCRIPTORS).unwrap_or(MOST).min(MOST)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;
    use std::time::Duration;

    use bytes::Bytes;
    use http::{HeaderMap, StatusCode};

    use super::*;
    use crate::cache::rules::{Freshness, Rule};
    use crate::cache::store::{Effect, Parts, Selection};
    use crate::config::cache::Visibility;
    use crate::exchange::Encoding;

    const LENGTH: usize = 100_000;

    fn object(key: &str, encoding: Encoding) -> Object {
        let object = Object::build(&Parts {
            key: key.as_bytes(),
            secondary: b"",
            status: StatusCode::OK,
            encoding,
            stored_at_ms: 0,
            freshness: Freshness::new(Rule::MaxAge, Duration::from_secs(60), Duration::ZERO),
            fields: &HeaderMap::new(),
            tags: Visibility::Hidden,
            body: &[Bytes::from(vec![b'x'; LENGTH])],
        });
        object.unwrap()
    }

    fn found(memory: &Memory, key: &str) -> Arc<Object> {
        match memory.find(key.as_bytes()) {
            Some(Found::Object(object)) => object,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn it_is_the_same_object_counted_with_its_twin() {
        let memory = Memory::new(8 << 20, 1 << 20);
        let before = memory.insert(memory.ticket(), object("a", Encoding::Identity)).unwrap();
        memory.insert_encoded(&before, object("a", Encoding::Gzip)).unwrap();
        before.hit();
        before.invalidate();
        let counted = memory.statistics();
        memory.give_twin(&before, &before);
        let after = found(&memory, "a");
        assert!(after.twin().is_some() && before.twin().is_none());
        assert_eq!((after.id, after.hits(), after.body()), (before.id, 1, before.body()));
        assert!(after.must_validate() && memory.encoded(&after, Encoding::Gzip).is_some());
        let now = memory.statistics();
        assert_eq!(now.bytes, counted.bytes + twin_weight(LENGTH as u64));
        assert_eq!((now.objects, now.evictions), (2, 0));
        // Who holds the one from before still means this.
        memory.insert_encoded(&before, object("a", Encoding::Zstd)).unwrap();
        assert!(after.has_encoding(Encoding::Zstd));
        let gzip = memory.encoded(&after, Encoding::Gzip).unwrap();
        memory.give_twin(&gzip, &after);
        assert!(memory.encoded(&after, Encoding::Gzip).unwrap().twin().is_some());
    }

    #[test]
    fn what_is_gone_replaced_or_too_large_gets_none() {
        let memory = Memory::new(1 << 20, 150_000);
        let large = memory.insert(memory.ticket(), object("a", Encoding::Identity)).unwrap();
        memory.give_twin(&large, &large);
        assert!(found(&memory, "a").twin().is_none(), "with it, it is larger than what is stored");
        let memory = Memory::new(8 << 20, 1 << 20);
        let old = memory.insert(memory.ticket(), object("a", Encoding::Identity)).unwrap();
        memory.insert(memory.ticket(), object("a", Encoding::Identity)).unwrap();
        memory.give_twin(&old, &old);
        assert!(found(&memory, "a").twin().is_none(), "its content may be another");
        let new = found(&memory, "a");
        let purge = memory.begin_purge(Selection::everything(), Effect::Stale, 0);
        memory.give_twin(&new, &new);
        memory.finish_purge(&purge, |_| ());
        assert!(found(&memory, "a").twin().is_none(), "a mark could be lost");
        memory.remove(b"a");
        memory.give_twin(&new, &new);
        assert!(memory.find(b"a").is_none());
        assert_eq!(memory.twins.open.load(std::sync::atomic::Ordering::Acquire), 0);
    }

    #[test]
    fn one_that_came_along_does_not_cost_an_object_its_place() {
        let memory = Memory::new(8 << 20, 1 << 20);
        let old = memory.insert(memory.ticket(), object("a", Encoding::Identity)).unwrap();
        memory.give_twin(&old, &old);
        let old = found(&memory, "a");
        memory.resize(8 << 20, 150_000);
        let new = old.with_fields(&HeaderMap::new(), 1, old.freshness()).unwrap();
        assert!(new.twin().is_some());
        let stored = memory.insert(memory.ticket(), new).expect("it fits without");
        assert!(stored.twin().is_none());
    }

    #[test]
    fn descriptors_are_bounded_and_go_to_what_is_used() {
        let twins = Twins::default();
        let twin = || {
            let twin = Twin::write(Bytes::from_static(b"x"), twins.seat(2)?).expect("written");
            twins.note(Arc::downgrade(twin.slot()));
            Some(Arc::new(twin))
        };
        let (first, second) = (twin().expect("free"), twin().expect("free"));
        // A turn for each: what is new counts as used.
        assert!(first.slot().was_used() && second.slot().was_used());
        assert!(first.lend().expect("open").file().as_raw_fd() >= 0);
        let third = twin().expect("the second's");
        assert!(first.slot().is_open() && !second.slot().is_open() && second.lend().is_none());
        // As long as somebody is sent from them there is none.
        let lent = (first.lend().expect("open"), third.lend().expect("open"));
        assert!(twin().is_none());
        drop(lent);
        assert!(twin().is_some());
    }
}
