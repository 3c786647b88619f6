//! What is kept beside the jobs: processes and what is said to them, roles, timetables, notes.

use std::time::Duration;

use bytes::Bytes;
use rusqlite::params;

use super::super::{MOST_A_STEP, Owner, Process, Push, RAN_KEPT, Ran, Signal};
use super::fault::{Done, count, int};
use super::step::{Kind, Step};
use super::{push, queue};
use crate::time::Moment;

/// How long a process is shown after its last beat, as Sidekiq does.
const SHOWN: Duration = Duration::from_secs(60);
/// Rows that one step of tidying takes away of each kind.
const TIDIED: i64 = 200;

/// What a process says of itself, without what is not shown.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) owner: Owner,
    pub(super) info: String,
    pub(super) concurrency: usize,
    pub(super) busy: usize,
    pub(super) is_quiet: bool,
    pub(super) processed: u64,
    pub(super) failed: u64,
    pub(super) ran: Vec<Ran>,
}

pub(super) fn beat(step: &Step<'_>, said: &Said) -> Done<Option<Signal>> {
    step.add(Kind::Processed as i64, i64::try_from(said.processed).unwrap_or(i64::MAX))?;
    step.add(Kind::Failed as i64, i64::try_from(said.failed).unwrap_or(i64::MAX))?;
    count_ran(step, &said.ran)?;
    let sql = "INSERT OR REPLACE INTO forebay_process \
               (owner, info, concurrency, busy, beat, is_quiet, until) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let owner = said.owner.as_str();
    let until = step.now.after(SHOWN).as_micros();
    let (concurrency, busy) = (int(said.concurrency), int(said.busy));
    step.run(sql, params![owner, said.info, concurrency, busy, step.now(), said.is_quiet, until])?;
    let sql = "DELETE FROM forebay_signal WHERE id = \
               (SELECT id FROM forebay_signal WHERE owner = ?1 ORDER BY id LIMIT 1) RETURNING signal";
    let signal: Option<i64> = step.find(sql, [owner], |row| row.get(0))?;
    Ok(signal.and_then(signal_of))
}

fn count_ran(step: &Step<'_>, ran: &[Ran]) -> Done<()> {
    if ran.is_empty() {
        return Ok(());
    }
    let sql = "INSERT INTO forebay_ran (minute, class, processed, failed, ms) VALUES (?1, ?2, ?3, ?4, ?5) \
               ON CONFLICT (minute, class) DO UPDATE SET \
               processed = processed + ?3, failed = failed + ?4, ms = ms + ?5";
    let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    for one in ran {
        let (processed, failed, ms) = (number(one.processed), number(one.failed), number(one.ms));
        step.run(sql, params![minute(step.now), &*one.class, processed, failed, ms])?;
    }
    // More than comes in, so that it ends even if nobody beat for a long time.
    let sql = "DELETE FROM forebay_ran WHERE (minute, class) IN \
               (SELECT minute, class FROM forebay_ran WHERE minute < ?1 ORDER BY minute LIMIT ?2)";
    step.run(sql, params![minute(step.now.before(RAN_KEPT)), TIDIED + 2 * int(ran.len())])?;
    Ok(())
}

pub(super) fn ran(step: &Step<'_>, within: Duration) -> Done<Vec<Ran>> {
    let sql = "SELECT class, sum(processed), sum(failed), sum(ms) FROM forebay_ran \
               WHERE minute > ?1 GROUP BY class ORDER BY class";
    let after = minute(step.now.before(within.min(RAN_KEPT)));
    step.list(sql, [after], |row| {
        let mut ran = Ran::of(&row.get::<_, String>(0)?);
        ran.processed = count(row.get(1)?);
        ran.failed = count(row.get(2)?);
        ran.ms = count(row.get(3)?);
        Ok(ran)
    })
}

fn minute(at: Moment) -> i64 {
    at.as_micros().div_euclid(60_000_000)
}

pub(super) fn processes(step: &Step<'_>) -> Done<Vec<Process>> {
    let sql = "SELECT owner, info, concurrency, busy, beat, is_quiet FROM forebay_process \
               WHERE until > ?1 ORDER BY owner";
    step.list(sql, [step.now()], |row| {
        Ok(Process {
            owner: Owner::named(&row.get::<_, String>(0)?),
            info: row.get(1)?,
            concurrency: count(row.get(2)?),
            busy: count(row.get(3)?),
            beat: Moment::from_micros(row.get(4)?),
            is_quiet: row.get(5)?,
        })
    })
}

pub(super) fn signal(step: &Step<'_>, owner: &Owner, signal: Signal) -> Done<()> {
    // One that never beats keeps no more than so many.
    let sql = "INSERT INTO forebay_signal (owner, signal) SELECT ?1, ?2 WHERE \
               (SELECT count(*) FROM forebay_signal WHERE owner = ?1) < ?3";
    let number = match signal {
        Signal::Quiet => 0,
        Signal::Stop => 1,
        Signal::Dump => 2,
    };
    step.run(sql, params![owner.as_str(), number, int(MOST_A_STEP)])?;
    Ok(())
}

fn signal_of(number: i64) -> Option<Signal> {
    match number {
        0 => Some(Signal::Quiet),
        1 => Some(Signal::Stop),
        2 => Some(Signal::Dump),
        _ => None,
    }
}

pub(super) fn lead(step: &Step<'_>, role: &str, owner: &Owner, ttl: Duration) -> Done<bool> {
    let sql = "INSERT INTO forebay_role (name, owner, until) VALUES (?1, ?2, ?3) \
               ON CONFLICT (name) DO UPDATE SET owner = ?2, until = ?3 \
               WHERE owner = ?2 OR until <= ?4";
    let until = step.now.after(ttl).as_micros();
    Ok(step.run(sql, params![role, owner.as_str(), until, step.now()])? > 0)
}

pub(super) fn fire(
    step: &Step<'_>,
    timetable: &str,
    tick: Moment,
    jobs: &[Push],
    marks: &[Option<i64>],
) -> Done<bool> {
    let sql = "INSERT INTO forebay_timetable (name, tick) VALUES (?1, ?2) \
               ON CONFLICT (name) DO UPDATE SET tick = ?2 WHERE tick < ?2";
    let is_first = step.run(sql, params![timetable, tick.as_micros()])? > 0;
    if is_first {
        push::push(step, jobs, marks)?;
    }
    Ok(is_first)
}

pub(super) fn fired(step: &Step<'_>, timetable: &str) -> Done<Option<Moment>> {
    let sql = "SELECT tick FROM forebay_timetable WHERE name = ?1";
    step.find(sql, [timetable], |row| row.get(0).map(Moment::from_micros))
}

pub(super) fn note(
    step: &Step<'_>,
    id: &str,
    field: &str,
    value: Option<&[u8]>,
    ttl: Duration,
) -> Done<()> {
    match value {
        Some(value) => {
            let sql = "INSERT OR REPLACE INTO forebay_note (job, field, value, until) \
                       VALUES (?1, ?2, ?3, ?4)";
            step.run(sql, params![id, field, value, step.now.after(ttl).as_micros()])?
        }
        None => step.run("DELETE FROM forebay_note WHERE job = ?1 AND field = ?2", [id, field])?,
    };
    Ok(())
}

pub(super) fn noted(step: &Step<'_>, id: &str, field: &str) -> Done<Option<Bytes>> {
    let sql = "SELECT value FROM forebay_note WHERE job = ?1 AND field = ?2 AND until > ?3";
    step.find(sql, params![id, field, step.now()], |row| queue::bytes(row, 0))
}

/// Takes away what has ended by itself, a bounded step.
pub(super) fn tidy(step: &Step<'_>) -> Done<()> {
    for sql in [
        "DELETE FROM forebay_lock WHERE rowid IN \
         (SELECT rowid FROM forebay_lock WHERE until <= ?1 LIMIT ?2)",
        "DELETE FROM forebay_note WHERE rowid IN \
         (SELECT rowid FROM forebay_note WHERE until <= ?1 LIMIT ?2)",
        "DELETE FROM forebay_poison WHERE rowid IN \
         (SELECT rowid FROM forebay_poison WHERE until <= ?1 LIMIT ?2)",
        "DELETE FROM forebay_process WHERE rowid IN \
         (SELECT rowid FROM forebay_process WHERE until <= ?1 LIMIT ?2)",
        "DELETE FROM forebay_role WHERE rowid IN \
         (SELECT rowid FROM forebay_role WHERE until <= ?1 LIMIT ?2)",
    ] {
        step.run(sql, [step.now(), TIDIED])?;
    }
    let sql = "DELETE FROM forebay_signal WHERE id IN (SELECT id FROM forebay_signal WHERE NOT EXISTS \
               (SELECT 1 FROM forebay_process p WHERE p.owner = forebay_signal.owner) LIMIT ?1)";
    step.run(sql, [TIDIED])?;
    Ok(())
}
