//! The contract, call by call: what is one step of the server stands here, the rest where its subject is.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use forebay_redis::connect::Again;
use forebay_redis::{cmd, pipe};

use super::super::{
    Beat, Counts, Due, Entry, From, Lease, Lock, Owner, Pause, Process, Push, Pushed, QueueView,
    Ran, Recovered, Reply, Room, Set, Signal, Store, Turn, Turned, Within,
};
use super::{RedisStore, keys, reply, turn};
use crate::time::Moment;

/// Makes a pause of one kind.
type Kind = fn(Arc<str>) -> Pause;

impl Store for RedisStore {
    fn push<'a>(&'a self, jobs: &'a [Push]) -> Reply<'a, Vec<Pushed>> {
        Box::pin(self.push_all(jobs))
    }

    fn turn<'a>(&'a self, turn: Turn<'a>) -> Reply<'a, Turned> {
        Box::pin(self.take_turn(turn))
    }

    fn wait<'a>(&'a self, queues: &'a [Arc<str>], at_most: Duration) -> Reply<'a, ()> {
        Box::pin(self.wake.wait(queues, at_most))
    }

    fn keep<'a>(&'a self, owner: &'a Owner) -> Reply<'a, bool> {
        Box::pin(async move {
            let answer = self.scripts.keep.run(&self.redis, 1, Again::Safe, |call| {
                call.arg(keys::ALIVE).arg(self.now_arg()).arg(owner.as_str());
                call.arg(turn::micros(self.retention.alive));
            });
            Ok(reply::is_true(&answer.await?))
        })
    }

    fn recover(&self, most: usize) -> Reply<'_, Recovered> {
        Box::pin(self.recover_some(most))
    }

    fn leases<'a>(&'a self, owner: &'a Owner) -> Reply<'a, Vec<Lease>> {
        Box::pin(self.held_by(owner))
    }

    fn due(&self, set: Set, most: usize) -> Reply<'_, Vec<Entry>> {
        Box::pin(async move {
            let answer = self.scripts.due.run(&self.redis, 1, Again::Safe, |call| {
                // Scores are seconds; the clock is in microseconds.
                call.arg(set.key()).arg(self.now_arg()).arg(most).arg(1_000_000);
            });
            Ok(reply::entries(answer.await?))
        })
    }

    fn promote<'a>(&'a self, set: Set, due: &'a [Due]) -> Reply<'a, usize> {
        Box::pin(self.promote_all(set, due))
    }

    fn entries(&self, set: Set, from: From, skip: usize, most: usize) -> Reply<'_, Vec<Entry>> {
        Box::pin(async move {
            if most == 0 {
                return Ok(Vec::new());
            }
            let mut call = cmd(if from == From::Oldest { "ZRANGE" } else { "ZREVRANGE" });
            call.arg(set.key()).arg(skip).arg(skip.saturating_add(most - 1)).arg("WITHSCORES");
            Ok(reply::entries(self.redis.ask(&call, Again::Safe).await?))
        })
    }

    fn take<'a>(&'a self, set: Set, entry: &'a Entry, to: Option<(Set, Entry)>) -> Reply<'a, bool> {
        Box::pin(async move {
            let answer = self.scripts.take.run(&self.redis, 3, Again::Never, |call| {
                call.arg(set.key()).arg(to.as_ref().map_or("", |(to, _)| to.key()));
                call.arg(Set::Dead.key()).arg(self.now_arg());
                call.arg(entry.at.to_string()).arg(&entry.payload[..]);
                match &to {
                    Some((_, it)) => call.arg(it.at.to_string()).arg(&it.payload[..]),
                    None => call.arg("").arg(""),
                };
                call.arg(self.retention.dead_most).arg(turn::micros(self.retention.dead_age));
            });
            Ok(reply::is_true(&answer.await?))
        })
    }

    fn clear(&self, set: Set) -> Reply<'_, u64> {
        Box::pin(async move {
            let answer = self.scripts.clear.run(&self.redis, 1, Again::Never, |call| {
                call.arg(set.key()).arg("set");
            });
            Ok(reply::count(Some(&answer.await?)))
        })
    }

    fn find<'a>(&'a self, within: Within<'a>, id: &'a str) -> Reply<'a, Option<Entry>> {
        match within {
            Within::Set(set) => Box::pin(self.find_in_set(set, id)),
            Within::Queue(queue) => Box::pin(self.find_in_queue(queue, id)),
        }
    }

    fn queues(&self) -> Reply<'_, Vec<QueueView>> {
        Box::pin(self.show_queues())
    }

    fn page<'a>(
        &'a self,
        queue: &'a str,
        from: From,
        skip: usize,
        most: usize,
    ) -> Reply<'a, Vec<Bytes>> {
        Box::pin(self.page_of(queue, from, skip, most))
    }

    fn clear_queue<'a>(&'a self, queue: &'a str) -> Reply<'a, u64> {
        Box::pin(async move {
            let answer = self.scripts.clear.run(&self.redis, 2, Again::Never, |call| {
                call.arg(keys::queue(queue)).arg(keys::gone(queue)).arg("list");
            });
            let count = reply::count(Some(&answer.await?));
            self.pipe(pipe().cmd("SREM").arg(keys::QUEUES).arg(queue)).await?;
            Ok(count)
        })
    }

    fn remove_queued<'a>(&'a self, queue: &'a str, id: &'a str) -> Reply<'a, bool> {
        Box::pin(async move {
            let answer = self.scripts.remove.run(&self.redis, 2, Again::Never, |call| {
                call.arg(keys::queue(queue)).arg(keys::gone(queue));
                call.arg(self.now_arg()).arg(id);
            });
            Ok(reply::is_true(&answer.await?))
        })
    }

    fn pause<'a>(&'a self, what: &'a Pause, is_paused: bool) -> Reply<'a, ()> {
        Box::pin(self.set_pause(what, is_paused))
    }

    fn pauses(&self) -> Reply<'_, Vec<Pause>> {
        Box::pin(async move {
            let mut calls = pipe();
            let kinds: [(&str, Kind); 3] = [
                (keys::PAUSED, Pause::Queue),
                (keys::PAUSED_CLASSES, Pause::Class),
                (keys::PAUSED_TIMETABLES, Pause::Timetable),
            ];
            for (key, _) in kinds {
                calls.cmd("SMEMBERS").arg(key);
            }
            let answers = self.pipe(&calls).await?.into_iter().map(reply::texts);
            let of = |(names, (_, kind)): (Vec<String>, (&str, Kind))| {
                names.into_iter().map(move |name| kind(name.into()))
            };
            let mut all: Vec<_> = answers.zip(kinds).flat_map(of).collect();
            all.sort_unstable();
            Ok(all)
        })
    }

    fn counts(&self) -> Reply<'_, Counts> {
        Box::pin(self.count_all())
    }

    fn beat<'a>(&'a self, beat: Beat<'a>) -> Reply<'a, Option<Signal>> {
        Box::pin(self.beat_once(beat))
    }

    fn leave<'a>(&'a self, owner: &'a Owner) -> Reply<'a, ()> {
        Box::pin(self.forget(owner))
    }

    fn ran(&self, within: Duration) -> Reply<'_, Vec<Ran>> {
        Box::pin(self.ran_within(within))
    }

    fn processes(&self) -> Reply<'_, Vec<Process>> {
        Box::pin(self.show_processes())
    }

    fn signal<'a>(&'a self, owner: &'a Owner, signal: Signal) -> Reply<'a, ()> {
        Box::pin(self.send_signal(owner, signal))
    }

    fn lead<'a>(&'a self, role: &'a str, owner: &'a Owner, ttl: Duration) -> Reply<'a, bool> {
        Box::pin(async move {
            let answer = self.scripts.lead.run(&self.redis, 1, Again::Safe, |call| {
                call.arg(keys::role(role)).arg(self.now_arg());
                call.arg(owner.as_str()).arg(turn::micros(ttl));
            });
            Ok(reply::is_true(&answer.await?))
        })
    }

    fn fire<'a>(&'a self, timetable: &'a str, tick: Moment, jobs: &'a [Push]) -> Reply<'a, bool> {
        Box::pin(self.fire_once(timetable, tick, jobs))
    }

    fn fired<'a>(&'a self, timetable: &'a str) -> Reply<'a, Option<Moment>> {
        Box::pin(async move {
            let mut call = cmd("HGET");
            call.arg(keys::FIRED).arg(timetable);
            let answer = self.redis.ask(&call, Again::Safe).await?;
            Ok(reply::number(&answer).map(Moment::from_micros))
        })
    }

    fn unlock<'a>(&'a self, lock: &'a Lock) -> Reply<'a, bool> {
        Box::pin(async move {
            let answer = self.scripts.unlock.run(&self.redis, 1, Again::Never, |call| {
                call.arg(keys::lock(&lock.key)).arg(self.now_arg()).arg(&*lock.holder);
            });
            Ok(reply::is_true(&answer.await?))
        })
    }

    fn note<'a>(
        &'a self,
        id: &'a str,
        field: &'a str,
        value: Option<&'a [u8]>,
        ttl: Duration,
    ) -> Reply<'a, ()> {
        Box::pin(async move {
            let answer = self.scripts.note.run(&self.redis, 1, Again::Safe, |call| {
                call.arg(keys::note(id)).arg(self.now_arg()).arg(field).arg(turn::micros(ttl));
                if let Some(value) = value {
                    call.arg(value);
                }
            });
            answer.await?;
            Ok(())
        })
    }

    fn noted<'a>(&'a self, id: &'a str, field: &'a str) -> Reply<'a, Option<Bytes>> {
        Box::pin(async move {
            let answer = self.scripts.note.run(&self.redis, 1, Again::Safe, |call| {
                call.arg(keys::note(id)).arg(self.now_arg()).arg(field);
            });
            Ok(reply::bytes(answer.await?))
        })
    }

    fn room(&self) -> Reply<'_, Room> {
        Box::pin(self.measure_room())
    }

    fn now(&self) -> Reply<'_, Moment> {
        Box::pin(self.server_time())
    }
}
