//! Which requests are looked at: up to fifty a second on each core, so that a quiet site is counted whole and a
//! busy one pays next to nothing.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;

use super::{IPV4_BITS, IPV6_BITS};
use crate::cache::key::{primary_key, url_of};
use crate::edge::Site;
use crate::exchange::{Exchange, network};
use crate::hashing::mix;
use crate::traffic::Outcome;

/// Samples of a tick from which on only half as many are drawn; with fewer than half of that, twice as many.
const ENOUGH: usize = 25;
/// Samples that wait for the tick: each halves the rest, so that these are many more than are ever drawn.
const MOST_WAITING: usize = 24 * ENOUGH;
/// Longest interval between two samples.
const LONGEST: u32 = 1 << 20;
/// Longer keys are cut: what differs further behind is one row.
const KEY_BYTES: usize = 200;
/// Marks a key that was cut.
const CUT: &[u8] = "…".as_bytes();

/// What counts as a hit.
pub(super) const HITS: [Outcome; 3] =
    [Outcome::Hit, Outcome::StaleWhileRevalidate, Outcome::StaleIfError];
/// What counts as a miss.
pub(super) const MISSES: [Outcome; 3] = [Outcome::Miss, Outcome::Revalidated, Outcome::Collapsed];

/// A request that was looked at.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    key: [u8; KEY_BYTES],
    key_length: u8,
    pub(super) client: IpAddr,
    pub(super) outcome: Outcome,
    pub(super) bytes: u64,
    /// Requests that it stands for.
    pub(super) weight: u32,
}

impl Sample {
    pub(super) fn key(&self) -> &[u8] {
        self.key.get(..usize::from(self.key_length)).unwrap_or(&self.key)
    }
}

/// A request that is over.
pub(crate) struct Seen<'a> {
    pub(crate) exchange: &'a Exchange,
    pub(crate) site: Option<&'a Site>,
    pub(crate) outcome: Outcome,
    pub(crate) bytes: u64,
}

/// What a core has drawn.
struct Drawn {
    /// Never grown where a request ends; without room nothing is drawn.
    samples: Vec<Sample>,
    scratch: Vec<u8>,
    /// Samples at which the interval doubles.
    doubles_at: usize,
    /// One of so many requests is drawn.
    interval: u32,
    random: u64,
}

thread_local! {
    /// Requests until one is drawn.
    static LEFT: Cell<u32> = const { Cell::new(LONGEST) };
    static DRAWN: RefCell<Drawn> = const { RefCell::new(Drawn {
        samples: Vec::new(),
        scratch: Vec::new(),
        doubles_at: ENOUGH,
        interval: 1,
        random: 0,
    }) };
}

/// Looks at a request, if it is one that is drawn.
#[inline]
pub(crate) fn saw(seen: &Seen<'_>) {
    let left = LEFT.get().wrapping_sub(1);
    LEFT.set(left);
    if left == 0 {
        draw(seen);
    }
}

/// Begins on this core; gives the other of two buffers that take turns.
pub(super) fn begin() -> Vec<Sample> {
    DRAWN.with_borrow_mut(|drawn| {
        drawn.samples = Vec::with_capacity(MOST_WAITING);
        drawn.scratch = Vec::with_capacity(4 * KEY_BYTES);
    });
    LEFT.set(1);
    Vec::with_capacity(MOST_WAITING)
}

/// Takes what was drawn since the last time, and draws more or fewer from here on.
pub(super) fn take(into: &mut Vec<Sample>) {
    DRAWN.with_borrow_mut(|drawn| {
        if drawn.samples.len() < ENOUGH / 2 && drawn.interval > 1 {
            drawn.interval /= 2;
            // Or a site that falls quiet would wait long for its next one.
            LEFT.set(LEFT.get().min(drawn.gap()));
        }
        drawn.doubles_at = ENOUGH;
        if into.is_empty() {
            std::mem::swap(into, &mut drawn.samples);
        }
    });
}

/// Ends on this core.
pub(super) fn end() {
    LEFT.set(LONGEST);
    DRAWN.with_borrow_mut(|drawn| drawn.samples = Vec::new());
}

#[cold]
#[inline(never)]
fn draw(seen: &Seen<'_>) {
    DRAWN.with_borrow_mut(|drawn| {
        LEFT.set(drawn.gap());
        if drawn.samples.len() < drawn.samples.capacity() {
            drawn.put(seen);
        }
        if drawn.samples.len() >= drawn.doubles_at && drawn.interval < LONGEST / 2 {
            drawn.interval *= 2;
            drawn.doubles_at += ENOUGH;
        }
    });
}

impl Drawn {
    /// Requests until the next one: drawn too, or requests that come in a rhythm would be counted wrongly.
    fn gap(&mut self) -> u32 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let span = u64::from(self.interval) * 2 - 1;
        u32::try_from(mix(self.random) % span).unwrap_or_default() + 1
    }

    fn put(&mut self, seen: &Seen<'_>) {
        let Seen { exchange, site, outcome, bytes } = *seen;
        let head = &exchange.head;
        let (query, authority) = (head.uri.query(), head.authority.as_str());
        let (scheme, path) = (exchange.client.scheme, head.uri.path());
        // The key without what comes behind the URL: fields and cookies are nobody's business here.
        let fields = &head.fields;
        let plain = crate::cache::key::KeySource { scheme, authority, path, query, fields };
        let source = site.map_or(plain, |site| site.key_source(scheme, head));
        primary_key(source, site.and_then(Site::policy), &mut self.scratch);
        let (key, key_length) = cut(url_of(&self.scratch));
        let client = network(exchange.client.address, IPV4_BITS, IPV6_BITS);
        let weight = self.interval;
        self.samples.push(Sample { key, key_length, client, outcome, bytes, weight });
    }
}

/// The first bytes of a key.
fn cut(url: &[u8]) -> ([u8; KEY_BYTES], u8) {
    let mut key = [0; KEY_BYTES];
    let length = url.len().min(KEY_BYTES);
    key[..length].copy_from_slice(&url[..length]);
    if url.len() > KEY_BYTES {
        key[KEY_BYTES - CUT.len()..].copy_from_slice(CUT);
    }
    (key, u8::try_from(length).unwrap_or(u8::MAX))
}

#[cfg(test)]
impl Sample {
    pub(super) fn of(
        key: &str,
        client: IpAddr,
        outcome: Outcome,
        bytes: u64,
        weight: u32,
    ) -> Sample {
        let (key, key_length) = cut(key.as_bytes());
        Sample { key, key_length, client, outcome, bytes, weight }
    }
}
