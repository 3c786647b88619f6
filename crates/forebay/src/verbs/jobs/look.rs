//! `forebay jobs list`, `show` and `stats`.

use std::fmt::Write;
use std::process::ExitCode;

use forebay_jobs::job::Job;
use forebay_jobs::store::{From, Pause, Set, Store, Within};
use forebay_jobs::time::Moment;
use serde_json::{Value as Json, json};

use super::args::{List, SetName, Show, Stats};
use super::{age, refused, shown, store};
use crate::report::{self, Problem};

pub(super) const SETS: [SetName; 3] = [SetName::Scheduled, SetName::Retry, SetName::Dead];

impl SetName {
    pub(super) fn set(self) -> Set {
        match self {
            SetName::Scheduled => Set::Schedule,
            SetName::Retry => Set::Retry,
            SetName::Dead => Set::Dead,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            SetName::Scheduled => "scheduled",
            SetName::Retry => "retry",
            SetName::Dead => "dead",
        }
    }
}

/// Lists jobs.
pub(super) async fn list(asked: &List) -> Result<ExitCode, Problem> {
    let store = store::open(&asked.at).await?;
    let from = if asked.newest { From::Newest } else { From::Oldest };
    let (place, jobs) = if let Some(set) = asked.set {
        let entries = store.entries(set.set(), from, asked.skip, asked.limit);
        let entries = entries.await.map_err(refused)?.into_iter();
        let jobs: Vec<_> = entries.map(|entry| (Some(entry.at), entry.payload)).collect();
        (set.name().to_owned(), jobs)
    } else {
        let queue = asked.queue.as_deref().unwrap_or("default");
        let page = store.page(queue, from, asked.skip, asked.limit).await.map_err(refused)?;
        let jobs = page.into_iter().map(|payload| (None, payload)).collect();
        (format!("queue:{queue}"), jobs)
    };
    if asked.at.json {
        let jobs = jobs.iter().map(|(at, payload)| shown::as_json(&place, *at, payload));
        report::data(&format!("{:#}\n", Json::from(jobs.collect::<Vec<_>>())));
        return Ok(ExitCode::SUCCESS);
    }
    let now = store.now().await.map_err(refused)?;
    let mut text = String::new();
    for (at, payload) in &jobs {
        let when = at.map(|at| format!("{:>10}  ", relative(at, now))).unwrap_or_default();
        writeln!(text, "{when}{}", shown::line(payload)).expect("a String takes it");
    }
    report::data(&text);
    if jobs.is_empty() {
        report::say(&format!("nothing in {place}"));
    }
    Ok(ExitCode::SUCCESS)
}

fn relative(at: Moment, now: Moment) -> String {
    if at > now {
        format!("in {}", age(at.since(now).as_secs()))
    } else {
        format!("{} ago", age(now.since(at).as_secs()))
    }
}

/// Shows one job.
pub(super) async fn show(asked: &Show) -> Result<ExitCode, Problem> {
    let store = store::open(&asked.at).await?;
    let found = find(&*store, &asked.id, asked.queue.as_deref()).await?;
    let Some((place, at, payload)) = found else { return Err(missing(&asked.id)) };
    report::data(&format!("{:#}\n", shown::as_json(&place, at, &payload)));
    Ok(ExitCode::SUCCESS)
}

pub(super) fn missing(id: &str) -> Problem {
    Problem::new(format!("no job `{id}` in the sets")).hint(
        "one that waits in a queue is found with `--queue NAME`; one that runs is nowhere else",
    )
}

async fn find(
    store: &dyn Store,
    id: &str,
    queue: Option<&str>,
) -> Result<Option<(String, Option<Moment>, bytes::Bytes)>, Problem> {
    for set in SETS {
        let found = store.find(Within::Set(set.set()), id).await.map_err(refused)?;
        if let Some(entry) = found {
            return Ok(Some((set.name().into(), Some(entry.at), entry.payload)));
        }
    }
    let Some(queue) = queue else { return Ok(None) };
    let found = store.find(Within::Queue(queue), id).await.map_err(refused)?;
    Ok(found.map(|entry| (format!("queue:{queue}"), None, entry.payload)))
}

/// Numbers.
pub(super) async fn stats(asked: &Stats) -> Result<ExitCode, Problem> {
    let store = store::open(&asked.at).await?;
    let counts = store.counts().await.map_err(refused)?;
    let queues = store.queues().await.map_err(refused)?;
    let processes = store.processes().await.map_err(refused)?;
    let pauses = store.pauses().await.map_err(refused)?;
    let (now, room) = (store.now().await.map_err(refused)?, store.room().await.map_err(refused)?);
    let busy: u64 = processes.iter().map(|process| process.busy).sum();
    let classes = pauses.iter().filter_map(|pause| match pause {
        Pause::Class(class) => Some(&**class),
        Pause::Queue(_) | Pause::Timetable(_) => None,
    });
    let classes: Vec<&str> = classes.collect();
    let latency = |oldest: &Option<bytes::Bytes>| {
        let job = oldest.as_ref().and_then(|payload| Job::parse(payload.clone()).ok());
        job.and_then(|job| job.enqueued_at()).map_or(0.0, |at| now.since(at).as_secs_f64())
    };
    if asked.at.json {
        let queues: Vec<Json> = queues
            .iter()
            .map(|it| {
                json!({
                    "name": &*it.name, "depth": it.depth,
                    "latency_s": latency(&it.oldest), "paused": it.is_paused,
                })
            })
            .collect();
        let answer = json!({
            "processed": counts.processed, "failed": counts.failed, "enqueued": counts.enqueued,
            "running": counts.leased, "busy": busy, "scheduled": counts.scheduled,
            "retries": counts.retries, "dead": counts.dead, "processes": counts.processes,
            "queues": queues, "paused_classes": classes,
            "store": { "used_bytes": room.used, "of_bytes": room.of },
        });
        report::data(&format!("{answer:#}\n"));
        return Ok(ExitCode::SUCCESS);
    }
    let mut text = String::new();
    let numbers = [
        ("processed", counts.processed),
        ("failed", counts.failed),
        ("enqueued", counts.enqueued),
        ("running", counts.leased),
        ("scheduled", counts.scheduled),
        ("retries", counts.retries),
        ("dead", counts.dead),
        ("processes", counts.processes),
    ];
    for (name, number) in numbers {
        writeln!(text, "{name:<10} {number:>12}").expect("a String takes it");
    }
    // By the age of the oldest and not by length: what is late matters.
    let mut queues: Vec<_> = queues.iter().map(|queue| (latency(&queue.oldest), queue)).collect();
    queues.sort_by(|a, b| b.0.total_cmp(&a.0));
    if !queues.is_empty() {
        writeln!(text, "\n{:<24} {:>12} {:>10}", "queue", "depth", "latency").expect("it does");
    }
    for (latency, queue) in queues {
        let paused = if queue.is_paused { "  paused" } else { "" };
        let (name, depth) = (&queue.name, queue.depth);
        writeln!(text, "{name:<24} {depth:>12} {latency:>8.1} s{paused}").expect("it does");
    }
    if !classes.is_empty() {
        writeln!(text, "\npaused classes: {}", classes.join(", ")).expect("it does");
    }
    report::data(&text);
    Ok(ExitCode::SUCCESS)
}
