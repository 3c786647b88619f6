//! Fills by key.

use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use super::place::Role;
use super::state::{Came, Fill};
use super::{FillLead, FillReader, Limits, lock};

const SHARDS: usize = 16;

type Shard<H> = HashMap<Box<[u8]>, Arc<Fill<H>>>;

/// Fills under way, by key; one table for the process. `H` is the head as the caller describes it:
/// status, fields, what its `Vary` says.
#[derive(Debug)]
pub struct Fills<H> {
    shards: [Mutex<Shard<H>>; SHARDS],
    hasher: RandomState,
    limits: Limits,
    max_object_bytes: AtomicU64,
    pub(super) held_bytes: Arc<AtomicU64>,
}

/// Leads to a fill from [`Fills::apart`].
#[derive(Debug)]
pub struct Joiner<H>(Arc<Fill<H>>);

impl<H> Joiner<H> {
    /// Reads along from the beginning, unless it is too late for that.
    pub fn join(&self) -> Option<FillReader<H>> {
        let (id, came) = self.0.admit()?;
        Some(FillReader::new(Arc::clone(&self.0), id, came))
    }
}

/// What [`Fills::join`] makes of a request.
#[derive(Debug)]
pub enum Join<H> {
    /// Nobody asks yet: ask, with this, and read with that. Look into the store once more before: the
    /// fill before this one may have ended between the look-up and now.
    Lead(FillLead<H>, FillReader<H>),
    /// Somebody asks already.
    Follow(FillReader<H>),
}

impl<H> Fills<H> {
    /// An empty table.
    pub fn new(limits: Limits) -> Arc<Fills<H>> {
        Fills::with(limits, Arc::default())
    }

    /// An empty table whose fills hold no more together with those of `other` than these alone might.
    pub fn beside<O>(other: &Fills<O>) -> Arc<Fills<H>> {
        Fills::with(other.limits, Arc::clone(&other.held_bytes))
    }

    fn with(limits: Limits, held_bytes: Arc<AtomicU64>) -> Arc<Fills<H>> {
        Arc::new(Fills {
            shards: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
            limits,
            max_object_bytes: AtomicU64::new(limits.max_object_bytes),
            held_bytes,
        })
    }

    /// Changes the size above which answers pass through, for fills that begin from now on.
    pub fn set_max_object_bytes(&self, max_object_bytes: u64) {
        self.max_object_bytes.store(max_object_bytes, Ordering::Relaxed);
    }

    /// Joins the fill of `key`, or begins it. Followers of an answer with `Vary` must compare what the
    /// head says with their own request before they use it.
    pub fn join(self: &Arc<Self>, key: &[u8]) -> Join<H> {
        let mut shard = self.shard(key);
        if let Some(fill) = shard.get(key)
            && let Some((id, came)) = fill.admit()
        {
            return Join::Follow(FillReader::new(Arc::clone(fill), id, came));
        }
        let fill = Arc::new(Fill::new(key, self.limits(), Arc::clone(&self.held_bytes)));
        let id = fill.register(Role::Asker);
        shard.insert(key.into(), Arc::clone(&fill));
        drop(shard);
        let reader = FillReader::new(Arc::clone(&fill), id, Came::BeforeHead);
        Join::Lead(FillLead::new(Arc::clone(self), fill), reader)
    }

    /// The fill of `key`, if somebody asks already.
    pub fn follow(&self, key: &[u8]) -> Option<FillReader<H>> {
        let shard = self.shard(key);
        let fill = shard.get(key)?;
        fill.admit().map(|(id, came)| FillReader::new(Arc::clone(fill), id, came))
    }

    /// A fill that no key leads to: whoever has its [`Joiner`] may read along.
    pub fn apart(self: &Arc<Self>, key: &[u8]) -> (FillLead<H>, FillReader<H>, Joiner<H>) {
        let fill = Arc::new(Fill::new(key, self.limits(), Arc::clone(&self.held_bytes)));
        let id = fill.register(Role::Asker);
        let reader = FillReader::new(Arc::clone(&fill), id, Came::BeforeHead);
        (FillLead::new(Arc::clone(self), Arc::clone(&fill)), reader, Joiner(fill))
    }

    fn limits(&self) -> Limits {
        let max_object_bytes = self.max_object_bytes.load(Ordering::Relaxed);
        Limits { max_object_bytes, ..self.limits }
    }

    /// From now on nobody joins the fill that `reader` reads: its answer is too old for those who come.
    pub fn outlived(&self, reader: &FillReader<H>) {
        self.close(reader.fill());
    }

    /// From now on nobody joins a fill whose key `is_one`: what it brings may be older than what is
    /// wanted. Those who read along go on.
    pub fn part_with(&self, is_one: impl Fn(&[u8]) -> bool) {
        for shard in &self.shards {
            lock(shard).retain(|key, _| !is_one(key));
        }
    }

    /// Fills that can be joined.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).len()).sum()
    }

    /// True if no fill is under way.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Nobody joins this fill any more.
    pub(super) fn close(&self, fill: &Arc<Fill<H>>) {
        if let Entry::Occupied(entry) = self.shard(fill.key()).entry(fill.key().into())
            && Arc::ptr_eq(entry.get(), fill)
        {
            entry.remove();
        }
    }

    fn shard(&self, key: &[u8]) -> MutexGuard<'_, Shard<H>> {
        let at = usize::try_from(self.hasher.hash_one(key) >> 32).unwrap_or_default() % SHARDS;
        lock(&self.shards[at])
    }
}
