//! Is a server well: a breaker fed by requests (passive) and a verdict fed by probes (active).
//!
//! Pure: times are milliseconds on the clock of [`since_start`], handed in. Everything is one word,
//! written without a lock, for all cores of the process.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use forebay_signals::clock;

/// Part of its share that a server is given at once: with less nothing would show that it is well.
const LEAST_SHARE: f64 = 0.1;

/// Where a breaker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Breaker {
    /// Requests pass.
    Closed,
    /// Nothing is asked.
    Open,
    /// The next request may try.
    HalfOpen,
}

/// Health of one server. The words are 0 when all is well.
#[derive(Debug, Default)]
pub(super) struct Health {
    failures: AtomicU32,
    /// While not 0, the breaker is open until then; whoever moves it on holds the trial.
    open_until_ms: AtomicU64,
    sick_since_ms: AtomicU64,
    /// Since when it is well, where that is worth knowing; 0 is since ever.
    well_since_ms: AtomicU64,
}

/// A change worth telling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// As before.
    None,
    /// The breaker opened.
    Opened,
    /// The breaker closed.
    Closed,
}

impl Health {
    /// Where the breaker stands.
    pub(super) fn breaker(&self, now_ms: u64) -> Breaker {
        match self.open_until_ms.load(Ordering::Relaxed) {
            0 => Breaker::Closed,
            until if now_ms >= until => Breaker::HalfOpen,
            _ => Breaker::Open,
        }
    }

    /// Asks for leave to send one request. Of those who meet a half-open breaker exactly one gets it;
    /// if that one never reports, the next gets it `open_for` later.
    pub(super) fn may_send(&self, now_ms: u64, open_for: Duration) -> bool {
        let until = self.open_until_ms.load(Ordering::Relaxed);
        if until == 0 {
            return true;
        }
        now_ms >= until
            && self
                .open_until_ms
                .compare_exchange(
                    until,
                    now_ms + ms(open_for),
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                )
                .is_ok()
    }

    /// A request was answered.
    pub(super) fn succeeded(&self) -> Change {
        // Reads first: the healthy case writes nothing that other cores read.
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
        if self.open_until_ms.load(Ordering::Relaxed) == 0 {
            return Change::None;
        }
        match self.open_until_ms.swap(0, Ordering::Relaxed) {
            0 => Change::None,
            _ => Change::Closed,
        }
    }

    /// A request failed; `limit` failures in a row open the breaker for `open_for`.
    pub(super) fn failed(&self, now_ms: u64, limit: u32, open_for: Duration) -> Change {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if failures < limit.max(1) {
            return Change::None;
        }
        match self.open_until_ms.swap(now_ms + ms(open_for), Ordering::Relaxed) {
            0 => Change::Opened,
            _ => Change::None,
        }
    }

    /// It became well, or is new: its share grows from here on.
    pub(super) fn warm_up(&self, now_ms: u64) {
        self.well_since_ms.store(now_ms.max(1), Ordering::Relaxed);
    }

    /// What part of its share it is given, `LEAST_SHARE` at first and 1 in the end.
    pub(super) fn warmth(&self, now_ms: u64, slow_start: Duration) -> f64 {
        let since = self.well_since_ms.load(Ordering::Relaxed);
        if since == 0 {
            return 1.0;
        }
        let for_ms = Duration::from_millis(now_ms.saturating_sub(since));
        (for_ms.as_secs_f64() / slow_start.as_secs_f64().max(0.001)).clamp(LEAST_SHARE, 1.0)
    }

    /// True while probes say so.
    pub(super) fn is_sick(&self) -> bool {
        self.sick_since_ms.load(Ordering::Relaxed) != 0
    }

    /// Since when probes say so; `None` while well.
    pub(super) fn sick_since_ms(&self) -> Option<u64> {
        Some(self.sick_since_ms.load(Ordering::Relaxed)).filter(|since| *since != 0)
    }

    /// Probes say it is sick.
    pub(super) fn fall(&self, now_ms: u64) {
        self.sick_since_ms.store(now_ms.max(1), Ordering::Relaxed);
    }

    /// Probes say it is well; that closes the breaker too, so that it need not wait for a trial.
    pub(super) fn rise(&self) {
        self.sick_since_ms.store(0, Ordering::Relaxed);
        self.succeeded();
    }
}

/// Milliseconds on a clock that starts with the process and never shows 0.
pub(super) fn since_start(now: Instant) -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    let start = *START.get_or_init(clock::now);
    ms(now.saturating_duration_since(start)) + 1
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN_FOR: Duration = Duration::from_secs(5);

    #[test]
    fn a_breaker_opens_lets_one_try_and_closes() {
        let health = Health::default();
        assert_eq!(health.failed(1_000, 3, OPEN_FOR), Change::None);
        assert_eq!(health.failed(1_000, 3, OPEN_FOR), Change::None);
        assert!(health.may_send(1_000, OPEN_FOR));
        assert_eq!(health.failed(1_000, 3, OPEN_FOR), Change::Opened);
        assert_eq!(health.breaker(5_999), Breaker::Open);
        assert!(!health.may_send(5_999, OPEN_FOR));
        assert_eq!(health.breaker(6_000), Breaker::HalfOpen);
        assert!(health.may_send(6_000, OPEN_FOR), "the first gets the trial");
        assert!(!health.may_send(6_000, OPEN_FOR), "the second does not");
        assert_eq!(health.succeeded(), Change::Closed);
        assert_eq!(health.breaker(6_001), Breaker::Closed);
        assert_eq!(health.failed(6_002, 3, OPEN_FOR), Change::None, "counting begins anew");
    }

    #[test]
    fn a_failed_trial_opens_again_and_a_lost_one_passes_on() {
        let health = Health::default();
        health.failed(0, 1, OPEN_FOR);
        assert!(health.may_send(5_000, OPEN_FOR));
        assert_eq!(health.failed(5_100, 1, OPEN_FOR), Change::None);
        assert!(!health.may_send(10_099, OPEN_FOR));
        assert!(health.may_send(10_100, OPEN_FOR));
        assert!(health.may_send(15_100, OPEN_FOR), "the trial before never reported");
    }

    #[test]
    fn the_share_of_a_server_that_became_well_grows() {
        let (health, time) = (Health::default(), Duration::from_secs(10));
        let near = |now_ms, share: f64| (health.warmth(now_ms, time) - share).abs() < 1e-9;
        assert!(near(1_000, 1.0), "at the start nobody is colder than another");
        health.warm_up(1_000);
        assert!(near(1_000, 0.1) && near(2_000, 0.1) && near(6_000, 0.5), "it grows");
        assert!(near(11_000, 1.0) && near(999_000, 1.0), "to the whole");
    }

    #[test]
    fn success_between_failures_keeps_it_closed() {
        let health = Health::default();
        for _ in 0..10 {
            assert_eq!(health.failed(0, 2, OPEN_FOR), Change::None);
            assert_eq!(health.succeeded(), Change::None);
        }
    }
}
