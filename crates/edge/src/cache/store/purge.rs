//! Taking objects out: one URL, everything, or only their right to be used unasked.

use std::sync::atomic::Ordering;

use super::index::Entry;
use super::memory::lock;
use super::{Found, Memory, Object};

impl Memory {
    /// Removes everything under a key. Fills of it that are under way will not be stored.
    pub fn purge(&self, key: &[u8]) -> bool {
        let place = self.place(key);
        let mut last = self.stripe(place);
        *last = self.next();
        let is_stored = self.find(key).is_some();
        self.forget(place);
        self.passes.forget(place);
        is_stored
    }

    /// Everything under a key must be validated before it is used again (RFC 9111 §4.4). Fills that
    /// are under way will not be stored: they may have read what the origin had before.
    pub fn invalidate(&self, key: &[u8]) -> bool {
        let place = self.place(key);
        let mut last = self.stripe(place);
        *last = self.next();
        match self.find(key) {
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

    /// Everything stored until now is gone at once, for all cores; fills under way will not be stored.
    /// Memory comes back as new objects need it, or by [`Memory::sweep`].
    pub fn purge_all(&self) {
        // All stripes are held: no insertion stands between its check and its id.
        let _guards: Vec<_> = self.stripes.iter().map(lock).collect();
        self.emptied_at.store(self.next(), Ordering::Release);
        self.passes.clear();
    }

    /// Frees what a [`Memory::purge_all`] left behind; takes its time, so not on a runtime's thread.
    pub fn sweep(&self) -> usize {
        let mut freed = 0;
        for (place, entry) in self.index.iter() {
            if !self.is_alive(entry.id())
                && self.index.remove_if(&place, |entry| !self.is_alive(entry.id())).is_some()
            {
                freed += 1;
            }
        }
        freed
    }

    /// Removes an entry and what can only be reached through it.
    pub(super) fn forget(&self, place: u64) {
        match self.index.remove(&place) {
            Some((_, Entry::Object(object))) => self.forget_encodings(&object),
            Some((_, Entry::Varying(varying))) => {
                for member in varying.members() {
                    if let Some((_, Entry::Object(object))) = self.index.remove(&member) {
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
