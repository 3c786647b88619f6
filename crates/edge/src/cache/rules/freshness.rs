//! What the store keeps of the law for each object: 20 plain bytes.

use std::time::Duration;

use super::reason::Rule;

const UNSAID: u32 = u32::MAX;

/// How long a stored answer may be used, and what about its use is forbidden.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freshness {
    lifetime_s: u32,
    initial_age_s: u32,
    swr_s: u32,
    sie_s: u32,
    initial_age_ms: u16,
    flags: u8,
    rule: Rule,
}

/// A bit of [`Freshness`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Flag {
    /// `must-revalidate`.
    MustRevalidate = 1,
    /// `proxy-revalidate`.
    ProxyRevalidate = 2,
    /// `no-cache` without names: ask the origin before each use.
    NoCache = 4,
    /// `s-maxage`: forbids stale use where nothing explicit permits it (RFC 9111 §5.2.2.10).
    SMaxage = 8,
    /// `immutable`.
    Immutable = 16,
    /// The policy, not the answer, allows stale use while it is fetched anew.
    PolicySwr = 32,
    /// The policy, not the answer, allows stale use on errors.
    PolicySie = 64,
}

impl Freshness {
    /// Fresh for `lifetime` by `rule`.
    pub fn new(rule: Rule, lifetime: Duration, initial_age: Duration) -> Freshness {
        Freshness {
            lifetime_s: seconds(lifetime),
            initial_age_s: seconds(initial_age),
            swr_s: UNSAID,
            sie_s: UNSAID,
            initial_age_ms: u16::try_from(initial_age.subsec_millis()).unwrap_or(999),
            flags: 0,
            rule,
        }
    }

    /// Allows stale use while it is fetched anew.
    #[must_use]
    pub fn with_swr(mut self, swr: Option<Duration>) -> Freshness {
        self.swr_s = swr.map_or(UNSAID, seconds);
        self
    }

    /// Allows stale use on errors.
    #[must_use]
    pub fn with_sie(mut self, sie: Option<Duration>) -> Freshness {
        self.sie_s = sie.map_or(UNSAID, seconds);
        self
    }

    /// Sets a flag.
    #[must_use]
    pub fn with(mut self, flag: Flag) -> Freshness {
        self.flags |= flag as u8;
        self
    }

    /// Sets a flag if `condition` holds.
    #[must_use]
    pub fn with_if(self, condition: impl FnOnce() -> bool, flag: Flag) -> Freshness {
        if condition() { self.with(flag) } else { self }
    }

    /// The same, stale from `age` on if it would have been fresh for longer.
    #[must_use]
    pub fn ended_at(mut self, age: Duration) -> Freshness {
        self.lifetime_s = self.lifetime_s.min(seconds(age));
        self
    }

    /// `freshness_lifetime`.
    pub fn lifetime(&self) -> Duration {
        Duration::from_secs(self.lifetime_s.into())
    }

    /// `corrected_initial_age`.
    pub fn initial_age(&self) -> Duration {
        Duration::from_secs(self.initial_age_s.into())
            + Duration::from_millis(self.initial_age_ms.into())
    }

    /// `current_age`: the initial age and the time it has been here (RFC 9111 §4.2.3).
    pub fn age(&self, resident: Duration) -> Duration {
        self.initial_age() + resident
    }

    /// `response_is_fresh` (RFC 9111 §4.2). Says nothing on `no-cache`.
    pub fn is_fresh(&self, age: Duration) -> bool {
        age < self.lifetime()
    }

    /// May it answer others than the one who asked, as it arrives? Only what may be used unasked (RFC 9111
    /// §4): the rest is asked for by each.
    pub fn is_usable_on_arrival(&self) -> bool {
        let age = self.initial_age();
        let is_stale_usable = !self.has(Flag::MustRevalidate)
            && !self.has(Flag::ProxyRevalidate)
            && self.swr().is_some_and(|limit| self.staleness(age) < limit);
        !self.has(Flag::NoCache) && (self.is_fresh(age) || is_stale_usable)
    }

    /// Seconds left, negative once stale: `ttl` of `Cache-Status`.
    pub fn ttl(&self, age: Duration) -> i64 {
        let age = i64::try_from(age.as_secs()).unwrap_or(i64::MAX);
        i64::from(self.lifetime_s).saturating_sub(age)
    }

    /// For how long it has been stale; zero while fresh.
    pub fn staleness(&self, age: Duration) -> Duration {
        age.saturating_sub(self.lifetime())
    }

    /// Stale use while it is fetched anew, where said.
    pub fn swr(&self) -> Option<Duration> {
        said(self.swr_s)
    }

    /// Stale use on errors, where said.
    pub fn sie(&self) -> Option<Duration> {
        said(self.sie_s)
    }

    /// Is this flag set?
    pub fn has(&self, flag: Flag) -> bool {
        self.flags & flag as u8 != 0
    }

    /// The rule that gave the lifetime.
    pub fn rule(&self) -> Rule {
        self.rule
    }

    /// How long the object is worth keeping: lifetime and every stale use that is allowed, from when it
    /// is stored. Only a hint for the store; objects with a validator stay useful beyond it.
    pub fn useful_for(&self) -> Duration {
        let stale = self.swr().max(self.sie()).unwrap_or_default();
        (self.lifetime() + stale).saturating_sub(self.initial_age())
    }
}

fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(UNSAID).min(UNSAID - 1)
}

fn said(seconds: u32) -> Option<Duration> {
    (seconds != UNSAID).then(|| Duration::from_secs(seconds.into()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn it_stays_small() {
        assert_eq!(size_of::<Freshness>(), 20);
    }

    proptest! {
        #[test]
        fn what_is_stale_never_becomes_fresh_again(
            lifetime in 0u64..1 << 40, initial in 0u64..1 << 50, here in 0u64..1 << 40,
            more in 0u64..1 << 40,
        ) {
            let initial = Duration::from_millis(initial);
            let it = Freshness::new(Rule::MaxAge, Duration::from_secs(lifetime), initial);
            let (early, late) = (Duration::from_millis(here), Duration::from_millis(here + more));
            prop_assert!(it.is_fresh(it.age(early)) || !it.is_fresh(it.age(late)));
            prop_assert!(it.staleness(it.age(early)) <= it.staleness(it.age(late)));
            prop_assert!(it.ttl(it.age(early)) >= it.ttl(it.age(late)));
            prop_assert_eq!(it.is_fresh(it.age(early)), it.ttl(it.age(early)) > 0);
        }
    }
}
