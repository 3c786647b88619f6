//! The Prometheus text exposition format, version 0.0.4.

use std::fmt::{Display, Write};
use std::time::Duration;

use crate::histogram::Histogram;

/// Bounds of the latency buckets that are shown, in microseconds.
const BOUNDS_US: [u64; 14] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000,
    5_000_000, 30_000_000,
];

/// A page of metrics under construction.
#[derive(Debug, Default)]
pub struct Page {
    text: String,
}

impl Page {
    /// Starts a family: `kind` is `counter`, `gauge` or `histogram`.
    pub fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.push(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    /// One sample; `labels` are name and value pairs.
    pub fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.text.push_str(name);
        self.labels(labels, None);
        self.push(format_args!(" {value}\n"));
    }

    /// All samples of a histogram, in seconds.
    pub fn histogram(&mut self, name: &str, labels: &[(&str, &str)], histogram: &Histogram) {
        for us in BOUNDS_US {
            let bound = Duration::from_micros(us);
            self.push(format_args!("{name}_bucket"));
            self.labels(labels, Some(&bound.as_secs_f64().to_string()));
            self.push(format_args!(" {}\n", histogram.at_most(bound)));
        }
        let count = histogram.count();
        self.push(format_args!("{name}_bucket"));
        self.labels(labels, Some("+Inf"));
        self.push(format_args!(" {count}\n"));
        self.sample(&format!("{name}_sum"), labels, histogram.sum().as_secs_f64());
        self.sample(&format!("{name}_count"), labels, count);
    }

    /// The finished page.
    pub fn finish(self) -> String {
        self.text
    }

    fn labels(&mut self, labels: &[(&str, &str)], bound: Option<&str>) {
        let all = labels.iter().copied().chain(bound.map(|bound| ("le", bound)));
        let mut separator = '{';
        for (name, value) in all {
            self.text.push(separator);
            self.push(format_args!("{name}=\""));
            for character in value.chars() {
                match character {
                    '\\' => self.text.push_str("\\\\"),
                    '"' => self.text.push_str("\\\""),
                    '\n' => self.text.push_str("\\n"),
                    other => self.text.push(other),
                }
            }
            self.text.push('"');
            separator = ',';
        }
        if separator == ',' {
            self.text.push('}');
        }
    }

    fn push(&mut self, arguments: std::fmt::Arguments<'_>) {
        self.text.write_fmt(arguments).expect("writing to a string cannot fail");
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
        page.histogram("t_seconds", &[], &histogram);
        let text = page.finish();
        assert!(text.contains("t_seconds_bucket{le=\"0.0025\"} 0\n"), "{text}");
        assert!(text.contains("t_seconds_bucket{le=\"0.005\"} 1\n"), "{text}");
        assert!(text.ends_with("t_seconds_sum 0.003\nt_seconds_count 1\n"), "{text}");
    }
}
