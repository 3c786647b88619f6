//! What the store costs its server, by the server's own account.

use std::collections::BTreeMap;

use forebay_redis::Value;

use super::super::super::{Finish, Then, Token};
use super::*;
use crate::view::Snapshot;

fn job(n: usize) -> Push {
    let payload = format!(r#"{{"class":"A","args":[],"jid":"{n:024}","queue":"q"}}"#);
    Push { queue: "q".into(), payload: payload.into(), at: None, unique: None }
}

async fn ask(redis: &Redis, parts: &[&str]) -> Value {
    let mut call = cmd(parts[0]);
    for part in &parts[1..] {
        call.arg(*part);
    }
    redis.ask(&call, Again::Safe).await.unwrap()
}

/// Calls of each command, and the time that all of them took.
async fn spent(redis: &Redis) -> (BTreeMap<String, u64>, u64) {
    let info = match ask(redis, &["INFO", "commandstats"]).await {
        Value::VerbatimString { text, .. } => text,
        other => reply::text(other).unwrap(),
    };
    let (mut calls, mut micros) = (BTreeMap::new(), 0);
    for line in info.lines().filter_map(|it| it.strip_prefix("cmdstat_")) {
        let (name, fields) = line.split_once(':').unwrap();
        let field = |at: &str| {
            let text = fields.split(',').find_map(|it| it.strip_prefix(at)).unwrap();
            text.parse::<u64>().unwrap()
        };
        if !["info", "config|resetstat", "config"].contains(&name) {
            calls.insert(name.to_owned(), field("calls="));
            micros += field("usec=");
        }
    }
    (calls, micros)
}

#[test]
fn no_number_costs_more_because_a_queue_is_deep() {
    suite::run(deep(Server::start(&[])));
}

#[test]
fn nor_does_it_on_redis_6_2() {
    suite::run(deep(Server::of(OLD.as_ref(), &[])));
}

async fn deep(server: Server) {
    const ROUNDS: usize = 200;
    let store = store(&server, &Clock::wall());
    let redis = Redis::new(server.settings());
    let owner = Owner::named("a");
    let beat = Beat {
        owner: &owner,
        info: "{}",
        concurrency: 1,
        work: &[],
        is_quiet: false,
        rss_kb: 1,
        rtt_us: 1,
        processed: 1,
        failed: 0,
        ran: &[],
        metrics: Metrics::default(),
    };
    store.keep(&owner).await.unwrap();
    let mut all = Vec::new();
    let mut depth = 0;
    for deep in [100, 100_000] {
        let jobs: Vec<Push> = (depth..deep).map(job).collect();
        store.push(&jobs).await.unwrap();
        let waiting: Vec<Push> =
            jobs.into_iter().map(|job| Push { at: Some(Moment::default()), ..job }).collect();
        store.push(&waiting).await.unwrap();
        depth = deep;
        // The scripts are known, the connection is made.
        store.beat(beat.clone()).await.unwrap();
        store.due(Set::Schedule, 1).await.unwrap();
        assert!(store.lead("metrics", &owner, Duration::from_secs(30)).await.unwrap());
        ask(&redis, &["CONFIG", "RESETSTAT"]).await;
        for _ in 0..ROUNDS {
            let seen = Snapshot::take(&*store).await.unwrap();
            assert_eq!(seen.queues.first().map(|it| it.depth), Some(deep as u64));
            assert!(store.lead("metrics", &owner, Duration::from_secs(30)).await.unwrap());
            store.beat(beat.clone()).await.unwrap();
            store.page("q", From::Oldest, 0, 25).await.unwrap();
            store.due(Set::Schedule, 1).await.unwrap();
        }
        all.push(spent(&redis).await);
    }
    let counts = store.counts().await.unwrap();
    assert_eq!((counts.enqueued, counts.scheduled), (100_000, 100_000));
    let ((few, cheap), (many, dear)) = (&all[0], &all[1]);
    assert_eq!(few, many);
    // What walks a list or a set as long as a queue is not among them, on any version.
    for walks in
        ["keys", "scan", "sscan", "hscan", "zscan", "lrange", "lrem", "lpos", "sort", "hgetall"]
    {
        assert!(!many.contains_key(walks), "{walks}: {many:?}");
    }
    // Time is the machine's, busy with other things too: what walks is a thousand times dearer.
    assert!(*dear < 4 * *cheap, "{cheap} us at depth 100, {dear} us at depth 100,000");
}

#[test]
fn a_job_under_load_costs_two_writes_and_a_tenth_of_a_call() {
    suite::run(async {
        const JOBS: usize = 20_000;
        let server = Server::start(&[]);
        let store = store(&server, &Clock::wall());
        let redis = Redis::new(server.settings());
        store.push(&(0..JOBS).map(job).collect::<Vec<_>>()).await.unwrap();
        let owner = Owner::named("a");
        store.keep(&owner).await.unwrap();
        ask(&redis, &["CONFIG", "RESETSTAT"]).await;
        let queues = ["q".into()];
        let (mut done, mut held) = (0, Vec::<Lease>::new());
        for from in (0..).step_by(50) {
            let end = |lease: &Lease| Finish {
                token: lease.token,
                queue: Arc::clone(&lease.queue),
                then: Then::Done,
                unlock: None,
            };
            let finished: Vec<Finish> = held.iter().map(end).collect();
            let fresh: Vec<Token> = (from..from + 50).map(Token).collect();
            let turn = Turn { owner: &owner, finished: &finished, queues: &queues, fresh: &fresh };
            let turned = store.turn(turn).await.unwrap();
            assert!(turned.lost.is_empty());
            done += held.len();
            held = turned.leases;
            if held.is_empty() {
                break;
            }
        }
        assert_eq!(done, JOBS);
        let (calls, micros) = spent(&redis).await;
        let of = |name: &str| usize::try_from(calls.get(name).copied().unwrap_or(0)).unwrap();
        assert!(of("evalsha") <= JOBS / 10 && of("rpop") <= JOBS / 10, "{calls:?}");
        assert!(of("hset") + of("hdel") <= 2 * JOBS, "{calls:?}");
        let others = ["evalsha", "eval", "rpop", "hset", "hdel"];
        let rest = calls.iter().filter(|(name, _)| !others.contains(&name.as_str()));
        let rest = rest.map(|(_, calls)| usize::try_from(*calls).unwrap()).sum::<usize>();
        assert!(rest <= JOBS / 5, "{calls:?}, {micros} us");
    });
}

#[test]
fn who_waits_asks_once_a_second() {
    suite::run(async {
        let server = Server::start(&[]);
        let store = store(&server, &Clock::wall());
        let redis = Redis::new(server.settings());
        let queues: Vec<Arc<str>> = (0..20).map(|n| format!("q{n}").into()).collect();
        store.wait(&queues, Duration::from_millis(1)).await.unwrap();
        ask(&redis, &["CONFIG", "RESETSTAT"]).await;
        store.wait(&queues, Duration::from_secs(2)).await.unwrap();
        let (calls, _) = spent(&redis).await;
        assert!(calls.values().sum::<u64>() <= 5, "{calls:?}");
        assert!(calls.contains_key("exists"), "{calls:?}");
    });
}
