//! The acting door: what operators do with jobs that wait.

use std::sync::Arc;

use bytes::Bytes;

use crate::job::{Job, Malformed};
use crate::store::{Due, Entry, From, MOST_A_STEP, Set, Store, StoreError};
use crate::time::{Form, Moment};

/// Where jobs go that do not say it.
const DEFAULT_QUEUE: &str = "default";

/// What is done with entries of a set.
///
/// ```
/// # use {std::sync::Arc, forebay_jobs::{push::Client, store::memory::Memory}};
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// # let client = Client::new(Arc::new(Memory::default()));
/// use forebay_jobs::{act::{self, What}, store::{Set, Store}};
/// client.push_raw("Report", &(7,)).delay(std::time::Duration::from_secs(60)).await?;
/// act::on_all(&**client.store(), Set::Schedule, What::Kill).await?;
/// act::on_all(&**client.store(), Set::Dead, What::Retry).await?;
/// let counts = client.store().counts().await?;
/// assert_eq!((counts.scheduled, counts.dead, counts.enqueued), (0, 0, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// They go to their queues now, and one try is given back to them, as Sidekiq's Web UI does.
    Retry,
    /// They go to the dead set.
    Kill,
    /// They are taken out.
    Delete,
}

/// Why nothing was done.
///
/// ```
/// # use forebay_jobs::store::{Store, memory::Memory};
/// use forebay_jobs::{act::{self, ActError, What}, store::{Entry, Set}, time::Moment};
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let store = Memory::default();
/// let nonsense = Entry { at: Moment::from_micros(0), payload: "nonsense".into() };
/// let error = act::on(&store, Set::Dead, &nonsense, What::Retry).await.unwrap_err();
/// assert!(matches!(error, ActError::NoJob(_)));
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ActError {
    /// The store did not do it.
    #[error("the job store did not do it")]
    Store(#[from] StoreError),
    /// What is no job cannot be run.
    #[error("what is no job cannot be run")]
    NoJob(#[from] Malformed),
}

/// Does something with one entry of a set. False if it is not there any more.
///
/// ```
/// use forebay_jobs::act::{self, What};
/// use forebay_jobs::store::{Entry, From, Push, Set, Store, memory::Memory};
/// use forebay_jobs::time::Moment;
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let store = Memory::default();
/// let payload = r#"{"class":"A","args":[],"jid":"1","queue":"mail"}"#;
/// let at = Some(Moment::from_micros(1 << 52));
/// store.push(&[Push { queue: "mail".into(), payload: payload.into(), at, unique: None }]).await?;
/// let entry = store.entries(Set::Schedule, From::Oldest, 0, 1).await?.remove(0);
/// assert!(act::on(&store, Set::Schedule, &entry, What::Retry).await?);
/// assert_eq!(store.counts().await?.enqueued, 1);
/// # Ok::<(), act::ActError>(()) }).unwrap();
/// ```
///
/// # Errors
/// See [`ActError`].
pub async fn on(store: &dyn Store, set: Set, entry: &Entry, what: What) -> Result<bool, ActError> {
    let now = store.now().await?;
    let done = match what {
        What::Delete => store.take(set, entry, None).await?,
        What::Kill => {
            let dead = Entry { at: now, payload: entry.payload.clone() };
            store.take(set, entry, Some((Set::Dead, dead))).await?
        }
        What::Retry => {
            let job = Job::parse(entry.payload.clone())?;
            let queue: Arc<str> = job.queue().unwrap_or(DEFAULT_QUEUE).into();
            let due = [Due { queue, payload: once_more(&job, now), entry: entry.clone() }];
            store.promote(set, &due).await? == 1
        }
    };
    Ok(done)
}

/// Does something with what lies in a set now, and says with how many. What comes in meanwhile is not
/// touched, and neither is what cannot be: no job is no reason to stop.
///
/// ```
/// # use {std::sync::Arc, forebay_jobs::{push::Client, store::memory::Memory}};
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// # let client = Client::new(Arc::new(Memory::default()));
/// use forebay_jobs::{act::{self, What}, store::{Set, Store}};
/// let hour = std::time::Duration::from_secs(3_600);
/// client.push_raw_bulk("Report", &[7, 8]).delay(hour).await?;
/// assert_eq!(act::on_all(&**client.store(), Set::Schedule, What::Retry).await?, 2); // now
/// assert_eq!(client.store().counts().await?.enqueued, 2);
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
///
/// # Errors
/// The store did not do it; some may be done.
pub async fn on_all(store: &dyn Store, set: Set, what: What) -> Result<u64, StoreError> {
    if what == What::Delete {
        return store.clear(set).await;
    }
    let counts = store.counts().await?;
    let mut left = match set {
        Set::Schedule => counts.scheduled,
        Set::Retry => counts.retries,
        Set::Dead => counts.dead,
    };
    let (mut done, mut passed_over) = (0, 0);
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(MOST_A_STEP).min(MOST_A_STEP);
        let page = store.entries(set, From::Oldest, passed_over, most).await?;
        if page.is_empty() {
            break;
        }
        for entry in page {
            left -= 1;
            match on(store, set, &entry, what).await {
                Ok(true) => done += 1,
                Ok(false) => {}
                Err(ActError::NoJob(_)) => passed_over += 1,
                Err(ActError::Store(error)) => return Err(error),
            }
        }
    }
    Ok(done)
}

/// The payload of a job that is tried once more: the try is not counted.
fn once_more(job: &Job, now: Moment) -> Bytes {
    // What the payload says in is what those who read it understand.
    let is_whole = |json: &str| json.bytes().all(|byte| byte.is_ascii_digit());
    let form = match job.field("created_at") {
        Some(json) if is_whole(&json) => Form::IntegerMilliseconds,
        _ => Form::FloatSeconds,
    };
    let mut fields = job.fields();
    fields.remove("at");
    match job.failures() {
        0 => {}
        1 => fields.remove("retry_count"),
        failures => fields.set("retry_count", (failures - 2).to_string()),
    }
    fields.set("enqueued_at", now.to_json(form));
    fields.write()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::retry::{Failure, Fate, Policy, decide};
    use crate::store::memory::Memory;
    use crate::store::{Push, Retention};
    use crate::time::Clock;

    const NOW: Moment = Moment::from_micros(1_795_436_000_500_000);

    async fn with(jobs: &[&str]) -> Memory {
        let store = Memory::new(Clock::manual(NOW), Retention::default());
        for (n, json) in jobs.iter().enumerate() {
            let at = Some(NOW.after(Duration::from_secs(60 + n as u64)));
            let payload = Bytes::copy_from_slice(json.as_bytes());
            let push = Push { queue: "q".into(), payload, at, unique: None };
            store.push(&[push]).await.unwrap();
        }
        store
    }

    fn block_on(test: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(test);
    }

    #[test]
    fn a_job_that_was_tried_too_often_is_tried_once_more() {
        block_on(async {
            let json = r#"{"class":"A","args":[1],"jid":"1","queue":"q","retry":3,"retry_count":3,"created_at":1795436000.5,"mine":1.50}"#;
            let store = with(&[json]).await;
            assert_eq!(on_all(&store, Set::Schedule, What::Retry).await.unwrap(), 1);
            let payload = store.page("q", From::Oldest, 0, 1).await.unwrap().remove(0);
            assert_eq!(
                std::str::from_utf8(&payload).unwrap(),
                r#"{"class":"A","args":[1],"jid":"1","queue":"q","retry":3,"retry_count":2,"created_at":1795436000.5,"mine":1.50,"enqueued_at":1795436000.5}"#
            );
            // It fails again and that is the end of it, as before.
            let job = Job::parse(payload).unwrap();
            let fate = decide(&job, "q", &Failure::new("E", "e"), &Policy::default(), NOW, 0.0);
            assert!(matches!(fate, Fate::Dead { .. }), "{fate:?}");
        });
    }

    #[test]
    fn what_is_no_job_is_passed_over_and_killed_all_the_same() {
        block_on(async {
            let good = r#"{"class":"A","args":[],"jid":"1","created_at":1795436000500}"#;
            let store = with(&["nonsense", good, "[]"]).await;
            assert_eq!(on_all(&store, Set::Schedule, What::Retry).await.unwrap(), 1);
            let payload = store.page("default", From::Oldest, 0, 1).await.unwrap().remove(0);
            assert!(payload.ends_with(br#""enqueued_at":1795436000500}"#));
            assert_eq!(on_all(&store, Set::Schedule, What::Kill).await.unwrap(), 2);
            assert_eq!(store.counts().await.unwrap().dead, 2);
            assert_eq!(on_all(&store, Set::Dead, What::Delete).await.unwrap(), 2);
        });
    }

    #[test]
    fn of_two_who_act_one_does() {
        block_on(async {
            let store = with(&[r#"{"class":"A","args":[],"jid":"1"}"#]).await;
            let entry = store.entries(Set::Schedule, From::Oldest, 0, 1).await.unwrap().remove(0);
            assert!(on(&store, Set::Schedule, &entry, What::Retry).await.unwrap());
            for what in [What::Retry, What::Kill, What::Delete] {
                assert!(!on(&store, Set::Schedule, &entry, what).await.unwrap());
            }
            assert_eq!(store.counts().await.unwrap().enqueued, 1);
        });
    }
}
