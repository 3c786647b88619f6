//! The store that is named: a file, or a server.

use std::sync::Arc;

use forebay_jobs::store::redis::RedisStore;
use forebay_jobs::store::sqlite::{Options, Sqlite};
use forebay_jobs::store::{Retention, Store};
use forebay_jobs::time::Clock;
use forebay_redis::connect::{Redis, Settings, Target};

use super::refused;
use crate::report::Problem;

/// What stands for the server of `REDIS_URL`.
const REDIS: &str = "redis";

/// Opens it. A server is asked for its time: one that is not there is said now and not with the first job.
pub(super) async fn open(named: &str) -> Result<Arc<dyn Store>, Problem> {
    if named != REDIS && !named.contains("://") {
        return match Sqlite::open(named, Options::default()) {
            Ok(store) => Ok(Arc::new(store)),
            Err(error) => Err(refused(error)),
        };
    }
    let settings = Settings::from_env(|name| std::env::var(name).ok());
    let mut settings = settings.map_err(|error| {
        Problem::new(error.to_string())
            .because_of(std::error::Error::source(&error).map(ToString::to_string))
            .hint("mend or unset that variable of the environment")
    })?;
    if named != REDIS {
        settings.target = Target::parse(named).map_err(|error| {
            Problem::new("`--store` names no Redis server").because(error).hint(
                "write `redis://host:6379/0`, `rediss://host`, `unix:///path`, or the path of a file",
            )
        })?;
    }
    let store = RedisStore::new(Redis::new(settings), Clock::wall(), Retention::default());
    store.now().await.map_err(refused)?;
    Ok(Arc::new(store))
}
