//! Queues: what is put there, leased, given back, taken out.

use bytes::Bytes;
use rusqlite::{CachedStatement, params};

use super::fault::{Done, Fault, count, int};
use super::mark;
use super::step::{Kind, Step};

/// Bits of a job's place in its region. A queue has a region of its own, and another after it was emptied;
/// there is room for 2^22 regions of 2^41 jobs.
const PLACE_BITS: u32 = 41;
/// The first place that is pushed to. What is brought here from an earlier region of the queue lies before.
const FIRST: i64 = 1 << (PLACE_BITS - 1);
/// Neighbours that share a part of the index by id, as `tables.sql` says.
const PART_BITS: u32 = 13;

/// A queue's row.
#[derive(Debug, Clone)]
pub(super) struct Queue {
    pub(super) no: i64,
    region: i64,
    head: i64,
    tail: i64,
    low: i64,
    pub(super) depth: i64,
    backs: i64,
    is_listed: bool,
    /// What the row says.
    stored: (i64, i64, i64, i64, i64, bool),
}

/// Writes a job: prepared once for all of a step.
pub(super) const INSERT: &str = "INSERT INTO forebay_job (id, mark, payload) VALUES (?1, ?2, ?3)";

impl Queue {
    fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Queue> {
        let mut queue = Queue {
            no: row.get(0)?,
            region: row.get(1)?,
            head: row.get(2)?,
            tail: row.get(3)?,
            low: row.get(4)?,
            depth: row.get(5)?,
            backs: row.get(6)?,
            is_listed: row.get(7)?,
            stored: (0, 0, 0, 0, 0, false),
        };
        queue.stored = queue.state();
        Ok(queue)
    }

    pub(super) fn named(step: &Step<'_>, name: &str) -> Done<Option<Queue>> {
        let sql = "SELECT no, region, head, tail, low, depth, backs, is_listed \
                   FROM forebay_queue WHERE name = ?1";
        step.find(sql, [name], Queue::read)
    }

    pub(super) fn numbered(step: &Step<'_>, no: i64) -> Done<Queue> {
        let sql = "SELECT no, region, head, tail, low, depth, backs, is_listed \
                   FROM forebay_queue WHERE no = ?1";
        step.find(sql, [no], Queue::read)?.ok_or(Fault::Odd("a lease names no queue"))
    }

    pub(super) fn named_or_new(step: &Step<'_>, name: &str) -> Done<Queue> {
        if let Some(queue) = Queue::named(step, name)? {
            return Ok(queue);
        }
        let region = new_region(step)?;
        let sql = "INSERT INTO forebay_queue \
                   (name, region, head, tail, low, depth, backs, is_listed) \
                   VALUES (?1, ?2, ?3, ?3, ?3, 0, 0, 1)";
        step.run(sql, params![name, region, FIRST])?;
        Queue::numbered(step, step.conn.last_insert_rowid())
    }

    pub(super) fn is_paused(step: &Step<'_>, name: &str) -> Done<bool> {
        step.is_there("SELECT 1 FROM forebay_pause WHERE kind = 0 AND name = ?1", [name])
    }

    /// Writes the row if it changed.
    pub(super) fn save(mut self, step: &Step<'_>) -> Done<()> {
        self.is_listed |= self.depth > 0;
        if self.state() == self.stored {
            return Ok(());
        }
        let sql = "UPDATE forebay_queue SET head = ?2, tail = ?3, low = ?4, depth = ?5, \
                   backs = ?6, is_listed = ?7 WHERE no = ?1";
        let (head, tail, low, depth, backs, is_listed) = self.state();
        step.run(sql, params![self.no, head, tail, low, depth, backs, is_listed])?;
        Ok(())
    }

    /// Puts a job at the end, by [`INSERT`].
    pub(super) fn append(
        &mut self,
        step: &Step<'_>,
        insert: &mut CachedStatement<'_>,
        payload: &[u8],
        mark: Option<i64>,
    ) -> Done<()> {
        insert.execute(params![self.id(self.tail), mark, payload])?;
        self.tail += 1;
        self.depth += 1;
        step.wakes.set(true);
        Ok(())
    }

    /// Makes a job that was leased or parked the next one. Its payload stays where it is.
    pub(super) fn give_back(&mut self, step: &Step<'_>, job: i64) -> Done<()> {
        // It never rises again: a place before the first is the id of a job that was brought along.
        self.low -= 1;
        let mut id = job;
        if job >> PLACE_BITS != self.region {
            // The queue was emptied meanwhile: the job comes along into the new region.
            id = self.id(self.low);
            step.run("UPDATE forebay_job SET id = ?2 WHERE id = ?1", [job, id])?;
        }
        let sql = "INSERT INTO forebay_back (place, job) VALUES (?1, ?2)";
        step.run(sql, [self.id(self.low), id])?;
        self.depth += 1;
        self.backs += 1;
        step.wakes.set(true);
        Ok(())
    }

    /// Takes the next jobs, at most so many, and hands each to `take`. They stay in their table: who takes
    /// them names them in a lease.
    pub(super) fn next(
        &mut self,
        step: &Step<'_>,
        most: usize,
        mut take: impl FnMut(i64, Bytes) -> Done<()>,
    ) -> Done<usize> {
        let mut taken = 0;
        if self.backs > 0 && most > 0 {
            let sql = "SELECT b.place, j.id, j.payload FROM forebay_back b \
                       JOIN forebay_job j ON j.id = b.job \
                       WHERE b.place >= ?1 AND b.place < ?2 ORDER BY b.place LIMIT ?3";
            let range = params![self.id(self.low), self.id(FIRST), int(most)];
            for (place, job, payload) in step
                .list(sql, range, |row| Ok((row.get::<_, i64>(0)?, row.get(1)?, bytes(row, 2)?)))?
            {
                step.run("DELETE FROM forebay_back WHERE place = ?1", [place])?;
                self.backs -= 1;
                take(job, payload)?;
                taken += 1;
            }
        }
        if taken < most && self.head < self.tail {
            let sql = "SELECT id, payload FROM forebay_job WHERE id >= ?1 AND id < ?2 \
                       ORDER BY id LIMIT ?3";
            let mut statement = step.statement(sql)?;
            let range = params![self.id(self.head), self.id(self.tail), int(most - taken)];
            let mut rows = statement.query(range)?;
            let mut last = None;
            while let Some(row) = rows.next()? {
                let id: i64 = row.get(0)?;
                last = Some(id);
                take(id, bytes(row, 1)?)?;
                taken += 1;
            }
            // What was not found was removed: the cursor goes past it.
            self.head = if taken < most {
                self.tail
            } else {
                last.map_or(self.tail, |id| place_of(id) + 1)
            };
        }
        self.depth -= int(taken);
        Ok(taken)
    }

    /// Finds a job that is ready by its id.
    pub(super) fn find(&self, step: &Step<'_>, id: &str) -> Done<Option<(i64, Bytes)>> {
        let mark = mark::sum(id.as_bytes());
        let end = self.id(self.tail) >> PART_BITS;
        let mut part = self.id(0) >> PART_BITS;
        while let Some(found) = next_part(step, "forebay_job", part)?.filter(|it| *it <= end) {
            let sql = "SELECT id, payload FROM forebay_job WHERE id >> 13 = ?1 AND mark = ?2";
            for (job, payload) in
                step.list(sql, [found, mark], |row| Ok((row.get(0)?, bytes(row, 1)?)))?
            {
                if is_of(&payload, id) && self.is_ready(step, job)? {
                    return Ok(Some((job, payload)));
                }
            }
            part = found + 1;
        }
        Ok(None)
    }

    /// Takes out what [`Queue::find`] found.
    pub(super) fn remove(&mut self, step: &Step<'_>, job: i64) -> Done<()> {
        let backs = step.run("DELETE FROM forebay_back WHERE job = ?1", [job])?;
        step.run("DELETE FROM forebay_job WHERE id = ?1", [job])?;
        self.backs -= int(backs);
        self.depth -= 1;
        Ok(())
    }

    /// Empties the queue without a look at what is in it: that is swept later, in bounded steps.
    pub(super) fn clear(&mut self, step: &Step<'_>) -> Done<i64> {
        let sql = "INSERT INTO forebay_trash (region, head, tail) VALUES (?1, ?2, ?3)";
        step.run(sql, [self.region, self.head, self.tail])?;
        self.region = new_region(step)?;
        let sql = "UPDATE forebay_queue SET region = ?2 WHERE no = ?1";
        step.run(sql, [self.no, self.region])?;
        let depth = self.depth;
        (self.head, self.tail, self.low) = (FIRST, FIRST, FIRST);
        (self.depth, self.backs, self.is_listed) = (0, 0, false);
        Ok(depth)
    }

    /// The first of those that were pushed and never leased, after so many of them, in one look if none was
    /// taken out of their middle.
    pub(super) fn place_after(&self, skip: i64) -> Option<i64> {
        let pushed = self.tail - self.head;
        (pushed == self.depth - self.backs)
            .then(|| self.id(self.head.saturating_add(skip).min(self.tail)))
    }

    /// Ids of the first that was pushed and never leased, and of the one after the last.
    pub(super) fn fresh(&self) -> (i64, i64) {
        (self.id(self.head), self.id(self.tail))
    }

    /// Places of the first that was given back, and of the one after the last.
    pub(super) fn given_back(&self) -> (i64, i64) {
        (self.id(self.low), self.id(FIRST))
    }

    pub(super) fn backs(&self) -> i64 {
        self.backs
    }

    fn is_ready(&self, step: &Step<'_>, job: i64) -> Done<bool> {
        let is_fresh = job >= self.id(self.head) && job < self.id(self.tail);
        Ok(is_fresh || step.is_there("SELECT 1 FROM forebay_back WHERE job = ?1", [job])?)
    }

    fn id(&self, place: i64) -> i64 {
        (self.region << PLACE_BITS) | place
    }

    fn state(&self) -> (i64, i64, i64, i64, i64, bool) {
        (self.head, self.tail, self.low, self.depth, self.backs, self.is_listed)
    }
}

/// Sweeps what is left of emptied queues, a bounded step. False if nothing is left.
pub(super) fn sweep(step: &Step<'_>) -> Done<bool> {
    const MOST: i64 = 1_000;
    let sql = "SELECT id, region, head, tail FROM forebay_trash ORDER BY id LIMIT 1";
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
    let found: Option<(i64, i64, i64, i64)> = step.find(sql, [], read)?;
    let Some((id, region, head, tail)) = found else { return Ok(false) };
    let id_of = |place: i64| (region << PLACE_BITS) | place;
    let sql = "SELECT place, job FROM forebay_back WHERE place >= ?1 AND place < ?2 LIMIT ?3";
    let backs =
        step.list(sql, [id_of(0), id_of(FIRST), MOST], |row| Ok((row.get(0)?, row.get(1)?)))?;
    for (place, job) in &backs {
        let (place, job): (i64, i64) = (*place, *job);
        step.run("DELETE FROM forebay_back WHERE place = ?1", [place])?;
        step.run("DELETE FROM forebay_job WHERE id = ?1", [job])?;
    }
    // What lies before `head` is leased or parked, and not ours to sweep.
    let sql = "DELETE FROM forebay_job WHERE id IN \
               (SELECT id FROM forebay_job WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT ?3)";
    let jobs = step.run(sql, [id_of(head), id_of(tail), MOST])?;
    if backs.is_empty() && jobs == 0 {
        step.run("DELETE FROM forebay_trash WHERE id = ?1", [id])?;
    }
    Ok(true)
}

/// The first part of an index by id that holds something, from `part` on.
pub(super) fn next_part(step: &Step<'_>, table: &str, part: i64) -> Done<Option<i64>> {
    let sql = match table {
        "forebay_job" => {
            "SELECT id >> 13 FROM forebay_job INDEXED BY forebay_job_mark \
             WHERE id >> 13 >= ?1 ORDER BY id >> 13 LIMIT 1"
        }
        _ => {
            "SELECT id >> 13 FROM forebay_entry INDEXED BY forebay_entry_mark \
             WHERE id >> 13 >= ?1 ORDER BY id >> 13 LIMIT 1"
        }
    };
    step.find(sql, [part], |row| row.get(0))
}

/// Jobs that are leased have left their queue's numbers; this is the one that counts them.
pub(super) fn count_leases(step: &Step<'_>, by: i64) -> Done<()> {
    step.add(Kind::Leased as i64, by)
}

pub(super) fn bytes(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<Bytes> {
    Ok(Bytes::copy_from_slice(row.get_ref(column)?.as_blob()?))
}

pub(super) fn is_of(payload: &[u8], id: &str) -> bool {
    crate::job::id_of(payload).is_some_and(|it| it == id)
}

fn new_region(step: &Step<'_>) -> Done<i64> {
    step.add(Kind::Regions as i64, 1)?;
    step.counted(Kind::Regions as i64)
}

fn place_of(id: i64) -> i64 {
    id & ((1 << PLACE_BITS) - 1)
}

/// Empties a queue, if there is one, and says how many jobs that were.
pub(super) fn clear(step: &Step<'_>, name: &str) -> Done<u64> {
    let Some(mut queue) = Queue::named(step, name)?.filter(|queue| queue.is_listed) else {
        return Ok(0);
    };
    let depth = queue.clear(step)?;
    queue.save(step)?;
    Ok(count(depth))
}
