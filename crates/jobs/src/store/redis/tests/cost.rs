//! What the store costs its server, by the server's own account.

use std::collections::BTreeMap;

use forebay_redis::Value;
use forebay_signals::clock;
use tokio::sync::watch;

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
    let beat = Beat { processed: 1, ..suite::plain_beat(&owner) };
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

/// Each of them waits and leases as a worker with one slot does, until it has the last job.
async fn idle_process(store: Arc<RedisStore>, name: String, done: watch::Sender<usize>) {
    let (owner, queues) = (Owner::named(&name), ["q".into()]);
    let mut seen = done.subscribe();
    store.keep(&owner).await.unwrap();
    for token in (0..).map(Token) {
        tokio::select! {
            waited = store.wait(&queues, Duration::from_secs(5)) => waited.unwrap(),
            _ = seen.wait_for(|done| *done == usize::MAX) => return,
        }
        let fresh = [token];
        let turn = Turn { owner: &owner, finished: &[], queues: &queues, fresh: &fresh };
        for lease in store.turn(turn).await.unwrap().leases {
            let end = Finish { token, queue: lease.queue, then: Then::Done, unlock: None };
            let turn = Turn { owner: &owner, finished: &[end], queues: &[], fresh: &[] };
            store.turn(turn).await.unwrap();
            done.send_modify(|done| *done += 1);
        }
    }
}

#[test]
fn fifty_processes_with_nothing_to_do_are_no_stampede() {
    suite::run(async {
        const PROCESSES: usize = 50;
        const PUSHES: usize = 300;
        let server = Server::start(&[]);
        let (done, mut seen) = watch::channel(0);
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..PROCESSES {
            let store = store(&server, &Clock::wall());
            tasks.spawn(idle_process(store, format!("p{n}"), done.clone()));
        }
        let (pusher, redis) = (store(&server, &Clock::wall()), Redis::new(server.settings()));
        // Each is beaten a few times before it knows that it is one of many.
        for n in 0..PUSHES {
            if n == PUSHES / 3 {
                ask(&redis, &["CONFIG", "RESETSTAT"]).await;
            }
            pusher.push(&[job(n)]).await.unwrap();
            let leased = clock::timeout(Duration::from_secs(20), seen.wait_for(|it| *it > n));
            leased.await.expect("it is leased").unwrap();
        }
        let (calls, micros) = spent(&redis).await;
        let of = |name: &str| calls.get(name).copied().unwrap_or(0);
        let pushes = (PUSHES - PUSHES / 3) as u64;
        let (steps, looks) = (of("evalsha") / pushes, of("exists") / pushes);
        // One leases and one ends it; a few are as fast.
        assert!(steps <= 10, "{steps} steps and {looks} looks a push, {micros} us: {calls:?}");
        assert!(looks <= PROCESSES as u64, "{looks} looks a push: {calls:?}");

        ask(&redis, &["CONFIG", "RESETSTAT"]).await;
        store(&server, &Clock::wall())
            .wait(&["empty".into()], Duration::from_secs(3))
            .await
            .unwrap();
        let (calls, _) = spent(&redis).await;
        let each = calls.values().sum::<u64>() / PROCESSES as u64;
        assert!(each <= 3 * 3, "{each} calls of each process in three seconds: {calls:?}");
        done.send_replace(usize::MAX);
        tasks.join_all().await;
    });
}

#[test]
fn a_server_that_may_not_tell_is_asked_instead() {
    suite::run(async {
        let server = Server::start(&[]);
        let redis = Redis::new(server.settings());
        // What an old proxy, or a rule of the server's, makes of it.
        ask(&redis, &["ACL", "SETUSER", "default", "-client|tracking"]).await;
        let store = store(&server, &Clock::wall());
        let queues: [Arc<str>; 1] = ["q".into()];
        let waiting = Arc::clone(&store);
        let waiter = tokio::spawn(async move {
            let began = clock::now();
            let waited = waiting.wait(&queues, Duration::from_secs(20)).await;
            waited.map(|()| clock::now() - began)
        });
        // It has looked at least once and found nothing.
        let began = clock::now();
        while !spent(&redis).await.0.contains_key("exists") {
            assert!(clock::now() - began < Duration::from_secs(10), "nobody looks");
            tokio::task::yield_now().await;
        }
        store.push(&[job(0)]).await.unwrap();
        let waited = waiter.await.unwrap().unwrap();
        assert!(waited < Duration::from_secs(5), "{waited:?}");
        let (calls, _) = spent(&redis).await;
        // Looks grow apart: twenty in the first three seconds, five a second after that.
        assert!(calls.get("exists").copied().unwrap_or(0) <= 40, "{calls:?}");
    });
}
