//! `forebay jobs cron`: timetables of the config file.

use std::fmt::Write;
use std::process::ExitCode;

use forebay_edge::config::file::suggest;
use forebay_jobs::store::{Pause, Store};
use forebay_jobs::time::Moment;
use jiff::Timestamp;
use serde_json::{Value as Json, json};

use super::args::{Cron, CronAct};
use super::{age, refused, store};
use crate::jobs::Jobs;
use crate::jobs::timetables::Listed;
use crate::report::{self, Problem};

/// Does it.
pub(super) async fn cron(asked: &Cron) -> Result<ExitCode, Problem> {
    let jobs = store::settings(&asked.at)?;
    let store = store::open_of(&jobs).await?;
    let (Some(act), Some(name)) = (asked.act, &asked.name) else {
        return list(&jobs, &*store, asked.at.json).await;
    };
    if act == CronAct::Fire {
        return fire(&jobs, &*store, name, asked.at.json).await;
    }
    let is_paused = act == CronAct::Pause;
    // Other processes may know timetables that this file does not: they are paused all the same.
    if !jobs.timetables.iter().any(|it| it.timetable.name() == name) {
        report::say(&format!("note: {}", unknown(&jobs, name)));
    }
    store.pause(&Pause::Timetable(name.as_str().into()), is_paused).await.map_err(refused)?;
    let word = if is_paused { "paused" } else { "resumed" };
    report::data(&if asked.at.json {
        format!("{:#}\n", json!({ word: name }))
    } else {
        format!("{word} the timetable `{name}`\n")
    });
    Ok(ExitCode::SUCCESS)
}

fn unknown(jobs: &Jobs, name: &str) -> String {
    let known = jobs.timetables.iter().map(|it| it.timetable.name());
    let hint = if jobs.timetables.is_empty() {
        "give the file with `[[jobs.timetable]]` by `--config`".to_owned()
    } else {
        suggest(name, known)
    };
    format!("the settings have no timetable `{name}`; {hint}")
}

async fn fire(
    jobs: &Jobs,
    store: &dyn Store,
    name: &str,
    as_json: bool,
) -> Result<ExitCode, Problem> {
    let found = jobs.timetables.iter().find(|it| it.timetable.name() == name);
    let Some(found) = found else { return Err(Problem::new(unknown(jobs, name))) };
    let id = found.timetable.push_now(store, jobs.form).await.map_err(refused)?;
    let id =
        id.ok_or_else(|| Problem::new(format!("the timetable `{name}` has no job to push")))?;
    report::data(&if as_json {
        format!("{:#}\n", json!({ "jid": id }))
    } else {
        format!("{id}\n")
    });
    Ok(ExitCode::SUCCESS)
}

async fn list(jobs: &Jobs, store: &dyn Store, as_json: bool) -> Result<ExitCode, Problem> {
    let pauses = store.pauses().await.map_err(refused)?;
    let now = store.now().await.map_err(refused)?;
    let mut rows = Vec::new();
    for listed in &jobs.timetables {
        let last = listed.timetable.last(store).await.map_err(refused)?;
        let name = listed.timetable.name();
        let is_paused = pauses.iter().any(|it| matches!(it, Pause::Timetable(it) if **it == *name));
        rows.push((listed, last, listed.timetable.next(now), is_paused));
    }
    if as_json {
        let all = rows.iter().map(|(listed, last, next, is_paused)| {
            json!({
                "name": listed.timetable.name(), "cron": listed.cron, "zone": listed.zone,
                "class": listed.timetable.class(), "paused": is_paused,
                "last": last.and_then(instant).map(|it| it.to_string()),
                "next": next.and_then(instant).map(|it| it.to_string()),
            })
        });
        report::data(&format!("{:#}\n", Json::from(all.collect::<Vec<_>>())));
        return Ok(ExitCode::SUCCESS);
    }
    if rows.is_empty() {
        report::say(
            "the settings have no timetables: write `[[jobs.timetable]]` into the file of `--config`",
        );
        return Ok(ExitCode::SUCCESS);
    }
    let mut text =
        format!("{:<24} {:<16} {:<18} {:<20} {}\n", "timetable", "cron", "zone", "last", "next");
    for (listed, last, next, is_paused) in rows {
        let when =
            |at: Option<Moment>| at.map_or_else(|| "-".to_owned(), |at| on_the_wall(at, listed));
        let after = match next {
            _ if is_paused => "paused".to_owned(),
            Some(next) => format!("{} (in {})", when(Some(next)), age(next.since(now).as_secs())),
            None => "never".to_owned(),
        };
        let (name, cron, zone) = (listed.timetable.name(), &listed.cron, &listed.zone);
        writeln!(text, "{name:<24} {cron:<16} {zone:<18} {:<20} {after}", when(last))
            .expect("a String takes it");
    }
    report::data(&text);
    Ok(ExitCode::SUCCESS)
}

fn instant(at: Moment) -> Option<Timestamp> {
    Timestamp::from_microsecond(at.as_micros()).ok()
}

/// As a clock in its zone shows it.
fn on_the_wall(at: Moment, listed: &Listed) -> String {
    let zoned = instant(at).and_then(|at| at.in_tz(&listed.zone).ok());
    zoned.map_or_else(|| "-".to_owned(), |at| at.strftime("%Y-%m-%d %H:%M:%S").to_string())
}
