//! What the index holds, what it weighs, and what becomes of the evicted.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use forebay_signals::counter::Counter;
use quick_cache::sync::Cache;
use quick_cache::{Lifecycle, OptionsBuilder, Weighter};

use super::glance::Glance;
use super::{Object, Varying};

/// Assumed size of an object, to choose how many evicted keys the index remembers.
const TYPICAL_OBJECT_BYTES: u64 = 4_096;
/// More shards serve more cores at once, but each must hold several of the largest objects.
const MAX_SHARDS: u64 = 64;
/// A store that shrinks does so by this part of its size at a time,
const SHRINK_STEPS: u64 = 64;
/// and by no less than this: a small one is done soon.
const SHRINK_LEAST_BYTES: u64 = 1 << 20;

/// Entries by place. S3-FIFO in kind: what is asked for once does not push out what is asked for often.
pub(super) type Index = Cache<u64, Entry, Weights, Placed, Evicted>;

/// An index bounded in bytes, and the weight of the largest entry that it takes.
pub(super) fn index(
    capacity_bytes: u64,
    max_object_bytes: u64,
    evictions: Arc<Counter>,
) -> (Index, u64) {
    let shards = shards(capacity_bytes, max_object_bytes);
    let items = usize::try_from(capacity_bytes / TYPICAL_OBJECT_BYTES).unwrap_or(usize::MAX);
    let options = OptionsBuilder::new()
        .weight_capacity(capacity_bytes)
        .estimated_items_capacity(items.max(32 * shards))
        .shards(shards)
        .build()
        .expect("capacity and estimate are set");
    let index = Cache::with_options(options, Weights, Placed, Evicted(evictions));
    let max = largest_entry(&index, max_object_bytes);
    (index, max)
}

/// A power of two, rounded down: each shard holds the largest object twice.
fn shards(capacity_bytes: u64, max_object_bytes: u64) -> usize {
    let wanted = (capacity_bytes / max_object_bytes.saturating_mul(2).max(1)).clamp(1, MAX_SHARDS);
    1 << wanted.ilog2()
}

/// Weight of the largest entry that an index with these bounds takes when it is new.
pub(super) fn largest_anew(capacity_bytes: u64, max_object_bytes: u64) -> u64 {
    let shards = shards(capacity_bytes, max_object_bytes) as u64;
    max_object_bytes.min(capacity_bytes.div_ceil(shards) / 10 * 9)
}

/// Changes the bound in place; what is beyond it is evicted. Returns the weight of the largest entry
/// from now on: the number of shards stays, so that it may be less than is asked for.
pub(super) fn resize(index: &Index, capacity_bytes: u64, max_object_bytes: u64) -> u64 {
    let mut now = index.capacity();
    while now > capacity_bytes {
        // Step by step: nobody waits for a lock while a shard gives up half of what it holds.
        now = now.saturating_sub((now / SHRINK_STEPS).max(SHRINK_LEAST_BYTES)).max(capacity_bytes);
        index.set_capacity(now);
    }
    index.set_capacity(capacity_bytes);
    largest_entry(index, max_object_bytes)
}

fn largest_entry(index: &Index, max_object_bytes: u64) -> u64 {
    max_object_bytes.min(index.shard_capacity() / 10 * 9)
}

#[derive(Debug, Clone)]
pub(super) enum Entry {
    /// With what can be known without a look at it.
    Object(Arc<Object>, Glance),
    Varying(Arc<Varying>),
}

impl Entry {
    pub(super) fn of(object: Arc<Object>) -> Entry {
        let glance = Glance::of(&object);
        Entry::Object(object, glance)
    }

    pub(super) fn id(&self) -> u64 {
        match self {
            Entry::Object(_, glance) => glance.id(),
            Entry::Varying(varying) => varying.id,
        }
    }
}

#[derive(Clone)]
pub(super) struct Weights;

impl Weighter<u64, Entry> for Weights {
    fn weight(&self, _: &u64, entry: &Entry) -> u64 {
        match entry {
            Entry::Object(object, _) => object.weight(),
            Entry::Varying(varying) => varying.weight(),
        }
    }
}

/// Keys of the index are hashes already.
#[derive(Clone, Default)]
pub(super) struct Placed;

impl BuildHasher for Placed {
    type Hasher = PlacedHasher;

    fn build_hasher(&self) -> PlacedHasher {
        PlacedHasher(0)
    }
}

pub(super) struct PlacedHasher(u64);

impl Hasher for PlacedHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, place: u64) {
        self.0 = place;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Counts evictions and lets the evicted be freed after the shard's lock is released.
#[derive(Clone)]
pub(super) struct Evicted(pub(super) Arc<Counter>);

impl Lifecycle<u64, Entry> for Evicted {
    type RequestState = Vec<Entry>;

    fn on_evict(&self, evicted: &mut Vec<Entry>, _: u64, entry: Entry) {
        // What gave way to the same with a twin is still there.
        if !matches!(&entry, Entry::Object(object, _) if object.is_replaced()) {
            self.0.increment();
        }
        evicted.push(entry);
    }
}
