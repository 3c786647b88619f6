//! What the dead leave behind: leases, parked jobs of classes that go on, marks of jobs long gone.

use std::sync::Arc;
use std::time::Duration;

use forebay_redis::connect::Again;
use forebay_redis::{Value, cmd, pipe};

use super::super::{Entry, MOST_A_STEP, Owner, Pause, Recovered, Set, StoreError, Token};
use super::reply::{bytes, count, entries, list, texts};
use super::turn::{micros, split};
use super::{RedisStore, keys};
use crate::job::id_of;

/// By how much the clocks of those who push may differ. A mark that is taken for void too soon lets a removed job
/// run.
const CLOCKS_DIFFER: Duration = Duration::from_secs(3_600);

/// One lease of the dead: its name, its token, its queue.
type Left = (String, Token, Arc<str>);

impl RedisStore {
    pub(super) async fn recover_some(&self, most: usize) -> Result<Recovered, StoreError> {
        let mut recovered = Recovered::default();
        for owner in self.dead_owners().await? {
            let all = self.left_by(&owner).await?;
            let room = most.saturating_sub(recovered.moved());
            recovered.owners += u64::from(!all.is_empty());
            let mut some = all.get(..room).unwrap_or(&all).chunks(MOST_A_STEP);
            // Once at least: one without leases is forgotten by the same step.
            let mut next = some.next();
            loop {
                let leases = next.unwrap_or_default();
                let Some((back, poisoned)) = self.take_over(&owner, leases).await? else { break };
                recovered.back += back;
                recovered.poisoned.extend(poisoned);
                next = some.next();
                if next.is_none() {
                    break;
                }
            }
            if all.len() > room {
                return Ok(recovered);
            }
        }
        self.tidy().await?;
        Ok(recovered)
    }

    /// By name: the order in which their jobs go back.
    async fn dead_owners(&self) -> Result<Vec<Owner>, StoreError> {
        let answer = self.scripts.due.run(&self.redis, 1, Again::Safe, |call| {
            call.arg(keys::ALIVE).arg(self.now_arg()).arg(MOST_A_STEP).arg(1);
        });
        let dead = entries(answer.await?).into_iter();
        let name = |payload: bytes::Bytes| String::from_utf8(payload.into()).ok();
        let mut owners: Vec<Owner> =
            dead.filter_map(|entry| name(entry.payload)).map(|name| Owner::named(&name)).collect();
        owners.sort_unstable();
        Ok(owners)
    }

    /// The newest first: what goes back is next, and so the oldest is next of all. As many as one process ran
    /// at once, and no payloads.
    async fn left_by(&self, owner: &Owner) -> Result<Vec<Left>, StoreError> {
        let mut call = cmd("HKEYS");
        call.arg(keys::leases(owner));
        let fields = texts(self.redis.ask(&call, Again::Safe).await?);
        let mut all: Vec<Left> = fields
            .into_iter()
            .filter_map(|field| split(&field).map(|(token, queue)| (field, token, queue)))
            .collect();
        all.sort_unstable_by_key(|(_, token, _)| std::cmp::Reverse(*token));
        Ok(all)
    }

    /// Nothing if the owner lives after all.
    async fn take_over(
        &self,
        owner: &Owner,
        leases: &[Left],
    ) -> Result<Option<(u64, Vec<Entry>)>, StoreError> {
        let mut ids = Vec::new();
        if !leases.is_empty() {
            let mut call = cmd("HMGET");
            call.arg(keys::leases(owner));
            for (field, _, _) in leases {
                call.arg(field);
            }
            for job in list(self.redis.ask(&call, Again::Safe).await?) {
                ids.push(bytes(job).and_then(|job| id_of(&job)).unwrap_or_default());
            }
        }
        let retention = &self.retention;
        let answer = self.scripts.recover.run(&self.redis, 3, Again::Safe, |call| {
            call.arg(keys::leases(owner)).arg(keys::ALIVE).arg(Set::Dead.key());
            call.arg(self.now_arg()).arg(owner.as_str()).arg(retention.poison);
            call.arg(micros(retention.poison_window) / 1_000).arg(retention.dead_most);
            call.arg(micros(retention.dead_age));
            for ((field, _, queue), id) in leases.iter().zip(&ids) {
                call.arg(field).arg(&**queue).arg(id);
            }
        });
        Ok(match answer.await? {
            Value::Array(mut both) => {
                let poisoned = both.pop().unwrap_or(Value::Nil);
                Some((count(both.first()), entries(poisoned)))
            }
            _ => None,
        })
    }

    /// What a process left undone that ended in between.
    async fn tidy(&self) -> Result<(), StoreError> {
        let mut calls = pipe();
        calls.cmd("SMEMBERS").arg(keys::PARKS).cmd("SMEMBERS").arg(keys::PROCESSES);
        calls.cmd("SMEMBERS").arg(keys::QUEUES);
        let mut answers = self.pipe(&calls).await?.into_iter().map(texts);
        let mut next = || answers.next().unwrap_or_default();
        let (parks, processes, queues) = (next(), next(), next());
        for place in parks.iter().take(MOST_A_STEP) {
            self.unpark_some(place).await?;
        }
        let mut shown = pipe();
        for id in &processes {
            shown.cmd("EXISTS").arg(id);
        }
        let mut over = pipe();
        for (id, is_shown) in processes.iter().zip(self.pipe(&shown).await?) {
            // As Sidekiq's own clean-up does: its next beat would bring it back.
            if is_shown == Value::Int(0) {
                over.cmd("SREM").arg(keys::PROCESSES).arg(id);
            }
        }
        let mut marked = pipe();
        for name in &queues {
            marked.cmd("EXISTS").arg(keys::gone(name));
        }
        let (answers, now) = (self.pipe(&marked).await?, self.server_time().await?);
        for (name, is_marked) in queues.iter().zip(answers) {
            if is_marked != Value::Int(1) {
                continue;
            }
            let marks = self.marks_of(name).await?;
            // A marked job may be leased just now and not dropped yet: not before that is long over.
            let is_old = marks.last.is_some_and(|last| last.after(CLOCKS_DIFFER) < now);
            if is_old && marks.are_void(CLOCKS_DIFFER) {
                over.cmd("UNLINK").arg(keys::gone(name));
            }
        }
        self.pipe(&over).await?;
        Ok(())
    }

    pub(super) async fn set_pause(&self, what: &Pause, is_paused: bool) -> Result<(), StoreError> {
        let (key, name) = match what {
            Pause::Queue(name) => (keys::PAUSED, name),
            Pause::Class(name) => (keys::PAUSED_CLASSES, name),
            Pause::Timetable(name) => (keys::PAUSED_TIMETABLES, name),
        };
        let mut call = cmd(if is_paused { "SADD" } else { "SREM" });
        self.redis.ask(call.arg(key).arg(&**name), Again::Safe).await?;
        let (false, Pause::Class(class)) = (is_paused, what) else { return Ok(()) };
        let mut call = cmd("SMEMBERS");
        let places = texts(self.redis.ask(call.arg(keys::PARKS), Again::Safe).await?);
        let is_of = |place: &&String| keys::of_place(place).is_some_and(|(it, _)| it == &**class);
        for place in places.iter().filter(is_of) {
            // In steps. Whatever ends this in between, `tidy` goes on with it.
            while self.unpark_some(place).await? > 0 {}
        }
        Ok(())
    }

    /// Says how many are left.
    async fn unpark_some(&self, place: &str) -> Result<u64, StoreError> {
        let Some((class, queue)) = keys::of_place(place) else { return Ok(0) };
        let answer = self.scripts.unpark.run(&self.redis, 2, Again::Safe, |call| {
            call.arg(keys::park(place)).arg(keys::queue(queue));
            call.arg(MOST_A_STEP).arg(class).arg(place).arg(queue);
        });
        Ok(count(Some(&answer.await?)))
    }

    pub(super) async fn forget(&self, owner: &Owner) -> Result<(), StoreError> {
        let mut calls = pipe();
        let id = owner.as_str();
        calls.cmd("SREM").arg(keys::PROCESSES).arg(id);
        calls.cmd("UNLINK").arg(id).arg(format!("{id}:work")).arg(format!("{id}:workers"));
        calls.arg(format!("{id}-signals"));
        // What it still holds is taken over at once; if a full server refuses this, when its time is over.
        calls.cmd("ZADD").arg(keys::ALIVE).arg(0).arg(id);
        match self.pipe(&calls).await {
            Ok(_) | Err(StoreError::Full(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
