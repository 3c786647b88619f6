//! On a real server: the laws of the contract, and what befalls a server.

use std::sync::Arc;
use std::time::Duration;

use forebay_redis::cmd;
use forebay_redis::connect::{Again, Redis};
use forebay_redis::server::Server;

use super::super::suite::{self, Bench};
use super::super::{
    Beat, Counts, From, Lease, Lock, Metrics, Owner, Push, Retention, Set, Store, StoreError, Turn,
};
use super::{RedisStore, reply};
use crate::time::{Clock, Moment};

fn store(server: &Server, clock: &Clock) -> Arc<RedisStore> {
    let redis = Redis::new(server.settings());
    Arc::new(RedisStore::new(redis, clock.clone(), suite::RETENTION))
}

/// Redis 6.2, where `cargo xtask test` puts it.
const OLD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/peers/redis-server-6.2.14");

fn bench() -> Bench {
    bench_on(Server::start(&[]))
}

fn bench_on(server: Server) -> Bench {
    let clock = Clock::manual(Moment::from_micros(1_795_436_000_000_000));
    let (store, other) = (store(&server, &clock), store(&server, &clock));
    Bench { store, other, clock, kept: Box::new(server) }
}

mod laws {
    use super::bench;

    crate::contract_suite!(async { bench() });
}

mod laws_on_redis_6_2 {
    use super::{OLD, Server, bench_on};

    crate::contract_suite!(async { bench_on(Server::of(OLD.as_ref(), &[])) });
}

mod befalls;
mod cost;
mod ruby;
