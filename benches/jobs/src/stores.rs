//! The store that is named, as `forebay` opens it.

use std::sync::Arc;

use forebay_jobs::store::redis::RedisStore;
use forebay_jobs::store::sqlite::{Options, Sqlite};
use forebay_jobs::store::{Push, Retention, Store};
use forebay_jobs::time::Clock;
use forebay_redis::connect::{Redis, Settings, Target};

use crate::{Flags, Outcome};

/// Queue of every job of the benchmark.
pub(crate) const QUEUE: &str = "default";

pub(crate) fn open(flags: &Flags) -> Outcome<Arc<dyn Store>> {
    let named: String = flags.value("store")?;
    if !named.contains("://") {
        return Ok(Arc::new(Sqlite::open(named, Options::default())?));
    }
    let redis = Redis::new(Settings { target: Target::parse(&named)?, ..Settings::default() });
    Ok(Arc::new(RedisStore::new(redis, Clock::wall(), Retention::default())))
}

/// A job as Sidekiq writes it, for fillers that are not measured.
pub(crate) fn raw(class: &str, number: u64) -> Push {
    let id = format!("{:012x}{number:012x}", fastrand::u64(..1 << 48));
    let payload = format!(
        r#"{{"retry":true,"queue":"{QUEUE}","class":"{class}","args":[{number}],"jid":"{id}","created_at":1795435768.8822832,"enqueued_at":1795435768.8823354}}"#
    );
    Push { queue: QUEUE.into(), payload: payload.into(), at: None, unique: None }
}
