//! Purges that are in force: those under way, for whoever looks, and those of late, for whoever stores.
//!
//! A purge is one write, and from then on nothing older is given out: until the store has been gone
//! through, what is found is held against the purges under way. Afterwards finding costs nothing again.
//! Fills that began before a purge are held against it when they store, by the tags of what they bring.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::glance::Glance;
use super::{Effect, Object, Selection, Ticket, Varying};
use crate::cache::tags::Tag;

/// Purges that are remembered for fills that began before them. Fills that are older than the oldest of
/// these store nothing: that costs a fetch, and takes so many purges while one answer arrives.
const MOST_REMEMBERED: usize = 4_096;
/// What they may take in memory.
const MOST_REMEMBERED_BYTES: usize = 4 << 20;

/// A purge in force.
#[derive(Debug)]
pub struct Purge {
    /// What is stored with an id up to this is older.
    pub(super) id: u64,
    pub(super) selection: Selection,
    pub(super) effect: Effect,
    /// When it was asked for, on the cache's time line.
    pub(super) at_ms: u64,
    /// Answers that it took.
    pub(super) taken: AtomicU64,
    pub(super) is_done: AtomicBool,
}

impl Purge {
    /// True if it takes what lies under `key`, whatever tags that bears.
    pub fn takes_key(&self, key: &[u8]) -> bool {
        self.selection.takes_key(key)
    }

    /// True if some of it is told by URL.
    pub fn has_keys(&self) -> bool {
        self.selection.has_keys()
    }

    /// Answers that it took, once it has gone through the store.
    pub fn taken(&self) -> u64 {
        self.taken.load(Ordering::Acquire)
    }

    pub(super) fn takes(&self, object: &Object) -> bool {
        object.id <= self.id && self.selection.takes(object.key(), |tag| object.has_tag(tag))
    }

    /// The same, by a glance where that is enough.
    pub(super) fn takes_entry(&self, object: &Object, glance: &Glance) -> bool {
        glance.id() <= self.id && self.selection.takes_object(object, glance)
    }

    pub(super) fn takes_mark(&self, varying: &Varying) -> bool {
        varying.id <= self.id && self.selection.takes_key(varying.key())
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Purges {
    remembered: RwLock<Remembered>,
    under_way: RwLock<Vec<Arc<Purge>>>,
    /// Id of the newest under way; 0 without any.
    newest_under_way: AtomicU64,
    /// Held by whoever goes through the store, for all that are under way by then.
    turn: Mutex<()>,
}

#[derive(Debug, Default)]
struct Remembered {
    /// The newest last.
    purges: VecDeque<Arc<Purge>>,
    bytes: usize,
    /// Id of the newest that was forgotten.
    forgotten: u64,
}

/// Held between the check and the moment an object is in: no purge begins meanwhile.
pub(super) struct Storing<'p>(RwLockReadGuard<'p, Remembered>);

impl Storing<'_> {
    /// True if what was asked for with this ticket has been purged since, or might have been.
    pub(super) fn is_purged(
        &self,
        ticket: Ticket,
        key: &[u8],
        bears: impl Fn(Tag) -> bool,
    ) -> bool {
        ticket.0 < self.0.forgotten
            || self.since(ticket.0).any(|it| it.selection.takes(key, &bears))
    }

    /// True if this object has been removed by a purge that is remembered.
    pub(super) fn is_gone(&self, object: &Object) -> bool {
        self.since(object.id).any(|it| it.effect == Effect::Gone && it.takes(object))
    }

    fn since(&self, id: u64) -> impl Iterator<Item = &Arc<Purge>> {
        self.0.purges.iter().rev().take_while(move |purge| purge.id > id)
    }
}

impl Purges {
    /// Puts a purge in force; `next` gives its id.
    pub(super) fn begin(
        &self,
        selection: Selection,
        effect: Effect,
        at_ms: u64,
        next: impl FnOnce() -> u64,
    ) -> Arc<Purge> {
        // Whoever stores is in with an older id, or waits and is refused.
        let mut remembered = write(&self.remembered);
        let purge = Arc::new(Purge {
            id: next(),
            selection,
            effect,
            at_ms,
            taken: AtomicU64::new(0),
            is_done: AtomicBool::new(false),
        });
        let mut under_way = write(&self.under_way);
        under_way.push(Arc::clone(&purge));
        self.newest_under_way.store(purge.id, Ordering::Release);
        drop(under_way);
        remembered.add(Arc::clone(&purge));
        purge
    }

    /// The turn to go through the store.
    pub(super) fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn under_way(&self) -> Vec<Arc<Purge>> {
        read(&self.under_way).clone()
    }

    /// True if there are any.
    pub(super) fn are_under_way(&self) -> bool {
        self.newest_under_way.load(Ordering::Acquire) != 0
    }

    /// The store holds nothing any more that these take.
    pub(super) fn end(&self, purges: &[Arc<Purge>]) {
        let mut under_way = write(&self.under_way);
        // Ids rise in the order of the list, and what was gone through is its beginning.
        let last = purges.last().map_or(0, |purge| purge.id);
        under_way.retain(|purge| purge.id > last);
        let newest = under_way.last().map_or(0, |purge| purge.id);
        self.newest_under_way.store(newest, Ordering::Release);
        for purge in purges {
            purge.is_done.store(true, Ordering::Release);
        }
    }

    /// Held by whoever stores, until it is in.
    pub(super) fn storing(&self) -> Storing<'_> {
        Storing(read(&self.remembered))
    }

    /// True if no purge under way removes this object; one that softens it has done so. Asked on every hit.
    pub(super) fn spare(&self, object: &Object) -> bool {
        self.newest_under_way.load(Ordering::Acquire) < object.id || self.look(object)
    }

    /// The same of a mark.
    pub(super) fn spare_mark(&self, varying: &Varying) -> bool {
        self.newest_under_way.load(Ordering::Acquire) < varying.id
            || !read(&self.under_way)
                .iter()
                .any(|purge| purge.effect == Effect::Gone && purge.takes_mark(varying))
    }

    #[cold]
    fn look(&self, object: &Object) -> bool {
        let under_way = read(&self.under_way);
        for purge in under_way.iter().filter(|purge| purge.takes(object)) {
            match purge.effect {
                Effect::Gone => return false,
                Effect::Stale => object.soften(purge.at_ms),
            }
        }
        true
    }
}

impl Remembered {
    fn add(&mut self, purge: Arc<Purge>) {
        self.bytes += purge.selection.weight();
        self.purges.push_back(purge);
        while self.purges.len() > MOST_REMEMBERED || self.bytes > MOST_REMEMBERED_BYTES {
            let Some(oldest) = self.purges.pop_front() else { return };
            self.bytes -= oldest.selection.weight();
            self.forgotten = oldest.id;
        }
    }
}

fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
