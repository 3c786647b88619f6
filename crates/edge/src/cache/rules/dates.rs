//! HTTP dates (RFC 9110 §5.6.7): three forms, and nothing else. What does not parse is no date; the
//! caller treats it as one that has passed.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::{HeaderMap, HeaderName};

/// The date in a field that must stand once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DateField {
    /// Not there.
    Absent,
    /// Unreadable, or there are several that differ.
    Invalid,
    /// A date.
    At(SystemTime),
}

impl DateField {
    /// Reads `name`; two lines are fine if they say the same.
    pub fn of(fields: &HeaderMap, name: &HeaderName, now: SystemTime) -> DateField {
        let mut lines = fields.get_all(name).iter();
        let Some(first) = lines.next() else { return DateField::Absent };
        if lines.any(|line| line != first) {
            return DateField::Invalid;
        }
        parse_date(first.as_bytes(), now).map_or(DateField::Invalid, DateField::At)
    }

    /// The date, if there is one.
    pub fn time(self) -> Option<SystemTime> {
        match self {
            DateField::At(time) => Some(time),
            DateField::Absent | DateField::Invalid => None,
        }
    }
}

/// Parses IMF-fixdate, RFC 850 and asctime dates. Names are read in any case, the zone is `GMT`
/// and nothing else, the day of the week is not checked against the date. `now` settles two-digit
/// years: what would lie more than 50 years ahead lies in the past.
pub fn parse_date(text: &[u8], now: SystemTime) -> Option<SystemTime> {
    let text = std::str::from_utf8(text).ok()?.trim_ascii();
    let parts = match text.split_once(',') {
        Some((weekday, rest)) => {
            let rest = rest.strip_prefix(' ')?;
            let form = if rest.as_bytes().get(2) == Some(&b'-') { rfc850 } else { imf_fixdate };
            form(weekday, rest, now)?
        }
        None => asctime(text)?,
    };
    parts.time()
}

struct Parts<'a> {
    day: &'a str,
    month: &'a str,
    year: u64,
    clock: &'a str,
}

/// Days of the week in two of the three forms.
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// `Sun, 06 Nov 1994 08:49:37 GMT`.
fn imf_fixdate<'a>(weekday: &str, rest: &'a str, _now: SystemTime) -> Option<Parts<'a>> {
    let mut words = rest.split(' ');
    let (day, month, year) = (words.next()?, words.next()?, words.next()?);
    let (clock, zone) = (words.next()?, words.next()?);
    let is_whole = words.next().is_none() && zone.eq_ignore_ascii_case("gmt") && day.len() == 2;
    let is_day = DAYS.iter().any(|name| name.eq_ignore_ascii_case(weekday));
    if !(is_whole && is_day && year.len() == 4) {
        return None;
    }
    Some(Parts { day, month, year: number(year)?, clock })
}

/// `Sunday, 06-Nov-94 08:49:37 GMT`.
fn rfc850<'a>(weekday: &str, rest: &'a str, now: SystemTime) -> Option<Parts<'a>> {
    const LONG_DAYS: [&str; 7] =
        ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    let mut words = rest.split(' ');
    let (date, clock, zone) = (words.next()?, words.next()?, words.next()?);
    let mut date = date.split('-');
    let (day, month, year) = (date.next()?, date.next()?, date.next()?);
    let is_whole = words.next().is_none() && date.next().is_none() && day.len() == 2;
    let is_day = LONG_DAYS.iter().any(|name| name.eq_ignore_ascii_case(weekday));
    if !(is_whole && is_day && zone.eq_ignore_ascii_case("gmt") && year.len() == 2) {
        return None;
    }
    let this_year = year_of(now);
    let mut year = this_year / 100 * 100 + number(year)?;
    if year > this_year + 50 {
        year -= 100;
    }
    Some(Parts { day, month, year, clock })
}

/// `Sun Nov  6 08:49:37 1994`.
fn asctime(text: &str) -> Option<Parts<'_>> {
    if text.len() != 24 || text.get(3..4)? != " " || text.get(7..8)? != " " {
        return None;
    }
    let (day, clock, year) = (text.get(8..10)?, text.get(11..19)?, text.get(20..24)?);
    let weekday = text.get(..3)?;
    if !DAYS.iter().any(|name| name.eq_ignore_ascii_case(weekday)) {
        return None;
    }
    if text.get(10..11)? != " " || text.get(19..20)? != " " {
        return None;
    }
    Some(Parts {
        day: day.strip_prefix(' ').unwrap_or(day),
        month: text.get(4..7)?,
        year: number(year)?,
        clock,
    })
}

impl Parts<'_> {
    fn time(&self) -> Option<SystemTime> {
        const MONTHS: [(&str, u64); 12] = [
            ("jan", 31),
            ("feb", 28),
            ("mar", 31),
            ("apr", 30),
            ("may", 31),
            ("jun", 30),
            ("jul", 31),
            ("aug", 31),
            ("sep", 30),
            ("oct", 31),
            ("nov", 30),
            ("dec", 31),
        ];
        let month = MONTHS.iter().position(|(name, _)| name.eq_ignore_ascii_case(self.month))?;
        let leap_day = u64::from(month == 1 && is_leap(self.year));
        let day = number(self.day)?;
        if self.year < 1970 || day == 0 || day > MONTHS.get(month)?.1 + leap_day {
            return None;
        }
        let before: u64 = MONTHS.iter().take(month).map(|(_, days)| days).sum();
        let passed_leap_day = u64::from(month > 1 && is_leap(self.year));
        let days = days_until(self.year) + before + passed_leap_day + day - 1;
        UNIX_EPOCH.checked_add(Duration::from_secs(days * 86_400 + seconds_of_day(self.clock)?))
    }
}

/// `08:49:37`; a leap second is the second before it.
fn seconds_of_day(clock: &str) -> Option<u64> {
    let bytes = clock.as_bytes();
    if bytes.len() != 8 || bytes.get(2) != Some(&b':') || bytes.get(5) != Some(&b':') {
        return None;
    }
    let (hour, minute) = (number(clock.get(..2)?)?, number(clock.get(3..5)?)?);
    let second = number(clock.get(6..)?)?;
    let is_valid = hour < 24 && minute < 60 && second <= 60;
    is_valid.then(|| hour * 3600 + minute * 60 + second.min(59))
}

/// Days from 1970-01-01 to the first of January of `year`.
fn days_until(year: u64) -> u64 {
    let leaps = |year: u64| year / 4 - year / 100 + year / 400;
    (year - 1970) * 365 + leaps(year - 1) - leaps(1969)
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn year_of(now: SystemTime) -> u64 {
    let days = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() / 86_400;
    let mut year = 1970 + days / 366;
    while year < 9999 && days_until(year + 1) <= days {
        year += 1;
    }
    year
}

fn number(digits: &str) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    /// 2026-01-01.
    const NOW: u64 = 1_767_225_600;

    fn parse(text: &str) -> Option<u64> {
        let time = parse_date(text.as_bytes(), at(NOW))?;
        Some(time.duration_since(UNIX_EPOCH).unwrap().as_secs())
    }

    #[test]
    fn three_forms_name_one_moment() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "SUN, 06 NOV 1994 08:49:37 gmt",
        ] {
            assert_eq!(parse(text), Some(784_111_777), "`{text}`");
        }
        assert_eq!(parse("Thu, 29 Feb 2024 00:00:60 GMT"), Some(1_709_164_859));
    }

    #[test]
    fn what_is_no_http_date_is_none() {
        for text in [
            "0",
            "-1",
            "",
            "now",
            "Thu, 18 Aug 2050 02:01:18 UTC",
            "Thu, 18 Aug 2050 02:01:18 +0200",
            "Thu, 18 Aug 2050 02:01:18 AEST",
            "Thu, 18 Aug 50 02:01:18 GMT",
            "Thu 18 Aug 2050 02:01:18 GMT",
            "Thu, 18  Aug  2050 02:01:18 GMT",
            "Thu, 18-Aug-2050 02:01:18 GMT",
            "Thu, 18 Aug 2050 02.01.18 GMT",
            "Thu, 18 Aug 2050 2:01:18 GMT",
            "Thu, 18 Aug 2050 24:01:18 GMT",
            "Thu, 31 Jun 2050 02:01:18 GMT",
            "Thu, 29 Feb 2023 02:01:18 GMT",
            "Thu, 18 Aug 2050 02:01:18 GMT, Thu, 18 Aug 2050 02:01:18 GMT",
            "Thu, 18 Aug +050 02:01:18 GMT",
            "Mon, 01 Jan 1900 00:00:00 GMT",
            "Xyz Nov  6 08:49:37 1994",
        ] {
            assert_eq!(parse(text), None, "`{text}`");
        }
    }

    #[test]
    fn two_digit_years_lie_at_most_fifty_years_ahead() {
        let year = |text: &str| parse(text).map(|seconds| year_of(at(seconds)));
        assert_eq!(year("Monday, 06-Jul-76 08:49:37 GMT"), Some(2076));
        assert_eq!(year("Monday, 06-Jul-77 08:49:37 GMT"), Some(1977));
        assert_eq!(year("Monday, 06-Jul-25 08:49:37 GMT"), Some(2025));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(text in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = parse_date(&text, at(NOW));
        }

        #[test]
        fn every_moment_is_read_back(seconds in 0u64..253_402_300_800) {
            let text = httpdate::fmt_http_date(at(seconds));
            prop_assert_eq!(parse(&text), Some(seconds));
        }
    }
}
