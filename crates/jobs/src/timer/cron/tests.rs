use jiff::{Timestamp, ToSpan, Zoned};
use proptest::prelude::*;

use super::*;

fn at(text: &str) -> Moment {
    let zoned: Zoned = text.parse().unwrap();
    Moment::from_micros(zoned.timestamp().as_microsecond())
}

fn shown(moment: Moment, zone: &str) -> String {
    let timestamp = Timestamp::from_microsecond(moment.as_micros()).unwrap();
    timestamp.in_tz(zone).unwrap().strftime("%Y-%m-%d %H:%M:%S %:z").to_string()
}

/// So many times from a moment on.
fn times(cron: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
    let cron = Cron::parse(cron, zone).unwrap();
    let mut at = at(&format!("{from}[{zone}]"));
    let mut times = Vec::new();
    for _ in 0..count {
        at = cron.after(at).unwrap();
        times.push(shown(at, zone));
    }
    times
}

#[test]
fn times_of_each_kind_of_field() {
    let next = |cron: &str| times(cron, "UTC", "2026-11-26T09:05:14", 1).remove(0);
    for (cron, time) in [
        ("* * * * *", "2026-11-26 09:06:00"),
        ("* * * * * *", "2026-11-26 09:05:15"),
        ("*/20 * * * * ?", "2026-11-26 09:05:20"),
        ("5 9 * * *", "2026-11-27 09:05:00"),
        ("0 9-17/4 * * *", "2026-11-26 13:00:00"),
        ("50/5 * * * *", "2026-11-26 09:50:00"),
        ("0 0 * * SUN", "2026-11-29 00:00:00"),
        ("0 0 * * 7", "2026-11-29 00:00:00"),
        ("0 0 * * 5-7", "2026-11-27 00:00:00"),
        ("0 0 1 Jan,Feb *", "2027-01-01 00:00:00"),
        ("0 0 L * *", "2026-11-30 00:00:00"),
        ("0 0 1,L * *", "2026-11-30 00:00:00"),
        ("0 0 29 2 *", "2028-02-29 00:00:00"),
        // Either is enough.
        ("0 0 1 * mon", "2026-11-30 00:00:00"),
        ("0 0 1 * *", "2026-12-01 00:00:00"),
        // A weekday on a step of `*` is both.
        ("0 0 */2 * mon", "2026-12-07 00:00:00"),
        ("@hourly", "2026-11-26 10:00:00"),
        ("@daily", "2026-11-27 00:00:00"),
        ("@weekly", "2026-11-29 00:00:00"),
        ("@monthly", "2026-12-01 00:00:00"),
        ("@yearly", "2027-01-01 00:00:00"),
    ] {
        assert_eq!(next(cron), format!("{time} +00:00"), "{cron}");
    }
}

#[test]
fn what_says_nothing_is_refused_with_a_reason() {
    let refused = |cron: &str| Cron::parse(cron, "UTC").unwrap_err().to_string();
    assert!(refused("* * * *").starts_with("`* * * *` has not 5 or 6 fields"));
    assert_eq!(refused("60 * * * *"), "`60` is no minute: numbers are 0 to 59");
    assert_eq!(refused("0 0 31 2 *"), "`0 0 31 2 *` never happens");
    assert_eq!(
        Cron::parse("@daily", "Mars/Base").unwrap_err(),
        CronError::Zone("Mars/Base".to_owned())
    );
    for cron in [
        "",
        "a * * * *",
        "5-1 * * * *",
        "*/0 * * * *",
        "1,,2 * * * *",
        "-1 * * * *",
        "+1 * * * *",
        "1-2-3 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * * 13 *",
        "* * * * 8",
        "* * * * fri-mon",
        "*/99999999999 * * * *",
        "@never",
        "1/ * * * *",
        "L * * * *",
    ] {
        assert!(Cron::parse(cron, "UTC").is_err(), "{cron}");
    }
}

#[test]
fn a_named_hour_that_the_clock_skips_happens_when_it_has() {
    // 2026-03-29, Berlin: 02:00 becomes 03:00.
    assert_eq!(
        times("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00", 2),
        ["2026-03-29 03:00:00 +02:00", "2026-03-30 02:30:00 +02:00"]
    );
    // Two that are skipped are one: a timetable has no two times at once.
    assert_eq!(
        times("10,30 2,3 * * *", "Europe/Berlin", "2026-03-29T01:00:00", 3),
        ["2026-03-29 03:00:00 +02:00", "2026-03-29 03:10:00 +02:00", "2026-03-29 03:30:00 +02:00"]
    );
}

#[test]
fn a_named_hour_that_the_clock_shows_twice_happens_once() {
    // 2026-10-25, Berlin: 03:00 becomes 02:00.
    assert_eq!(
        times("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00", 2),
        ["2026-10-25 02:30:00 +02:00", "2026-10-26 02:30:00 +01:00"]
    );
}

#[test]
fn every_hour_goes_by_the_wall() {
    assert_eq!(
        times("*/30 * * * *", "Europe/Berlin", "2026-03-29T01:15:00", 3),
        ["2026-03-29 01:30:00 +01:00", "2026-03-29 03:00:00 +02:00", "2026-03-29 03:30:00 +02:00"]
    );
    assert_eq!(
        times("30 * * * *", "Europe/Berlin", "2026-10-25T01:45:00", 3),
        ["2026-10-25 02:30:00 +02:00", "2026-10-25 02:30:00 +01:00", "2026-10-25 03:30:00 +01:00"]
    );
    // Half an hour, at 02:00, in Lord Howe; a whole day that Samoa skipped.
    assert_eq!(
        times("0 */2 * * *", "Australia/Lord_Howe", "2026-04-05T00:30:00", 1),
        ["2026-04-05 02:00:00 +10:30"]
    );
    assert_eq!(
        times("0 12 * * *", "Pacific/Apia", "2011-12-29T12:00:00", 2),
        ["2011-12-31 00:00:00 +14:00", "2011-12-31 12:00:00 +14:00"]
    );
}

#[test]
fn the_latest_time_is_found_from_far_away() {
    let cron = Cron::parse("*/10 * * * * *", "UTC").unwrap();
    let (since, until) = (at("2020-01-01T00:00:00[UTC]"), at("2026-11-26T09:05:14[UTC]"));
    assert_eq!(cron.latest(since, until), Some(at("2026-11-26T09:05:10[UTC]")));
    let cron = Cron::parse("@yearly", "UTC").unwrap();
    assert_eq!(cron.latest(since, until), Some(at("2026-01-01T00:00:00[UTC]")));
    assert_eq!(cron.latest(at("2026-01-01T00:00:00[UTC]"), until), None);
}

/// Second by second, as the documentation says it.
fn brute_force(cron: &Cron, after: Moment, most: i64) -> Option<Moment> {
    let fields = &cron.fields;
    let has = |set: u64, value: i8| set >> value & 1 == 1;
    let shows = |civil: jiff::civil::DateTime| {
        let is_day = has(fields.days, civil.day())
            || fields.is_last_day && civil.day() == civil.days_in_month();
        let is_weekday = has(fields.weekdays, civil.weekday().to_sunday_zero_offset());
        has(fields.months, civil.month())
            && if fields.is_either_day { is_day || is_weekday } else { is_day && is_weekday }
            && has(fields.hours, civil.hour())
            && has(fields.minutes, civil.minute())
            && has(fields.seconds, civil.second())
    };
    let start = Timestamp::from_microsecond(after.as_micros()).unwrap();
    let mut before = cron.zone.to_datetime(start);
    // The latest that the wall has shown: what is not later was shown before.
    let mut latest = (-7200..=0)
        .map(|back: i64| cron.zone.to_datetime(start.checked_add(back.seconds()).unwrap()))
        .max()
        .unwrap();
    for ahead in 1..=most {
        let now = start.checked_add(ahead.seconds()).unwrap();
        let civil = cron.zone.to_datetime(now);
        let mut fires = shows(civil) && (fields.is_every_hour || civil > latest);
        if !fields.is_every_hour {
            let mut skipped = before.checked_add(1.second()).unwrap();
            while skipped < civil {
                fires |= shows(skipped) && skipped > latest;
                skipped = skipped.checked_add(1.second()).unwrap();
            }
        }
        if fires {
            return Some(Moment::from_micros(now.as_microsecond()));
        }
        before = civil;
        latest = latest.max(civil);
    }
    None
}

fn field(most: u32) -> impl Strategy<Value = String> {
    prop_oneof![
        Just("*".to_owned()),
        (0..most).prop_map(|value| value.to_string()),
        (1..most).prop_map(|step| format!("*/{step}")),
        (0..most, 0..most).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
        (0..most, 0..most).prop_map(|(a, b)| format!("{a},{b}")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn it_is_what_brute_force_finds(
        seconds in prop_oneof![Just("0".to_owned()), field(60)],
        minutes in field(60),
        hours in field(24),
        weekday in prop_oneof![4 => Just("*".to_owned()), 1 => field(7)],
        // Around changes of the clock in both directions, and elsewhere.
        near in prop_oneof![
            Just("2026-03-29T00:40:00[Europe/Berlin]"), Just("2026-10-25T00:40:00[Europe/Berlin]"),
            Just("2026-04-05T00:40:00[Australia/Lord_Howe]"), Just("2026-10-04T00:40:00[Australia/Lord_Howe]"),
            Just("2026-11-01T00:10:00[America/New_York]"), Just("2024-02-29T23:00:00[UTC]"),
        ],
        offset in 0_u64..8_000,
    ) {
        let zone = near.split(['[', ']']).nth(1).unwrap();
        let cron = Cron::parse(&format!("{seconds} {minutes} {hours} * * {weekday}"), zone).unwrap();
        let from = at(near).after(std::time::Duration::from_secs(offset));
        let expected = brute_force(&cron, from, 20_000);
        let found = cron.after(from).filter(|at| at.since(from).as_secs() <= 20_000);
        prop_assert_eq!(found, expected, "{:?} from {}", cron.fields, shown(from, zone));
    }

    #[test]
    fn parsing_never_panics(text in "[-*/,?Lmonjan0-9 ]{0,30}") {
        drop(Cron::parse(&text, "UTC"));
    }
}
