//! Jobs that come in: pushed, fired by a timetable, or moved because they are due.

use forebay_redis::connect::Again;
use forebay_redis::{Cmd, Value, pipe};

use super::super::{Due, MOST_A_STEP, Push, Pushed, Set, StoreError};
use super::reply::{count, list, strange, text};
use super::turn::{micros, weight};
use super::{RedisStore, keys};
use crate::time::Moment;

/// Jobs of one queue that one command stores, as Sidekiq's slices.
const MOST_A_COMMAND: usize = 1_000;
/// Bytes that one command stores, unless one job alone is larger.
const MOST_BYTES: usize = 1 << 20;

impl RedisStore {
    pub(super) async fn push_all(&self, jobs: &[Push]) -> Result<Vec<Pushed>, StoreError> {
        let mut pushed = Vec::with_capacity(jobs.len());
        let mut left = jobs;
        while let Some(first) = left.first() {
            // What goes to one queue now needs no script: a command stores all of it, or nothing.
            let is_plain =
                |job: &Push| job.at.is_none() && job.unique.is_none() && job.queue == first.queue;
            let plain = slice(left, MOST_A_COMMAND, is_plain);
            let (some, rest) = if plain == 0 {
                left.split_at(slice(left, MOST_A_STEP, |_| true))
            } else {
                left.split_at(plain)
            };
            if plain == 0 {
                pushed.extend(self.push_slice(some, None).await?.unwrap_or_default());
            } else {
                self.push_plain(&first.queue, some).await?;
                pushed.extend(some.iter().map(|_| Pushed::Stored));
            }
            left = rest;
        }
        Ok(pushed)
    }

    pub(super) async fn fire_once(
        &self,
        timetable: &str,
        tick: Moment,
        jobs: &[Push],
    ) -> Result<bool, StoreError> {
        Ok(self.push_slice(jobs, Some((timetable, tick))).await?.is_some())
    }

    /// The name of the queue first, as Sidekiq does: a queue with jobs that nobody sees would be worse than one
    /// without.
    async fn push_plain(&self, queue: &str, jobs: &[Push]) -> Result<(), StoreError> {
        let mut calls = pipe();
        calls.cmd("SADD").arg(keys::QUEUES).arg(queue);
        calls.cmd("LPUSH").arg(keys::queue(queue));
        for job in jobs {
            calls.arg(&job.payload[..]);
        }
        let answers = self.redis.pipe(&calls, Again::Never).await?;
        match answers.get(1) {
            Some(Value::Int(_)) => Ok(()),
            other => Err(strange(other.unwrap_or(&Value::Nil), "the length of a queue")),
        }
    }

    /// Nothing if the tick was fired before.
    async fn push_slice(
        &self,
        jobs: &[Push],
        tick: Option<(&str, Moment)>,
    ) -> Result<Option<Vec<Pushed>>, StoreError> {
        // Asked again after a lost answer, a tick is not fired twice and a job would be stored twice.
        let again = if tick.is_some() { Again::Safe } else { Again::Never };
        let answer = self.scripts.push.run(&self.redis, 0, again, |call| {
            call.arg(self.now_arg());
            match tick {
                Some((timetable, tick)) => call.arg(timetable).arg(tick.as_micros()),
                None => call.arg("").arg(0),
            };
            for job in jobs {
                add(call, job);
            }
        });
        let answer = answer.await?;
        if tick.is_some() && !matches!(answer, Value::Array(_)) {
            return Ok(None);
        }
        let pushed = list(answer).into_iter().map(|of| match text(of) {
            Some(of) if !of.is_empty() => Pushed::Duplicate { of: of.into() },
            _ => Pushed::Stored,
        });
        Ok(Some(pushed.collect()))
    }

    pub(super) async fn promote_all(&self, set: Set, due: &[Due]) -> Result<usize, StoreError> {
        let mut moved = 0;
        for some in due.chunks(MOST_A_STEP) {
            let answer = self.scripts.promote.run(&self.redis, 1, Again::Safe, |call| {
                call.arg(set.key());
                for one in some {
                    call.arg(one.entry.at.to_string()).arg(&one.entry.payload[..]);
                    call.arg(&*one.queue).arg(&one.payload[..]);
                }
            });
            moved += usize::try_from(count(Some(&answer.await?))).unwrap_or(0);
        }
        Ok(moved)
    }
}

fn add(call: &mut Cmd, job: &Push) {
    call.arg(&*job.queue);
    match job.at {
        Some(at) => call.arg(at.to_string()),
        None => call.arg(""),
    };
    call.arg(&job.payload[..]);
    match &job.unique {
        Some(lock) => {
            call.arg(keys::lock(&lock.key)).arg(&*lock.holder).arg(micros(lock.ttl));
        }
        None => {
            call.arg("").arg("").arg(0);
        }
    }
}

/// How many of the first jobs go together.
fn slice(jobs: &[Push], most: usize, fits: impl Fn(&Push) -> bool) -> usize {
    let mut bytes = 0;
    let mut is_light = |job: &Push| {
        bytes += weight(&job.payload);
        bytes <= MOST_BYTES || bytes == weight(&job.payload)
    };
    jobs.iter().take(most).take_while(|job| fits(job) && is_light(job)).count()
}
