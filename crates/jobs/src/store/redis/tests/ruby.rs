//! What Ruby reads of ours and leaves to us: runs by class as the Metrics pages of Sidekiq 8.1 and 7.3 read them (made
//! after what these write, since neither can be installed beside the tests), jobs that go on where they stopped, queues
//! that it empties.

use super::super::super::{Push, Ran};
use super::befalls::raw;
use super::*;

/// 2026-11-06 02:05 UTC: no part of it has two digits but the year.
const EARLY: Moment = Moment::from_micros(1_793_930_700_000_000);

fn beat<'a>(owner: &'a Owner, ran: &'a [Ran], metrics: Metrics) -> Beat<'a> {
    Beat { ran, metrics, ..suite::plain_beat(owner) }
}

fn some() -> Vec<Ran> {
    let mut plain = Ran::of("A::B");
    for ms in [19, 20, 25, 335_000] {
        plain.succeeded(Duration::from_millis(ms));
    }
    plain.failed();
    // A minute in which one bucket has more than it can hold.
    let mut busy = Ran::of("Ünique|Job");
    busy.processed = 70_000;
    busy.ms = 7;
    busy.took[0] = 70_000;
    vec![plain, busy]
}

async fn texts_of(server: &Server, call: &[&str]) -> Vec<String> {
    let mut all = reply::texts(raw(server, call).await);
    if call[0] == "HGETALL" {
        // As pairs, in an order.
        all = all.chunks(2).map(|pair| pair.join("=")).collect();
    }
    all.sort_unstable();
    all
}

async fn numbers_of(server: &Server, call: &[&str]) -> Vec<i64> {
    reply::list(raw(server, call).await).iter().filter_map(reply::number).collect()
}

async fn ttl(server: &Server, key: &str) -> i64 {
    reply::number(&raw(server, &["TTL", key]).await).unwrap_or_default()
}

const FETCH: [&str; 8] = ["GET", "u16", "#0", "GET", "u16", "#1", "GET", "u16"];

async fn written(metrics: Metrics, grams: [&str; 2], totals: &[(&str, i64)]) {
    let server = Server::start(&[]);
    let store = store(&server, &Clock::manual(EARLY));
    let owner = Owner::named("host:1:a");
    let ran = some();
    store.beat(beat(&owner, &ran[..1], metrics)).await.unwrap();
    store.beat(beat(&owner, &ran, metrics)).await.unwrap();
    let mut keys: Vec<&str> = grams.to_vec();
    keys.extend(totals.iter().map(|(key, _)| *key));
    keys.extend(["host:1:a", "processes"]);
    keys.sort_unstable();
    assert_eq!(texts_of(&server, &["KEYS", "*"]).await, keys);

    let fetch = [&["BITFIELD_RO", grams[0]][..], &FETCH, &["#25", "GET", "u16", "#2"]].concat();
    assert_eq!(numbers_of(&server, &fetch).await, [2, 4, 2, 0]);
    let fetch = ["BITFIELD_RO", grams[1], "GET", "u16", "#0"];
    assert_eq!(numbers_of(&server, &fetch).await, [65_535], "full, and not from the start again");
    for (key, kept) in totals {
        assert_eq!(
            texts_of(&server, &["HGETALL", key]).await,
            ["A::B|f=2", "A::B|ms=670128", "A::B|p=10", "Ünique|Job|ms=7", "Ünique|Job|p=70000"]
        );
        assert!((kept - 60..=*kept).contains(&ttl(&server, key).await), "{key}");
    }
    for key in grams {
        assert!((28_740..=28_800).contains(&ttl(&server, key).await), "{key}");
    }
    let told = store.ran(Duration::from_secs(60)).await.unwrap();
    let told: Vec<_> = told.iter().map(|it| (&*it.class, it.processed, it.failed, it.ms)).collect();
    assert_eq!(told, [("A::B", 10, 2, 670_128), ("Ünique|Job", 70_000, 0, 7)]);
}

#[test]
fn sidekiq_8_reads_what_ran() {
    suite::run(written(
        Metrics::Sidekiq8,
        ["h|A::B-6-2:5", "h|Ünique|Job-6-2:5"],
        &[("j|261106|2:05", 28_800), ("j|261106|2:0", 259_200)],
    ));
}

#[test]
fn sidekiq_7_reads_what_ran() {
    suite::run(written(
        Metrics::Sidekiq7,
        ["A::B-06-02:5", "Ünique|Job-06-02:5"],
        &[("j|20261106|2:5", 28_800)],
    ));
}

#[test]
fn a_stranger_s_key_or_no_wish_for_metrics_stops_no_beat() {
    suite::run(async {
        let server = Server::start(&[]);
        let store = store(&server, &Clock::manual(EARLY));
        let owner = Owner::named("host:1:a");
        store.beat(beat(&owner, &some(), Metrics::Off)).await.unwrap();
        assert_eq!(texts_of(&server, &["KEYS", "*"]).await, ["host:1:a", "processes"]);
        raw(&server, &["LPUSH", "h|A::B-6-2:5", "x"]).await;
        raw(&server, &["SET", "j|261106|2:0", "x"]).await;
        store.beat(beat(&owner, &some(), Metrics::Sidekiq8)).await.unwrap();
        assert_eq!(texts_of(&server, &["HGETALL", "j|261106|2:05"]).await.len(), 5);
    });
}

#[test]
fn a_queue_that_ruby_empties_is_counted_right_and_seen_again() {
    suite::run(async {
        let server = Server::start(&[]);
        let store = store(&server, &Clock::manual(EARLY));
        let job = |id: &str, at: Moment| Push {
            queue: "q".into(),
            payload: format!(r#"{{"class":"A","args":[],"jid":"{id}","enqueued_at":{at}}}"#).into(),
            at: None,
            unique: None,
        };
        let before = EARLY.before(Duration::from_secs(9));
        store.push(&[job("1", before), job("2", before), job("3", before)]).await.unwrap();
        let owner = Owner::named("host:1:a");
        assert!(store.keep(&owner).await.unwrap());
        let queues = ["q".into()];
        let fresh = [crate::store::Token(1)];
        let turn = Turn { owner: &owner, finished: &[], queues: &queues, fresh: &fresh };
        let lease = store.turn(turn).await.unwrap().leases.remove(0);
        assert!(store.remove_queued("q", "2").await.unwrap());
        assert!(!store.remove_queued("q", "2").await.unwrap());
        assert_eq!(store.counts().await.unwrap().enqueued, 1);
        // As `Sidekiq::Queue#clear` does.
        raw(&server, &["UNLINK", "queue:q"]).await;
        raw(&server, &["SREM", "queues", "q"]).await;
        store.push(&[job("4", EARLY.after(Duration::from_secs(1)))]).await.unwrap();
        assert_eq!(store.counts().await.unwrap().enqueued, 1);
        raw(&server, &["SREM", "queues", "q"]).await;
        let (token, queue, then) = (lease.token, lease.queue, crate::store::Then::Back);
        let finished = [crate::store::Finish { token, queue, then, unlock: None }];
        let turn = Turn { owner: &owner, finished: &finished, queues: &[], fresh: &[] };
        assert!(store.turn(turn).await.unwrap().lost.is_empty());
        assert_eq!(store.queues().await.unwrap().len(), 1);
    });
}

#[test]
fn a_cursor_of_ruby_stays_and_its_wish_to_cancel_is_heard() {
    suite::run(async {
        let server = Server::start(&[]);
        let store = store(&server, &Clock::wall());
        // As Sidekiq 8 keeps how far an iterable job has come, and that somebody cancelled it.
        let kept =
            ["HSET", "it-j", "ex", "2", "c", "\"7\"", "rt", "1.5", "cancelled", "1795436000"];
        raw(&server, &kept).await;
        raw(&server, &["EXPIRE", "it-j", "2592000"]).await;
        assert!(store.noted("j", "cancelled").await.unwrap().is_some());
        store.note("j", "log", Some(b"a line"), Duration::from_secs(60)).await.unwrap();
        assert_eq!(store.noted("j", "c").await.unwrap().as_deref(), Some(&b"\"7\""[..]));
        assert!(ttl(&server, "it-j").await > 2_591_000);
    });
}

#[test]
fn marks_of_removed_jobs_are_bounded_by_the_queue() {
    suite::run(async {
        let server = Server::start(&[]);
        let store = store(&server, &Clock::wall());
        let payload = r#"{"class":"A","args":[],"jid":"1"}"#.into();
        store.push(&[Push { queue: "q".into(), payload, at: None, unique: None }]).await.unwrap();
        let mut marked = 0;
        for n in 0..1_100 {
            marked += u32::from(store.remove_queued("q", &format!("none-{n}")).await.unwrap());
        }
        // The one that is there, those that others may have taken, and the time of the last mark.
        assert_eq!(marked, 1_001);
    });
}

#[test]
fn a_removed_job_is_not_run_though_the_queue_is_tidied_in_between() {
    suite::run(async {
        let server = Server::start(&[]);
        let clock = Clock::manual(EARLY);
        let store = store(&server, &clock);
        let payload = r#"{"class":"A","args":[],"jid":"1"}"#;
        let push = Push { queue: "q".into(), payload: payload.into(), at: None, unique: None };
        store.push(&[push]).await.unwrap();
        assert!(store.remove_queued("q", "1").await.unwrap());
        // Leased by somebody who has not looked for marks yet: the queue is empty.
        raw(&server, &["RENAME", "queue:q", "held"]).await;
        store.recover(100).await.unwrap();
        raw(&server, &["RENAME", "held", "queue:q"]).await;
        let owner = Owner::named("host:1:a");
        assert!(store.keep(&owner).await.unwrap());
        let (queues, fresh) = (["q".into()], [crate::store::Token(1)]);
        let turn = Turn { owner: &owner, finished: &[], queues: &queues, fresh: &fresh };
        assert_eq!(store.turn(turn).await.unwrap().leases.len(), 0);
        // The mark went with its job; one that is left over goes an hour later.
        assert_eq!(texts_of(&server, &["KEYS", "*gone"]).await, [""; 0]);
        raw(&server, &["HSET", "{queue:q}:gone", "2", "1", "", &EARLY.as_micros().to_string()])
            .await;
        store.recover(100).await.unwrap();
        assert_eq!(texts_of(&server, &["KEYS", "*gone"]).await.len(), 1);
        clock.advance(Duration::from_secs(3_601));
        store.recover(100).await.unwrap();
        assert_eq!(texts_of(&server, &["KEYS", "*gone"]).await, [""; 0]);
    });
}
