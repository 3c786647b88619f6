//! On a real server: the laws of the contract, and what befalls a server.

use forebay_redis::connect::Redis;
use forebay_redis::server::Server;

use super::super::suite::{self, Bench};
use super::*;

fn store(server: &Server, clock: &Clock) -> Arc<RedisStore> {
    let redis = Redis::new(server.settings());
    Arc::new(RedisStore::new(redis, clock.clone(), suite::RETENTION))
}

fn bench() -> Bench {
    let server = Server::start(&[]);
    let clock = Clock::manual(Moment::from_micros(1_795_436_000_000_000));
    let (store, other) = (store(&server, &clock), store(&server, &clock));
    Bench { store, other, clock, kept: Box::new(server) }
}

mod laws {
    use super::*;

    crate::contract_suite!(async { bench() });
}

mod befalls;
mod cost;
