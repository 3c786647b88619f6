//! Leases: taken and ended in one step.

use std::sync::Arc;

use bytes::Bytes;
use forebay_redis::connect::Again;
use forebay_redis::{Cmd, Value};

use super::super::{Finish, Lease, MOST_A_STEP, Owner, Set, StoreError, Then, Token, Turn, Turned};
use super::reply::{bytes, is_true, list, number, text};
use super::{RedisStore, keys};
use crate::job::id_of;

/// Queues that one step looks at.
const MOST_QUEUES: usize = 64;

/// What one step is asked.
struct Step<'a> {
    owner: &'a Owner,
    finished: &'a [Finish],
    queues: &'a [Arc<str>],
    fresh: &'a [Token],
}

/// What it brought.
struct Stepped {
    leases: Vec<Lease>,
    lost: Vec<Token>,
    /// Queues in which jobs lie that were removed.
    gone: Vec<Arc<str>>,
}

impl RedisStore {
    pub(super) async fn take_turn(&self, turn: Turn<'_>) -> Result<Turned, StoreError> {
        let mut turned = Turned::default();
        let mut ends = turn.finished.chunks(MOST_A_STEP).peekable();
        let mut queues = turn.queues.chunks(MOST_QUEUES);
        let mut fresh = turn.fresh.get(..MOST_A_STEP).unwrap_or(turn.fresh);
        loop {
            let finished = ends.next().unwrap_or_default();
            // New leases come with the last of the ends.
            let is_last = ends.peek().is_none();
            let some = is_last.then(|| queues.next()).flatten().unwrap_or_default();
            let wanted = if some.is_empty() { &[] } else { fresh };
            if finished.is_empty() && wanted.is_empty() {
                if !turn.queues.is_empty() && !turn.fresh.is_empty() {
                    self.wake.found(!turned.leases.is_empty());
                }
                return Ok(turned);
            }
            let step = Step { owner: turn.owner, finished, queues: some, fresh: wanted };
            let stepped = self.step(&step).await?;
            turned.lost.extend(stepped.lost);
            let mut leases = stepped.leases;
            fresh = fresh.get(leases.len()..).unwrap_or_default();
            for queue in &stepped.gone {
                // Without an answer the leases are there all the same; their owner finds them.
                leases = self.without_gone(turn.owner, queue, leases).await?;
            }
            turned.leases.extend(leases);
        }
    }

    async fn step(&self, step: &Step<'_>) -> Result<Stepped, StoreError> {
        let fill = |call: &mut Cmd| self.fill(call, step);
        // Asked again after a lost answer, it would lease more and call the ended ones lost: its owner looks
        // at its leases instead.
        let answer = self.scripts.turn.run(&self.redis, 4 + step.queues.len(), Again::Never, fill);
        let mut parts = list(answer.await?).into_iter();
        let mut next = || list(parts.next().unwrap_or(Value::Nil)).into_iter();
        let (lost, mut got, gone, strange) = (next(), next(), next(), next());
        let at = |value: &Value| number(value).and_then(|it| usize::try_from(it).ok());
        let queue = |value: &Value| at(value).and_then(|it| step.queues.get(it));
        let mut leases = Vec::new();
        let mut tokens = step.fresh.iter();
        while let (Some(from), Some(jobs)) = (got.next(), got.next()) {
            let Some(queue) = queue(&from) else { continue };
            for (job, token) in list(jobs).into_iter().zip(&mut tokens) {
                // A job is always bytes; anything else would be lost to its owner until it looks.
                let payload = bytes(job).unwrap_or_default();
                leases.push(Lease { token: *token, queue: Arc::clone(queue), payload });
            }
        }
        for queue in strange.filter_map(|it| queue(&it).cloned()) {
            tracing::warn!(%queue, "what lies under the name of a queue is no list");
        }
        let token = |it: &Value| at(it).and_then(|it| step.finished.get(it)).map(|end| end.token);
        Ok(Stepped {
            leases,
            lost: lost.filter_map(|it| token(&it)).collect(),
            gone: gone.filter_map(|it| queue(&it).cloned()).collect(),
        })
    }

    fn fill(&self, call: &mut Cmd, step: &Step<'_>) {
        call.arg(keys::leases(step.owner)).arg(keys::ALIVE).arg(keys::PAUSED);
        call.arg(Set::Dead.key());
        for name in step.queues {
            call.arg(keys::queue(name));
        }
        call.arg(self.now_arg()).arg(step.owner.as_str()).arg(self.retention.dead_most);
        call.arg(micros(self.retention.dead_age)).arg(step.fresh.len());
        for token in step.fresh {
            call.arg(token.0);
        }
        for end in step.finished {
            let queue = &*end.queue;
            call.arg(format!("{}:{queue}", end.token.0));
            match &end.then {
                Then::Done => call.arg("done").arg("").arg("").arg(""),
                Then::Wait { set, at, payload } => {
                    call.arg("wait").arg(set.key()).arg(at.to_string()).arg(&payload[..])
                }
                Then::Back => call.arg("back").arg(queue).arg("").arg(""),
                Then::Park { class } => {
                    call.arg("park").arg(&**class).arg(keys::place(class, queue)).arg(queue)
                }
            };
            match &end.unlock {
                Some(lock) => call.arg(keys::lock(&lock.key)).arg(&*lock.holder),
                None => call.arg("").arg(""),
            };
        }
    }

    /// Ends leases of jobs that were removed while they lay in their queue.
    pub(super) async fn without_gone(
        &self,
        owner: &Owner,
        queue: &Arc<str>,
        leases: Vec<Lease>,
    ) -> Result<Vec<Lease>, StoreError> {
        let mut asked = Vec::new();
        for (at, lease) in leases.iter().enumerate().filter(|(_, it)| it.queue == *queue) {
            if let Some(id) = id_of(&lease.payload) {
                asked.push((at, id, format!("{}:{queue}", lease.token.0)));
            }
        }
        let settle = &self.scripts.settle;
        let answer = settle.run(&self.redis, 2, Again::Never, |call| {
            call.arg(keys::leases(owner)).arg(keys::gone(queue));
            for (_, id, field) in &asked {
                call.arg(id).arg(field);
            }
        });
        let answers = list(answer.await?);
        let is_gone = |at: usize| {
            let mut all = asked.iter().zip(&answers);
            all.any(|((it, _, _), answer)| *it == at && is_true(answer))
        };
        let kept = leases.into_iter().enumerate().filter(|(at, _)| !is_gone(*at));
        Ok(kept.map(|(_, lease)| lease).collect())
    }

    pub(super) async fn held_by(&self, owner: &Owner) -> Result<Vec<Lease>, StoreError> {
        let mut call = forebay_redis::cmd("HGETALL");
        call.arg(keys::leases(owner));
        let mut all = list(self.redis.ask(&call, Again::Safe).await?).into_iter();
        let mut leases = Vec::new();
        while let (Some(field), Some(job)) = (all.next(), all.next()) {
            if let (Some((token, queue)), Some(payload)) =
                (text(field).as_deref().and_then(split), bytes(job))
            {
                leases.push(Lease { token, queue, payload });
            }
        }
        leases.sort_unstable_by_key(|lease| lease.token);
        Ok(leases)
    }
}

/// The token and the queue in the name of a lease.
pub(super) fn split(field: &str) -> Option<(Token, Arc<str>)> {
    let (token, queue) = field.split_once(':')?;
    Some((Token(token.parse().ok()?), queue.into()))
}

pub(super) fn micros(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// Bytes of one job, for slices that are bounded by them.
pub(super) fn weight(payload: &Bytes) -> usize {
    payload.len() + 64
}
