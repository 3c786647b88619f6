//! When the next time is.

use jiff::civil::{Date, DateTime, Time, date};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp};

use super::Fields;
use crate::time::Moment;

/// The 29th of February is at most eight years away; some weekday with it, forty.
const MOST_YEARS: i16 = 41;

pub(super) fn after(fields: &Fields, zone: &TimeZone, moment: Moment) -> Option<Moment> {
    let after = Timestamp::from_microsecond(moment.as_micros()).ok()?;
    let next = if fields.is_every_hour {
        by_the_wall(fields, zone, after)
    } else {
        once_a_day(fields, zone, after)
    }?;
    Some(Moment::from_micros(next.as_microsecond()))
}

/// Looks back further and further: what fires often is found near, and what fires seldom has few times in
/// a long while.
pub(super) fn latest(
    fields: &Fields,
    zone: &TimeZone,
    since: Moment,
    until: Moment,
) -> Option<Moment> {
    const FIRST_LOOK: u64 = 60;
    let mut back = FIRST_LOOK;
    loop {
        let from = until.before(std::time::Duration::from_secs(back)).max(since);
        let mut latest = None;
        let mut next = after(fields, zone, from);
        while let Some(at) = next.filter(|at| *at <= until) {
            latest = Some(at);
            next = after(fields, zone, at);
        }
        if latest.is_some() || from <= since {
            return latest;
        }
        back = back.saturating_mul(4);
    }
}

/// Hours of `*`: every instant at which the wall shows one of the times. Within a stretch without a change
/// of the offset, civil and absolute time differ by a constant.
fn by_the_wall(fields: &Fields, zone: &TimeZone, after: Timestamp) -> Option<Timestamp> {
    let mut from = after;
    let mut may_be_from = false;
    for _ in 0..400 {
        let offset = zone.to_offset(from);
        let change = zone.following(from).next().map(|change| change.timestamp());
        let start = offset.to_datetime(from);
        let found =
            if may_be_from { at_or_after(fields, start) } else { civil_after(fields, start) };
        let found = found.and_then(|civil| offset.to_timestamp(civil).ok());
        match (found, change) {
            (Some(found), Some(change)) if found >= change => from = change,
            (Some(found), _) => return Some(found),
            (None, Some(change)) => from = change,
            (None, None) => return None,
        }
        // The wall shows the first second after the change anew.
        may_be_from = true;
    }
    None
}

/// Named hours: every time of the calendar once.
fn once_a_day(fields: &Fields, zone: &TimeZone, after: Timestamp) -> Option<Timestamp> {
    let mut civil = zone.to_datetime(after);
    loop {
        civil = civil_after(fields, civil)?;
        let instant = instant(zone, civil)?;
        if instant > after {
            return Some(instant);
        }
    }
}

/// The instant of a civil time: the first of two; of one that is skipped, the change that skips it.
fn instant(zone: &TimeZone, civil: DateTime) -> Option<Timestamp> {
    let ambiguous = zone.to_ambiguous_timestamp(civil);
    match ambiguous.offset() {
        AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(civil).ok(),
        AmbiguousOffset::Fold { before, .. } => before.to_timestamp(civil).ok(),
        AmbiguousOffset::Gap { before, .. } => {
            let within = before.to_timestamp(civil).ok()?;
            let upto = within.checked_add(SignedDuration::from_nanos(1)).ok()?;
            zone.preceding(upto).next().map(|change| change.timestamp())
        }
    }
}

fn at_or_after(fields: &Fields, civil: DateTime) -> Option<DateTime> {
    if civil.subsec_nanosecond() == 0 && is_one(fields, civil) {
        return Some(civil);
    }
    civil_after(fields, civil)
}

fn is_one(fields: &Fields, civil: DateTime) -> bool {
    is_day(fields, civil.date())
        && has(fields.hours, civil.hour())
        && has(fields.minutes, civil.minute())
        && has(fields.seconds, civil.second())
}

/// The first time of the calendar after this one, whatever clocks do.
fn civil_after(fields: &Fields, after: DateTime) -> Option<DateTime> {
    let today = after.date();
    if is_day(fields, today)
        && let Some(time) = time_after(fields, after.time())
    {
        return Some(today.to_datetime(time));
    }
    let first = Time::constant(
        lowest(fields.hours, 0)?,
        lowest(fields.minutes, 0)?,
        lowest(fields.seconds, 0)?,
        0,
    );
    let mut day = today.tomorrow().ok()?;
    while day.year() - today.year() <= MOST_YEARS {
        if !has(fields.months, day.month()) {
            day = next_month(day)?;
            continue;
        }
        if is_day(fields, day) {
            return Some(day.to_datetime(first));
        }
        day = day.tomorrow().ok()?;
    }
    None
}

fn next_month(day: Date) -> Option<Date> {
    match day.month() {
        12 => Date::new(day.year().checked_add(1)?, 1, 1).ok(),
        month => Some(date(day.year(), month + 1, 1)),
    }
}

/// The first time of a day after this one.
fn time_after(fields: &Fields, after: Time) -> Option<Time> {
    let (hour, minute) = (after.hour(), after.minute());
    if has(fields.hours, hour) {
        if has(fields.minutes, minute)
            && let Some(second) = lowest(fields.seconds, after.second() + 1)
        {
            return Some(Time::constant(hour, minute, second, 0));
        }
        if let Some(minute) = lowest(fields.minutes, minute + 1) {
            return Some(Time::constant(hour, minute, lowest(fields.seconds, 0)?, 0));
        }
    }
    let hour = lowest(fields.hours, hour + 1)?;
    Some(Time::constant(hour, lowest(fields.minutes, 0)?, lowest(fields.seconds, 0)?, 0))
}

fn is_day(fields: &Fields, day: Date) -> bool {
    let is_day =
        has(fields.days, day.day()) || fields.is_last_day && day.day() == day.days_in_month();
    let is_weekday = has(fields.weekdays, day.weekday().to_sunday_zero_offset());
    let is_one = if fields.is_either_day { is_day || is_weekday } else { is_day && is_weekday };
    has(fields.months, day.month()) && is_one
}

fn has(set: u64, value: i8) -> bool {
    set >> value & 1 == 1
}

/// The lowest value of a set from this one on.
fn lowest(set: u64, from: i8) -> Option<i8> {
    let rest = set.checked_shr(u32::try_from(from).ok()?)?;
    let ahead = i8::try_from(rest.trailing_zeros()).ok().filter(|_| rest != 0)?;
    Some(from + ahead)
}
