//! How old an answer is when it arrives (RFC 9111 §4.2.3). Computed once, when it is stored; from then
//! on its age grows by the monotonic clock, whatever the wall clock does.

use std::time::{Duration, Instant, SystemTime};

use http::header::{AGE, DATE, HeaderMap};

use super::dates::DateField;
use super::directives::{DELTA_MAX, delta_seconds, members};

/// When an answer came.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    /// When the request was sent.
    pub asked: Instant,
    /// When the head of the answer was complete.
    pub answered: Instant,
    /// Wall time at `answered`, to compare with `Date` and `Expires`.
    pub wall: SystemTime,
}

impl Arrival {
    /// When the origin says it made the answer; where it does not say so readably, when it came
    /// (RFC 9110 §6.6.1).
    pub fn made_at(&self, fields: &HeaderMap) -> SystemTime {
        DateField::of(fields, &DATE, self.wall).time().unwrap_or(self.wall)
    }
}

/// `corrected_initial_age`.
pub fn initial_age(fields: &HeaderMap, arrival: &Arrival) -> Duration {
    let made_at = arrival.made_at(fields);
    // `Date` has whole seconds: the part of a second it cuts off is not age.
    let apparent = arrival.wall.duration_since(made_at).unwrap_or_default().as_secs();
    let delay = arrival.answered.saturating_duration_since(arrival.asked);
    let corrected = Duration::from_secs(u64::from(age_value(fields))) + delay;
    corrected.max(Duration::from_secs(apparent))
}

/// What `Age` says, in seconds. §5.1 would take the first of several and ignore what is no number; both
/// make an answer younger than it may be. Here the largest counts, and what is no number is as old as
/// can be.
pub fn age_value(fields: &HeaderMap) -> u32 {
    fields
        .get_all(AGE)
        .iter()
        .flat_map(|line| members(line.as_bytes()))
        .map(|member| delta_seconds(member).unwrap_or(DELTA_MAX))
        .max()
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use http::HeaderValue;

    use super::*;

    fn arrival(delay: Duration) -> Arrival {
        let asked = forebay_signals::clock::now();
        let wall = UNIX_EPOCH + Duration::from_millis(1_767_225_600_700);
        Arrival { asked, answered: asked + delay, wall }
    }

    fn fields(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut fields = HeaderMap::new();
        for (name, value) in lines {
            fields.append(*name, HeaderValue::from_str(value).unwrap());
        }
        fields
    }

    #[test]
    fn odd_ages_are_the_oldest_reading() {
        let table: [(&[&str], u32); 10] = [
            (&[], 0),
            (&["12"], 12),
            (&["0", "7200"], 7200),
            (&["7200, 0"], 7200),
            (&["0,7200"], 7200),
            (&["-1"], DELTA_MAX),
            (&["7200.0"], DELTA_MAX),
            (&["abc"], DELTA_MAX),
            (&["99999999999999"], DELTA_MAX),
            (&[""], 0),
        ];
        for (lines, expected) in table {
            let lines: Vec<_> = lines.iter().map(|line| ("age", *line)).collect();
            assert_eq!(age_value(&fields(&lines)), expected, "{lines:?}");
        }
    }

    #[test]
    fn delay_counts_on_top_of_age_and_an_old_date_counts_instead() {
        let arrival = arrival(Duration::from_millis(1500));
        let age =
            |lines: &[(&'static str, &str)]| initial_age(&fields(lines), &arrival).as_millis();
        assert_eq!(age(&[("age", "10")]), 11_500);
        assert_eq!(age(&[("date", "Thu, 01 Jan 2026 00:00:00 GMT")]), 1500);
        assert_eq!(age(&[("date", "Wed, 31 Dec 2025 23:59:00 GMT"), ("age", "10")]), 60_000);
        assert_eq!(age(&[("date", "Fri, 02 Jan 2026 00:00:00 GMT")]), 1500, "a clock ahead");
        assert_eq!(age(&[("date", "yesterday")]), 1500);
    }
}
