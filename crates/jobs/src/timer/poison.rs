//! Jobs that took their process with them too often: they say so, and their hooks are told.

use crate::job::Job;
use crate::retry::{Exhausted, Failure};
use crate::run::{Engine, mourn, reasoned};
use crate::store::{Entry, Set, StoreError};

const CLASS: &str = "Poison";

/// Writes the reason into an entry of the dead, which holds the job as it was pushed. Whoever ends before this
/// is done leaves it there without: it is not lost, and it is not run again.
pub(super) async fn explain(engine: &Engine, entry: Entry) -> Result<(), StoreError> {
    let why = "its process ended each time it ran, which was more often than is tried";
    if let Ok(job) = Job::parse(entry.payload.clone()) {
        tracing::error!(
            class = job.class(),
            id = job.id(),
            "a job took its process with it too often and is dead"
        );
        let failure = Failure::new(CLASS, why);
        mourn(engine, engine.handler(job.class()), &job, &failure, Exhausted::Poisoned);
    }
    let Some(payload) = reasoned(&entry.payload, (CLASS, why), engine.time.now(), engine) else {
        return Ok(());
    };
    let told = Entry { at: entry.at, payload };
    engine.store.take(Set::Dead, &entry, Some((Set::Dead, told))).await.map(drop)
}
