//! `forebay jobs retry`, `delete`, `kill`, `pause` and `resume`.

use std::io::IsTerminal;
use std::process::ExitCode;

use forebay_jobs::act::{self, ActError, What};
use forebay_jobs::store as terms;
use forebay_jobs::store::{Entry, Set, Store, Within};
use serde_json::json;

use super::args::{Act, Pause};
use super::look::{SETS, missing};
use super::{refused, store};
use crate::report::{self, Problem};

fn verb(what: What) -> &'static str {
    match what {
        What::Retry => "retried",
        What::Delete => "deleted",
        What::Kill => "killed",
    }
}

fn asks(what: What) -> &'static str {
    match what {
        What::Retry => "retry",
        What::Delete => "delete",
        What::Kill => "kill",
    }
}

/// Does it.
pub(super) async fn jobs(asked: &Act, what: What) -> Result<ExitCode, Problem> {
    let store = store::open(&asked.at).await?;
    if what != What::Delete && asked.queue.is_some() {
        return Err(Problem::new(format!("jobs in a queue are not {}: they are run", verb(what)))
            .hint("name a set: `--set scheduled|retry|dead`"));
    }
    if what == What::Kill && asked.set == Some(super::args::SetName::Dead) {
        return Err(Problem::new("what is dead is not killed again")
            .hint("`delete` takes it out, `retry` runs it"));
    }
    let done = if asked.all {
        all(&*store, asked, what).await?
    } else {
        some(&*store, asked, what).await?
    };
    let Some(done) = done else { return Ok(ExitCode::from(1)) };
    let word = if asked.dry_run { format!("would be {}", verb(what)) } else { verb(what).into() };
    report::data(&if asked.at.json {
        format!("{:#}\n", json!({ verb(what): done, "dry_run": asked.dry_run }))
    } else {
        format!("{done} {word}\n")
    });
    Ok(ExitCode::SUCCESS)
}

/// Jobs by their ids.
async fn some(store: &dyn Store, asked: &Act, what: What) -> Result<Option<u64>, Problem> {
    let mut done = 0;
    for id in &asked.ids {
        if let Some(queue) = &asked.queue {
            let is_there = if asked.dry_run {
                store.find(Within::Queue(queue), id).await.map_err(refused)?.is_some()
            } else {
                store.remove_queued(queue, id).await.map_err(refused)?
            };
            if !is_there {
                return Err(Problem::new(format!("no job `{id}` in the queue `{queue}`"))
                    .hint("it may run by now: `forebay jobs stats`"));
            }
            done += 1;
            continue;
        }
        let mut found = None;
        for set in SETS.into_iter().filter(|set| asked.set.is_none_or(|it| it == *set)) {
            let entry = store.find(Within::Set(set.set()), id).await.map_err(refused)?;
            found = found.or(entry.map(|entry| (set.set(), entry)));
        }
        let Some((set, entry)) = found else { return Err(missing(id)) };
        if asked.dry_run || change(store, set, &entry, what).await? {
            done += 1;
        }
    }
    Ok(Some(done))
}

/// All of a set or a queue; nothing if somebody said no.
async fn all(store: &dyn Store, asked: &Act, what: What) -> Result<Option<u64>, Problem> {
    let counts = store.counts().await.map_err(refused)?;
    let (count, place) = match (asked.set, &asked.queue) {
        (Some(set), _) => {
            let count = match set.set() {
                Set::Schedule => counts.scheduled,
                Set::Retry => counts.retries,
                Set::Dead => counts.dead,
            };
            (count, set.name().to_owned())
        }
        (None, Some(queue)) => {
            let queues = store.queues().await.map_err(refused)?;
            let count = queues.iter().find(|it| *it.name == **queue).map_or(0, |it| it.depth);
            (count, format!("the queue `{queue}`"))
        }
        (None, None) => {
            return Err(Problem::new("`--all` of what?")
                .hint("name a set: `--set scheduled|retry|dead`, or `--queue NAME` to delete"));
        }
    };
    if asked.dry_run {
        return Ok(Some(count));
    }
    if !asked.yes {
        if !std::io::stdin().is_terminal() {
            let does = asks(what);
            return Err(Problem::new(format!("to {does} all of {place} needs a yes"))
                .hint("add `--yes`, or `--dry-run` to see how many they are"));
        }
        if !report::confirm(&format!("{} {count} jobs of {place}?", asks(what))) {
            report::say("nothing changed");
            return Ok(None);
        }
    }
    match (asked.set, &asked.queue) {
        (None, Some(queue)) => store.clear_queue(queue).await.map(Some).map_err(refused),
        (Some(set), _) => act::on_all(store, set.set(), what).await.map(Some).map_err(refused),
        (None, None) => Ok(None),
    }
}

/// True if it was still there.
async fn change(store: &dyn Store, set: Set, entry: &Entry, what: What) -> Result<bool, Problem> {
    act::on(store, set, entry, what).await.map_err(|error| match error {
        ActError::Store(error) => refused(error),
        error => Problem::new(error.to_string())
            .because_of(std::error::Error::source(&error).map(ToString::to_string))
            .hint("`forebay jobs show ID` shows it, `delete` takes it out"),
    })
}

/// Pauses, or ends a pause.
pub(super) async fn pause(asked: &Pause, is_paused: bool) -> Result<ExitCode, Problem> {
    let store = store::open(&asked.at).await?;
    let (what, name) = match (&asked.queue, &asked.class) {
        (Some(queue), _) => {
            (terms::Pause::Queue(queue.as_str().into()), format!("queue `{queue}`"))
        }
        (None, Some(class)) => {
            (terms::Pause::Class(class.as_str().into()), format!("class `{class}`"))
        }
        (None, None) => return Err(Problem::new("nothing is named that could be paused")),
    };
    store.pause(&what, is_paused).await.map_err(refused)?;
    report::data(&if asked.at.json {
        format!(
            "{:#}\n",
            json!({ "paused": is_paused, "queue": asked.queue, "class": asked.class })
        )
    } else {
        format!("{name} {}\n", if is_paused { "is paused" } else { "goes on" })
    });
    Ok(ExitCode::SUCCESS)
}
