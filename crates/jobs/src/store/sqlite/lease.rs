//! Leases and those who hold them.

use std::sync::Arc;

use rusqlite::{CachedStatement, OptionalExtension, params};

use super::super::{
    Entry, Finish, Lease, MOST_A_STEP, Owner, Pause, Recovered, Set, Then, Token, Turned,
};
use super::fault::{Done, count, int};
use super::mark;
use super::queue::{self, Queue};
use super::step::Step;
use super::{push, set};

/// What a worker asks for, with names of its own.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) owner: Owner,
    pub(super) finished: Vec<Finish>,
    pub(super) queues: Vec<Arc<str>>,
    pub(super) fresh: Vec<Token>,
}

pub(super) fn turn(step: &Step<'_>, asked: &Asked) -> Done<Turned> {
    let owner = owner_no(step, &asked.owner)?;
    let mut lost = Vec::new();
    let mut ended = 0;
    let mut ends = Ends::prepare(step)?;
    for end in &asked.finished {
        match owner.map(|owner| finish(step, &mut ends, owner, end)).transpose()? {
            Some(true) => ended += 1,
            _ => lost.push(end.token),
        }
    }
    set::trim(step)?;
    let leases = lease(step, owner, asked)?;
    queue::count_leases(step, int(leases.len()) - ended)?;
    Ok(Turned { leases, lost })
}

fn lease(step: &Step<'_>, mut owner: Option<i64>, asked: &Asked) -> Done<Vec<Lease>> {
    let mut fresh = asked.fresh.iter().take(MOST_A_STEP);
    let mut leases = Vec::new();
    for name in &asked.queues {
        let wanted = fresh.len();
        if wanted == 0 {
            break;
        }
        let Some(mut queue) = Queue::named(step, name)?.filter(|queue| queue.depth > 0) else {
            continue;
        };
        if Queue::is_paused(step, name)? {
            continue;
        }
        let by = match owner {
            Some(owner) => owner,
            None => *owner.insert(new_owner(step, &asked.owner, 0)?),
        };
        let no = queue.no;
        let sql = "INSERT INTO forebay_lease (owner, token, queue, job) VALUES (?1, ?2, ?3, ?4)";
        let mut insert = step.statement(sql)?;
        queue.next(step, wanted, |job, payload| {
            if let Some(token) = fresh.next() {
                insert.execute([by, token.0.cast_signed(), no, job])?;
                leases.push(Lease { token: *token, queue: Arc::clone(name), payload });
            }
            Ok(())
        })?;
        queue.save(step)?;
    }
    Ok(leases)
}

/// False if the lease was taken over.
fn finish(step: &Step<'_>, ends: &mut Ends<'_>, owner: i64, end: &Finish) -> Done<bool> {
    let Some((no, job)) = ends.end_lease(owner, end.token.0.cast_signed())? else {
        return Ok(false);
    };
    match &end.then {
        Then::Done => ends.drop_job(job)?,
        Then::Wait { set, at, payload } => {
            ends.drop_job(job)?;
            let entry = Entry { at: *at, payload: payload.clone() };
            set::insert(step, *set, &entry, mark::of_payload(payload))?;
        }
        Then::Park { class } if is_class_paused(step, class)? => {
            let sql = "INSERT INTO forebay_park (class, queue, job) VALUES (?1, ?2, ?3)";
            step.run(sql, params![&**class, no, job])?;
        }
        // What is parked after its class went on is given back: nobody would bring it.
        Then::Back | Then::Park { .. } => give_back(step, no, job)?,
    }
    if let Some(lock) = &end.unlock {
        push::unlock(step, lock)?;
    }
    Ok(true)
}

/// What every end needs, prepared once for all of a step.
struct Ends<'c> {
    /// Not `DELETE … RETURNING`, which makes a table of its answer each time.
    find: CachedStatement<'c>,
    lease: CachedStatement<'c>,
    job: CachedStatement<'c>,
}

impl<'c> Ends<'c> {
    fn prepare(step: &Step<'c>) -> Done<Ends<'c>> {
        let sql = "SELECT queue, job FROM forebay_lease WHERE owner = ?1 AND token = ?2";
        let find = step.statement(sql)?;
        let sql = "DELETE FROM forebay_lease WHERE owner = ?1 AND token = ?2";
        let lease = step.statement(sql)?;
        let job = step.statement("DELETE FROM forebay_job WHERE id = ?1")?;
        Ok(Ends { find, lease, job })
    }

    /// The queue and the job of a lease that was there.
    fn end_lease(&mut self, owner: i64, token: i64) -> Done<Option<(i64, i64)>> {
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let found = self.find.query_row([owner, token], read).optional()?;
        if found.is_some() {
            self.lease.execute([owner, token])?;
        }
        Ok(found)
    }

    fn drop_job(&mut self, job: i64) -> Done<()> {
        self.job.execute([job])?;
        Ok(())
    }
}

fn give_back(step: &Step<'_>, no: i64, job: i64) -> Done<()> {
    let mut queue = Queue::numbered(step, no)?;
    queue.give_back(step, job)?;
    queue.save(step)
}

pub(super) fn held(step: &Step<'_>, owner: &Owner) -> Done<Vec<Lease>> {
    let sql = "SELECT l.token, q.name, j.payload FROM forebay_owner o \
               JOIN forebay_lease l ON l.owner = o.no \
               JOIN forebay_queue q ON q.no = l.queue \
               JOIN forebay_job j ON j.id = l.job WHERE o.name = ?1 ORDER BY l.token";
    step.list(sql, [owner.as_str()], |row| {
        Ok(Lease {
            token: Token(row.get::<_, i64>(0)?.cast_unsigned()),
            queue: row.get::<_, String>(1)?.into(),
            payload: queue::bytes(row, 2)?,
        })
    })
}

pub(super) fn keep(step: &Step<'_>, owner: &Owner) -> Done<bool> {
    let until = step.now.after(step.retention.alive).as_micros();
    let sql = "SELECT until FROM forebay_owner WHERE name = ?1";
    let found: Option<i64> = step.find(sql, [owner.as_str()], |row| row.get(0))?;
    match found {
        Some(until) if until <= step.now() => return Ok(false),
        Some(_) => {
            let sql = "UPDATE forebay_owner SET until = ?2 WHERE name = ?1";
            step.run(sql, params![owner.as_str(), until])?;
        }
        None => drop(new_owner(step, owner, until)?),
    }
    Ok(true)
}

/// What it still holds is taken over at once.
pub(super) fn leave(step: &Step<'_>, owner: &Owner) -> Done<()> {
    let name = [owner.as_str()];
    step.run("DELETE FROM forebay_process WHERE owner = ?1", name)?;
    step.run("DELETE FROM forebay_signal WHERE owner = ?1", name)?;
    step.run("UPDATE forebay_owner SET until = 0 WHERE name = ?1", name)?;
    Ok(())
}

pub(super) fn recover(step: &Step<'_>, most: usize) -> Done<Recovered> {
    let mut recovered = Recovered::default();
    let sql = "SELECT no FROM forebay_owner WHERE until <= ?1 ORDER BY name";
    let owners: Vec<i64> = step.list(sql, [step.now()], |row| row.get(0))?;
    let mut ends = Ends::prepare(step)?;
    for owner in owners {
        let left = most.saturating_sub(recovered.moved());
        // One more than may be moved says whether that is all.
        // The newest first: what goes back is next, and so the oldest is next of all.
        let sql = "SELECT token, queue, job FROM forebay_lease WHERE owner = ?1 \
                   ORDER BY token DESC LIMIT ?2";
        let look = [owner, int(left.saturating_add(1))];
        let held: Vec<(i64, i64, i64)> =
            step.list(sql, look, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        recovered.owners += u64::from(!held.is_empty());
        for (token, no, job) in held.iter().take(left) {
            ends.end_lease(owner, *token)?;
            if let Some(entry) = poison(step, &mut ends, *job)? {
                recovered.poisoned.push(entry);
            } else {
                give_back(step, *no, *job)?;
                recovered.back += 1;
            }
        }
        queue::count_leases(step, -int(held.len().min(left)))?;
        if held.len() > left {
            break;
        }
        step.run("DELETE FROM forebay_owner WHERE no = ?1", [owner])?;
    }
    set::trim(step)?;
    unpark_forgotten(step, most)?;
    Ok(recovered)
}

/// Counts a death of the job's process; the entry of the dead if that was one too many.
fn poison(step: &Step<'_>, ends: &mut Ends<'_>, job: i64) -> Done<Option<Entry>> {
    let sql = "SELECT payload FROM forebay_job WHERE id = ?1";
    let Some(payload) = step.find(sql, [job], |row| queue::bytes(row, 0))? else {
        return Ok(None);
    };
    let Some(id) = crate::job::id_of(&payload) else { return Ok(None) };
    step.run(
        "DELETE FROM forebay_poison WHERE name = ?1 AND until <= ?2",
        params![id, step.now()],
    )?;
    let sql = "INSERT INTO forebay_poison (name, count, until) VALUES (?1, 1, ?2) \
               ON CONFLICT (name) DO UPDATE SET count = count + 1, until = ?2 RETURNING count";
    let until = step.now.after(step.retention.poison_window).as_micros();
    let deaths: i64 = step.find(sql, params![id, until], |row| row.get(0))?.unwrap_or(0);
    if count(deaths) <= u64::from(step.retention.poison) {
        return Ok(None);
    }
    ends.drop_job(job)?;
    let entry = Entry { at: step.now, payload };
    set::insert(step, Set::Dead, &entry, mark::of_payload(&entry.payload))?;
    Ok(Some(entry))
}

/// Brings back what is parked for a class, the newest first: what goes back is next. Says how many.
pub(super) fn unpark(step: &Step<'_>, class: &str, most: usize) -> Done<usize> {
    let sql = "SELECT id, queue, job FROM forebay_park WHERE class = ?1 ORDER BY id DESC LIMIT ?2";
    let parked: Vec<(i64, i64, i64)> = step
        .list(sql, params![class, int(most)], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    for (id, no, job) in &parked {
        step.run("DELETE FROM forebay_park WHERE id = ?1", [id])?;
        give_back(step, *no, *job)?;
    }
    Ok(parked.len())
}

/// Whoever ended a pause may have died before all was back.
fn unpark_forgotten(step: &Step<'_>, most: usize) -> Done<()> {
    let sql = "SELECT class FROM forebay_park WHERE NOT EXISTS \
               (SELECT 1 FROM forebay_pause WHERE kind = 1 AND name = class) LIMIT 1";
    if let Some(class) = step.find(sql, [], |row| row.get::<_, String>(0))? {
        unpark(step, &class, most.min(MOST_A_STEP))?;
    }
    Ok(())
}

pub(super) fn pause(step: &Step<'_>, what: &Pause, is_paused: bool) -> Done<()> {
    let (kind, name) = match what {
        Pause::Queue(name) => (0, name),
        Pause::Class(name) => (1, name),
        Pause::Timetable(name) => (2, name),
    };
    let sql = if is_paused {
        "INSERT OR IGNORE INTO forebay_pause (kind, name) VALUES (?1, ?2)"
    } else {
        "DELETE FROM forebay_pause WHERE kind = ?1 AND name = ?2"
    };
    if step.run(sql, params![kind, &**name])? > 0 {
        step.add(super::step::Kind::Pauses as i64, 1)?;
        step.wakes.set(true);
    }
    Ok(())
}

fn is_class_paused(step: &Step<'_>, class: &str) -> Done<bool> {
    step.is_there("SELECT 1 FROM forebay_pause WHERE kind = 1 AND name = ?1", [class])
}

fn owner_no(step: &Step<'_>, owner: &Owner) -> Done<Option<i64>> {
    let sql = "SELECT no FROM forebay_owner WHERE name = ?1";
    step.find(sql, [owner.as_str()], |row| row.get(0))
}

fn new_owner(step: &Step<'_>, owner: &Owner, until: i64) -> Done<i64> {
    let sql = "INSERT INTO forebay_owner (name, until) VALUES (?1, ?2)";
    step.run(sql, params![owner.as_str(), until])?;
    Ok(step.conn.last_insert_rowid())
}
