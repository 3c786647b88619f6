//! User instructions per hit, counted by callgrind: the figure that noise does not reach.

use std::fs;
use std::path::Path;

use super::load::measure;
use super::report::{Against, Bar, Figure, Report, note};
use super::servers::{Kind, Running, Setup, Wire};
use super::stage::Stage;

/// The difference of two runs leaves out what starting costs. That is not always the same (random numbers are
/// seeded by the jitter of clocks), so it is spread over many.
const FEW: u32 = 2_000;
const MANY: u32 = 50_000;

/// Instructions of the subject, of `listen` alone and of the floor. What lies above `listen` alone are the
/// features; what lies above the floor is all that it takes to be an HTTP server and have them.
pub(super) fn run(stage: &Stage<'_>, report: &mut Report) -> Result<(), String> {
    if !stage.options.selects("instructions") {
        return Ok(());
    }
    note("instructions: user instructions per hit, under callgrind");
    let subject = stage.options.subject;
    let work = "user instructions of a 1 KB hit";
    let of = |kind: Kind| per_hit(stage, &Setup::of(kind, Wire::Plain), kind.name());
    let (floor, bare, ours) = (of(Kind::Floor)?, of(Kind::Bare)?, of(subject)?);
    report.add(Figure::new("instructions", work, Kind::Floor, "", vec![floor]), &[]);
    report.add(Figure::new("instructions", work, Kind::Bare, "", vec![bare]), &[]);
    report.add(Figure::new("instructions", work, subject, "", vec![ours]), &[]);
    let work = "user instructions of a 1 KB hit, all features together";
    report.add(
        Figure::new("instructions-features", work, subject, "", vec![ours - bare]),
        &[Bar::AtMost { most: 3000.0, against: Against::Nothing }],
    );
    let work = "user instructions of a 1 KB hit above the floor";
    report.add(Figure::new("instructions-above", work, subject, "", vec![ours - floor]), &[]);
    Ok(())
}

/// Instructions of a hit on a server of this setup; `name` is that of the files that say so.
pub(super) fn per_hit(stage: &Stage<'_>, setup: &Setup, name: &str) -> Result<f64, String> {
    let counts = [FEW, MANY].map(|requests| count(stage, setup, name, requests));
    let [few, many] = counts;
    Ok((many? - few?) / f64::from(MANY - FEW))
}

fn count(stage: &Stage<'_>, setup: &Setup, name: &str, requests: u32) -> Result<f64, String> {
    let name = format!("callgrind-{name}-{requests}");
    let under = [
        "valgrind".to_owned(),
        "--tool=callgrind".to_owned(),
        "--trace-children=yes".to_owned(),
        format!("--callgrind-out-file={}.%p", stage.path(&name)),
    ];
    let setup = Setup { under: under.into(), ..setup.clone() };
    let server = Running::start(stage, &setup)?;
    let (port, requests) = (server.port.to_string(), requests.to_string());
    let args = ["steady", "--port", &port, "--path", "/1k", "--requests", &requests];
    measure(stage, &args)?.all_well()?;
    // Callgrind writes when the server ends.
    drop(server);
    total(&stage.folder, &name)
}

/// Instructions of all processes of a run.
fn total(folder: &Path, name: &str) -> Result<f64, String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("cannot read results: {error}"))?;
    let files = entries.filter_map(Result::ok).map(|entry| entry.path()).filter(|path| {
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        file.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'))
    });
    let counts: Vec<f64> = files
        .filter_map(|path| {
            let text = fs::read_to_string(path).ok()?;
            let line = text.lines().find_map(|line| line.strip_prefix("summary: "))?;
            line.trim().parse().ok()
        })
        .collect();
    if counts.is_empty() {
        return Err(format!("callgrind wrote nothing for {name}"));
    }
    Ok(counts.iter().sum())
}
