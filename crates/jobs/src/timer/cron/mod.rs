//! Times that come again: `30 9 * * 1-5` and the like; pure. What is understood says [`Cron`].

mod next;
mod parse;
#[cfg(test)]
mod tests;

use jiff::tz::TimeZone;

use crate::time::Moment;

/// Times that come again, in a time zone.
///
/// Five fields, `minute hour day month weekday`, or six with seconds in front. A field is `*`, a number, a
/// range `1-5`, a list `1,3,5`, each with a step `/15`. Months and weekdays have names (`jan`, `mon`); Sunday is 0
/// and 7; `L` is the last day of the month; `?` is `*`. Where day and weekday are both given, either is enough, as
/// cron has always had it. `@yearly`, `@monthly`, `@weekly`, `@daily`, `@hourly` stand for what they say.
///
/// # When clocks are changed
/// - Hours that are `*` or `*/n` go by what the clock on the wall shows, all the time: what it skips does not
///   happen, what it shows twice happens twice. So `*/15 * * * *` fires every 15 minutes on such a day too.
/// - Hours that are named happen once a day: what the clock skips happens when it has, what it shows twice
///   happens the first time. So `30 2 * * *` fires each day once.
///
/// # Example
/// ```
/// use forebay_jobs::time::Moment;
/// use forebay_jobs::timer::Cron;
/// let cron = Cron::parse("30 9 * * mon-fri", "Europe/Berlin")?;
/// let saturday = Moment::from_micros(1_795_824_000_000_000); // 2026-11-28 01:00 in Berlin
/// let monday = Moment::from_micros(1_796_027_400_000_000); // 2026-11-30 09:30 there
/// assert_eq!(cron.after(saturday), Some(monday));
/// # Ok::<(), forebay_jobs::timer::CronError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cron {
    fields: Fields,
    zone: TimeZone,
}

/// Which values each field has: a bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fields {
    seconds: u64,
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    is_last_day: bool,
    /// Day and weekday both say something: either is enough.
    is_either_day: bool,
    /// Hours go by the wall, all the time.
    is_every_hour: bool,
}

/// What is wrong with a timetable.
///
/// ```
/// use forebay_jobs::timer::{Cron, CronError};
/// assert!(matches!(Cron::parse("0 3 30 2 *", "UTC"), Err(CronError::Never(_)))); // 30 February
/// assert!(matches!(Cron::parse("0 3 * * *", "Berlin"), Err(CronError::Zone(_))));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CronError {
    /// It has too few or too many fields.
    #[error(
        "`{0}` has not 5 or 6 fields: `minute hour day month weekday`, seconds before them if you like"
    )]
    Count(String),
    /// A field says nothing.
    #[error("`{found}` is no {field}: {expected}")]
    Field {
        /// Which.
        field: &'static str,
        /// What stands there.
        found: String,
        /// What may stand there.
        expected: &'static str,
    },
    /// There is no such day.
    #[error("`{0}` never happens")]
    Never(String),
    /// There is no such zone.
    #[error(
        "there is no time zone `{0}`: names are those of the IANA database, such as `Europe/Berlin`"
    )]
    Zone(String),
}

impl Cron {
    /// Reads a timetable. The zone is a name of the IANA database, or `UTC`.
    ///
    /// ```
    /// use forebay_jobs::timer::Cron;
    /// assert!(Cron::parse("*/15 9-17 * * mon-fri", "America/New_York").is_ok());
    /// assert!(Cron::parse("30 0 3 L * *", "UTC").is_ok()); // 03:00:30 on the last day of each month
    /// let error = Cron::parse("61 * * * *", "UTC").unwrap_err();
    /// assert!(error.to_string().starts_with("`61` is no minute"));
    /// ```
    ///
    /// # Errors
    /// It says nothing that could happen.
    pub fn parse(text: &str, zone: &str) -> Result<Cron, CronError> {
        let fields = parse::fields(text)?;
        let zone = TimeZone::get(zone).map_err(|_| CronError::Zone(zone.to_owned()))?;
        let cron = Cron { fields, zone };
        // Any start will do: the calendar repeats well within the years that are looked at.
        match cron.after(Moment::default()) {
            Some(_) => Ok(cron),
            None => Err(CronError::Never(text.to_owned())),
        }
    }

    /// The first time after this one. Nothing if it never comes again.
    ///
    /// ```
    /// use forebay_jobs::{time::Moment, timer::Cron};
    /// let cron = Cron::parse("*/10 * * * *", "UTC")?;
    /// let (zero, ten) = (Moment::from_micros(0), Moment::from_micros(600_000_000));
    /// assert_eq!(cron.after(zero), Some(ten)); // not 0 itself
    /// # Ok::<(), forebay_jobs::timer::CronError>(())
    /// ```
    pub fn after(&self, moment: Moment) -> Option<Moment> {
        next::after(&self.fields, &self.zone, moment)
    }

    /// The last time up to this one and after `since`.
    ///
    /// ```
    /// use forebay_jobs::{time::Moment, timer::Cron};
    /// let cron = Cron::parse("* * * * *", "UTC")?;
    /// let minute = |n: i64| Moment::from_micros(n * 60_000_000);
    /// assert_eq!(cron.latest(minute(0), minute(5)), Some(minute(5)));
    /// assert_eq!(cron.latest(minute(5), minute(5)), None);
    /// # Ok::<(), forebay_jobs::timer::CronError>(())
    /// ```
    pub fn latest(&self, since: Moment, until: Moment) -> Option<Moment> {
        next::latest(&self.fields, &self.zone, since, until)
    }
}
