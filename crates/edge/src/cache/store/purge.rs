//! Taking objects out: one URL, everything, or only their right to be used unasked.

use std::sync::atomic::Ordering;

use super::index::Entry;
use super::memory::lock;
use super::{Found, Memory, Object};

impl Memory {
    /// Removes what lies under a key. Fills of its URL that are under way will not be stored.
    pub fn purge(&self, key: &[u8]) -> bool {
        let place = self.place(key);
        let mut last = self.stripe_of(key);
        *last = self.next();
        let is_stored = self.find(key).is_some();
        self.forget(place);
        self.passes.forget(place);
        is_stored
    }

    /// Removes everything stored for a URL, whatever fields and cookies its keys hold, and says how many
    /// keys that were. Looks through the whole index to free what it finds: not for a runtime's thread.
    pub fn purge_url(&self, url: &[u8]) -> u64 {
        let mut last = self.stripe_of(url);
        *last = self.next();
        self.epochs.purge(self.place(url), *last);
        drop(last);
        let keys = self.keys_of(url);
        for (place, id) in &keys {
            self.passes.forget(*place);
            // What came in since then is newer than the purge.
            if self.index.peek(place).is_some_and(|entry| entry.id() == *id) {
                self.forget(*place);
            }
        }
        self.passes.forget(self.place(url));
        keys.len() as u64
    }

    /// How many keys are stored for a URL. Looks through the whole index.
    pub fn count_url(&self, url: &[u8]) -> u64 {
        let is_found = |(place, _): &(u64, u64)| match self.index.peek(place) {
            Some(Entry::Object(object)) => self.find(object.key()).is_some(),
            Some(Entry::Varying(varying)) => self.find(varying.key()).is_some(),
            None => false,
        };
        self.keys_of(url).iter().filter(|key| is_found(key)).count() as u64
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

    /// Places and ids of what lies under the keys of a URL; variants and encodings go with these.
    fn keys_of(&self, url: &[u8]) -> Vec<(u64, u64)> {
        let is_of =
            |key: &[u8]| key.strip_prefix(url).is_some_and(|rest| matches!(rest, [] | [b'\n', ..]));
        let entries = self.index.iter().filter(|(place, entry)| match entry {
            Entry::Object(object) => is_of(object.key()) && self.place(object.key()) == *place,
            Entry::Varying(varying) => is_of(varying.key()),
        });
        entries.map(|(place, entry)| (place, entry.id())).collect()
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
