//! Moments as the wire writes them: float seconds or integer milliseconds since 1970-01-01 UTC.
//!
//! Sidekiq up to 7 writes float seconds, Sidekiq 8 integer milliseconds, and each tells the two apart by the
//! syntax of the number. Float seconds are the only form that all of them read correctly, so that is what is
//! written unless a fleet of Sidekiq 8 alone is declared. Whatever was ever written is read: either of
//! these, float milliseconds of other engines, numbers in strings, ISO 8601.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use forebay_signals::clock;
use serde_json::Value;

/// Numbers from here on are milliseconds, whatever their syntax: as seconds they are in the year 5138.
const LEAST_MILLISECONDS: f64 = 1e11;
const MICROS_PER_SECOND: f64 = 1e6;

/// A moment, in microseconds since 1970-01-01 UTC.
///
/// ```
/// use forebay_jobs::time::{Form, Moment};
/// let moment = Moment::from_micros(1_795_436_293_752_779);
/// assert_eq!(moment.to_json(Form::FloatSeconds), "1795436293.752779");
/// assert_eq!(moment.to_json(Form::IntegerMilliseconds), "1795436293752");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment(i64);

/// How moments inside a payload are written.
///
/// ```
/// use forebay_jobs::time::{Form, Moment};
/// let moment = Moment::from_micros(1_795_435_768_882_283);
/// assert_eq!(moment.to_json(Form::default()), "1795435768.882283");
/// assert_eq!(moment.to_json(Form::IntegerMilliseconds), "1795435768882");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// `1795435768.8822832`: read correctly by Sidekiq 6, 7 and 8.
    #[default]
    FloatSeconds,
    /// `1795435768882`: read by Sidekiq 8 alone.
    IntegerMilliseconds,
}

impl Moment {
    /// So many microseconds after the epoch.
    ///
    /// ```
    /// use forebay_jobs::time::Moment;
    /// assert_eq!(Moment::from_micros(0), Moment::default());
    /// assert_eq!(Moment::from_micros(1_500_000).to_string(), "1.5");
    /// ```
    pub const fn from_micros(micros: i64) -> Moment {
        Moment(micros)
    }

    /// So many seconds after the epoch: the score of an entry in a sorted set. What is no number is the
    /// epoch; what is beyond all time is the end of it.
    ///
    /// ```
    /// use forebay_jobs::time::Moment;
    /// assert_eq!(Moment::from_score(1.5), Moment::from_micros(1_500_000));
    /// assert_eq!(Moment::from_score(f64::NAN), Moment::from_micros(0));
    /// ```
    #[expect(clippy::cast_possible_truncation, reason = "a cast from float saturates")]
    pub fn from_score(seconds: f64) -> Moment {
        Moment((seconds * MICROS_PER_SECOND).round() as i64)
    }

    /// Microseconds since the epoch.
    ///
    /// ```
    /// use forebay_jobs::time::Moment;
    /// assert_eq!(Moment::from_score(1.5).as_micros(), 1_500_000);
    /// ```
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Seconds since the epoch, exact to the microsecond for some centuries.
    ///
    /// ```
    /// use forebay_jobs::time::Moment;
    /// assert_eq!(Moment::from_micros(1_500_000).as_score(), 1.5);
    /// ```
    #[expect(clippy::cast_precision_loss, reason = "2^53 microseconds are 285 years")]
    pub fn as_score(self) -> f64 {
        self.0 as f64 / MICROS_PER_SECOND
    }

    /// The next moment that is `after` later. Beyond the end of time is its end.
    ///
    /// ```
    /// use std::time::Duration;
    /// use forebay_jobs::time::Moment;
    /// let moment = Moment::from_micros(0).after(Duration::from_secs(60));
    /// assert_eq!(moment.as_micros(), 60_000_000);
    /// ```
    #[must_use]
    pub fn after(self, after: Duration) -> Moment {
        let micros = i64::try_from(after.as_micros()).unwrap_or(i64::MAX);
        Moment(self.0.saturating_add(micros))
    }

    /// The moment that was `before` earlier.
    ///
    /// ```
    /// use std::time::Duration;
    /// use forebay_jobs::time::Moment;
    /// let moment = Moment::from_micros(60_000_000).before(Duration::from_secs(60));
    /// assert_eq!(moment, Moment::from_micros(0));
    /// ```
    #[must_use]
    pub fn before(self, before: Duration) -> Moment {
        let micros = i64::try_from(before.as_micros()).unwrap_or(i64::MAX);
        Moment(self.0.saturating_sub(micros))
    }

    /// How long it is since `earlier`; nothing if that is later.
    ///
    /// ```
    /// use std::time::Duration;
    /// use forebay_jobs::time::Moment;
    /// let (first, then) = (Moment::from_micros(0), Moment::from_micros(1_500_000));
    /// assert_eq!(then.since(first), Duration::from_millis(1_500));
    /// assert_eq!(first.since(then), Duration::ZERO);
    /// ```
    pub fn since(self, earlier: Moment) -> Duration {
        let micros = self.0.saturating_sub(earlier.0);
        Duration::from_micros(u64::try_from(micros).unwrap_or(0))
    }

    /// As a number of JSON. Float seconds always have a decimal point: without one they would be
    /// milliseconds to Sidekiq 8.
    ///
    /// ```
    /// use forebay_jobs::time::{Form, Moment};
    /// assert_eq!(Moment::from_micros(60_000_000).to_json(Form::FloatSeconds), "60.0");
    /// assert_eq!(Moment::from_micros(60_000_000).to_json(Form::IntegerMilliseconds), "60000");
    /// ```
    pub fn to_json(self, form: Form) -> String {
        match form {
            Form::FloatSeconds => self.to_string(),
            Form::IntegerMilliseconds => self.0.div_euclid(1_000).to_string(),
        }
    }

    /// Reads whatever a field such as `enqueued_at` has ever held; nothing if it says no time.
    ///
    /// ```
    /// use forebay_jobs::time::Moment;
    /// use serde_json::json;
    /// let moment = Moment::from_micros(1_795_435_768_500_000);
    /// assert_eq!(Moment::read(&json!(1795435768.5)), Some(moment));
    /// assert_eq!(Moment::read(&json!(1795435768500_u64)), Some(moment));
    /// assert_eq!(Moment::read(&json!(1795435768500.0)), Some(moment));
    /// assert_eq!(Moment::read(&json!("2026-11-23T12:09:28.5Z")), Some(moment));
    /// assert_eq!(Moment::read(&json!([])), None);
    /// ```
    pub fn read(value: &Value) -> Option<Moment> {
        match value {
            Value::Number(number) => number.as_f64().and_then(Moment::of_number),
            Value::String(text) => match text.trim().parse::<f64>() {
                Ok(number) => Moment::of_number(number),
                Err(_) => Moment::of_date(text.trim()),
            },
            _ => None,
        }
    }

    fn of_number(number: f64) -> Option<Moment> {
        if !number.is_finite() || number < 0.0 {
            return None;
        }
        let seconds = if number < LEAST_MILLISECONDS { number } else { number / 1_000.0 };
        Some(Moment::from_score(seconds))
    }

    fn of_date(text: &str) -> Option<Moment> {
        text.parse::<jiff::Timestamp>().ok().map(|at| Moment(at.as_microsecond()))
    }
}

/// Float seconds with six digits at most and one at least, as Ruby writes them.
impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let micros = self.0.unsigned_abs();
        let text = format!("{sign}{}.{:06}", micros / 1_000_000, micros % 1_000_000);
        let short = text.trim_end_matches('0');
        f.write_str(short)?;
        f.write_str(if short.ends_with('.') { "0" } else { "" })
    }
}

/// Where the time comes from: the wall, or a test that moves it.
///
/// ```
/// use std::time::Duration;
/// use forebay_jobs::time::{Clock, Moment};
/// let clock = Clock::manual(Moment::from_micros(0));
/// clock.advance(Duration::from_secs(60));
/// assert_eq!(clock.now(), Moment::from_micros(60_000_000));
/// ```
#[derive(Debug, Clone, Default)]
pub struct Clock(Option<Arc<AtomicI64>>);

impl Clock {
    /// The system's own.
    ///
    /// ```
    /// use forebay_jobs::time::{Clock, Moment};
    /// assert!(Clock::wall().now() > Moment::from_micros(1_700_000_000_000_000)); // 2023
    /// ```
    pub fn wall() -> Clock {
        Clock(None)
    }

    /// One that stands still until it is moved. Clones are the same clock.
    ///
    /// ```
    /// use forebay_jobs::time::{Clock, Moment};
    /// let clock = Clock::manual(Moment::from_micros(0));
    /// clock.clone().set(Moment::from_micros(7));
    /// assert_eq!(clock.now(), Moment::from_micros(7));
    /// ```
    pub fn manual(now: Moment) -> Clock {
        Clock(Some(Arc::new(AtomicI64::new(now.0))))
    }

    /// The time.
    ///
    /// ```
    /// use forebay_jobs::time::{Clock, Moment};
    /// let clock = Clock::manual(Moment::from_micros(7));
    /// assert_eq!(clock.now(), clock.now());
    /// ```
    pub fn now(&self) -> Moment {
        if let Some(manual) = &self.0 {
            return Moment(manual.load(Ordering::Acquire));
        }
        let since = clock::wall().duration_since(UNIX_EPOCH).unwrap_or_default();
        Moment(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }

    /// True if a test moves it.
    ///
    /// ```
    /// use forebay_jobs::time::{Clock, Moment};
    /// assert!(Clock::manual(Moment::default()).is_manual() && !Clock::default().is_manual());
    /// ```
    pub fn is_manual(&self) -> bool {
        self.0.is_some()
    }

    /// Moves a manual clock; the wall cannot be moved.
    ///
    /// ```
    /// use std::time::Duration;
    /// use forebay_jobs::time::{Clock, Moment};
    /// let clock = Clock::manual(Moment::from_micros(0));
    /// clock.advance(Duration::from_millis(5));
    /// assert_eq!(clock.now().as_micros(), 5_000);
    /// ```
    pub fn advance(&self, by: Duration) {
        if let Some(manual) = &self.0 {
            let micros = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
            manual.fetch_add(micros, Ordering::AcqRel);
        }
    }

    /// Sets a manual clock, backwards too; the wall cannot be set.
    ///
    /// ```
    /// use forebay_jobs::time::{Clock, Moment};
    /// let clock = Clock::manual(Moment::from_micros(9));
    /// clock.set(Moment::from_micros(3));
    /// assert_eq!(clock.now(), Moment::from_micros(3));
    /// ```
    pub fn set(&self, now: Moment) {
        if let Some(manual) = &self.0 {
            manual.store(now.0, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn float_seconds_always_have_a_point() {
        for (micros, text) in [
            (0, "0.0"),
            (1_000_000, "1.0"),
            (1_500_000, "1.5"),
            (1, "0.000001"),
            (-1_500_000, "-1.5"),
            (1_795_436_293_752_779, "1795436293.752779"),
        ] {
            assert_eq!(Moment(micros).to_string(), text);
        }
    }

    #[test]
    fn every_form_that_was_ever_written_is_read() {
        let at = Moment(1_795_436_380_373_000);
        for value in [
            json!(1_795_436_380.373),
            json!(1_795_436_380_373_u64),
            json!(1_795_436_380_373.0),
            json!("1795436380.373"),
            json!("1795436380373"),
            json!("2026-11-23T12:19:40.373Z"),
            json!("2026-11-23T13:19:40.373+01:00"),
        ] {
            assert_eq!(Moment::read(&value), Some(at), "{value}");
        }
        for value in
            [json!(null), json!(true), json!({}), json!(""), json!("soon"), json!(-1), json!("inf")]
        {
            assert_eq!(Moment::read(&value), None, "{value}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(micros in 0_i64..4_000_000_000_000_000) {
            let at = Moment(micros);
            let value: Value = serde_json::from_str(&at.to_json(Form::FloatSeconds)).unwrap();
            prop_assert!(value.is_f64(), "{value}");
            let back = Moment::read(&value).unwrap();
            prop_assert_eq!(back, at);
            prop_assert_eq!(Moment::from_score(at.as_score()), at);
        }
    }
}
