//! A job's way from its lease to the end of it: `read -> may it run -> perform -> settle`.
//!
//! - What is this room for: to run one job, whatever it is, and say what becomes of it.
//! - In: a lease, and what all runs share.
//! - Out: an end: how the lease is to be finished. To finish it is up to `fetch`.
//! - Never: a job without an end. What cannot be read is kept with the reason, what panics has failed, what
//!   is dropped in the midst goes back; a handler harms no one else.

mod caught;
mod classes;
mod context;
mod engine;
mod handler;
pub(crate) mod notes;
#[cfg(test)]
mod tests;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use forebay_signals::clock;

pub use self::context::Run;
pub(crate) use self::context::{State, Wish};
pub(crate) use self::engine::{Ending, Engine, Time};
pub(crate) use self::handler::Typed;
pub use self::handler::{Handler, Middleware, Next, Performing};
use crate::job::{Job, Malformed};
use crate::payload::Fields;
use crate::push::{Until, until};
use crate::retry::{self, Failure, Fate, Policy, Verdict};
use crate::store::{Finish, Lease, Lock, Set, Then};
use crate::time::Moment;

/// A run that is over: what becomes of its lease, what is counted, what it took.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) finish: Finish,
    pub(crate) ending: Ending,
    pub(crate) took: Duration,
}

/// The way of a job.
pub(crate) async fn job(engine: &Arc<Engine>, lease: Lease, state: Arc<State>) -> Ended {
    let began = clock::now();
    let job = match Job::parse(lease.payload.clone()) {
        Ok(job) => job,
        Err(why) => return bury(engine, &lease, &why),
    };
    if let Some(class) = engine.paused.find(job.class()) {
        return end(&lease, Then::Park { class }, Ending::Later);
    }
    if job.expires_at().is_some_and(|at| at <= engine.time.now()) {
        return over(&lease, &job, Then::Done, Ending::Expired);
    }
    // Before it runs: from here on another like it may be pushed, and sees what this one did not.
    if let Some(lock) = lock(&job, Until::Start) {
        drop(engine.store.unlock(&lock).await);
    }
    let handler = engine.handler(job.class());
    let run = Run::new(job, Arc::clone(&lease.queue), state, engine);
    let result = attempt(handler, &run).await;
    run.state().tell(&*engine.store, run.id()).await;
    let mut ended = match result {
        Ok(()) => {
            run.state().forget_cursor(&*engine.store, run.id()).await;
            over(&lease, run.job(), Then::Done, Ending::Done)
        }
        Err(failure) => settle(engine, &lease, run.job(), handler, failure),
    };
    ended.took = clock::now().saturating_duration_since(began);
    engine.classes_ran.count(run.job(), ended.ending, ended.took);
    engine.runs.count(run.job().class(), ended.ending, ended.took);
    ended
}

/// Runs it within its deadline; a panic is a failure.
async fn attempt(handler: &dyn Handler, run: &Run) -> Result<(), Failure> {
    let next = Next { middleware: &run.engine().middleware, handler };
    // A handler may panic before it has made a future, too.
    let begin = catch_unwind(AssertUnwindSafe(|| next.run(run)));
    let work = caught::Caught(begin.map_err(|panic| caught::failure(&*panic))?);
    let Some(deadline) = handler.deadline(run.job()).or(run.engine().deadline) else {
        return work.await;
    };
    clock::timeout(deadline, work).await.unwrap_or_else(|_| {
        let message = format!("it was not done within `{deadline:?}`");
        Err(Failure::new("DeadlineExceeded", message))
    })
}

/// What becomes of a job that failed.
fn settle(
    engine: &Engine,
    lease: &Lease,
    job: &Job,
    handler: &dyn Handler,
    mut failure: Failure,
) -> Ended {
    if failure.verdict == Verdict::Retry
        && let Some(after) = handler.retry_in(&failure, job.failures())
    {
        failure.verdict = Verdict::RetryAfter(after);
    }
    let now = engine.time.now();
    let policy = Policy { retry: handler.retry(), form: engine.form };
    let wait = |set, at, payload| Then::Wait { set, at, payload };
    match retry::decide(job, &lease.queue, &failure, &policy, now, fastrand::f64()) {
        Fate::Back => end(lease, Then::Back, Ending::Later),
        Fate::Later { at, payload } => end(lease, wait(Set::Schedule, at, payload), Ending::Later),
        Fate::Again { at, payload } => end(lease, wait(Set::Retry, at, payload), Ending::Failed),
        Fate::Dead { payload, why } => {
            // Before the lease ends: hooks may be called twice, and are not left out.
            mourn(engine, handler, job, &failure, why);
            over(lease, job, wait(Set::Dead, now, payload), Ending::Died)
        }
        Fate::Gone { why, .. } => {
            mourn(engine, handler, job, &failure, why);
            over(lease, job, Then::Done, Ending::Failed)
        }
    }
}

/// Tells the hooks that a job has failed for good.
pub(crate) fn mourn(
    engine: &Engine,
    handler: &dyn Handler,
    job: &Job,
    failure: &Failure,
    why: retry::Exhausted,
) {
    let called = catch_unwind(AssertUnwindSafe(|| {
        handler.died(job, failure, why);
        engine.on_death.iter().for_each(|hook| hook(job, failure, why));
    }));
    if called.is_err() {
        tracing::error!(class = job.class(), id = job.id(), "a death hook panicked");
    }
}

/// `error_class` of what is no job.
pub(crate) const MALFORMED: &str = "Malformed";

/// What cannot be a job is kept among the dead, with the reason in it if it is an object at all.
fn bury(engine: &Engine, lease: &Lease, why: &Malformed) -> Ended {
    let now = engine.time.now();
    let payload = reasoned(&lease.payload, (MALFORMED, &why.to_string()), now, engine)
        .unwrap_or_else(|| {
            tracing::warn!(queue = %lease.queue, error = %why, "a payload that is no job is dead");
            lease.payload.clone()
        });
    end(lease, Then::Wait { set: Set::Dead, at: now, payload }, Ending::Malformed)
}

/// The payload with a reason, if it can hold one.
pub(crate) fn reasoned(
    payload: &bytes::Bytes,
    (class, why): (&str, &str),
    now: Moment,
    engine: &Engine,
) -> Option<bytes::Bytes> {
    let mut fields = Fields::read(payload).ok()?;
    fields.set_text("error_message", why);
    fields.set_text("error_class", class);
    fields.set("failed_at", now.to_json(engine.form));
    Some(fields.write())
}

/// What becomes of a job whose run was dropped in the midst: by its own wish, ours, or a bug of ours.
pub(crate) fn dropped(engine: &Engine, lease: &Lease, why: Dropped) -> Ended {
    let job = match Job::parse(lease.payload.clone()) {
        Ok(job) => job,
        Err(why) => return bury(engine, lease, &why),
    };
    match why {
        Dropped::Cancelled => over(lease, &job, Then::Done, Ending::Cancelled),
        Dropped::Stopped => end(lease, Then::Back, Ending::Later),
        Dropped::Panicked => {
            let failure = Failure::new("Panic", "the engine panicked while it ran the job");
            settle(engine, lease, &job, engine.handler(job.class()), failure)
        }
    }
}

/// Why a run was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dropped {
    /// Somebody wanted the job to end.
    Cancelled,
    /// The process ends.
    Stopped,
    /// There is a bug in the engine.
    Panicked,
}

/// The job is over for good: others like it may come.
fn over(lease: &Lease, job: &Job, then: Then, ending: Ending) -> Ended {
    let mut ended = end(lease, then, ending);
    ended.finish.unlock = lock(job, Until::Success);
    ended
}

fn end(lease: &Lease, then: Then, ending: Ending) -> Ended {
    let (token, queue) = (lease.token, Arc::clone(&lease.queue));
    let finish = Finish { token, queue, then, unlock: None };
    Ended { finish, ending, took: Duration::ZERO }
}

/// The lock of a job, if it has one that ends then.
fn lock(job: &Job, ends: Until) -> Option<Lock> {
    let key = job.unique()?;
    (until(job) == ends).then(|| Lock {
        key: key.into(),
        holder: job.id().into(),
        ttl: Duration::ZERO,
    })
}
