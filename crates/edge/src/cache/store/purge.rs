//! Taking objects out: what a purge selects, one key, or only their right to be used unasked.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::glance::{Glance, Standing};
use super::index::Entry;
use super::purges::Purge;
use super::{Effect, Found, Memory, Object, Selection, Ticket};
use crate::cache::tags::Tag;

/// Places and ids of what purges remove. Marks go last: through them it is known which of the variants can
/// be reached.
#[derive(Default)]
struct Taken {
    objects: Vec<(u64, u64)>,
    marks: Vec<(u64, u64)>,
}

impl Memory {
    /// Purges what is selected and says how many answers that were; see [`Memory::begin_purge`] and
    /// [`Memory::finish_purge`].
    pub fn purge(&self, selection: Selection, effect: Effect, now_ms: u64) -> u64 {
        let purge = self.begin_purge(selection, effect, now_ms);
        self.finish_purge(&purge, |_| ());
        purge.taken()
    }

    /// Puts a purge in force: from now on nothing older that it takes is given out, or none but as stale,
    /// and fills that began before will not store what it takes. One write, whatever it takes.
    pub fn begin_purge(&self, selection: Selection, effect: Effect, now_ms: u64) -> Arc<Purge> {
        self.purges.begin(selection, effect, now_ms, || self.next())
    }

    /// Says to `tell` how many answers a purge takes, each variant one and encodings none, and frees them
    /// behind that word: none of them has been given out since the purge began. Goes through the whole store,
    /// once for all purges that are under way: not for a runtime's thread.
    pub fn finish_purge(&self, purge: &Arc<Purge>, tell: impl FnOnce(u64)) {
        let turn = self.purges.turn();
        if purge.is_done.load(Ordering::Acquire) {
            drop(turn);
            return tell(purge.taken());
        }
        let purges = self.purges.under_way();
        let taken = self.take(&purges);
        tell(purge.taken());
        self.free(&purges, &taken);
        self.purges.end(&purges);
    }

    /// How many answers a purge would take. Goes through the whole store.
    pub fn count(&self, selection: &Selection) -> u64 {
        let purges = &self.purges;
        let is_taken = |object: &Object, glance: &Glance| {
            selection.takes_object(object, glance)
                && (!purges.are_under_way() || purges.spare(object))
        };
        let (mut count, mut variants) = (0, Vec::new());
        self.walk(|place, entry| match entry {
            Entry::Object(object, glance) if is_taken(object, glance) => match glance.standing() {
                Standing::Answer => count += 1,
                Standing::Variant => variants.push((place, Arc::clone(object))),
                Standing::Encoding => {}
            },
            Entry::Object(..) | Entry::Varying(_) => {}
        });
        let found = variants.iter().filter(|(place, object)| self.is_found(*place, object));
        count + found.count() as u64
    }

    /// True if what a fill with this ticket brings under `key` has been purged since, or might have been.
    pub fn is_purged(&self, ticket: Ticket, key: &[u8], bears: impl Fn(Tag) -> bool) -> bool {
        self.purges.storing().is_purged(ticket, key, bears)
    }

    /// True if somebody who holds this object still must not use it any more.
    pub fn is_gone(&self, object: &Object) -> bool {
        self.purges.storing().is_gone(object)
    }

    /// Removes what lies under a key. Fills of its URL that are under way will not be stored.
    pub fn remove(&self, key: &[u8]) -> bool {
        let place = self.place(key);
        let mut last = self.stripe_of(key);
        *last = self.next();
        let is_stored = self.find(key).is_some();
        self.forget(place);
        self.passes.forget(place);
        is_stored
    }

    /// Everything stored for a URL must be validated before it is used again (RFC 9111 §4.4). Fills that
    /// are under way will not be stored: they may have read what the origin had before.
    pub fn invalidate(&self, url: &[u8]) -> bool {
        let mut last = self.stripe_of(url);
        *last = self.next();
        self.epochs.invalidate(self.place(url), *last);
        match self.find(url) {
            Some(Found::Object(object)) => object.invalidate(),
            Some(Found::Varies(varying)) => {
                for member in varying.members() {
                    if let Some(object) = self.object(member) {
                        object.invalidate();
                    }
                }
            }
            None => return false,
        }
        true
    }

    /// Counts what purges take, marks what they make stale, and names what is to be freed.
    fn take(&self, purges: &[Arc<Purge>]) -> Taken {
        let (mut taken, mut variants) = (Taken::default(), Vec::new());
        self.walk(|place, entry| match entry {
            Entry::Object(object, glance) => {
                let standing = glance.standing();
                if standing == Standing::Variant {
                    if purges.iter().any(|purge| purge.takes_entry(object, glance)) {
                        variants.push((place, Arc::clone(object), *glance));
                    }
                } else if take(purges, object, glance, standing == Standing::Answer) {
                    taken.objects.push((place, glance.id()));
                }
            }
            Entry::Varying(varying) => {
                let removes = |it: &Arc<Purge>| it.effect == Effect::Gone && it.takes_mark(varying);
                if purges.iter().any(removes) {
                    taken.marks.push((place, varying.id));
                }
            }
        });
        for (place, object, glance) in variants {
            if take(purges, &object, &glance, self.is_found(place, &object)) {
                taken.objects.push((place, glance.id()));
            }
        }
        taken
    }

    /// Shows every entry, each part of the store under its lock: what `see` does is short, and asks nothing
    /// of the index. Nothing is copied, and what a glance tells is not looked for in the object's own memory.
    fn walk(&self, see: impl FnMut(u64, &Entry)) {
        let see = RefCell::new(see);
        self.index.retain(|place, entry| {
            (see.borrow_mut())(*place, entry);
            true
        });
    }

    fn free(&self, purges: &[Arc<Purge>], taken: &Taken) {
        for (place, id) in &taken.objects {
            self.passes.forget(*place);
            // What came in since then is newer than the purge.
            let gone = self.index.remove_if(place, |entry| entry.id() == *id);
            if let Some((_, Entry::Object(object, _))) = gone {
                self.forget_encodings(&object);
            }
        }
        for (place, id) in &taken.marks {
            self.passes.forget(*place);
            self.index.remove_if(place, |entry| entry.id() == *id);
        }
        for purge in purges {
            purge.selection.urls().for_each(|url| self.passes.forget(self.place(url)));
            // Of a key that may not be shared only its hash is known: whoever asks for one of another
            // prefix waits for one fill more.
            if purge.selection.has_prefixes() {
                self.passes.clear();
            }
        }
    }

    /// True for a variant whose mark is still there.
    fn is_found(&self, place: u64, object: &Object) -> bool {
        let root = self.index.peek(&self.place(object.key()));
        matches!(root, Some(Entry::Varying(varying))
            if self.place_of_variant(&varying, object.secondary()) == place)
    }

    /// Removes an entry and what can only be reached through it.
    pub(super) fn forget(&self, place: u64) {
        match self.index.remove(&place) {
            Some((_, Entry::Object(object, _))) => self.forget_encodings(&object),
            Some((_, Entry::Varying(varying))) => {
                for member in varying.members() {
                    if let Some((_, Entry::Object(object, _))) = self.index.remove(&member) {
                        self.forget_encodings(&object);
                    }
                }
            }
            None => {}
        }
    }

    fn forget_encodings(&self, object: &Object) {
        for encoding in object.encodings() {
            self.index.remove(&self.place_of_encoding(object, encoding));
        }
    }
}

/// Does to an object what purges do, and counts it if it `counts`. True if it is to be freed.
fn take(purges: &[Arc<Purge>], object: &Object, glance: &Glance, counts: bool) -> bool {
    for purge in purges.iter().filter(|purge| purge.takes_entry(object, glance)) {
        if counts {
            purge.taken.fetch_add(1, Ordering::AcqRel);
        }
        match purge.effect {
            Effect::Gone => return true,
            Effect::Stale => object.soften(purge.at_ms),
        }
    }
    false
}
