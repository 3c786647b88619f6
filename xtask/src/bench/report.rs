//! Figures, bars and the tables made of them.

use std::fmt::Write;

use super::machine::describe;
use super::servers::Kind;
use super::stage::Stage;
use super::{options::Depth, peers};

/// What a bar compares with.
#[derive(Debug, Clone, Copy)]
pub(super) enum Against {
    /// The lowest median of these servers in the same case.
    BestOf(&'static [Kind]),
    /// The figure itself, in its unit.
    Nothing,
}

/// What is to be reached.
#[derive(Debug, Clone, Copy)]
pub(super) enum Bar {
    AtMost {
        most: f64,
        against: Against,
    },
    AtLeast {
        least: f64,
    },
    /// So many times the highest median of these, by name, in the same case.
    Times {
        least: f64,
        of: &'static [&'static str],
    },
}

/// What one program did in one case.
pub(super) struct Figure {
    pub(super) case: &'static str,
    pub(super) work: &'static str,
    pub(super) who: &'static str,
    pub(super) unit: &'static str,
    pub(super) values: Vec<f64>,
    pub(super) detail: String,
}

/// All figures of a run.
pub(super) struct Report {
    heading: String,
    subject: &'static str,
    figures: Vec<Figure>,
    bars: Vec<(&'static str, Bar)>,
}

impl Figure {
    pub(super) fn new(
        case: &'static str,
        work: &'static str,
        kind: Kind,
        unit: &'static str,
        values: Vec<f64>,
    ) -> Figure {
        Figure::of(case, work, kind.name(), unit, values)
    }

    /// Of a program that is no server of the edge's benchmark.
    pub(super) fn of(
        case: &'static str,
        work: &'static str,
        who: &'static str,
        unit: &'static str,
        values: Vec<f64>,
    ) -> Figure {
        Figure { case, work, who, unit, values, detail: String::new() }
    }

    /// With a word beside it.
    pub(super) fn saying(mut self, detail: String) -> Figure {
        self.detail = detail;
        self
    }

    fn median(&self) -> f64 {
        median(self.values.clone())
    }
}

impl Report {
    pub(super) fn begin(stage: &Stage<'_>) -> Report {
        let options = stage.options;
        let look = if options.depth == Depth::Quick { " A quick look, not a result." } else { "" };
        let heading = format!(
            "{}. {}. Load of the machine before: {}. {} rounds of {} s, medians (least to most).{look}",
            describe(),
            peers::versions(),
            load_before(),
            options.rounds,
            options.seconds
        );
        Report::new(heading, options.subject.name())
    }

    /// A report on `subject`, that begins with this.
    pub(super) fn new(heading: String, subject: &'static str) -> Report {
        Report { heading, subject, figures: Vec::new(), bars: Vec::new() }
    }

    /// Adds a figure, and what it is measured by.
    pub(super) fn add(&mut self, figure: Figure, bars: &[Bar]) {
        note(&format!(
            "  {:<13} {} {} {}",
            figure.who,
            show(figure.median()),
            figure.unit,
            figure.detail
        ));
        self.bars.extend(bars.iter().map(|bar| (figure.case, *bar)));
        self.figures.push(figure);
    }

    /// Both tables.
    pub(super) fn markdown(&self) -> String {
        let name = self.subject;
        let mut text =
            format!("{}\n\n| work | bar | {name} | reached |\n|---|---|---|---|\n", self.heading);
        for (case, bar) in &self.bars {
            let Some(figure) = self.figure(case, self.subject) else { continue };
            let (wanted, got, is_reached) = self.judge(figure, *bar);
            let verdict = if is_reached { "yes" } else { "**no**" };
            line(&mut text, format_args!("| {} | {wanted} | {got} | {verdict} |", figure.work));
        }
        text += "\n| work | server | median (least to most) | |\n|---|---|---|---|\n";
        for figure in &self.figures {
            let least = figure.values.iter().copied().fold(f64::INFINITY, f64::min);
            let most = figure.values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            line(
                &mut text,
                format_args!(
                    "| {} | {} | {} ({} to {}) {} | {} |",
                    figure.work,
                    figure.who,
                    show(figure.median()),
                    show(least),
                    show(most),
                    figure.unit,
                    figure.detail
                ),
            );
        }
        text
    }

    /// An error that counts the bars that are not reached.
    pub(super) fn verdict(&self) -> Result<(), String> {
        let missed = self.bars.iter().filter(|(case, bar)| {
            self.figure(case, self.subject).is_some_and(|figure| !self.judge(figure, *bar).2)
        });
        match missed.count() {
            0 => Ok(()),
            missed => Err(format!("{missed} of {} bars are not reached", self.bars.len())),
        }
    }

    fn figure(&self, case: &str, who: &str) -> Option<&Figure> {
        self.figures.iter().find(|figure| figure.case == case && figure.who == who)
    }

    /// What was wanted, what was got, whether that is enough. What was not measured is not reached.
    fn judge(&self, figure: &Figure, bar: Bar) -> (String, String, bool) {
        let (median, unit) = (figure.median(), figure.unit);
        match bar {
            Bar::AtLeast { least } => {
                (format!("≥ {} {unit}", show(least)), show(median), median >= least)
            }
            Bar::Times { least, of } => {
                let best = of
                    .iter()
                    .filter_map(|who| self.figure(figure.case, who))
                    .max_by(|a, b| a.median().total_cmp(&b.median()));
                let name = best.map_or(of[0], |best| best.who);
                let ratio = best.map_or(f64::NAN, |best| median / best.median());
                (format!("≥ {least:.2} x {name}"), format!("{ratio:.2}"), ratio >= least)
            }
            Bar::AtMost { most, against: Against::Nothing } => {
                (format!("≤ {} {unit}", show(most)), show(median), median <= most)
            }
            Bar::AtMost { most, against: Against::BestOf(kinds) } => {
                let best = kinds
                    .iter()
                    .filter_map(|kind| self.figure(figure.case, kind.name()))
                    .min_by(|a, b| a.median().total_cmp(&b.median()));
                let name = best.map_or(kinds[0].name(), |best| best.who);
                let ratio = best.map_or(f64::NAN, |best| median / best.median());
                (format!("≤ {most:.2} x {name}"), format!("{ratio:.2}"), ratio <= most)
            }
        }
    }
}

/// What others did in the last minute: a figure taken beside other work is no result.
pub(super) fn load_before() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().unwrap_or("unknown").to_owned()
}

/// The middle value; not a number when there is none.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        count if count % 2 == 0 => f64::midpoint(values[middle - 1], values[middle]),
        _ => values[middle],
    }
}

/// A count or a size as a number to divide.
#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53, and figures show three digits")]
pub(super) fn real(count: u64) -> f64 {
    count as f64
}

/// Puts `text` between the markers that the document has for this benchmark, which get a place at its end if
/// it has none.
pub(super) fn write(path: &str, bench: &str, text: &str) -> Result<(), String> {
    let old = std::fs::read_to_string(path).unwrap_or_default();
    std::fs::write(path, between_markers(&old, bench, text))
        .map_err(|error| format!("cannot write `{path}`: {error}"))
}

/// Data, on standard output.
#[expect(clippy::print_stdout, reason = "the tables are what the command is for")]
pub(super) fn say(text: &str) {
    println!("{text}");
}

/// Talk, on standard error.
#[expect(clippy::print_stderr, reason = "a run takes minutes and says where it is")]
pub(super) fn note(text: &str) {
    eprintln!("{text}");
}

fn between_markers(old: &str, bench: &str, text: &str) -> String {
    let begin = format!("<!-- bench {bench}: begin -->");
    let end = format!("<!-- bench {bench}: end -->");
    let block = format!("{begin}\n{}\n{end}", text.trim_end());
    let around = old.split_once(&begin).and_then(|(before, rest)| {
        rest.split_once(&end).map(|(_, after)| format!("{before}{block}{after}"))
    });
    around.unwrap_or_else(|| format!("{}\n\n{block}\n", old.trim_end()).trim_start().to_owned())
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    // A `String` takes every byte.
    let outcome = writeln!(text, "{line}");
    debug_assert!(outcome.is_ok());
}

fn show(value: f64) -> String {
    if value.abs() < 100.0 { format!("{value:.2}") } else { format!("{value:.0}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let figure = |kind, value| Figure::new("hit", "a hit", kind, "µs", vec![value]);
        Report {
            heading: String::new(),
            subject: Kind::Forebay.name(),
            figures: vec![
                figure(Kind::Forebay, 7.0),
                figure(Kind::Nginx, 14.0),
                figure(Kind::NginxNopush, 10.0),
            ],
            bars: Vec::new(),
        }
    }

    #[test]
    fn the_better_setting_of_a_peer_is_the_one_to_beat() {
        const BOTH: Against = Against::BestOf(&[Kind::Nginx, Kind::NginxNopush]);
        let report = report();
        let (wanted, got, is_reached) =
            report.judge(&report.figures[0], Bar::AtMost { most: 0.65, against: BOTH });
        assert_eq!((wanted.as_str(), got.as_str()), ("≤ 0.65 x nginx-nopush", "0.70"));
        assert!(!is_reached);
    }

    #[test]
    fn the_fastest_of_several_is_the_one_to_beat_where_more_is_better() {
        let mut report = report();
        for (who, rate) in [("few", 2.0), ("many", 3.5)] {
            report.figures.push(Figure::of("hit", "a hit", who, "µs", vec![rate]));
        }
        let bar = Bar::Times { least: 2.0, of: &["few", "many", "none"] };
        let (wanted, got, is_reached) = report.judge(&report.figures[0], bar);
        assert_eq!((wanted.as_str(), got.as_str()), ("≥ 2.00 x many", "2.00"));
        assert!(is_reached);
    }

    #[test]
    fn what_was_not_measured_is_not_reached() {
        let report = report();
        let bar = Bar::AtMost { most: 9.0, against: Against::BestOf(&[Kind::Varnish]) };
        assert!(!report.judge(&report.figures[0], bar).2);
    }

    #[test]
    fn only_what_is_between_the_markers_changes() {
        let (begin, end) = ("<!-- bench jobs: begin -->", "<!-- bench jobs: end -->");
        let others = "<!-- bench edge: begin -->\nkept\n<!-- bench edge: end -->";
        let document = |text| format!("# Head\n{others}\n{begin}\n{text}\n{end}\ntail\n");
        assert_eq!(between_markers(&document("old"), "jobs", "new\n"), document("new"));
        assert_eq!(between_markers("", "jobs", "new"), format!("{begin}\nnew\n{end}\n"));
    }

    #[test]
    fn the_median_of_an_even_number_lies_between() {
        assert!((median(vec![4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < 1e-9);
        assert!(median(Vec::new()).is_nan());
    }
}
