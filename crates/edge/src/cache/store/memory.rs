//! Objects in memory, bounded in bytes.
//!
//! The index is keyed by a 64-bit `SipHash` with a key of this process: nobody outside can make keys
//! collide, and if two ever do, the full key in the object decides and one of them is a miss. Every
//! place is found by one look-up: a plain object by its primary key; a variant by the id of its
//! [`Varying`] mark and the secondary key; an encoding by the id of the object it was made from.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use forebay_signals::counter::Counter;
use http::HeaderName;

use super::epochs::Epochs;
use super::index::{Entry, Index, index, largest_anew, resize};
use super::passes::{Pass, Passes};
use super::purges::{Purges, Storing};
use super::twins::Twins;
use super::{Object, Varying};
use crate::cache::key::url_of;
use crate::cache::rules::Refusal;
use crate::exchange::Encoding;

/// Locks that order insertions against invalidations of the same URLs; also how many of these are
/// remembered.
const STRIPES: usize = 1_024;

/// Taken before the origin is asked; an object that is older than a purge is refused by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket(pub(super) u64);

/// What lies under a primary key.
#[derive(Debug, Clone)]
pub enum Found {
    /// An answer to any request with this key.
    Object(Arc<Object>),
    /// Answers that differ; go on with [`Memory::variant`].
    Varies(Arc<Varying>),
}

/// Why an object was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The key was purged or invalidated after the ticket was taken.
    #[error("purged while it was fetched")]
    Purged,
    /// It is larger than the store keeps.
    #[error("larger than the store keeps")]
    TooLarge,
    /// The object that an encoding was made from is no longer stored.
    #[error("replaced while it was encoded")]
    Replaced,
}

/// What the store holds and has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statistics {
    /// Objects, encodings and `Vary` marks.
    pub objects: u64,
    /// Bytes they count for.
    pub bytes: u64,
    /// The bound.
    pub capacity_bytes: u64,
    /// Objects that had to go for others.
    pub evictions: u64,
}

/// How far a change of the bounds took effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resized {
    /// Wholly.
    Whole,
    /// The store is in as many parts as when it was made, and none of them holds the largest objects that the
    /// new bounds allow: they are taken by a store that is made anew only. To make it anew while it is used
    /// would lose what it holds, or cost every hit a look at which store is in force.
    ButForLargest {
        /// The largest that are taken until then.
        taken_bytes: u64,
    },
}

/// The store. One for the process, shared by all cores.
pub struct Memory {
    pub(super) index: Index,
    pub(super) passes: Passes,
    pub(super) epochs: Epochs,
    pub(super) purges: Purges,
    pub(super) twins: Twins,
    hasher: RandomState,
    /// Source of ids and of the order between insertions and purges.
    sequence: AtomicU64,
    /// For each stripe of URLs, when one of them was last forgotten or invalidated.
    stripes: Box<[Mutex<u64>]>,
    evictions: Arc<Counter>,
    max_object_bytes: AtomicU64,
}

impl Memory {
    /// A store of `capacity_bytes` that takes objects of up to `max_object_bytes`, overhead counted.
    pub fn new(capacity_bytes: u64, max_object_bytes: u64) -> Memory {
        let evictions = Arc::new(Counter::default());
        let (index, max_object_bytes) =
            index(capacity_bytes, max_object_bytes, Arc::clone(&evictions));
        Memory {
            index,
            passes: Passes::new(),
            epochs: Epochs::new(),
            purges: Purges::default(),
            twins: Twins::default(),
            hasher: RandomState::new(),
            sequence: AtomicU64::new(1),
            stripes: (0..STRIPES).map(|_| Mutex::new(0)).collect(),
            evictions,
            max_object_bytes: AtomicU64::new(max_object_bytes),
        }
    }

    /// Changes both bounds while it is used; the least used goes where it shrinks. Says whether objects
    /// of up to `max_object_bytes` are taken: a store that was made for smaller ones may not hold them.
    /// Not for a runtime's thread.
    pub fn resize(&self, capacity_bytes: u64, max_object_bytes: u64) -> Resized {
        let largest = resize(&self.index, capacity_bytes, max_object_bytes);
        self.max_object_bytes.store(largest, Ordering::Relaxed);
        let as_made_anew = largest_anew(capacity_bytes, max_object_bytes);
        if largest < as_made_anew {
            return Resized::ButForLargest { taken_bytes: largest };
        }
        Resized::Whole
    }

    /// What is stored under a primary key. The key is hashed, not copied.
    pub fn find(&self, key: &[u8]) -> Option<Found> {
        match self.index.get(&self.place(key))? {
            Entry::Object(object, _) if object.key() == key && self.purges.spare(&object) => {
                Some(Found::Object(object))
            }
            Entry::Varying(varying) if varying.key() == key && self.purges.spare_mark(&varying) => {
                Some(Found::Varies(varying))
            }
            _ => None,
        }
    }

    /// True if this object may only be used after the origin has confirmed it (RFC 9111 §4.4).
    pub fn must_validate(&self, object: &Object) -> bool {
        if object.must_validate() || self.epochs.are_older_than(object.id) {
            return object.must_validate();
        }
        let url = self.place_beyond_url(object.key());
        url.is_some_and(|url| object.id <= self.epochs.invalidated(url))
    }

    /// The variant for a secondary key.
    pub fn variant(&self, varying: &Varying, secondary: &[u8]) -> Option<Arc<Object>> {
        self.object(self.place_of_variant(varying, secondary))
            .filter(|object| object.key() == varying.key() && object.secondary() == secondary)
    }

    /// True if what is stored in the place of `object` came later.
    pub fn holds_newer(&self, object: &Object) -> bool {
        let there = match self.find(object.key()) {
            Some(Found::Object(there)) => Some(there),
            Some(Found::Varies(varying)) => self.variant(&varying, object.secondary()),
            None => None,
        };
        there.is_some_and(|there| there.stored_at_ms() > object.stored_at_ms())
    }

    /// Stored answers of one URL that differ by request fields; at most [`super::MAX_VARIANTS`].
    pub fn variants(&self, varying: &Varying) -> Vec<Arc<Object>> {
        varying.members().into_iter().filter_map(|place| self.object(place)).collect()
    }

    /// What was made of `object` for clients that want `encoding`.
    pub fn encoded(&self, object: &Object, encoding: Encoding) -> Option<Arc<Object>> {
        if !object.has_encoding(encoding) {
            return None;
        }
        let found = self
            .object(self.place_of_encoding(object, encoding))
            .filter(|found| found.encoding() == encoding && found.key() == object.key());
        if found.is_none() {
            object.forget_encoding(encoding);
        }
        found
    }

    /// Taken by a fill before it asks the origin.
    pub fn ticket(&self) -> Ticket {
        Ticket(self.sequence.load(Ordering::Acquire))
    }

    /// Stores an answer without `Vary` in the place of whatever its key held.
    pub fn insert(&self, ticket: Ticket, mut object: Object) -> Result<Arc<Object>, Refused> {
        let place = self.place(object.key());
        let _open = self.open(ticket, &mut object)?;
        self.forget(place);
        self.passes.forget(place);
        Ok(self.put(place, object))
    }

    /// Stores an answer whose `Vary` names `names`. An earlier mark with other names, or an answer
    /// without `Vary`, makes room with all that belongs to it: the origin's latest word counts.
    pub fn insert_variant(
        &self,
        ticket: Ticket,
        names: &[HeaderName],
        mut object: Object,
    ) -> Result<Arc<Object>, Refused> {
        let root = self.place(object.key());
        let _open = self.open(ticket, &mut object)?;
        self.passes.forget(root);
        let varying = match self.find(object.key()) {
            Some(Found::Varies(varying)) if varying.names() == names => varying,
            _ => {
                self.forget(root);
                let varying = Arc::new(Varying::new(object.key(), names, self.next()));
                self.index.insert(root, Entry::Varying(Arc::clone(&varying)));
                varying
            }
        };
        object.become_variant();
        let place = self.place_of_variant(&varying, object.secondary());
        self.forget(place);
        if let Some(oldest) = varying.note(place) {
            self.forget(oldest);
        }
        Ok(self.put(place, object))
    }

    /// Stores `encoded`, made from `object`, beside it.
    pub fn insert_encoded(
        &self,
        object: &Arc<Object>,
        mut encoded: Object,
    ) -> Result<Arc<Object>, Refused> {
        self.weigh(&mut encoded)?;
        let _open = (self.stripe_of(object.key()), self.purges.storing());
        let found = match self.find(object.key()) {
            Some(Found::Object(found)) => Some(found),
            Some(Found::Varies(varying)) => self.variant(&varying, object.secondary()),
            None => None,
        };
        // The same with a twin has the same id.
        let stored = found.filter(|found| found.id == object.id).ok_or(Refused::Replaced)?;
        let encoding = encoded.encoding();
        let encoded = self.put(self.place_of_encoding(object, encoding), encoded);
        stored.note_encoding(encoding);
        object.note_encoding(encoding);
        Ok(encoded)
    }

    /// Notes that answers for `key` cannot be shared until `until_ms` (hit-for-miss): requests then do
    /// not wait for one another. A collision of two keys' hashes makes two requests where one would do.
    pub fn pass_until(&self, key: &[u8], until_ms: u64, refusal: Refusal) {
        self.passes.note(self.place(key), until_ms, refusal);
    }

    /// Ends [`Memory::pass_until`].
    pub fn pass_no_more(&self, key: &[u8]) {
        self.passes.forget(self.place(key));
    }

    /// The mark of [`Memory::pass_until`], while it holds.
    pub fn passed(&self, key: &[u8], now_ms: u64) -> Option<Pass> {
        self.passes.holds(self.place(key), now_ms)
    }

    /// Largest object that is taken, overhead counted.
    pub fn max_object_bytes(&self) -> u64 {
        self.max_object_bytes.load(Ordering::Relaxed)
    }

    /// Shows every object in turn. Looks through the whole index: not for a runtime's thread.
    pub fn each(&self, mut see: impl FnMut(&Object)) {
        for (_, entry) in self.index.iter() {
            if let Entry::Object(object, _) = entry {
                see(&object);
            }
        }
    }

    /// Sizes and counts; takes each shard's lock in turn.
    pub fn statistics(&self) -> Statistics {
        Statistics {
            objects: self.index.len() as u64,
            bytes: self.index.weight(),
            capacity_bytes: self.index.capacity(),
            evictions: self.evictions.value(),
        }
    }

    /// Checks that an object may go in. What it returns is held until the object is in: no invalidation
    /// and no purge stands between the check and the id.
    fn open(
        &self,
        ticket: Ticket,
        object: &mut Object,
    ) -> Result<(MutexGuard<'_, u64>, Storing<'_>), Refused> {
        self.weigh(object)?;
        let last = self.stripe_of(object.key());
        let storing = self.purges.storing();
        if *last > ticket.0 || storing.is_purged(ticket, object.key(), |tag| object.has_tag(tag)) {
            return Err(Refused::Purged);
        }
        Ok((last, storing))
    }

    /// Checks what an object weighs. A twin that came along from a smaller one must not cost its place.
    fn weigh(&self, object: &mut Object) -> Result<(), Refused> {
        if object.weight() > self.max_object_bytes() {
            object.give_up_twin();
        }
        if object.weight() > self.max_object_bytes() { Err(Refused::TooLarge) } else { Ok(()) }
    }

    fn put(&self, place: u64, mut object: Object) -> Arc<Object> {
        object.id = self.next();
        let object = Arc::new(object);
        self.index.insert(place, Entry::of(Arc::clone(&object)));
        object
    }

    pub(super) fn object(&self, place: u64) -> Option<Arc<Object>> {
        match self.index.get(&place)? {
            Entry::Object(object, _) if self.purges.spare(&object) => Some(object),
            _ => None,
        }
    }

    pub(super) fn next(&self) -> u64 {
        self.sequence.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// The lock of a key's URL, whatever else the key holds.
    pub(super) fn stripe_of(&self, key: &[u8]) -> MutexGuard<'_, u64> {
        let place = self.place(url_of(key));
        let at = usize::try_from(place % STRIPES as u64).expect("smaller than STRIPES");
        lock(&self.stripes[at])
    }

    /// The place of a key's URL, if the key holds more than that.
    fn place_beyond_url(&self, key: &[u8]) -> Option<u64> {
        let url = url_of(key);
        (url.len() < key.len()).then(|| self.place(url))
    }

    pub(super) fn place(&self, key: &[u8]) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(key);
        hasher.finish()
    }

    pub(super) fn place_of_variant(&self, varying: &Varying, secondary: &[u8]) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write_u64(varying.id);
        hasher.write(secondary);
        hasher.finish()
    }

    pub(super) fn place_of_encoding(&self, object: &Object, encoding: Encoding) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write_u64(object.id);
        hasher.write(encoding.token().as_bytes());
        hasher.finish()
    }
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.statistics().fmt(f)
    }
}

fn lock(stripe: &Mutex<u64>) -> MutexGuard<'_, u64> {
    stripe.lock().unwrap_or_else(PoisonError::into_inner)
}
