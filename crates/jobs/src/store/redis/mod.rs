//! The store on Redis or Valkey, in Sidekiq's own keys: Ruby processes push to it and read it.
//!
//! Sidekiq's keys are written as Sidekiq writes them; ours lie beside them and begin with `fb:` or `{queue:`.
//! What makes a step atomic is a script; each bounds its work. Redis 6.2 and later, Valkey, Sentinel.
//!
//! # What it promises beyond the contract, and what not
//!
//! - **Durability is the server's.** With `appendfsync everysec` a power cut loses up to two seconds, a
//!   failover loses what had not reached the replica. Only `appendfsync always` on one server loses nothing.
//! - **At `maxmemory`** (`noeviction`) pushes are [`StoreError::Full`]; turns, retries, deaths, beats and
//!   leases go on: their scripts begin with a write that is never refused, and after it none is.
//! - **A call whose answer is lost** is [`StoreError::Away`] and may have run. A turn is never asked again by
//!   itself: its owner finds what it leased in [`Store::leases`](super::Store::leases).
//! - **Removed jobs** stay in their list until they are leased, and are dropped then. A Ruby process that takes
//!   one runs it; so does it take jobs of a paused queue or class.
//! - **Not Cluster**: a step touches keys of several queues, as Sidekiq's own do.

mod contract;
mod keys;
mod push;
mod ran;
mod recover;
mod reply;
mod scripts;
#[cfg(test)]
mod tests;
mod turn;
mod view;
mod wake;

use forebay_redis::connect::{Again, Redis};
use forebay_redis::{Pipeline, Value};

use self::scripts::Scripts;
use self::wake::Wake;
use super::{Retention, StoreError};
use crate::time::Clock;

/// A store on a Redis server. See the [module](self).
///
/// ```no_run
/// use forebay_jobs::store::{Retention, Store};
/// use forebay_jobs::store::redis::RedisStore;
/// use forebay_jobs::time::Clock;
/// use forebay_redis::connect::{Redis, Settings};
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let redis = Redis::new(Settings::default());
/// let store = RedisStore::new(redis, Clock::wall(), Retention::default());
/// println!("{} jobs wait", store.counts().await?.enqueued);
/// # Ok::<(), forebay_jobs::store::StoreError>(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct RedisStore {
    redis: Redis,
    clock: Clock,
    retention: Retention,
    scripts: Scripts,
    wake: Wake,
}

impl RedisStore {
    /// A store on this server. Time is the server's, unless `clock` is moved by hand.
    ///
    /// ```no_run
    /// use forebay_jobs::{store::{Retention, redis::RedisStore}, time::Clock};
    /// use forebay_redis::connect::{Redis, Settings};
    /// let short = Retention { dead_most: 1_000, ..Retention::default() };
    /// let store = RedisStore::new(Redis::new(Settings::default()), Clock::wall(), short);
    /// ```
    pub fn new(redis: Redis, clock: Clock, retention: Retention) -> RedisStore {
        let wake = Wake::new(redis.clone());
        RedisStore { redis, clock, retention, scripts: Scripts::default(), wake }
    }

    /// The moment for a script: 0 is the server's own.
    fn now_arg(&self) -> i64 {
        if self.clock.is_manual() { self.clock.now().as_micros() } else { 0 }
    }

    async fn pipe(&self, calls: &Pipeline) -> Result<Vec<Value>, StoreError> {
        if calls.is_empty() {
            return Ok(Vec::new());
        }
        Ok(self.redis.pipe(calls, Again::Safe).await?)
    }
}
