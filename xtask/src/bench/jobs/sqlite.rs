//! The store in a file, which says that a push is safe when it is on the disk.

use super::speed::{CONCURRENCY, pace};
use super::stage::{OURS, Stage};
use super::start;
use super::workers::{Setup, Worker};
use crate::bench::report::{Bar, Figure, Report};

/// Callers that push in bulk at once, as the rows say.
const CALLERS: [(&str, &str, &str); 2] = [
    ("1", "sqlite-bulk-one", "SQLite, enqueue in bulk of 1,000, one caller"),
    ("4", "sqlite-bulk", "SQLite, enqueue in bulk of 1,000, four callers"),
];
/// Jobs a second that are not reached.
const BEYOND: u64 = 150_000;

/// Pushed in bulk, run, started.
pub(super) fn run(stage: &Stage<'_>, report: &mut Report) -> Result<(), String> {
    if !stage.begins("sqlite", "the store in a file") {
        return Ok(());
    }
    let folder = stage.folder.display().to_string();
    let (mut disk, mut run) = (Vec::new(), Vec::new());
    let mut bulk = [Vec::new(), Vec::new()];
    let seconds = stage.options.seconds.to_string();
    for round in 0..stage.options.rounds {
        disk.push(stage.measure(&["fsync", "--folder", &folder])?.value("rate")?);
        for ((callers, case, _), rates) in CALLERS.iter().zip(&mut bulk) {
            let path = stage.path(&format!("{case}-{round}.db"));
            let args = ["push", "--store", &path, "--callers", callers, "--bulk", "1"];
            let said = stage.measure(&[&args[..], &["--seconds", &seconds]].concat())?;
            rates.push(said.value("rate")?);
        }
        let path = stage.path(&format!("run-{round}.db"));
        let count = (BEYOND * (stage.options.seconds + 1)).to_string();
        stage.measure(&["fill", "--store", &path, "--class", "Noop", "--count", &count])?;
        let worker = Worker::start(stage, Setup::of(&path, CONCURRENCY))?;
        run.push(pace(stage, &path)?);
        worker.end()?;
        // Room on the disk is not what is measured.
        stage.forget_files(".db")?;
    }
    let work = "4 KiB at the end of a file brought to the same disk";
    report.add(Figure::of("sqlite-fsync", work, "the disk", "times/s", disk), &[]);
    for ((_, case, work), rates) in CALLERS.iter().zip(bulk) {
        let bars = [Bar::AtLeast { least: 100_000.0 }];
        report.add(Figure::of(case, work, OURS, "jobs/s", rates), &bars);
    }
    let figure = Figure::of("sqlite-run", "SQLite, no-op jobs, one process", OURS, "jobs/s", run);
    let detail = format!("{CONCURRENCY} at once, leased and acknowledged");
    report.add(figure.saying(detail), &[Bar::AtLeast { least: 30_000.0 }]);
    start::file(stage, &stage.path("start.db"), report)
}
