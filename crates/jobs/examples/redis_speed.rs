//! How fast the store on Redis is, on this machine, with a server of its own.
//!
//! `cargo run --release -p forebay-jobs --features redis --example redis_speed -- [program] [deepest]`

#![expect(clippy::print_stdout, reason = "a benchmark says what it measured")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use forebay_jobs::store::redis::RedisStore;
use forebay_jobs::store::{
    Finish, Lease, Owner, Push, Retention, Store, StoreError, Then, Token, Turn,
};
use forebay_jobs::time::Clock;
use forebay_redis::connect::Redis;
use forebay_redis::server::Server;
use forebay_signals::clock;

/// How long each row is measured.
const A_ROW: Duration = Duration::from_secs(4);

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), StoreError> {
    let mut arguments = std::env::args().skip(1);
    let program = arguments.next().unwrap_or_else(|| "redis-server".to_owned());
    let deepest = arguments.next().and_then(|it| it.parse().ok()).unwrap_or(1_000_000);
    let server = Server::of(Path::new(&program), &[]);
    let redis = Redis::new(server.settings());
    let store = Arc::new(RedisStore::new(redis, Clock::wall(), Retention::default()));
    println!("{program}, jobs of {} bytes", job(0).payload.len());
    row("push, one caller", pushing(&store, 1, 1).await?);
    row("push, 50 callers", pushing(&store, 50, 1).await?);
    row("push, in bulk of 1,000", pushing(&store, 1, 1_000).await?);
    for depth in [1_000, deepest] {
        store.clear_queue("speed").await?;
        fill(&store, depth).await?;
        for batch in [25, 50, 100] {
            row(&format!("turns of {batch} at depth {depth}"), turning(&store, batch).await?);
        }
    }
    store.clear_queue("speed").await?;
    delays(&store).await
}

fn row(name: &str, (jobs, took): (usize, Duration)) {
    println!("{name:<32} {:>9.0} jobs/s", rate(jobs, took));
}

#[expect(clippy::cast_precision_loss, reason = "for reading")]
fn rate(jobs: usize, took: Duration) -> f64 {
    jobs as f64 / took.as_secs_f64()
}

fn job(n: usize) -> Push {
    let payload = format!(
        r#"{{"retry":true,"queue":"speed","args":[{n},"an argument of some length"],"class":"Speed","jid":"{n:024}","created_at":1795435768.8822832,"enqueued_at":1795435768.8823354}}"#
    );
    Push { queue: "speed".into(), payload: payload.into(), at: None, unique: None }
}

async fn fill(store: &RedisStore, depth: usize) -> Result<(), StoreError> {
    for from in (0..depth).step_by(10_000) {
        let jobs: Vec<Push> = (from..depth.min(from + 10_000)).map(job).collect();
        store.push(&jobs).await?;
    }
    Ok(())
}

async fn pushing(
    store: &Arc<RedisStore>,
    callers: usize,
    batch: usize,
) -> Result<(usize, Duration), StoreError> {
    let began = clock::now();
    let mut tasks = Vec::new();
    for _ in 0..callers {
        let store = Arc::clone(store);
        tasks.push(tokio::spawn(async move {
            let jobs: Vec<Push> = (0..batch).map(job).collect();
            let mut pushed = 0;
            while clock::now() - began < A_ROW {
                pushed += store.push(&jobs).await?.len();
            }
            Ok::<_, StoreError>(pushed)
        }));
    }
    let mut pushed = 0;
    for task in tasks {
        pushed += task.await.expect("it does not panic")?;
    }
    let took = clock::now() - began;
    store.clear_queue("speed").await?;
    Ok((pushed, took))
}

/// One fetcher: each turn ends what the last one leased, and puts as many back as it took, so that the depth
/// stays what it is. Only turns are timed.
async fn turning(store: &RedisStore, batch: u64) -> Result<(usize, Duration), StoreError> {
    let owner = Owner::named(&format!("speed:{batch}:{}", fastrand::u64(..)));
    store.keep(&owner).await?;
    let queues: [Arc<str>; 1] = ["speed".into()];
    let (mut held, mut done, mut next) = (Vec::<Lease>::new(), 0, 0);
    let mut took = Duration::ZERO;
    while took < A_ROW {
        let finished: Vec<Finish> = held.iter().map(end).collect();
        let fresh: Vec<Token> = (next..next + batch).map(Token).collect();
        next += batch;
        let began: Instant = clock::now();
        let turn = Turn { owner: &owner, finished: &finished, queues: &queues, fresh: &fresh };
        let turned = store.turn(turn).await?;
        took += clock::now() - began;
        done += held.len();
        held = turned.leases;
        fill(store, held.len()).await?;
    }
    let finished: Vec<Finish> = held.iter().map(end).collect();
    store.turn(Turn { owner: &owner, finished: &finished, queues: &[], fresh: &[] }).await?;
    store.leave(&owner).await?;
    Ok((done, took))
}

fn end(lease: &Lease) -> Finish {
    Finish { token: lease.token, queue: Arc::clone(&lease.queue), then: Then::Done, unlock: None }
}

/// From a push to the lease of one that waits, over 20 queues.
async fn delays(store: &Arc<RedisStore>) -> Result<(), StoreError> {
    let mut queues: Vec<Arc<str>> = (1..20).map(|n| format!("empty{n}").into()).collect();
    queues.push("speed".into());
    let owner = Owner::named("speed:delay");
    store.keep(&owner).await?;
    let mut all = Vec::new();
    for n in 0..1_000 {
        let (waiting, queues) = (Arc::clone(store), queues.clone());
        let waiter = tokio::spawn(async move {
            waiting.wait(&queues, Duration::from_secs(5)).await.map(|()| queues)
        });
        clock::sleep(Duration::from_millis(2)).await;
        let began = clock::now();
        store.push(&[job(n)]).await?;
        let queues = waiter.await.expect("it does not panic")?;
        let fresh = [Token(u64::try_from(n).unwrap_or(0))];
        let turn = Turn { owner: &owner, finished: &[], queues: &queues, fresh: &fresh };
        let leases = store.turn(turn).await?.leases;
        all.push(clock::now() - began);
        let finished: Vec<Finish> = leases.iter().map(end).collect();
        store.turn(Turn { owner: &owner, finished: &finished, queues: &[], fresh: &[] }).await?;
    }
    all.sort_unstable();
    let at = |part: usize| all.get(all.len() * part / 1_000).copied().unwrap_or_default();
    println!("push to lease, 20 queues: p50 {:?}, p99 {:?}", at(500), at(990));
    Ok(())
}
