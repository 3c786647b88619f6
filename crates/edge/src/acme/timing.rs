//! When a certificate is renewed, and when what failed is tried again. Pure: time and chance are arguments.

use std::time::{Duration, SystemTime};

/// Pause after the first failure. Let's Encrypt allows five failed proofs of a name in an hour: with a pause
/// that doubles from here the sixth comes later than that.
const FIRST_PAUSE: Duration = Duration::from_secs(120);
/// Longest pause that we choose by ourselves: four attempts a day are enough to be there when it is mended.
const LONGEST_PAUSE: Duration = Duration::from_secs(6 * 3600);
/// Longest pause that an authority may ask for: the longest of the rates of Let's Encrypt is a week.
pub(super) const LONGEST_TOLD: Duration = Duration::from_secs(7 * 86_400);
/// Longest silence between attempts for different certificates.
const LONGEST_SILENCE: Duration = Duration::from_secs(60);
/// Bounds of the time between two questions when to renew (RFC 9773 §4.3.2).
const SOONEST_QUESTION: Duration = Duration::from_secs(60);
const LATEST_QUESTION: Duration = Duration::from_secs(86_400);

/// When an authority would like a certificate to be renewed (RFC 9773 §4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) start: SystemTime,
    pub(super) end: SystemTime,
}

/// A share of a whole, drawn once a certificate, so that not all of the world renews at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Draw(pub(super) u32);

impl Draw {
    fn of(self, whole: Duration) -> Duration {
        let share = whole.as_nanos() * u128::from(self.0) / u128::from(u32::MAX);
        Duration::from_nanos(u64::try_from(share).unwrap_or(u64::MAX))
    }
}

/// When to renew: somewhere within the window, or at about two thirds of the life. Never so late that the
/// certificate could end before the second attempt, whatever an authority says.
pub(super) fn renew_at(
    (begins, ends): (SystemTime, SystemTime),
    window: Option<Window>,
    draw: Draw,
) -> SystemTime {
    let life = ends.duration_since(begins).unwrap_or_default();
    match window {
        Some(Window { start, end }) => {
            let length = end.duration_since(start).unwrap_or_default();
            (start + draw.of(length)).min(begins + life / 10 * 9)
        }
        None => begins + life / 3 * 2 - draw.of(life / 20),
    }
}

/// Time until the authority is asked again when to renew.
pub(super) fn next_question(told: Duration) -> Duration {
    told.clamp(SOONEST_QUESTION, LATEST_QUESTION)
}

/// Pause after so many failures in a row, or longer if the authority says so.
pub(super) fn pause(failures: u32, told: Option<Duration>, draw: Draw) -> Duration {
    let doubled = failures.saturating_sub(1).min(16);
    let own = FIRST_PAUSE.saturating_mul(1 << doubled).min(LONGEST_PAUSE);
    let own = own + draw.of(own / 4);
    own.max(told.unwrap_or_default().min(LONGEST_TOLD))
}

/// Silence after so many failures in a row, of whatever certificates: a thousand that are due do not all run
/// against an authority that is away, or has had enough.
pub(super) fn silence(failures: u32) -> Duration {
    Duration::from_secs(1 << failures.saturating_sub(1).min(6)).min(LONGEST_SILENCE)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    proptest! {
        #[test]
        fn a_renewal_lies_in_the_window_and_before_the_last_tenth(
            begins in 0_u64..4_000_000_000, life in 10_u64..400_000_000,
            start in 0_u64..5_000_000_000, length in 0_u64..50_000_000, draw: u32,
        ) {
            let window = Window { start: at(start), end: at(start + length) };
            let lifetime = (at(begins), at(begins + life));
            let when = renew_at(lifetime, Some(window), Draw(draw));
            let latest = at(begins) + Duration::from_secs(life) / 10 * 9;
            prop_assert!(when <= latest && when < lifetime.1);
            prop_assert!(when == latest || (window.start..=window.end).contains(&when));
        }

        #[test]
        fn without_a_window_it_is_two_thirds_or_a_little_before(
            begins in 0_u64..4_000_000_000, life in 60_u64..400_000_000, draw: u32,
        ) {
            let length = Duration::from_secs(life);
            let when = renew_at((at(begins), at(begins + life)), None, Draw(draw));
            prop_assert!(when <= at(begins) + length / 3 * 2);
            prop_assert!(when >= at(begins) + length / 10 * 6);
        }

        #[test]
        fn a_pause_never_shrinks_and_is_never_shorter_than_told(
            failures in 1_u32..1_000, told in 0_u64..1_000_000, draw: u32, other: u32,
        ) {
            let told_time = Duration::from_secs(told);
            let one = pause(failures, Some(told_time), Draw(draw));
            prop_assert!(one >= FIRST_PAUSE && one <= LONGEST_TOLD);
            prop_assert!(one >= told_time.min(LONGEST_TOLD));
            // Chance may not make a later pause shorter than an earlier one, until the longest is reached.
            let next = pause(failures + 1, None, Draw(other));
            prop_assert!(next >= pause(failures, None, Draw(draw)).min(LONGEST_PAUSE));
        }

        #[test]
        fn a_question_comes_within_its_bounds(told in 0_u64..10_000_000) {
            let next = next_question(Duration::from_secs(told));
            prop_assert!((SOONEST_QUESTION..=LATEST_QUESTION).contains(&next));
        }
    }

    #[test]
    fn a_thousand_certificates_that_fail_ask_once_a_minute() {
        let asked: Duration = (1..1_000).map(silence).sum();
        assert!(asked > HOUR * 16, "{asked:?}");
        assert_eq!((silence(1), silence(2)), (Duration::from_secs(1), Duration::from_secs(2)));
        assert_eq!(silence(u32::MAX), LONGEST_SILENCE);
    }

    #[test]
    fn no_hour_sees_more_than_five_failures() {
        let mut tried = vec![Duration::ZERO];
        for failures in 1..40 {
            let last = tried.last().copied().unwrap_or_default();
            tried.push(last + pause(failures, None, Draw(0)));
        }
        for begin in &tried {
            let within = tried.iter().filter(|at| (*begin..*begin + HOUR).contains(*at)).count();
            assert!(within <= 5, "{within} attempts in the hour after {begin:?}");
        }
    }

    #[test]
    fn a_window_in_the_past_is_now_and_two_draws_are_two_times() {
        let lifetime = (at(1_000_000), at(2_000_000));
        let window = Window { start: at(5), end: at(6) };
        assert!(renew_at(lifetime, Some(window), Draw(7)) <= at(6));
        let window = Window { start: at(1_300_000), end: at(1_400_000) };
        let when = |draw| renew_at(lifetime, Some(window), Draw(draw));
        assert_eq!((when(0), when(u32::MAX)), (window.start, window.end));
        assert!(when(0) < when(1 << 30) && when(1 << 30) < when(u32::MAX));
    }
}
