//! Metrics as Prometheus means them, families of samples, and its text exposition format, version 0.0.4. Other
//! exporters read the same families, so that all say the same.

use std::fmt::Write;
use std::time::Duration;

use crate::histogram::{Histogram, Reading};

/// Bounds of the latency buckets that are shown, in microseconds.
pub const BOUNDS_US: [u64; 14] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000,
    5_000_000, 30_000_000,
];

/// A page of metrics under construction.
#[derive(Debug, Default)]
pub struct Page {
    families: Vec<Family>,
}

/// Samples of one name.
#[derive(Debug, Clone)]
pub struct Family {
    /// Name.
    pub name: String,
    /// `counter`, `gauge` or `histogram`.
    pub kind: String,
    /// What it counts, in a sentence.
    pub help: String,
    /// Its samples.
    pub samples: Vec<Sample>,
}

/// One of a family.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Names and values.
    pub labels: Vec<(String, String)>,
    /// What was read.
    pub value: Value,
}

/// What was read.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A count or a level.
    Whole(i128),
    /// A number that is not whole.
    Real(f64),
    /// Durations.
    Histogram(Reading),
}

macro_rules! whole {
    ($($kind:ty)*) => {$(
        impl From<$kind> for Value {
            fn from(number: $kind) -> Value {
                // Every whole number that is counted here fits.
                Value::Whole(i128::try_from(number).unwrap_or(i128::MAX))
            }
        }
    )*};
}

whole!(u8 u16 u32 u64 usize i32 i64);

impl From<f64> for Value {
    fn from(number: f64) -> Value {
        Value::Real(number)
    }
}

impl Page {
    /// Starts a family: `kind` is `counter`, `gauge` or `histogram`.
    pub fn family(&mut self, name: &str, kind: &str, help: &str) {
        let (name, kind, help) = (name.to_owned(), kind.to_owned(), help.to_owned());
        self.families.push(Family { name, kind, help, samples: Vec::new() });
    }

    /// One sample of the family that was started last, which `name` repeats; `labels` are name and value pairs.
    pub fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Into<Value>) {
        let Some(family) = self.families.last_mut() else { return };
        debug_assert_eq!(family.name, name, "a sample stands under its own family");
        let labels = labels.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        family.samples.push(Sample { labels: labels.collect(), value: value.into() });
    }

    /// All samples of a histogram, in seconds.
    pub fn histogram(&mut self, name: &str, labels: &[(&str, &str)], histogram: &Histogram) {
        self.sample(name, labels, Value::Histogram(histogram.reading()));
    }

    /// The families, for another form.
    pub fn families(self) -> Vec<Family> {
        self.families
    }

    /// The finished page as text.
    pub fn finish(self) -> String {
        let mut text = String::new();
        for family in &self.families {
            write_family(&mut text, family).expect("writing to a string cannot fail");
        }
        text
    }
}

fn write_family(text: &mut String, family: &Family) -> std::fmt::Result {
    let Family { name, kind, help, samples } = family;
    writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}")?;
    for Sample { labels, value } in samples {
        let reading = match value {
            Value::Whole(number) => {
                write_name(text, name, "", labels, None);
                writeln!(text, " {number}")?;
                continue;
            }
            Value::Real(number) => {
                write_name(text, name, "", labels, None);
                writeln!(text, " {number}")?;
                continue;
            }
            Value::Histogram(reading) => reading,
        };
        for us in BOUNDS_US {
            let bound = Duration::from_micros(us);
            write_name(text, name, "_bucket", labels, Some(&bound.as_secs_f64().to_string()));
            writeln!(text, " {}", reading.at_most(bound))?;
        }
        write_name(text, name, "_bucket", labels, Some("+Inf"));
        writeln!(text, " {}", reading.count())?;
        write_name(text, name, "_sum", labels, None);
        writeln!(text, " {}", reading.sum().as_secs_f64())?;
        write_name(text, name, "_count", labels, None);
        writeln!(text, " {}", reading.count())?;
    }
    Ok(())
}

fn write_name(
    text: &mut String,
    name: &str,
    end: &str,
    labels: &[(String, String)],
    bound: Option<&str>,
) {
    text.push_str(name);
    text.push_str(end);
    let all = labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let mut separator = '{';
    for (name, value) in all.chain(bound.map(|bound| ("le", bound))) {
        text.push(separator);
        text.push_str(name);
        text.push_str("=\"");
        for character in value.chars() {
            match character {
                '\\' => text.push_str("\\\\"),
                '"' => text.push_str("\\\""),
                '\n' => text.push_str("\\n"),
                other => text.push(other),
            }
        }
        text.push('"');
        separator = ',';
    }
    if separator == ',' {
        text.push('}');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_escape_their_label_values() {
        let mut page = Page::default();
        page.family("forebay_edge_requests_total", "counter", "Requests.");
        page.sample("forebay_edge_requests_total", &[("host", "a\"b\\c\nd")], 3);
        assert!(page.finish().ends_with("{host=\"a\\\"b\\\\c\\nd\"} 3\n"));
    }

    #[test]
    fn histogram_ends_with_sum_and_count() {
        let histogram = Histogram::default();
        histogram.record(Duration::from_millis(3));
        let mut page = Page::default();
        page.family("t_seconds", "histogram", "Time.");
        page.histogram("t_seconds", &[], &histogram);
        let text = page.finish();
        assert!(text.contains("t_seconds_bucket{le=\"0.0025\"} 0\n"), "{text}");
        assert!(text.contains("t_seconds_bucket{le=\"0.005\"} 1\n"), "{text}");
        assert!(text.ends_with("t_seconds_sum 0.003\nt_seconds_count 1\n"), "{text}");
    }
}
