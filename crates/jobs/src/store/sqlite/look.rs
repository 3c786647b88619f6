//! What is read beside the writer: queues, pages, numbers.

use std::sync::Arc;

use bytes::Bytes;

use super::super::{Counts, Entry, From, Pause, QueueView, Set, Within};
use super::fault::{Done, count, int};
use super::queue::{self, Queue};
use super::step::{Kind, Step, kind_of};
use crate::time::Moment;

pub(super) fn queues(step: &Step<'_>) -> Done<Vec<QueueView>> {
    let sql = "SELECT name FROM forebay_queue WHERE is_listed = 1 ORDER BY name";
    let names: Vec<String> = step.list(sql, [], |row| row.get(0))?;
    let mut views = Vec::with_capacity(names.len());
    for name in names {
        let Some(queue) = Queue::named(step, &name)? else { continue };
        views.push(QueueView {
            depth: count(queue.depth),
            oldest: page_of(step, &queue, From::Oldest, 0, 1)?.pop(),
            is_paused: Queue::is_paused(step, &name)?,
            name: name.into(),
        });
    }
    Ok(views)
}

pub(super) fn page(
    step: &Step<'_>,
    queue: &str,
    from: From,
    skip: usize,
    most: usize,
) -> Done<Vec<Bytes>> {
    match Queue::named(step, queue)? {
        Some(queue) => page_of(step, &queue, from, int(skip), int(most)),
        None => Ok(Vec::new()),
    }
}

/// What was given back comes before what was pushed.
fn page_of(step: &Step<'_>, queue: &Queue, from: From, skip: i64, most: i64) -> Done<Vec<Bytes>> {
    let (backs, pushed) = (queue.backs(), queue.depth - queue.backs());
    match from {
        From::Oldest => {
            let mut page = given_back(step, queue, from, skip, most)?;
            let left = most - int(page.len());
            page.extend(fresh(step, queue, from, (skip - backs).max(0), left)?);
            Ok(page)
        }
        From::Newest => {
            let mut page = fresh(step, queue, from, skip, most)?;
            let left = most - int(page.len());
            page.extend(given_back(step, queue, from, (skip - pushed).max(0), left)?);
            Ok(page)
        }
    }
}

fn given_back(
    step: &Step<'_>,
    queue: &Queue,
    from: From,
    skip: i64,
    most: i64,
) -> Done<Vec<Bytes>> {
    if most <= 0 || skip >= queue.backs() {
        return Ok(Vec::new());
    }
    let sql = match from {
        From::Oldest => {
            "SELECT j.payload FROM forebay_back b JOIN forebay_job j ON j.id = b.job \
             WHERE b.place >= ?1 AND b.place < ?2 ORDER BY b.place LIMIT ?3 OFFSET ?4"
        }
        From::Newest => {
            "SELECT j.payload FROM forebay_back b JOIN forebay_job j ON j.id = b.job \
             WHERE b.place >= ?1 AND b.place < ?2 ORDER BY b.place DESC LIMIT ?3 OFFSET ?4"
        }
    };
    let (start, end) = queue.given_back();
    step.list(sql, [start, end, most, skip], |row| queue::bytes(row, 0))
}

fn fresh(step: &Step<'_>, queue: &Queue, from: From, skip: i64, most: i64) -> Done<Vec<Bytes>> {
    let pushed = queue.depth - queue.backs();
    if most <= 0 || skip >= pushed {
        return Ok(Vec::new());
    }
    let (mut start, mut end) = queue.fresh();
    let mut skip = skip;
    // Where nobody took a job out of the middle, the page lies where arithmetic says.
    match from {
        From::Oldest => {
            if let Some(place) = queue.place_after(skip) {
                (start, skip) = (place, 0);
            }
        }
        From::Newest => {
            if let Some(place) = queue.place_after(pushed - skip) {
                (end, skip) = (place, 0);
            }
        }
    }
    let sql = match from {
        From::Oldest => {
            "SELECT payload FROM forebay_job WHERE id >= ?1 AND id < ?2 \
             ORDER BY id LIMIT ?3 OFFSET ?4"
        }
        From::Newest => {
            "SELECT payload FROM forebay_job WHERE id >= ?1 AND id < ?2 \
             ORDER BY id DESC LIMIT ?3 OFFSET ?4"
        }
    };
    step.list(sql, [start, end, most, skip], |row| queue::bytes(row, 0))
}

pub(super) fn find(step: &Step<'_>, within: Within<'_>, id: &str) -> Done<Option<Entry>> {
    let queue = match within {
        Within::Set(set) => return super::set::find(step, set, id),
        Within::Queue(queue) => Queue::named(step, queue)?,
    };
    let Some(queue) = queue else { return Ok(None) };
    let found = queue.find(step, id)?;
    Ok(found.map(|(_, payload)| Entry { at: Moment::default(), payload }))
}

pub(super) fn pauses(step: &Step<'_>) -> Done<Vec<Pause>> {
    let sql = "SELECT kind, name FROM forebay_pause ORDER BY kind, name";
    step.list(sql, [], |row| {
        let name: Arc<str> = row.get::<_, String>(1)?.into();
        Ok(match row.get::<_, i64>(0)? {
            0 => Pause::Queue(name),
            1 => Pause::Class(name),
            _ => Pause::Timetable(name),
        })
    })
}

pub(super) fn counts(step: &Step<'_>) -> Done<Counts> {
    let set = |set| Ok::<_, super::fault::Fault>(count(step.counted(kind_of(set))?));
    let number = |kind: Kind| Ok::<_, super::fault::Fault>(count(step.counted(kind as i64)?));
    let sum = "SELECT coalesce(sum(depth), 0) FROM forebay_queue";
    let living = "SELECT count(*) FROM forebay_process WHERE until > ?1";
    Ok(Counts {
        processed: number(Kind::Processed)?,
        failed: number(Kind::Failed)?,
        scheduled: set(Set::Schedule)?,
        retries: set(Set::Retry)?,
        dead: set(Set::Dead)?,
        enqueued: count(step.find(sum, [], |row| row.get(0))?.unwrap_or(0)),
        leased: number(Kind::Leased)?,
        processes: count(step.find(living, [step.now()], |row| row.get(0))?.unwrap_or(0)),
    })
}

/// What somebody who waits goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sight {
    /// True if a queue that is not paused holds something.
    pub(super) is_work: bool,
    /// Changes of what is paused so far.
    pub(super) pauses: i64,
}

pub(super) fn sight(step: &Step<'_>, queues: &[Arc<str>]) -> Done<Sight> {
    let sql = "SELECT 1 FROM forebay_queue q WHERE name = ?1 AND depth > 0 AND NOT EXISTS \
               (SELECT 1 FROM forebay_pause p WHERE p.kind = 0 AND p.name = q.name)";
    let mut is_work = false;
    for queue in queues {
        is_work = is_work || step.is_there(sql, [&**queue])?;
    }
    Ok(Sight { is_work, pauses: step.counted(Kind::Pauses as i64)? })
}
