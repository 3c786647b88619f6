//! What is due goes to its queue.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

use crate::payload::Fields;
use crate::run::{Engine, MALFORMED, reasoned};
use crate::store::{Due, Entry, From, MOST_A_STEP, Set, Store, StoreError};
use crate::time::Moment;

/// Steps in a row, before others get their turn.
const MOST_STEPS: usize = 100;
const DEFAULT_QUEUE: &str = "default";

/// Moves what is due, and says when more is: now, if that was not all.
pub(super) async fn all_due(engine: &Engine, set: Set) -> Result<Option<Moment>, StoreError> {
    let store = &*engine.store;
    for _ in 0..MOST_STEPS {
        let entries = store.due(set, MOST_A_STEP).await?;
        let is_last = entries.len() < MOST_A_STEP;
        let (mut due, mut unreadable) = (Vec::with_capacity(entries.len()), Vec::new());
        for entry in entries {
            match promoted(&entry.payload, engine) {
                Ok((queue, payload)) => due.push(Due { entry, queue, payload }),
                Err(why) => unreadable.push((entry, why)),
            }
        }
        if !due.is_empty() {
            store.promote(set, &due).await?;
        }
        // Else it would be the first that is due for ever.
        for (entry, why) in unreadable {
            bury(engine, store, set, entry, &why).await?;
        }
        if is_last {
            let first = store.entries(set, From::Oldest, 0, 1).await?;
            return Ok(first.first().map(|entry| entry.at));
        }
    }
    Ok(Some(engine.time.now()))
}

/// The queue that it goes to and what is put there: `enqueued_at` says since when it waits there.
fn promoted(payload: &Bytes, engine: &Engine) -> Result<(Arc<str>, Bytes), String> {
    let mut fields = Fields::read(payload).map_err(|error| error.to_string())?;
    let queue = match fields.find("queue").filter(|json| *json != "null") {
        None => DEFAULT_QUEUE.into(),
        Some(json) => match serde_json::from_str::<Cow<'_, str>>(json) {
            Ok(name) if !name.is_empty() => Arc::from(&*name),
            _ => return Err(format!("`queue` is `{}` and no name", shortened(json))),
        },
    };
    fields.remove("at");
    fields.set("enqueued_at", engine.time.now().to_json(engine.form));
    Ok((queue, fields.write()))
}

async fn bury(
    engine: &Engine,
    store: &dyn Store,
    set: Set,
    entry: Entry,
    why: &str,
) -> Result<(), StoreError> {
    tracing::warn!(set = set.key(), error = why, "what waited for its time is no job and is dead");
    let now = engine.time.now();
    let payload = reasoned(&entry.payload, (MALFORMED, why), now, engine);
    let dead = Entry { at: now, payload: payload.unwrap_or_else(|| entry.payload.clone()) };
    store.take(set, &entry, Some((Set::Dead, dead))).await.map(drop)
}

fn shortened(json: &str) -> String {
    json.chars().take(60).collect()
}
