//! What is held: cached objects and idle connections, as growth of the processes.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Duration;

use forebay_signals::clock;

use super::load::{Answers, measure};
use super::options::Depth;
use super::report::{Against, Bar, Figure, Report, note, real};
use super::servers::{Kind, Running, Setup, Wire};
use super::stage::Stage;

/// Room for a million objects of any peer.
const STORE_MIB: u64 = 4096;
/// Of so many objects asked for again, evenly spread, this part must still be there.
const RECALLED: u32 = 5000;
const MOST_LOST: f64 = 0.01;
const CONNECTIONS: u32 = 10_000;

/// Memory per cached object of 1 KB.
pub(super) fn objects(stage: &Stage<'_>, report: &mut Report) -> Result<(), String> {
    if !stage.options.selects("memory") {
        return Ok(());
    }
    let subject = stage.options.subject;
    let mut kinds = vec![subject];
    if stage.options.depth == Depth::Full {
        // nginx keeps objects in files: minutes to fill, and nothing that its processes show.
        kinds.extend([Kind::Varnish].into_iter().filter(|kind| *kind != subject));
    }
    let count: u32 = if stage.options.depth == Depth::Quick { 100_000 } else { 1_000_000 };
    note(&format!("memory: {count} cached objects of 1 KB"));
    for kind in kinds {
        let setup = Setup { store_mib: STORE_MIB, ..Setup::of(kind, Wire::Plain) };
        let server = Running::start(stage, &setup)?;
        let port = server.port.to_string();
        let number = count.to_string();
        let recalled = RECALLED.to_string();
        // The first few bring threads, buffers and pools, which no object is charged for.
        measure(stage, &["recall", "--port", &port, "--count", "100", "--requests", "1000"])?
            .all_well()?;
        let before = server.memory()?;
        measure(stage, &["fill", "--port", &port, "--count", &number])?.all_well()?;
        clock::block_for(Duration::from_secs(1));
        let after = server.memory()?;
        let asked = stage.origin_count()?;
        measure(stage, &["recall", "--port", &port, "--count", &number, "--requests", &recalled])?
            .all_well()?;
        let lost = real(stage.origin_count()? - asked) / f64::from(RECALLED);
        if lost > MOST_LOST {
            return Err(format!("{} has lost {:.1} % of its objects", kind.name(), lost * 100.0));
        }
        let each = real(after.saturating_sub(before)) / f64::from(count - 100);
        let mut figure =
            Figure::new("memory", "memory per cached 1 KB object", kind, "B", vec![each]);
        figure.detail = format!("{count} objects, {:.2} % lost", lost * 100.0);
        let bars = [Bar::AtMost { most: 1600.0, against: Against::Nothing }];
        report.add(figure, if kind == subject { &bars } else { &[] });
    }
    Ok(())
}

/// Memory per idle TLS connection that has made one request.
pub(super) fn idle(stage: &Stage<'_>, report: &mut Report) -> Result<(), String> {
    if !stage.options.selects("idle") {
        return Ok(());
    }
    let subject = stage.options.subject;
    let count = if stage.options.depth == Depth::Quick { CONNECTIONS / 10 } else { CONNECTIONS };
    note(&format!("idle: {count} idle TLS connections"));
    let server = Running::start(stage, &Setup::of(subject, Wire::Tls))?;
    let (port, ca) = (server.port.to_string(), stage.path("cert.pem"));
    hold(stage, &["idle", "--port", &port, "--ca", &ca, "--connections", "10"], || Ok(()))?;
    let before = server.memory()?;
    let number = count.to_string();
    let args = ["idle", "--port", &port, "--ca", &ca, "--connections", &number];
    let after = hold(stage, &args, || server.memory())?;
    let each = real(after.saturating_sub(before)) / f64::from(count) / 1024.0;
    let mut figure =
        Figure::new("idle", "memory per idle TLS connection", subject, "KB", vec![each]);
    figure.detail = format!("{count} connections, kernel buffers apart");
    report.add(figure, &[Bar::AtMost { most: 30.0, against: Against::Nothing }]);
    Ok(())
}

/// Looks while an instrument holds its connections.
fn hold<T>(
    stage: &Stage<'_>,
    args: &[&str],
    look: impl FnOnce() -> Result<T, String>,
) -> Result<T, String> {
    let mut child = stage
        .instrument(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot start an instrument: {error}"))?;
    let mut said = String::new();
    if let Some(stdout) = child.stdout.take() {
        let read = BufReader::new(stdout).read_line(&mut said);
        read.map_err(|error| format!("an instrument says nothing: {error}"))?;
    }
    let outcome = Answers::read(&said).value("connections").and_then(|_| look());
    // The end of its input is its end.
    drop(child.stdin.take());
    child.wait().map_err(|error| format!("an instrument does not end: {error}"))?;
    outcome
}
