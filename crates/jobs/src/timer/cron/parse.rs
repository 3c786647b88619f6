//! The text of a timetable.

use super::{CronError, Fields};

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// What a field may hold.
struct Kind {
    name: &'static str,
    expected: &'static str,
    first: u32,
    last: u32,
    /// Names of values from `first` on.
    names: &'static [&'static str],
}

const fn kind(name: &'static str, expected: &'static str, first: u32, last: u32) -> Kind {
    Kind { name, expected, first, last, names: &[] }
}

const SECOND: Kind = kind("second", "numbers are 0 to 59", 0, 59);
const MINUTE: Kind = kind("minute", "numbers are 0 to 59", 0, 59);
const HOUR: Kind = kind("hour", "numbers are 0 to 23", 0, 23);
const DAY: Kind = kind("day of the month", "numbers are 1 to 31, `L` is the last", 1, 31);
const MONTH: Kind =
    Kind { names: &MONTHS, ..kind("month", "numbers are 1 to 12, names `jan` to `dec`", 1, 12) };
const WEEKDAY: Kind = Kind {
    names: &WEEKDAYS,
    ..kind("weekday", "numbers are 0 to 7, both Sunday, names `sun` to `sat`", 0, 7)
};

pub(super) fn fields(text: &str) -> Result<Fields, CronError> {
    let text = text.trim();
    let long = match text {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        _ => text,
    };
    let fields: Vec<&str> = long.split_ascii_whitespace().collect();
    let (second, minute, hour, day, month, weekday) = match fields[..] {
        [minute, hour, day, month, weekday] => ("0", minute, hour, day, month, weekday),
        [second, minute, hour, day, month, weekday] => (second, minute, hour, day, month, weekday),
        _ => return Err(CronError::Count(text.to_owned())),
    };
    let is_last_day = day.split(',').any(|it| it.eq_ignore_ascii_case("l"));
    let days: Vec<&str> = day.split(',').filter(|it| !it.eq_ignore_ascii_case("l")).collect();
    let days = if days.is_empty() { 0 } else { set(&DAY, &days.join(","))? };
    let weekdays = set(&WEEKDAY, weekday)?;
    Ok(Fields {
        seconds: set(&SECOND, second)?,
        minutes: set(&MINUTE, minute)?,
        hours: set(&HOUR, hour)?,
        days,
        months: set(&MONTH, month)?,
        // 7 is Sunday too.
        weekdays: (weekdays | weekdays >> 7) & 0x7f,
        is_last_day,
        is_either_day: !is_any(day) && !is_any(weekday),
        is_every_hour: is_any(hour),
    })
}

fn is_any(field: &str) -> bool {
    field.starts_with(['*', '?'])
}

fn set(kind: &Kind, field: &str) -> Result<u64, CronError> {
    field.split(',').try_fold(0, |set, part| {
        let part = bits(kind, part).ok_or_else(|| CronError::Field {
            field: kind.name,
            found: field.to_owned(),
            expected: kind.expected,
        })?;
        Ok(set | part)
    })
}

fn bits(kind: &Kind, part: &str) -> Option<u64> {
    let (range, step) = match part.split_once('/') {
        Some((range, step)) => (range, Some(step.parse::<u32>().ok().filter(|step| *step > 0)?)),
        None => (part, None),
    };
    let (first, last) = match range {
        "*" | "?" => (kind.first, kind.last),
        _ => {
            let (first, last) = range.split_once('-').unzip();
            let first = value(kind, first.unwrap_or(range))?;
            // `5/15` goes on to the end.
            let alone = if step.is_some() { kind.last } else { first };
            (first, last.map_or(Some(alone), |last| value(kind, last))?)
        }
    };
    if first > last {
        return None;
    }
    let step = usize::try_from(step.unwrap_or(1)).ok()?;
    Some((first..=last).step_by(step).fold(0, |bits, value| bits | 1 << value))
}

fn value(kind: &Kind, text: &str) -> Option<u32> {
    let named = kind.names.iter().position(|name| name.eq_ignore_ascii_case(text));
    if let Some(at) = named {
        return Some(kind.first + u32::try_from(at).ok()?);
    }
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let value = text.parse().ok().filter(|_| is_number)?;
    (kind.first..=kind.last).contains(&value).then_some(value)
}
