//! What befalls a server: it is killed, full, a replica, too late; and what strange things lie in its keys.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use forebay_redis::Value;
use forebay_signals::clock;

use super::super::super::{Finish, Then, Token, Work};
use super::*;

const PATIENCE: Duration = Duration::from_secs(30);
/// Keeps a server from everything else for 0.4 s.
const BUSY: &str = "local function now() local t = redis.call('TIME') return t[1] * 1000000 + t[2] end \
        local till = now() + 400000 while now() < till do end return 1";
const A_BIT: Duration = Duration::from_millis(5);

fn job(id: impl std::fmt::Display) -> Push {
    let payload = format!(r#"{{"class":"A","args":[],"jid":"{id}","queue":"q"}}"#);
    Push { queue: "q".into(), payload: payload.into(), at: None, unique: None }
}

async fn fill(store: &RedisStore, count: usize) {
    store.push(&(0..count).map(job).collect::<Vec<_>>()).await.unwrap();
}

pub(super) async fn raw(server: &Server, parts: &[&str]) -> Value {
    let mut call = cmd(parts[0]);
    for part in &parts[1..] {
        call.arg(*part);
    }
    Redis::new(server.settings()).ask(&call, Again::Never).await.unwrap()
}

async fn lease(
    store: &RedisStore,
    owner: &Owner,
    queues: &[&str],
    from: u64,
    count: u64,
) -> Vec<Lease> {
    let queues: Vec<Arc<str>> = queues.iter().map(|it| (*it).into()).collect();
    let fresh: Vec<Token> = (from..from + count).map(Token).collect();
    let turn = Turn { owner, finished: &[], queues: &queues, fresh: &fresh };
    store.turn(turn).await.unwrap().leases
}

fn end(lease: &Lease, then: Then) -> Finish {
    Finish { token: lease.token, queue: Arc::clone(&lease.queue), then, unlock: None }
}

/// A worker that adopts what it leased without hearing of it, until it is told to stop and finds nothing.
async fn work(
    store: Arc<RedisStore>,
    ran: Arc<std::sync::Mutex<BTreeSet<String>>>,
    stop: Arc<AtomicBool>,
) {
    let owner = Owner::named("worker");
    let queues = ["q".into()];
    let (mut next, mut held) = (0, Vec::<Lease>::new());
    loop {
        for lease in &held {
            let id = crate::job::id_of(&lease.payload).unwrap();
            ran.lock().unwrap().insert(id);
        }
        let finished: Vec<Finish> = held.iter().map(|it| end(it, Then::Done)).collect();
        let fresh: Vec<Token> = (next..next + 7).map(Token).collect();
        next += 7;
        let turn = Turn { owner: &owner, finished: &finished, queues: &queues, fresh: &fresh };
        let is_last = stop.load(Ordering::Acquire);
        held = match store.turn(turn).await {
            Ok(turned) if turned.leases.is_empty() => match store.leases(&owner).await {
                Ok(held) if is_last && held.is_empty() => return,
                Ok(held) => held,
                Err(_) => Vec::new(),
            },
            Ok(turned) => turned.leases,
            Err(_) => store.leases(&owner).await.unwrap_or_default(),
        };
    }
}

#[test]
fn a_server_that_is_killed_again_and_again_loses_nothing() {
    suite::run(async {
        let mut server = Server::start(&["--appendonly", "yes", "--appendfsync", "always"]);
        let store = store(&server, &Clock::wall());
        let (ran, stop) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let is_all = Arc::new(AtomicBool::new(false));
        let worker = tokio::spawn(work(Arc::clone(&store), Arc::clone(&ran), Arc::clone(&is_all)));
        let count = Arc::new(AtomicU64::new(0));
        let pusher = {
            let (store, stop, count) = (Arc::clone(&store), Arc::clone(&stop), Arc::clone(&count));
            tokio::spawn(async move {
                let (mut acknowledged, mut n) = (BTreeSet::new(), 0_u64);
                while !stop.load(Ordering::Acquire) {
                    n += 1;
                    if store.push(&[job(n)]).await.is_ok() {
                        acknowledged.insert(n.to_string());
                        count.fetch_add(1, Ordering::AcqRel);
                    }
                }
                acknowledged
            })
        };
        for kills in 1..=4 {
            let began = clock::now();
            while count.load(Ordering::Acquire) < kills * 150 {
                assert!(clock::now() - began < PATIENCE, "nothing is pushed any more");
                clock::sleep(A_BIT).await;
            }
            server.kill();
            server.revive(&[]);
        }
        stop.store(true, Ordering::Release);
        let acknowledged = pusher.await.unwrap();
        // Not before: the last push may be on its way while the queue is empty.
        is_all.store(true, Ordering::Release);
        worker.await.unwrap();
        let ran = ran.lock().unwrap().clone();
        let lost: Vec<&String> = acknowledged.difference(&ran).collect();
        assert!(acknowledged.len() >= 600 && lost.is_empty(), "lost: {lost:?}");
        assert_eq!(store.counts().await.unwrap().leased, 0);
    });
}

#[test]
fn a_full_server_takes_no_jobs_and_loses_none() {
    suite::run(full(Server::start(&[])));
}

#[test]
fn a_full_server_of_6_2_takes_no_jobs_and_loses_none() {
    suite::run(full(Server::of(OLD.as_ref(), &[])));
}

async fn full(server: Server) {
    let store = store(&server, &Clock::wall());
    let owner = Owner::named("host:1:a");
    fill(&store, 60).await;
    assert!(store.keep(&owner).await.unwrap());
    raw(&server, &["CONFIG", "SET", "maxmemory", "1"]).await;
    let error = store.push(&[job("new")]).await.unwrap_err();
    assert!(matches!(error, StoreError::Full(_)), "{error:?}");
    let unique = Lock { key: "k".into(), holder: "new".into(), ttl: PATIENCE };
    let scripted = Push { unique: Some(unique), ..job("new") };
    let error = store.push(&[scripted]).await.unwrap_err();
    assert!(matches!(error, StoreError::Full(_)), "{error:?}");
    // Everything that a worker does goes on.
    assert!(store.keep(&owner).await.unwrap());
    assert!(store.keep(&Owner::named("host:2:b")).await.unwrap());
    assert!(store.lead("sweep", &owner, PATIENCE).await.unwrap());
    let leases = lease(&store, &owner, &["q"], 0, 60).await;
    assert_eq!(leases.len(), 60);
    let now = store.now().await.unwrap();
    let ends: Vec<Finish> = leases[..50]
        .iter()
        .enumerate()
        .map(|(n, lease)| {
            let set = if n < 40 { Set::Retry } else { Set::Dead };
            let payload = lease.payload.clone();
            end(
                lease,
                Then::Wait { set, at: now.after(A_BIT * u32::try_from(n).unwrap()), payload },
            )
        })
        .chain([end(&leases[50], Then::Back)])
        .collect();
    let turn = Turn { owner: &owner, finished: &ends, queues: &[], fresh: &[] };
    assert!(store.turn(turn).await.unwrap().lost.is_empty());
    let work = leases[51..].iter().map(|lease| Work {
        thread: lease.token.0.to_string().into(),
        queue: Arc::clone(&lease.queue),
        payload: lease.payload.clone(),
        since: now,
    });
    let work: Vec<Work> = work.collect();
    let beat = Beat {
        concurrency: 60,
        work: &work,
        processed: 51,
        failed: 50,
        ..suite::plain_beat(&owner)
    };
    assert_eq!(store.beat(beat).await.unwrap(), None);
    let processes = store.processes().await.unwrap();
    assert_eq!((processes.len(), processes[0].busy), (1, 9));
    let counts = store.counts().await.unwrap();
    assert_eq!((counts.retries, counts.dead, counts.enqueued, counts.leased), (40, 10, 1, 9));
    assert_eq!((counts.processed, counts.failed), (51, 50));
    let Value::Int(shown) = raw(&server, &["HLEN", "host:1:a:workers"]).await else { panic!() };
    assert_eq!(shown, 9);
    store.leave(&owner).await.unwrap();
}

#[test]
fn a_replica_is_read_and_not_written() {
    for program in ["redis-server", OLD] {
        suite::run(replica(Server::of(program.as_ref(), &["--replicaof", "127.0.0.1", "1"])));
    }
}

async fn replica(server: Server) {
    let store = store(&server, &Clock::wall());
    let owner = Owner::named("a");
    let error = store.push(&[job(1)]).await.unwrap_err();
    assert!(matches!(error, StoreError::ReadOnly(_)), "{error:?}");
    let error = store.keep(&owner).await.unwrap_err();
    assert!(matches!(error, StoreError::ReadOnly(_)), "{error:?}");
    assert_eq!(store.counts().await.unwrap(), Counts::default());
    raw(&server, &["REPLICAOF", "NO", "ONE"]).await;
    store.push(&[job(1)]).await.unwrap();
    assert_eq!(lease(&store, &owner, &["q"], 0, 9).await.len(), 1);
}

#[test]
fn what_was_leased_without_an_answer_is_found() {
    suite::run(async {
        let server = Server::start(&[]);
        let settings = forebay_redis::connect::Settings {
            timeout: Duration::from_millis(60),
            ..server.settings()
        };
        let redis = Redis::new(settings);
        let store = RedisStore::new(redis, Clock::wall(), Retention::default());
        let owner = Owner::named("a");
        fill(&store, 5).await;
        // The script is known to the server, and the connection made.
        assert_eq!(lease(&store, &owner, &["q"], 0, 1).await.len(), 1);
        let busy = async { raw(&server, &["EVAL", BUSY, "0"]).await };
        let fresh: Vec<Token> = (1..5).map(Token).collect();
        let queues = ["q".into()];
        let turn = async {
            clock::sleep(A_BIT * 10).await;
            store.turn(Turn { owner: &owner, finished: &[], queues: &queues, fresh: &fresh }).await
        };
        let (_, turned) = tokio::join!(busy, turn);
        let error = turned.unwrap_err();
        assert!(matches!(error, StoreError::Away(_)), "{error:?}");
        let began = clock::now();
        while store.leases(&owner).await.unwrap().len() < 5 {
            assert!(clock::now() - began < PATIENCE, "the jobs are lost");
            clock::sleep(A_BIT).await;
        }
        assert_eq!(store.counts().await.unwrap().enqueued, 0);
    });
}

#[test]
fn what_is_strange_in_the_keys_harms_nobody() {
    suite::run(async {
        let server = Server::start(&[]);
        let store = store(&server, &Clock::wall());
        let owner = Owner::named("a");
        fill(&store, 3).await;
        for parts in [
            &["SET", "queue:text", "no list"][..],
            &["SADD", "queues", "text", "empty"],
            &["SET", "retry", "no set"],
            &["SADD", "processes", "nobody", "text", "old:1:x"],
            &["SET", "text", "no hash"],
            &["HSET", "old:1:x", "info", r#"{"concurrency":7}"#, "beat", "soon", "quiet", "maybe"],
            &["LPUSH", "a-signals", "HUP"],
            &["HSET", "fb:lease:a", "no token", "x", "7:q", "there"],
            &["SET", "stat:processed", "many"],
            &["ZADD", "dead", "inf", "for ever", "-inf", "of old", "1.5", "half"],
            &["HSET", "it-j", "c", "1"],
        ] {
            raw(&server, parts).await;
        }
        let got = lease(&store, &owner, &["text", "empty", "q"], 0, 5).await;
        assert_eq!(got.len(), 3);
        let counts = store.counts().await.unwrap();
        assert_eq!((counts.processed, counts.retries, counts.dead, counts.processes), (0, 0, 3, 2));
        assert_eq!(store.queues().await.unwrap().len(), 3);
        let processes = store.processes().await.unwrap();
        assert_eq!(
            (processes.len(), processes[0].concurrency, processes[0].is_quiet),
            (1, 7, false)
        );
        assert_eq!(store.leases(&owner).await.unwrap().len(), 4);
        assert_eq!(store.entries(Set::Dead, From::Oldest, 0, 9).await.unwrap().len(), 3);
        assert_eq!(store.noted("j", "c").await.unwrap().as_deref(), Some(&b"1"[..]));
        let error = store.due(Set::Retry, 9).await.unwrap_err();
        assert!(matches!(error, StoreError::Broken(_)), "{error:?}");
        let beat = suite::plain_beat(&owner);
        assert_eq!(store.beat(beat).await.unwrap(), None);
    });
}
