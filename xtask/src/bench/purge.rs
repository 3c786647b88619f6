//! A purge of many tagged objects: how long it takes, and what a client of hits waits meanwhile.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use forebay_signals::clock;

use super::load::{Answers, measure, measure_beside};
use super::options::Depth;
use super::report::{Against, Bar, Figure, Report, median, note};
use super::servers::{Running, Setup, Wire};
use super::stage::Stage;

/// Room for all of them.
const STORE_MIB: u64 = 1024;
const COUNT: u32 = 100_000;
/// Hits a second of the open-loop client.
const RATE: &str = "4000";
/// A purge is a moment: a p99 over many seconds would not see it.
const SECONDS: &str = "1";
const PATIENCE: Duration = Duration::from_secs(30);

/// 100,000 objects that share a tag are purged by it.
pub(super) fn by_tag(stage: &Stage<'_>, report: &mut Report) -> Result<(), String> {
    if !stage.options.selects("purge") {
        return Ok(());
    }
    let count = if stage.options.depth == Depth::Quick { COUNT / 10 } else { COUNT };
    note(&format!("purge: {count} tagged objects"));
    let subject = stage.options.subject;
    let setup = Setup { store_mib: STORE_MIB, ..Setup::of(subject, Wire::Plain) };
    let server = Running::start(stage, &setup)?;
    let (port, number) = (server.port.to_string(), count.to_string());
    let open = ["open", "--port", &port, "--path", "/1k", "--rate", RATE, "--seconds", SECONDS];
    let (mut took, mut ratios, mut quiet, mut busy) = (vec![], vec![], vec![], vec![]);
    for round in 0..=stage.options.rounds {
        let fill = ["fill", "--port", &port, "--kind", "tagged", "--count", &number];
        measure(stage, &fill)?.all_well()?;
        let calm = measure(stage, &open)?.all_well()?.value("p99_us")?;
        let (during, ms) = beside_a_purge(stage, &server, &open, count)?;
        let during = during.all_well()?.value("p99_us")?;
        if round > 0 {
            took.push(ms);
            quiet.push(calm);
            busy.push(during);
            ratios.push(during / calm);
        }
    }
    let mut figure = Figure::new("purge", "purge of objects by their tag", subject, "ms", took);
    figure.detail = format!("{count} objects");
    report.add(figure, &[Bar::AtMost { most: 50.0, against: Against::Nothing }]);
    let work = "p99 of hits in the second of a purge";
    let mut figure = Figure::new("purge-hits", work, subject, "x", ratios);
    figure.detail = format!("{:.0} µs without, {:.0} µs in it", median(quiet), median(busy));
    report.add(figure, &[Bar::AtMost { most: 2.0, against: Against::Nothing }]);
    Ok(())
}

/// What the client measured, and the milliseconds of the purge.
fn beside_a_purge(
    stage: &Stage<'_>,
    server: &Running<'_>,
    open: &[&str],
    count: u32,
) -> Result<(Answers, f64), String> {
    let (answers, (said, took)) = measure_beside(stage, open, || {
        clock::block_for(Duration::from_millis(500));
        purge(server.admin()?)
    })?;
    if !said.contains(&format!("\"purged\":{count}")) {
        return Err(format!("not all were purged: {said}"));
    }
    Ok((answers, took.as_secs_f64() * 1000.0))
}

/// Asks as `forebay cache purge` does, without the start of a program, which would be a part of the figure.
fn purge(admin: &str) -> Result<(String, Duration), String> {
    let failed = |error: std::io::Error| format!("the purge at `{admin}`: {error}");
    let mut stream = TcpStream::connect(admin).map_err(failed)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    let content = r#"{"tags":["all"]}"#;
    let message = format!(
        "POST /cache/purge HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{content}",
        content.len()
    );
    let began = clock::now();
    stream.write_all(message.as_bytes()).map_err(failed)?;
    let mut said = String::new();
    stream.read_to_string(&mut said).map_err(failed)?;
    Ok((said, clock::now().saturating_duration_since(began)))
}
