//! Values of one kind each: durations, sizes, counts, texts, lists.

use std::path::PathBuf;
use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::problem::{Wrong, list};
use crate::config::origin::Factor;

/// A kind of value: how it is read, and how its default is written.
pub trait Setting: Sized {
    /// Reads it.
    ///
    /// # Errors
    /// It is of another kind, or says nothing that could be meant.
    fn read(value: &Spanned<DeValue<'_>>) -> Result<Self, Wrong>;
    /// Writes it as one would.
    fn show(&self) -> String;
}

/// A size; an integer is bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Size(pub(super) u64);

/// A time longer than nothing: what a deadline needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Positive(pub Duration);

/// A value or `"off"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OrOff<T>(pub(super) Option<T>);

/// Longest time that is accepted: more is a slip of the pen, and would not fit a clock.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 86_400);
const DURATION_HINT: &str =
    r#"write a whole number and a unit, such as "500ms", "10s", "5m", "1h" or "7d""#;
const SIZE_HINT: &str =
    r#"write bytes as a number, or a text such as "64KiB", "256MiB", "1GiB" or "16MB""#;

/// The value as it would be written, in one line.
pub fn written(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(truth) => truth.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Array(_) => "[…]".into(),
        DeValue::Table(_) => "{…}".into(),
    }
}

/// A text, or a complaint that names what was expected.
pub fn text<'v>(value: &'v Spanned<DeValue<'_>>, what: &str, hint: &str) -> Result<&'v str, Wrong> {
    let got = value.get_ref();
    let wrong = || Wrong::new(format!("is not {what}: `{}`", written(got))).hint(hint);
    got.as_str().ok_or_else(wrong).map_err(|wrong| wrong.at(value.span().start))
}

/// One of a few words.
pub fn word<T: Copy>(
    value: &Spanned<DeValue<'_>>,
    words: &[(&'static str, T)],
) -> Result<T, Wrong> {
    let got = written(value.get_ref());
    let known = words.iter().find(|(word, _)| value.get_ref().as_str() == Some(word));
    known.map(|(_, meaning)| *meaning).ok_or_else(|| {
        Wrong::new(format!("is not known: `{got}`"))
            .hint(format!("write one of {}", list(words.iter().map(|(word, _)| *word))))
    })
}

impl Setting for Duration {
    fn read(value: &Spanned<DeValue<'_>>) -> Result<Duration, Wrong> {
        let text = text(value, "a duration", DURATION_HINT)?;
        let wrong = |why: &str| Wrong::new(format!("{why}: `{text}`")).hint(DURATION_HINT);
        let (number, unit) = split(text);
        let number: u64 = number.parse().map_err(|_| wrong("is not a duration"))?;
        let time = match unit {
            "ms" => Some(Duration::from_millis(number)),
            "s" => Some(Duration::from_secs(number)),
            "m" => number.checked_mul(60).map(Duration::from_secs),
            "h" => number.checked_mul(3_600).map(Duration::from_secs),
            "d" => number.checked_mul(86_400).map(Duration::from_secs),
            _ => return Err(wrong("is not a duration")),
        };
        time.filter(|time| *time <= LONGEST).ok_or_else(|| wrong("is longer than ten years"))
    }

    fn show(&self) -> String {
        let (seconds, ms) = (self.as_secs(), self.as_millis());
        let text = match seconds {
            _ if ms % 1_000 != 0 => format!("{ms}ms"),
            0 => "0s".into(),
            _ if seconds.is_multiple_of(86_400) => format!("{}d", seconds / 86_400),
            _ if seconds.is_multiple_of(3_600) => format!("{}h", seconds / 3_600),
            _ if seconds.is_multiple_of(60) && seconds > 60 => format!("{}m", seconds / 60),
            _ => format!("{seconds}s"),
        };
        format!("\"{text}\"")
    }
}

impl Setting for Positive {
    fn read(value: &Spanned<DeValue<'_>>) -> Result<Positive, Wrong> {
        let time = Duration::read(value)?;
        if time.is_zero() {
            return Err(Wrong::new(format!("is no time at all: `{}`", written(value.get_ref())))
                .hint("everything would time out at once; write a longer one"));
        }
        Ok(Positive(time))
    }

    fn show(&self) -> String {
        self.0.show()
    }
}

impl Setting for Size {
    fn read(value: &Spanned<DeValue<'_>>) -> Result<Size, Wrong> {
        if let Some(bytes) = integer(value.get_ref()).and_then(|n| u64::try_from(n).ok()) {
            return Ok(Size(bytes));
        }
        let text = text(value, "a size", SIZE_HINT)?;
        let wrong = || Wrong::new(format!("is not a size: `{text}`")).hint(SIZE_HINT);
        let (number, unit) = split(text);
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let unit = match unit {
            "B" => 1,
            "kB" | "KB" => 1_000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => return Err(wrong()),
        };
        number.checked_mul(unit).map(Size).ok_or_else(wrong)
    }

    fn show(&self) -> String {
        match self.0 {
            n if n >= 1 << 30 && n.is_multiple_of(1 << 30) => format!("\"{}GiB\"", n >> 30),
            n if n >= 1 << 20 && n.is_multiple_of(1 << 20) => format!("\"{}MiB\"", n >> 20),
            n if n >= 1 << 10 && n.is_multiple_of(1 << 10) => format!("\"{}KiB\"", n >> 10),
            n => n.to_string(),
        }
    }
}

impl Setting for bool {
    fn read(value: &Spanned<DeValue<'_>>) -> Result<bool, Wrong> {
        value.get_ref().as_bool().ok_or_else(|| {
            Wrong::new(format!("is neither true nor false: `{}`", written(value.get_ref())))
                .hint("write `true` or `false`, without quotes")
        })
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Setting for Factor {
    fn read(value: &Spanned<DeValue<'_>>) -> Result<Factor, Wrong> {
        const HINT: &str = "write a number from 1.1 to 100, such as `2.0`";
        let got = written(value.get_ref());
        let wrong = || Wrong::new(format!("is no factor: `{got}`")).hint(HINT);
        let is_number = matches!(value.get_ref(), DeValue::Float(_) | DeValue::Integer(_));
        let number: f64 = got.parse().map_err(|_| wrong())?;
        // With 1 a single failure would be held against an origin for good.
        if is_number && (1.1..=100.0).contains(&number) { Ok(Factor(number)) } else { Err(wrong()) }
    }

    fn show(&self) -> String {
        format!("{:?}", self.0)
    }
}

macro_rules! whole_numbers {
    ($($number:ty),*) => { $(
        impl Setting for $number {
            fn read(value: &Spanned<DeValue<'_>>) -> Result<$number, Wrong> {
                let whole = integer(value.get_ref()).and_then(|n| <$number>::try_from(n).ok());
                whole.ok_or_else(|| {
                    Wrong::new(format!("is not a fitting whole number: `{}`", written(value.get_ref())))
                        .hint(format!("write a number from 0 to {}", <$number>::MAX))
                })
            }

            fn show(&self) -> String {
                self.to_string()
            }
        }
    )* };
}
whole_numbers!(u8, u16, u32, usize);

impl Setting for String {
    fn read(value: &Spanned<DeValue<'_>>) -> Result<String, Wrong> {
        text(value, "a text", "write it in double quotes").map(str::to_owned)
    }

    fn show(&self) -> String {
        format!("\"{self}\"")
    }
}

impl Setting for PathBuf {
    fn read(value: &Spanned<DeValue<'_>>) -> Result<PathBuf, Wrong> {
        let path = text(value, "a path", "write it in double quotes")?;
        if path.is_empty() {
            return Err(Wrong::new("is an empty path").hint("name a file"));
        }
        Ok(PathBuf::from(path))
    }

    fn show(&self) -> String {
        format!("\"{}\"", self.display())
    }
}

impl<T: Setting> Setting for Option<T> {
    fn read(value: &Spanned<DeValue<'_>>) -> Result<Option<T>, Wrong> {
        T::read(value).map(Some)
    }

    fn show(&self) -> String {
        self.as_ref().map_or_else(|| "none".into(), Setting::show)
    }
}

impl<T: Setting> Setting for OrOff<T> {
    fn read(value: &Spanned<DeValue<'_>>) -> Result<OrOff<T>, Wrong> {
        if value.get_ref().as_str() == Some("off") {
            return Ok(OrOff(None));
        }
        T::read(value).map(|value| OrOff(Some(value)))
    }

    fn show(&self) -> String {
        self.0.as_ref().map_or_else(|| "\"off\"".into(), Setting::show)
    }
}

impl<T: Setting> Setting for Vec<T> {
    fn read(value: &Spanned<DeValue<'_>>) -> Result<Vec<T>, Wrong> {
        let Some(items) = value.get_ref().as_array() else {
            return Err(Wrong::new(format!("is not a list: `{}`", written(value.get_ref())))
                .hint("write it in square brackets"));
        };
        let mut values = Vec::with_capacity(items.len());
        let mut wrongs = Vec::new();
        for item in items {
            match T::read(item) {
                Ok(value) => values.push(value),
                Err(wrong) => wrongs.push(wrong.at(item.span().start)),
            }
        }
        let mut wrongs = wrongs.into_iter();
        match wrongs.next() {
            None => Ok(values),
            Some(first) => Err(Wrong { more: wrongs.collect(), ..first }),
        }
    }

    fn show(&self) -> String {
        let items: Vec<String> = self.iter().map(Setting::show).collect();
        format!("[{}]", items.join(", "))
    }
}

fn integer(value: &DeValue<'_>) -> Option<i64> {
    let number = value.as_integer()?;
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}

/// `"10s"` is `("10", "s")`.
fn split(text: &str) -> (&str, &str) {
    let at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    (number, unit.trim_start())
}

/// A check that a number lies within bounds.
pub fn within<T: PartialOrd + std::fmt::Display + Copy>(
    least: T,
    most: T,
) -> impl Fn(&T) -> Result<(), Wrong> {
    move |value| {
        if (least..=most).contains(value) {
            return Ok(());
        }
        Err(Wrong::new(format!("is out of bounds: `{value}`"))
            .hint(format!("write a number from {least} to {most}")))
    }
}
