//! The sets: entries by time.

use bytes::Bytes;
use rusqlite::params;

use super::super::{Due, Entry, Set};
use super::fault::{Done, int};
use super::mark;
use super::queue::{self, Queue};
use super::step::{Step, kind_of};
use crate::time::Moment;

/// Most entries that one step trims or clears.
const MOST: i64 = 1_000;

pub(super) fn insert(step: &Step<'_>, set: Set, entry: &Entry, mark: Option<i64>) -> Done<()> {
    let sql =
        "INSERT INTO forebay_entry (kind, at, mark, sum, payload) VALUES (?1, ?2, ?3, ?4, ?5)";
    let (at, sum) = (entry.at.as_micros(), mark::sum(&entry.payload));
    step.run(sql, params![kind_of(set), at, mark, sum, &entry.payload[..]])?;
    step.add(kind_of(set), 1)
}

/// Takes one entry out that is just like this one. False if there is none.
pub(super) fn remove(step: &Step<'_>, set: Set, entry: &Entry) -> Done<bool> {
    let sql = "SELECT id FROM forebay_entry \
               WHERE kind = ?1 AND at = ?2 AND sum = ?3 AND payload = ?4 LIMIT 1";
    let (at, sum) = (entry.at.as_micros(), mark::sum(&entry.payload));
    let like = params![kind_of(set), at, sum, &entry.payload[..]];
    let Some(id) = step.find(sql, like, |row| row.get::<_, i64>(0))? else { return Ok(false) };
    step.run("DELETE FROM forebay_entry WHERE id = ?1", [id])?;
    step.add(kind_of(set), -1)?;
    Ok(true)
}

pub(super) fn take(
    step: &Step<'_>,
    set: Set,
    entry: &Entry,
    to: Option<&(Set, Entry)>,
) -> Done<bool> {
    let is_there = remove(step, set, entry)?;
    if let (true, Some((to, entry))) = (is_there, to) {
        insert(step, *to, entry, mark::of_payload(&entry.payload))?;
        trim(step)?;
    }
    Ok(is_there)
}

pub(super) fn promote(step: &Step<'_>, set: Set, due: &[Due]) -> Done<usize> {
    let mut moved = 0;
    let mut insert = step.statement(queue::INSERT)?;
    for one in due {
        if remove(step, set, &one.entry)? {
            let mut to = Queue::named_or_new(step, &one.queue)?;
            to.append(step, &mut insert, &one.payload, mark::of_payload(&one.payload))?;
            to.save(step)?;
            moved += 1;
        }
    }
    Ok(moved)
}

/// Keeps the dead within their bounds, a bounded step.
pub(super) fn trim(step: &Step<'_>) -> Done<()> {
    let dead = kind_of(Set::Dead);
    let there = step.counted(dead)?;
    if there == 0 {
        return Ok(());
    }
    let most = i64::try_from(step.retention.dead_most).unwrap_or(i64::MAX);
    let many = there.saturating_sub(most).clamp(0, MOST);
    let mut gone = 0;
    if many > 0 {
        let sql = "DELETE FROM forebay_entry WHERE id IN (SELECT id FROM forebay_entry \
                   WHERE kind = ?1 ORDER BY at, sum LIMIT ?2)";
        gone += step.run(sql, [dead, many])?;
    }
    let oldest = step.now.before(step.retention.dead_age).as_micros();
    let sql = "DELETE FROM forebay_entry WHERE id IN (SELECT id FROM forebay_entry \
               WHERE kind = ?1 AND at < ?2 ORDER BY at LIMIT ?3)";
    gone += step.run(sql, [dead, oldest, MOST])?;
    step.add(dead, -int(gone))
}

/// Takes out a bounded number of those that were there when `before` was the next id. Says how many.
pub(super) fn clear(step: &Step<'_>, set: Set, before: i64) -> Done<usize> {
    let sql = "DELETE FROM forebay_entry WHERE id IN (SELECT id FROM forebay_entry \
               WHERE kind = ?1 AND id < ?2 LIMIT ?3)";
    let gone = step.run(sql, [kind_of(set), before, MOST])?;
    step.add(kind_of(set), -int(gone))?;
    Ok(gone)
}

/// The id that the next entry gets.
pub(super) fn next_id(step: &Step<'_>) -> Done<i64> {
    let last =
        step.find("SELECT max(id) FROM forebay_entry", [], |row| row.get::<_, Option<i64>>(0))?;
    Ok(last.flatten().map_or(1, |id| id + 1))
}

pub(super) fn due(step: &Step<'_>, set: Set, most: usize) -> Done<Vec<Entry>> {
    let sql = "SELECT at, payload FROM forebay_entry WHERE kind = ?1 AND at <= ?2 \
               ORDER BY at, sum LIMIT ?3";
    step.list(sql, [kind_of(set), step.now(), int(most)], entry)
}

pub(super) fn page(
    step: &Step<'_>,
    set: Set,
    from: super::super::From,
    skip: usize,
    most: usize,
) -> Done<Vec<Entry>> {
    let sql = match from {
        super::super::From::Oldest => {
            "SELECT e.at, e.payload FROM (SELECT id, at, sum FROM forebay_entry WHERE kind = ?1 \
             ORDER BY at, sum LIMIT ?2 OFFSET ?3) AS p JOIN forebay_entry e ON e.id = p.id \
             ORDER BY p.at, p.sum"
        }
        super::super::From::Newest => {
            "SELECT e.at, e.payload FROM (SELECT id, at, sum FROM forebay_entry WHERE kind = ?1 \
             ORDER BY at DESC, sum DESC LIMIT ?2 OFFSET ?3) AS p JOIN forebay_entry e ON e.id = p.id \
             ORDER BY p.at DESC, p.sum DESC"
        }
    };
    step.list(sql, [kind_of(set), int(most), int(skip)], entry)
}

pub(super) fn find(step: &Step<'_>, set: Set, id: &str) -> Done<Option<Entry>> {
    let mark = mark::sum(id.as_bytes());
    let mut part = 0;
    while let Some(found) = queue::next_part(step, "forebay_entry", part)? {
        let sql = "SELECT at, payload FROM forebay_entry \
                   WHERE id >> 13 = ?1 AND mark = ?2 AND +kind = ?3";
        let entries = step.list(sql, [found, mark, kind_of(set)], entry)?;
        if let Some(entry) = entries.into_iter().find(|it| queue::is_of(&it.payload, id)) {
            return Ok(Some(entry));
        }
        part = found + 1;
    }
    Ok(None)
}

fn entry(row: &rusqlite::Row<'_>) -> rusqlite::Result<Entry> {
    let payload: Bytes = queue::bytes(row, 1)?;
    Ok(Entry { at: Moment::from_micros(row.get(0)?), payload })
}
