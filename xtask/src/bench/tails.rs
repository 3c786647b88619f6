//! What a client waits: under a crowd, beside slow misses, while the configuration changes.

use std::time::Duration;

use forebay_signals::clock;

use super::load::{Answers, measure, measure_beside};
use super::options::Depth;
use super::report::{Against, Bar, Figure, Report, median, note, real};
use super::servers::{Running, Setup, Wire};
use super::stage::Stage;

/// What the origin takes for a miss.
const ORIGIN_MS: f64 = 200.0;
const CROWD: &str = "1000";
/// Hits a second of the open-loop client: a server that is not saturated, as one is run.
const RATE: u32 = 4000;
const RELOADS: u32 = 20;
const ROUTES: usize = 1000;

/// A thousand clients ask for the same missing object at the same moment.
pub(super) fn herd(stage: &Stage<'_>, report: &mut Report) -> Result<(), String> {
    if !stage.options.selects("herd") {
        return Ok(());
    }
    note("herd: one miss by 1,000 clients at once");
    let subject = stage.options.subject;
    let server = Running::start(stage, &Setup::of(subject, Wire::Plain))?;
    let port = server.port.to_string();
    let (mut asked, mut waited) = (Vec::new(), Vec::new());
    for round in 0..stage.options.rounds {
        let path = format!("/slow?ms={ORIGIN_MS}&herd={round}");
        let before = stage.origin_count()?;
        let args = ["herd", "--port", &port, "--path", &path, "--connections", CROWD];
        let answers = measure(stage, &args)?.all_well()?;
        asked.push(real(stage.origin_count()? - before));
        waited.push(answers.value("p99_us")? / 1000.0 / ORIGIN_MS);
    }
    let work = "origin requests of a miss by 1,000 clients";
    report.add(
        Figure::new("herd", work, subject, "requests", asked),
        &[Bar::AtMost { most: 1.0, against: Against::Nothing }],
    );
    let work = "p99 of a miss by 1,000 clients, in the origin's time";
    report.add(
        Figure::new("herd-wait", work, subject, "x", waited),
        &[Bar::AtMost { most: 2.0, against: Against::Nothing }],
    );
    Ok(())
}

/// The p99 of hits while a tenth of the requests are slow misses.
pub(super) fn misses(stage: &Stage<'_>, report: &mut Report) -> Result<(), String> {
    if !stage.options.selects("misses") {
        return Ok(());
    }
    note("misses: hits while 10 % are misses");
    let subject = stage.options.subject;
    let server = Running::start(stage, &Setup::of(subject, Wire::Plain))?;
    let (mut ratios, mut alone, mut beside) = (Vec::new(), Vec::new(), Vec::new());
    let miss_rate = RATE / 9;
    for round in 0..=stage.options.rounds {
        let seconds = seconds(stage);
        let hits = measure(stage, &open(&server, &seconds, &[]).each())?.all_well()?;
        let more = ["--miss-rate", &miss_rate.to_string(), "--serial", &round.to_string()];
        let mixed = measure(stage, &open(&server, &seconds, &more).each())?.all_well()?;
        if mixed.value("miss_failed")? > 0.0 || mixed.value("miss_p50_us")? < ORIGIN_MS * 1000.0 {
            return Err("the misses failed or did not reach the origin".to_owned());
        }
        if round > 0 {
            alone.push(hits.value("p99_us")?);
            beside.push(mixed.value("p99_us")?);
            ratios.push(mixed.value("p99_us")? / hits.value("p99_us")?);
        }
    }
    let work = "p99 of hits beside 10 % misses of 200 ms";
    let mut figure = Figure::new("misses", work, subject, "x", ratios);
    figure.detail = format!("{:.0} µs alone, {:.0} µs beside", median(alone), median(beside));
    report.add(figure, &[Bar::AtMost { most: 1.5, against: Against::Nothing }]);
    Ok(())
}

/// The p99 of hits during twenty reloads.
pub(super) fn reloads(stage: &Stage<'_>, report: &mut Report) -> Result<(), String> {
    if !stage.options.selects("reload") {
        return Ok(());
    }
    note("reload: p99 during 20 reloads");
    let subject = stage.options.subject;
    let setup = Setup { routes: 10, ..Setup::of(subject, Wire::Plain) };
    let server = Running::start(stage, &setup)?;
    let (mut ratios, mut quiet, mut busy) = (Vec::new(), Vec::new(), Vec::new());
    let mut resent = 0.0;
    let seconds = (seconds_of(stage) * 2).to_string();
    for round in 0..=stage.options.rounds.min(3) {
        let line = open(&server, &seconds, &[]);
        let calm = measure(stage, &line.each())?.all_well()?;
        let during = beside_reloads(stage, &server, &line)?.all_well()?;
        resent += during.value("resent")?;
        if round > 0 {
            quiet.push(calm.value("p99_us")?);
            busy.push(during.value("p99_us")?);
            ratios.push(during.value("p99_us")? / calm.value("p99_us")?);
        }
    }
    let mut figure = Figure::new("reload", "p99 of hits during 20 reloads", subject, "x", ratios);
    figure.detail = format!(
        "{:.0} µs without, {:.0} µs during, {resent} requests sent again",
        median(quiet),
        median(busy)
    );
    report.add(figure, &[Bar::AtMost { most: 2.0, against: Against::Nothing }]);
    Ok(())
}

/// How long a reload of a thousand routes takes, command included.
pub(super) fn routes(stage: &Stage<'_>, report: &mut Report) -> Result<(), String> {
    if !stage.options.selects("routes") {
        return Ok(());
    }
    note("routes: reload of 1,000 routes");
    let subject = stage.options.subject;
    let setup = Setup { routes: ROUTES, ..Setup::of(subject, Wire::Plain) };
    let server = Running::start(stage, &setup)?;
    let took = (0..stage.options.rounds)
        .map(|_| server.reload().map(|took| took.as_secs_f64() * 1000.0))
        .collect::<Result<Vec<f64>, String>>()?;
    let figure = Figure::new("routes", "reload of 1,000 routes", subject, "ms", took);
    report.add(figure, &[Bar::AtMost { most: 100.0, against: Against::Nothing }]);
    Ok(())
}

fn beside_reloads(stage: &Stage<'_>, server: &Running<'_>, line: &Line) -> Result<Answers, String> {
    let pause = Duration::from_secs(seconds_of(stage) * 2) / (RELOADS + 2);
    let reloads = || {
        (0..RELOADS).try_for_each(|_| {
            clock::block_for(pause);
            server.reload().map(drop)
        })
    };
    measure_beside(stage, &line.each(), reloads).map(|(answers, ())| answers)
}

/// The words of a command line.
struct Line(Vec<String>);

impl Line {
    fn each(&self) -> Vec<&str> {
        self.0.iter().map(String::as_str).collect()
    }
}

fn open(server: &Running<'_>, seconds: &str, more: &[&str]) -> Line {
    let (port, rate) = (server.port.to_string(), RATE.to_string());
    let words = ["open", "--port", &port, "--path", "/1k", "--rate", &rate, "--seconds", seconds];
    Line(words.iter().chain(more).map(|&word| word.to_owned()).collect())
}

fn seconds(stage: &Stage<'_>) -> String {
    seconds_of(stage).to_string()
}

/// A p99 needs more samples than a mean.
fn seconds_of(stage: &Stage<'_>) -> u64 {
    let factor = if stage.options.depth == Depth::Quick { 2 } else { 3 };
    stage.options.seconds * factor
}
