//! What is pushed, and the locks that keep out what is there already.

use std::sync::Arc;

use rusqlite::params;

use super::super::{Entry, Lock, Push, Pushed, Set};
use super::fault::Done;
use super::queue::{self, Queue};
use super::step::Step;
use super::{file, set};

/// Stores jobs. `marks` are the hashes of their ids.
pub(super) fn push(step: &Step<'_>, jobs: &[Push], marks: &[Option<i64>]) -> Done<Vec<Pushed>> {
    file::refuse_beyond(step.conn, step.bound, jobs.iter().map(|job| job.payload.len()).sum())?;
    let mut pushed = Vec::with_capacity(jobs.len());
    let mut insert = step.statement(queue::INSERT)?;
    let mut open: Option<(Arc<str>, Queue)> = None;
    for (job, mark) in jobs.iter().zip(marks) {
        if let Some(lock) = &job.unique
            && let Some(of) = lock_or_holder(step, lock)?
        {
            pushed.push(Pushed::Duplicate { of });
            continue;
        }
        pushed.push(Pushed::Stored);
        if let Some(at) = job.at {
            let entry = Entry { at, payload: job.payload.clone() };
            set::insert(step, Set::Schedule, &entry, *mark)?;
            continue;
        }
        if open.as_ref().is_none_or(|(name, _)| *name != job.queue) {
            let other = Queue::named_or_new(step, &job.queue)?;
            if let Some((_, queue)) = open.replace((Arc::clone(&job.queue), other)) {
                // It may be the next but one again: then it is read again.
                queue.save(step)?;
            }
        }
        if let Some((_, queue)) = &mut open {
            queue.append(step, &mut insert, &job.payload, *mark)?;
        }
    }
    open.map_or(Ok(()), |(_, queue)| queue.save(step))?;
    Ok(pushed)
}

/// Takes the lock, or says who has it.
fn lock_or_holder(step: &Step<'_>, lock: &Lock) -> Done<Option<Arc<str>>> {
    let sql = "SELECT holder FROM forebay_lock WHERE key = ?1 AND until > ?2 AND holder <> ?3";
    let params = params![&*lock.key, step.now(), &*lock.holder];
    if let Some(holder) = step.find(sql, params, |row| row.get::<_, String>(0))? {
        return Ok(Some(holder.into()));
    }
    let sql = "INSERT OR REPLACE INTO forebay_lock (key, holder, until) VALUES (?1, ?2, ?3)";
    let until = step.now.after(lock.ttl).as_micros();
    step.run(sql, params![&*lock.key, &*lock.holder, until])?;
    Ok(None)
}

pub(super) fn unlock(step: &Step<'_>, lock: &Lock) -> Done<bool> {
    let sql = "DELETE FROM forebay_lock WHERE key = ?1 AND holder = ?2 AND until > ?3";
    Ok(step.run(sql, params![&*lock.key, &*lock.holder, step.now()])? > 0)
}
