//! Which requests are looked at: some fifty a second on each core, so that a quiet site is counted whole and a
//! busy one pays next to nothing.
//!
//! Whether a request is drawn is settled before it comes, by a chance that is known, and it counts as the inverse of
//! that chance: sums are right on the average, however the chance changes (Horvitz and Thompson 1952).

use std::cell::{Cell, RefCell};
use std::net::IpAddr;

use super::{IPV4_BITS, IPV6_BITS};
use crate::cache::key::{primary_key, url_of};
use crate::edge::Site;
use crate::exchange::{Exchange, network};
use crate::hashing::{mix, unit};
use crate::traffic::Outcome;

/// Samples of a tick after which, and after as many again, only half as many are drawn; with fewer than half of that,
/// twice as many.
const ENOUGH: usize = 25;
/// Samples that wait to be counted; of more only half are kept.
pub(super) const MOST_WAITING: usize = 8 * ENOUGH;
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
    /// Never grown where a request ends; before [`begin`] and after [`end`] there is no room at all.
    samples: Vec<Sample>,
    scratch: Vec<u8>,
    /// Samples of this tick.
    since: usize,
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
        since: 0,
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

/// Begins on this core.
pub(super) fn begin() {
    DRAWN.with_borrow_mut(|drawn| {
        drawn.samples = Vec::with_capacity(MOST_WAITING);
        drawn.scratch = Vec::with_capacity(4 * KEY_BYTES);
    });
    LEFT.set(1);
}

/// A tick: gives what was drawn if `into` is empty, which must have room for as many, and keeps it for the next time
/// if not; draws more from here on if that was little.
pub(super) fn take(into: &mut Vec<Sample>) {
    DRAWN.with_borrow_mut(|drawn| {
        if into.is_empty() {
            std::mem::swap(into, &mut drawn.samples);
        }
        let since = std::mem::take(&mut drawn.since);
        if since < ENOUGH / 2 && drawn.interval > 1 {
            drawn.interval /= 2;
            // Or a site that falls quiet would wait long for its next one. Gaps know nothing of what went before
            // them, so that one may take the place of another at any time.
            LEFT.set(drawn.gap());
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
        if drawn.samples.len() == drawn.samples.capacity() {
            drawn.thin();
        }
        if drawn.samples.len() < drawn.samples.capacity() {
            drawn.put(seen);
            drawn.since += 1;
        }
        if drawn.since >= ENOUGH && drawn.since.is_multiple_of(ENOUGH) {
            drawn.interval = (drawn.interval * 2).min(LONGEST);
        }
        // Last: a sample stands for as many as the interval in which it was waited for.
        LEFT.set(drawn.gap());
    });
}

impl Drawn {
    /// Requests until the next one. Each request has the same chance whatever came before it, so that neither those
    /// that come in a rhythm nor a change of the interval tilt what is counted: gaps are geometric.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "never negative, and at most 24 million: 23 of the longest intervals"
    )]
    fn gap(&mut self) -> u32 {
        // Of one in one the logarithm is infinite and the quotient 0.
        let passed = self.random().ln() / (-1.0 / f64::from(self.interval)).ln_1p();
        passed as u32 + 1
    }

    /// Keeps half of what waits, drawn by lot, each for two: what is lost is exactness and nothing else.
    fn thin(&mut self) {
        let mut samples = std::mem::take(&mut self.samples);
        samples.retain_mut(|sample| {
            sample.weight = sample.weight.saturating_mul(2);
            self.random() < 0.5
        });
        self.samples = samples;
    }

    /// Between 0 and 1.
    fn random(&mut self) -> f64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        unit(mix(self.random))
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
