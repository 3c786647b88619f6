//! Cache: what was answered once is answered again, where the law allows it.
//!
//! In: a request and its route's policy. Out: a stored answer, or what to ask the origin for and how
//! to share it. The rules (RFC 9111) are pure; the store holds bytes; fills make one request of many.
//! It never calls the origin, never stores without a grant, and under a policy never keys on less than
//! what the origin was allowed to see.

pub mod fill;
pub mod key;
pub mod links;
pub mod lookup;
mod purged;
pub mod reply;
pub mod rules;
pub mod safety;
pub mod status;
pub mod store;
pub mod tags;

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

use forebay_signals::clock;
use forebay_signals::prometheus::Page;
use http::{HeaderMap, HeaderName, StatusCode, Uri};
use serde::{Deserialize, Serialize};

use crate::config;
use crate::config::policy::Policy;
use crate::exchange::{Encoding, Scheme};
use fill::{Fills, Joiner, Limits};
use links::Links;
pub use purged::Counts;
use rules::{Freshness, Refusal, Rule, vary};
use store::{Effect, Memory, Object, Resized, Selection, Ticket};
use tags::Tag;

/// The cache of the process, shared by all cores; it outlives reloads.
#[derive(Debug)]
pub struct Cache {
    /// The objects.
    pub memory: Memory,
    /// Fetches that others wait for.
    pub fills: Arc<Fills<Head>>,
    /// The same in encodings: each is made once for all who read along.
    pub encoded: Arc<Fills<()>>,
    /// What pages link to, for those who ask next.
    pub links: Links,
    /// What was purged.
    pub purges: Counts,
    epoch: Instant,
}

/// The store at a glance.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct View {
    /// Objects, encodings and `Vary` marks.
    pub objects: u64,
    /// Bytes they count for.
    pub bytes: u64,
    /// The bound.
    pub limit_bytes: u64,
    /// Objects that had to go for others.
    pub evictions: u64,
}

impl Cache {
    /// An empty cache.
    pub fn new(settings: &config::cache::Cache) -> Cache {
        let fills = Fills::new(Limits::new(settings.max_object_bytes));
        Cache {
            memory: Memory::new(settings.memory_bytes, settings.max_object_bytes),
            encoded: Fills::beside(&fills),
            fills,
            links: Links::default(),
            purges: Counts::default(),
            epoch: clock::now(),
        }
    }

    /// Puts changed bounds in force while it is used. Not for a runtime's thread.
    pub fn resize(&self, settings: &config::cache::Cache) -> Resized {
        let resized = self.memory.resize(settings.memory_bytes, settings.max_object_bytes);
        // What the store does not take need not be held until it is whole.
        let taken = self.memory.max_object_bytes();
        self.fills.set_max_object_bytes(taken);
        self.encoded.set_max_object_bytes(taken);
        resized
    }

    /// Milliseconds on the cache's own, monotonic time line: a wall clock that jumps ages nothing.
    pub fn ms(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.epoch).as_millis()).unwrap_or(u64::MAX)
    }

    /// What an unsafe request may have changed is validated before it is used again (RFC 9111 §4.4).
    pub fn invalidate(&self, url: &StoredUrl) {
        for key in url.keys() {
            self.memory.invalidate(key);
            self.part_with_fills(key);
        }
    }

    /// Purges what is selected; says to `tell` how many answers that were, and frees them behind that word.
    /// Not for a runtime's thread.
    pub fn purge(&self, selection: Selection, effect: Effect, tell: impl FnOnce(u64)) {
        let purge = self.memory.begin_purge(selection, effect, self.ms(clock::now()));
        // By tag they are known only when the head of their answer is there: see `is_purged`.
        if purge.has_keys() {
            self.fills.part_with(|key| purge.takes_key(key));
        }
        self.links.clear();
        self.memory.finish_purge(&purge, |taken| {
            self.purges.count(effect, taken);
            tell(taken);
        });
    }

    /// Whoever asks from now on does not read along with what was asked before.
    fn part_with_fills(&self, url: &[u8]) {
        self.fills.part_with(|key| key::url_of(key) == url);
    }

    /// True if a fill under `key` that brings this head began before a purge that takes it.
    pub fn is_purged(&self, key: &[u8], head: &Head) -> bool {
        match head {
            Head::Arriving { born, .. } => {
                self.memory.is_purged(born.ticket, key, |tag| born.tags.contains(&tag))
            }
            Head::Stored { ticket, object, .. } => {
                self.memory.is_purged(*ticket, key, |tag| object.has_tag(tag))
            }
        }
    }

    /// Sizes and counts.
    pub fn view(&self) -> View {
        let now = self.memory.statistics();
        View {
            objects: now.objects,
            bytes: now.bytes,
            limit_bytes: now.capacity_bytes,
            evictions: now.evictions,
        }
    }

    /// Writes the Prometheus families.
    pub fn write(&self, page: &mut Page) {
        let now = self.memory.statistics();
        for (name, kind, help, value) in [
            ("forebay_edge_cache_objects", "gauge", "Objects in the store.", now.objects),
            ("forebay_edge_cache_bytes", "gauge", "Bytes in the store.", now.bytes),
            ("forebay_edge_cache_limit_bytes", "gauge", "Bound of the store.", now.capacity_bytes),
            ("forebay_edge_cache_evictions_total", "counter", "Objects evicted.", now.evictions),
        ] {
            page.family(name, kind, help);
            page.sample(name, &[], value);
        }
        self.purges.write(page);
    }
}

/// What a fill tells those who read along.
#[derive(Debug)]
pub enum Head {
    /// An answer of the origin; its content follows.
    Arriving {
        /// Status.
        status: StatusCode,
        /// Fields.
        fields: HeaderMap,
        /// How long it stays fresh and since when we have it, or why it is not stored.
        grant: Result<(Freshness, u64), Refusal>,
        /// Fields that only the one who asked may see.
        personal: Vec<HeaderName>,
        /// Request fields that `Vary` names.
        names: Vec<HeaderName>,
        /// What they were in the request that asked.
        secondary: Vec<u8>,
        /// What says whether it has been purged since.
        born: Box<Born>,
        /// What is made of it on the way.
        branches: Box<Branches>,
    },
    /// What is stored serves after all.
    Stored {
        /// It.
        object: Arc<Object>,
        /// The rule that lets it, if it is stale.
        rule: Option<Rule>,
        /// What the origin answered.
        status: StatusCode,
        /// When it was asked, as purges count it.
        ticket: Ticket,
    },
}

/// What purges take an answer by that is arriving.
#[derive(Debug)]
pub struct Born {
    /// When the origin was asked, as purges count it.
    pub ticket: Ticket,
    /// Tags.
    pub tags: Vec<Tag>,
}

/// Encodings of an answer that is arriving, and the answer as it is stored at its end.
#[derive(Debug, Default)]
pub struct Branches {
    /// By encoding; at most one each.
    pub encoded: Mutex<Vec<(Encoding, Joiner<()>)>>,
    /// Set before the fill settles.
    pub stored: OnceLock<Arc<Object>>,
}

impl Head {
    /// The secondary key of a request with these fields, if the answer is for another variant.
    pub fn other_variant(&self, fields: &HeaderMap, policy: Option<&Policy>) -> Option<Vec<u8>> {
        let of_stored;
        let (names, theirs) = match self {
            Head::Arriving { names, secondary, .. } => (names, &secondary[..]),
            Head::Stored { object, .. } => {
                // What is stored had names that could be used.
                of_stored = vary::names(&object.fields()).unwrap_or_default();
                (&of_stored, object.secondary())
            }
        };
        if names.is_empty() {
            return None;
        }
        let mut ours = Vec::new();
        vary::secondary_key(names, fields, policy, &mut ours);
        (ours != theirs).then_some(ours)
    }
}

/// A URL as the keys of the store begin with it: once for each way in which a policy may write its query.
#[derive(Debug)]
pub struct StoredUrl(Vec<Vec<u8>>);

impl StoredUrl {
    /// The URL under these policies, and without one.
    pub fn new<'p>(
        scheme: Scheme,
        authority: &str,
        uri: &Uri,
        policies: impl IntoIterator<Item = &'p Policy>,
    ) -> StoredUrl {
        let fields = HeaderMap::new();
        let (path, query) = (uri.path(), uri.query());
        let source = key::KeySource { scheme, authority, path, query, fields: &fields };
        let mut keys: Vec<Vec<u8>> = Vec::new();
        for policy in std::iter::once(None).chain(policies.into_iter().map(Some)) {
            let mut key = Vec::new();
            key::primary_key(source, policy, &mut key);
            key.truncate(key::url_of(&key).len());
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        StoredUrl(keys)
    }

    /// How the keys of the store begin.
    pub fn keys(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(Vec::as_slice)
    }
}
