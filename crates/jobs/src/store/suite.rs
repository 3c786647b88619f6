// Long: a law each; they belong together.

//! The laws of the contract, as tests that every store passes.
//!
//! A store's tests say `contract_suite!(async { bench })`: a test is made of each law, with a fresh store for
//! each. A store that cannot keep a law says so in its own documentation, not here.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use forebay_signals::clock;

use super::{
    Beat, Due, Entry, Finish, From, Lease, Lock, MOST_A_STEP, Metrics, Owner, Pause, Push, Pushed,
    RAN_KEPT, Ran, Retention, Set, Signal, Store, Then, Token, Turn, Turned, Within, Work,
};
use crate::store::memory::Memory;
use crate::time::{Clock, Moment};

/// A fresh store to try the laws on.
pub(crate) struct Bench {
    pub(crate) store: Arc<dyn Store>,
    /// The same store through another door: another connection, where there are such.
    pub(crate) other: Arc<dyn Store>,
    /// The store's clock, moved by hand.
    pub(crate) clock: Clock,
    /// What must live as long: a folder, a server.
    pub(crate) kept: Box<dyn Any>,
}

/// Small enough to be reached.
pub(crate) const RETENTION: Retention = Retention {
    dead_most: 20,
    dead_age: Duration::from_secs(1_000),
    alive: Duration::from_secs(15),
    poison: 3,
    poison_window: Duration::from_secs(3_600),
};

/// What must not take longer, in real time.
const PATIENCE: Duration = Duration::from_secs(20);
const NOT_LONG: Duration = Duration::from_millis(50);
const HOUR: Duration = Duration::from_secs(3_600);

/// Makes a test of every law.
#[macro_export]
#[doc(hidden)]
macro_rules! contract_suite {
    ($bench:expr) => {
        $crate::contract_suite!(@ $bench;
            what_is_pushed_comes_first_in_first_out
            payloads_come_back_as_they_went_in
            queues_are_looked_at_in_the_order_asked_for
            no_more_is_leased_than_is_asked_for
            a_lease_is_finished_once
            a_failed_job_is_in_one_place_only
            what_is_given_back_is_next
            ends_and_new_leases_are_one_step
            the_leases_of_the_living_stay
            what_the_dead_held_is_next_and_in_order
            who_was_taken_to_be_dead_finishes_nothing
            who_leaves_is_taken_over_at_once
            recovery_is_bounded
            what_kills_its_process_too_often_is_dead
            what_waits_is_due_in_order
            a_due_job_is_moved_once
            the_dead_are_bounded_in_number_and_age
            pages_are_read_from_both_ends
            an_entry_is_taken_once_and_may_go_elsewhere
            a_paused_queue_gives_nothing
            a_paused_class_waits_beside_its_queue
            pauses_of_each_kind_are_their_own
            what_is_parked_after_its_class_goes_on_is_not_forgotten
            a_unique_job_keeps_others_out_until_it_is_over
            a_lock_ends_by_itself
            a_role_has_one_holder_at_a_time
            a_tick_is_fired_once
            queues_are_shown_and_emptied
            a_job_is_removed_from_a_queue_by_its_id
            jobs_are_found_by_their_id
            counts_say_what_there_is
            processes_are_shown_and_told
            runs_are_counted_by_class_for_some_hours
            notes_are_kept_for_their_time
            who_waits_is_woken_by_a_push
            who_waits_is_woken_when_a_pause_ends
            waiting_ends
            many_at_once_lease_each_job_once
            it_does_as_the_store_in_memory_does
        );
    };
    (@ $bench:expr; $($law:ident)*) => {
        $(
            #[test]
            fn $law() {
                $crate::store::suite::run(async { $crate::store::suite::$law($bench.await).await });
            }
        )*
    };
}

/// Runs a law on a runtime of its own.
pub(crate) fn run(law: impl Future<Output = ()>) {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build().expect("a runtime starts");
    let done = runtime.block_on(async { clock::timeout(6 * PATIENCE, law).await });
    assert!(done.is_ok(), "the law did not come to an end");
}

fn payload(id: impl std::fmt::Display) -> Bytes {
    format!(r#"{{"class":"A","args":[1],"jid":"{id}","queue":"q"}}"#).into()
}

fn push_to(queue: &str, id: impl std::fmt::Display) -> Push {
    Push { queue: queue.into(), payload: payload(id), at: None, unique: None }
}

fn at(seconds: i64) -> Moment {
    Moment::from_micros((1_795_436_000 + seconds) * 1_000_000)
}

fn owner(name: &str) -> Owner {
    Owner::named(name)
}

/// A worker: it counts its tokens.
struct Worker<'b> {
    store: &'b dyn Store,
    owner: Owner,
    next: u64,
}

impl<'b> Worker<'b> {
    async fn start(store: &'b dyn Store, name: &str) -> Worker<'b> {
        let owner = owner(name);
        assert!(store.keep(&owner).await.unwrap());
        Worker { store, owner, next: 0 }
    }

    async fn turn(&mut self, queues: &[&str], wanted: u64, finished: &[Finish]) -> Turned {
        let queues: Vec<Arc<str>> = queues.iter().map(|name| (*name).into()).collect();
        let fresh: Vec<Token> = (self.next..self.next + wanted).map(Token).collect();
        self.next += wanted;
        let turn = Turn { owner: &self.owner, finished, queues: &queues, fresh: &fresh };
        self.store.turn(turn).await.unwrap()
    }

    async fn lease(&mut self, queues: &[&str], wanted: u64) -> Vec<Lease> {
        self.turn(queues, wanted, &[]).await.leases
    }

    /// Ends leases and says which of them had been taken over.
    async fn finish(&mut self, leases: &[Lease], then: &Then) -> usize {
        let ends: Vec<Finish> = leases.iter().map(|lease| finish(lease, then.clone())).collect();
        self.turn(&[], 0, &ends).await.lost.len()
    }
}

fn finish(lease: &Lease, then: Then) -> Finish {
    Finish { token: lease.token, queue: Arc::clone(&lease.queue), then, unlock: None }
}

fn payloads(leases: &[Lease]) -> Vec<Bytes> {
    leases.iter().map(|lease| lease.payload.clone()).collect()
}

async fn fill(store: &dyn Store, queue: &str, count: usize) {
    let jobs: Vec<Push> = (0..count).map(|n| push_to(queue, format!("{queue}-{n}"))).collect();
    let pushed = store.push(&jobs).await.unwrap();
    assert!(pushed.iter().all(|it| *it == Pushed::Stored) && pushed.len() == count);
}

fn filled(queue: &str, range: std::ops::Range<usize>) -> Vec<Bytes> {
    range.map(|n| payload(format!("{queue}-{n}"))).collect()
}

async fn put(store: &dyn Store, set: Set, seconds: i64, id: &str) -> Entry {
    let entry = Entry { at: at(seconds), payload: payload(id) };
    // Whatever is in a set came through a lease or the schedule.
    let mut job = push_to("put", id);
    job.at = Some(at(1_000_000));
    store.push(&[job]).await.unwrap();
    let there = Entry { at: at(1_000_000), payload: payload(id) };
    assert!(store.take(Set::Schedule, &there, Some((set, entry.clone()))).await.unwrap());
    entry
}

pub(crate) async fn what_is_pushed_comes_first_in_first_out(bench: Bench) {
    fill(&*bench.store, "q", 250).await;
    let mut worker = Worker::start(&*bench.other, "a").await;
    let mut got = Vec::new();
    for _ in 0..250 / 50 {
        got.extend(payloads(&worker.lease(&["q"], 50).await));
    }
    assert_eq!(got, filled("q", 0..250));
    assert!(worker.lease(&["q"], 1).await.is_empty());
}

pub(crate) async fn payloads_come_back_as_they_went_in(bench: Bench) {
    let hostile: Vec<Bytes> = vec![
        Bytes::from_static(b""),
        Bytes::from_static(b"\0\xff\xfe not utf-8"),
        Bytes::from_static(br#"{"n":123456789012345678901234567890,"f":1.50}"#),
        vec![b'x'; 1 << 20].into(),
    ];
    let name = "queue with: {braces} %d * \u{e9}";
    let jobs = hostile.iter().map(|payload| Push { payload: payload.clone(), ..push_to(name, 0) });
    bench.store.push(&jobs.collect::<Vec<_>>()).await.unwrap();
    let mut worker = Worker::start(&*bench.store, "a").await;
    let leases = worker.lease(&[name], 10).await;
    assert_eq!(payloads(&leases), hostile);
    assert!(leases.iter().all(|lease| &*lease.queue == name));
    let wait = |payload: Bytes| Then::Wait { set: Set::Dead, at: at(1), payload };
    let ends = leases.iter().map(|lease| finish(lease, wait(lease.payload.clone())));
    worker.turn(&[], 0, &ends.collect::<Vec<_>>()).await;
    let dead = bench.store.entries(Set::Dead, From::Oldest, 0, 10).await.unwrap();
    assert_eq!(dead.len(), 4);
    assert!(dead.iter().all(|entry| hostile.contains(&entry.payload)));
}

pub(crate) async fn queues_are_looked_at_in_the_order_asked_for(bench: Bench) {
    fill(&*bench.store, "low", 3).await;
    fill(&*bench.store, "high", 2).await;
    let mut worker = Worker::start(&*bench.store, "a").await;
    let got = payloads(&worker.lease(&["high", "empty", "low"], 4).await);
    assert_eq!(got, [filled("high", 0..2), filled("low", 0..2)].concat());
}

pub(crate) async fn no_more_is_leased_than_is_asked_for(bench: Bench) {
    fill(&*bench.store, "q", 3 * MOST_A_STEP).await;
    let mut worker = Worker::start(&*bench.store, "a").await;
    assert_eq!(worker.lease(&["q"], 0).await.len(), 0);
    assert_eq!(worker.lease(&["q"], 7).await.len(), 7);
    assert!(worker.lease(&["q"], 2 * MOST_A_STEP as u64).await.len() <= MOST_A_STEP);
}

pub(crate) async fn a_lease_is_finished_once(bench: Bench) {
    fill(&*bench.store, "q", 2).await;
    let mut worker = Worker::start(&*bench.store, "a").await;
    let leases = worker.lease(&["q"], 2).await;
    assert_eq!(bench.store.counts().await.unwrap().leased, 2);
    assert_eq!(worker.finish(&leases, &Then::Done).await, 0);
    assert_eq!(worker.finish(&leases, &Then::Back).await, 2);
    let counts = bench.store.counts().await.unwrap();
    assert_eq!((counts.leased, counts.enqueued), (0, 0));
}

pub(crate) async fn a_failed_job_is_in_one_place_only(bench: Bench) {
    fill(&*bench.store, "q", 1).await;
    let mut worker = Worker::start(&*bench.store, "a").await;
    let leases = worker.lease(&["q"], 1).await;
    let payload = payload("changed");
    let then = Then::Wait { set: Set::Retry, at: at(15), payload: payload.clone() };
    assert_eq!(worker.finish(&leases, &then).await, 0);
    assert_eq!(worker.finish(&leases, &then).await, 1);
    let retries = bench.other.entries(Set::Retry, From::Oldest, 0, 10).await.unwrap();
    assert_eq!(retries, [Entry { at: at(15), payload }]);
    let counts = bench.store.counts().await.unwrap();
    assert_eq!((counts.leased, counts.enqueued, counts.retries, counts.dead), (0, 0, 1, 0));
}

pub(crate) async fn what_is_given_back_is_next(bench: Bench) {
    fill(&*bench.store, "q", 3).await;
    let mut worker = Worker::start(&*bench.store, "a").await;
    let leases = worker.lease(&["q"], 1).await;
    worker.finish(&leases, &Then::Back).await;
    assert_eq!(payloads(&worker.lease(&["q"], 3).await), filled("q", 0..3));
}

pub(crate) async fn ends_and_new_leases_are_one_step(bench: Bench) {
    fill(&*bench.store, "q", 4).await;
    let mut worker = Worker::start(&*bench.store, "a").await;
    let leases = worker.lease(&["q"], 2).await;
    let ends: Vec<Finish> = leases.iter().map(|lease| finish(lease, Then::Done)).collect();
    let turned = worker.turn(&["q"], 2, &ends).await;
    assert_eq!(payloads(&turned.leases), filled("q", 2..4));
    let held = bench.other.leases(&worker.owner).await.unwrap();
    let mut tokens: Vec<Token> = held.iter().map(|lease| lease.token).collect();
    tokens.sort_unstable();
    assert_eq!(tokens, turned.leases.iter().map(|lease| lease.token).collect::<Vec<_>>());
}

pub(crate) async fn the_leases_of_the_living_stay(bench: Bench) {
    fill(&*bench.store, "q", 2).await;
    let mut worker = Worker::start(&*bench.store, "a").await;
    let leases = worker.lease(&["q"], 2).await;
    for _ in 0..10 {
        bench.clock.advance(RETENTION.alive / 3);
        assert!(bench.store.keep(&worker.owner).await.unwrap());
        assert_eq!(bench.other.recover(100).await.unwrap().back, 0);
    }
    assert_eq!(worker.finish(&leases, &Then::Done).await, 0);
}

pub(crate) async fn what_the_dead_held_is_next_and_in_order(bench: Bench) {
    fill(&*bench.store, "q", 12).await;
    let mut dead = Worker::start(&*bench.store, "dead").await;
    let mut living = Worker::start(&*bench.store, "living").await;
    assert_eq!(dead.lease(&["q"], 4).await.len() + dead.lease(&["q"], 4).await.len(), 8);
    let held = living.lease(&["q"], 1).await;
    bench.clock.advance(RETENTION.alive + Duration::from_secs(1));
    assert!(!bench.store.keep(&owner("dead")).await.unwrap());
    // The living one said so in time, as it were: it starts anew under another name.
    let recovered = bench.other.recover(100).await.unwrap();
    assert_eq!((recovered.back, recovered.poisoned.len()), (9, 0));
    let mut next = Worker::start(&*bench.store, "next").await;
    let got = payloads(&next.lease(&["q"], 12).await);
    assert_eq!(got.len(), 12);
    let of_dead: Vec<&Bytes> =
        got.iter().filter(|it| !held.iter().any(|lease| lease.payload == **it)).collect();
    assert_eq!(of_dead, filled("q", 0..8).iter().chain(&filled("q", 9..12)).collect::<Vec<_>>());
    assert_eq!(bench.store.counts().await.unwrap().leased, 12);
}

pub(crate) async fn who_was_taken_to_be_dead_finishes_nothing(bench: Bench) {
    fill(&*bench.store, "q", 1).await;
    let mut late = Worker::start(&*bench.store, "late").await;
    let leases = late.lease(&["q"], 1).await;
    bench.clock.advance(2 * RETENTION.alive);
    assert_eq!(bench.other.recover(100).await.unwrap().back, 1);
    let dead = Then::Wait { set: Set::Dead, at: at(0), payload: leases[0].payload.clone() };
    for then in [Then::Done, Then::Back, dead, Then::Park { class: "A".into() }] {
        assert_eq!(late.finish(&leases, &then).await, 1, "{then:?}");
    }
    let counts = bench.store.counts().await.unwrap();
    assert_eq!((counts.enqueued, counts.dead, counts.leased), (1, 0, 0));
}

pub(crate) async fn who_leaves_is_taken_over_at_once(bench: Bench) {
    fill(&*bench.store, "q", 3).await;
    let mut worker = Worker::start(&*bench.store, "a").await;
    assert_eq!(worker.lease(&["q"], 3).await.len(), 3);
    bench.store.leave(&worker.owner).await.unwrap();
    assert_eq!(bench.other.recover(100).await.unwrap().back, 3);
    assert_eq!(bench.store.counts().await.unwrap().enqueued, 3);
}

pub(crate) async fn recovery_is_bounded(bench: Bench) {
    fill(&*bench.store, "q", 10).await;
    let mut worker = Worker::start(&*bench.store, "a").await;
    assert_eq!(worker.lease(&["q"], 10).await.len(), 10);
    bench.clock.advance(2 * RETENTION.alive);
    let mut back = 0;
    for _ in 0..5 {
        let recovered = bench.store.recover(4).await.unwrap();
        assert!(recovered.back <= 4, "{recovered:?}");
        back += recovered.back;
    }
    assert_eq!(back, 10);
}

pub(crate) async fn what_kills_its_process_too_often_is_dead(bench: Bench) {
    fill(&*bench.store, "q", 1).await;
    for n in 0..=RETENTION.poison {
        let mut worker = Worker::start(&*bench.store, &format!("w{n}")).await;
        assert_eq!(worker.lease(&["q"], 1).await.len(), 1, "{n}");
        bench.clock.advance(2 * RETENTION.alive);
        let recovered = bench.store.recover(100).await.unwrap();
        let is_last = n == RETENTION.poison;
        assert_eq!(recovered.back, u64::from(!is_last));
        let dead = bench.store.entries(Set::Dead, From::Oldest, 0, 10).await.unwrap();
        assert_eq!((&recovered.poisoned, dead.len()), (&dead, usize::from(is_last)));
    }
    let dead = bench.store.entries(Set::Dead, From::Oldest, 0, 10).await.unwrap();
    let job = crate::job::Job::parse(dead[0].payload.clone()).unwrap();
    assert_eq!((dead.len(), job.id()), (1, "q-0"));
}

pub(crate) async fn what_waits_is_due_in_order(bench: Bench) {
    let wait = |seconds, id: &str| Push { at: Some(at(seconds)), ..push_to("q", id) };
    bench.store.push(&[wait(30, "c"), wait(10, "a"), wait(20, "b")]).await.unwrap();
    assert!(bench.store.due(Set::Schedule, 10).await.unwrap().is_empty());
    bench.clock.set(at(20));
    let due = bench.other.due(Set::Schedule, 10).await.unwrap();
    let entry = |seconds, id: &str| Entry { at: at(seconds), payload: payload(id) };
    assert_eq!(due, [entry(10, "a"), entry(20, "b")]);
    assert_eq!(bench.store.due(Set::Schedule, 1).await.unwrap(), [entry(10, "a")]);
    assert!(bench.store.due(Set::Retry, 10).await.unwrap().is_empty());
}

pub(crate) async fn a_due_job_is_moved_once(bench: Bench) {
    fill(&*bench.store, "q", 1).await;
    let entry = put(&*bench.store, Set::Retry, 0, "late").await;
    let due = [Due { entry, queue: "q".into(), payload: payload("moved") }];
    assert_eq!(bench.store.promote(Set::Schedule, &due).await.unwrap(), 0);
    assert_eq!(bench.store.promote(Set::Retry, &due).await.unwrap(), 1);
    assert_eq!(bench.other.promote(Set::Retry, &due).await.unwrap(), 0);
    let mut worker = Worker::start(&*bench.store, "a").await;
    let got = payloads(&worker.lease(&["q"], 10).await);
    assert_eq!(got, [payload("q-0"), payload("moved")]);
    assert_eq!(bench.store.counts().await.unwrap().retries, 0);
}

pub(crate) async fn the_dead_are_bounded_in_number_and_age(bench: Bench) {
    for n in 0..30 {
        put(&*bench.store, Set::Dead, n, &format!("d{n}")).await;
    }
    let dead = bench.store.entries(Set::Dead, From::Oldest, 0, 100).await.unwrap();
    assert_eq!(dead.len() as u64, RETENTION.dead_most);
    assert_eq!(dead.last().unwrap().payload, payload("d29"));
    bench.clock.set(at(1_025));
    put(&*bench.store, Set::Dead, 1_025, "new").await;
    let dead = bench.store.entries(Set::Dead, From::Oldest, 0, 100).await.unwrap();
    let ids: Vec<Bytes> = dead.into_iter().map(|entry| entry.payload).collect();
    let expected = ["d25", "d26", "d27", "d28", "d29", "new"].map(payload);
    assert_eq!(ids, expected);
}

pub(crate) async fn pages_are_read_from_both_ends(bench: Bench) {
    for n in 0..10 {
        put(&*bench.store, Set::Retry, n, &format!("r{n}")).await;
    }
    let store = &bench.store;
    let page = |from, skip, most| async move {
        let entries = store.entries(Set::Retry, from, skip, most).await.unwrap();
        entries.iter().map(|entry| entry.at.since(at(0)).as_secs()).collect::<Vec<_>>()
    };
    assert_eq!(page(From::Oldest, 0, 3).await, [0, 1, 2]);
    assert_eq!(page(From::Oldest, 8, 3).await, [8, 9]);
    assert_eq!(page(From::Newest, 0, 3).await, [9, 8, 7]);
    assert_eq!(page(From::Newest, 8, 3).await, [1, 0]);
    assert!(page(From::Oldest, 10, 3).await.is_empty());
}

pub(crate) async fn an_entry_is_taken_once_and_may_go_elsewhere(bench: Bench) {
    let entry = put(&*bench.store, Set::Retry, 5, "x").await;
    let dead = Entry { at: at(7), payload: payload("killed") };
    let to = Some((Set::Dead, dead.clone()));
    assert!(bench.store.take(Set::Retry, &entry, to.clone()).await.unwrap());
    assert!(!bench.other.take(Set::Retry, &entry, to).await.unwrap());
    assert_eq!(
        bench.store.entries(Set::Dead, From::Oldest, 0, 9).await.unwrap(),
        std::slice::from_ref(&dead)
    );
    assert!(bench.store.take(Set::Dead, &dead, None).await.unwrap());
    put(&*bench.store, Set::Retry, 1, "y").await;
    put(&*bench.store, Set::Retry, 2, "z").await;
    assert_eq!(bench.store.clear(Set::Retry).await.unwrap(), 2);
    let counts = bench.store.counts().await.unwrap();
    assert_eq!((counts.retries, counts.dead), (0, 0));
}

pub(crate) async fn a_paused_queue_gives_nothing(bench: Bench) {
    fill(&*bench.store, "q", 2).await;
    fill(&*bench.store, "r", 1).await;
    let pause = Pause::Queue("q".into());
    bench.other.pause(&pause, true).await.unwrap();
    assert_eq!(bench.store.pauses().await.unwrap(), std::slice::from_ref(&pause));
    let mut worker = Worker::start(&*bench.store, "a").await;
    assert_eq!(payloads(&worker.lease(&["q", "r"], 5).await), filled("r", 0..1));
    bench.other.pause(&pause, false).await.unwrap();
    assert_eq!(payloads(&worker.lease(&["q", "r"], 5).await), filled("q", 0..2));
    assert!(bench.store.pauses().await.unwrap().is_empty());
}

pub(crate) async fn a_paused_class_waits_beside_its_queue(bench: Bench) {
    fill(&*bench.store, "q", 250).await;
    let pause = Pause::Class("A".into());
    bench.store.pause(&pause, true).await.unwrap();
    let mut worker = Worker::start(&*bench.store, "a").await;
    for _ in 0..5 {
        let leases = worker.lease(&["q"], 50).await;
        assert_eq!(leases.len(), 50);
        assert_eq!(worker.finish(&leases, &Then::Park { class: "A".into() }).await, 0);
    }
    fill(&*bench.store, "r", 1).await;
    assert_eq!(worker.lease(&["q"], 1).await.len(), 0);
    assert_eq!(bench.store.counts().await.unwrap().leased, 0);
    bench.other.pause(&pause, false).await.unwrap();
    let mut got = Vec::new();
    for _ in 0..5 {
        got.extend(payloads(&worker.lease(&["q"], 50).await));
    }
    assert_eq!(got, filled("q", 0..250));
}

pub(crate) async fn pauses_of_each_kind_are_their_own(bench: Bench) {
    let all = [
        Pause::Queue("q".into()),
        Pause::Class("q".into()),
        Pause::Timetable("q".into()),
        Pause::Timetable("r".into()),
    ];
    for pause in &all {
        bench.store.pause(pause, true).await.unwrap();
        // What is paused may be paused again.
        bench.other.pause(pause, true).await.unwrap();
    }
    assert_eq!(bench.other.pauses().await.unwrap(), all);
    for (at, pause) in all.iter().enumerate() {
        bench.other.pause(pause, false).await.unwrap();
        assert_eq!(bench.store.pauses().await.unwrap(), all[at + 1..]);
    }
    bench.store.pause(&all[0], false).await.unwrap();
}

pub(crate) async fn what_is_parked_after_its_class_goes_on_is_not_forgotten(bench: Bench) {
    fill(&*bench.store, "q", 2).await;
    let mut worker = Worker::start(&*bench.store, "a").await;
    let leases = worker.lease(&["q"], 1).await;
    assert_eq!(worker.finish(&leases, &Then::Park { class: "A".into() }).await, 0);
    assert_eq!(payloads(&worker.lease(&["q"], 2).await), filled("q", 0..2));
}

fn lock(holder: &str) -> Lock {
    Lock { key: "k".into(), holder: holder.into(), ttl: Duration::from_secs(60) }
}

fn unique(id: &str) -> Push {
    Push { unique: Some(lock(id)), ..push_to("q", id) }
}

pub(crate) async fn a_unique_job_keeps_others_out_until_it_is_over(bench: Bench) {
    let pushed =
        bench.store.push(&[unique("a"), push_to("q", "plain"), unique("b")]).await.unwrap();
    assert_eq!(pushed, [Pushed::Stored, Pushed::Stored, Pushed::Duplicate { of: "a".into() }]);
    // Whoever did not get the answer pushes again.
    assert_eq!(bench.other.push(&[unique("a")]).await.unwrap(), [Pushed::Stored]);
    assert!(!bench.store.unlock(&lock("b")).await.unwrap());
    let mut worker = Worker::start(&*bench.store, "w").await;
    let leases = worker.lease(&["q"], 1).await;
    let end = Finish { unlock: Some(lock("a")), ..finish(&leases[0], Then::Done) };
    worker.turn(&[], 0, &[end]).await;
    assert_eq!(bench.store.push(&[unique("b")]).await.unwrap(), [Pushed::Stored]);
    // Whoever was taken to be dead frees nothing.
    assert_eq!(
        bench.store.push(&[unique("c")]).await.unwrap(),
        [Pushed::Duplicate { of: "b".into() }]
    );
    assert!(bench.store.unlock(&lock("b")).await.unwrap());
    assert!(!bench.store.unlock(&lock("b")).await.unwrap());
}

pub(crate) async fn a_lock_ends_by_itself(bench: Bench) {
    assert_eq!(bench.store.push(&[unique("a")]).await.unwrap(), [Pushed::Stored]);
    bench.clock.advance(Duration::from_secs(59));
    assert_ne!(bench.store.push(&[unique("b")]).await.unwrap(), [Pushed::Stored]);
    bench.clock.advance(Duration::from_secs(2));
    assert_eq!(bench.store.push(&[unique("b")]).await.unwrap(), [Pushed::Stored]);
    assert!(!bench.store.unlock(&lock("a")).await.unwrap());
}

pub(crate) async fn a_role_has_one_holder_at_a_time(bench: Bench) {
    let (a, b, ttl) = (owner("a"), owner("b"), Duration::from_secs(10));
    assert!(bench.store.lead("timer", &a, ttl).await.unwrap());
    assert!(!bench.other.lead("timer", &b, ttl).await.unwrap());
    assert!(bench.other.lead("sweep", &b, ttl).await.unwrap());
    bench.clock.advance(Duration::from_secs(9));
    assert!(bench.store.lead("timer", &a, ttl).await.unwrap());
    bench.clock.advance(Duration::from_secs(9));
    assert!(!bench.store.lead("timer", &b, ttl).await.unwrap());
    bench.clock.advance(Duration::from_secs(2));
    assert!(bench.store.lead("timer", &b, ttl).await.unwrap());
    assert!(!bench.store.lead("timer", &a, ttl).await.unwrap());
}

pub(crate) async fn a_tick_is_fired_once(bench: Bench) {
    let jobs = [push_to("q", "tick")];
    assert_eq!(bench.store.fired("t").await.unwrap(), None);
    assert!(bench.store.fire("t", at(60), &jobs).await.unwrap());
    assert!(!bench.other.fire("t", at(60), &jobs).await.unwrap());
    assert!(!bench.other.fire("t", at(30), &jobs).await.unwrap());
    assert!(bench.store.fire("other", at(60), &jobs).await.unwrap());
    assert!(bench.store.fire("t", at(120), &jobs).await.unwrap());
    assert_eq!(bench.store.fired("t").await.unwrap(), Some(at(120)));
    assert_eq!(bench.store.counts().await.unwrap().enqueued, 3);
}

pub(crate) async fn queues_are_shown_and_emptied(bench: Bench) {
    fill(&*bench.store, "b", 3).await;
    fill(&*bench.store, "a", 2).await;
    bench.store.pause(&Pause::Queue("b".into()), true).await.unwrap();
    let queues = bench.other.queues().await.unwrap();
    let shown: Vec<_> = queues.iter().map(|it| (&*it.name, it.depth, it.is_paused)).collect();
    assert_eq!(shown, [("a", 2, false), ("b", 3, true)]);
    assert_eq!(queues[0].oldest, Some(payload("a-0")));
    let store = &bench.store;
    let page = |from, skip| async move { store.page("b", from, skip, 2).await.unwrap() };
    assert_eq!(page(From::Oldest, 0).await, filled("b", 0..2));
    assert_eq!(page(From::Oldest, 2).await, filled("b", 2..3));
    assert_eq!(page(From::Newest, 0).await, [payload("b-2"), payload("b-1")]);
    assert_eq!(page(From::Newest, 2).await, [payload("b-0")]);
    assert_eq!(bench.other.clear_queue("b").await.unwrap(), 3);
    assert_eq!(bench.other.clear_queue("never").await.unwrap(), 0);
    assert_eq!(bench.other.counts().await.unwrap().enqueued, 2);
}

pub(crate) async fn a_job_is_removed_from_a_queue_by_its_id(bench: Bench) {
    fill(&*bench.store, "q", 10).await;
    assert!(bench.store.remove_queued("q", "q-5").await.unwrap());
    assert!(bench.other.remove_queued("q", "q-0").await.unwrap());
    let depth = bench.store.queues().await.unwrap()[0].depth;
    assert_eq!(depth, 8, "what is removed does not count");
    let mut worker = Worker::start(&*bench.store, "a").await;
    let mut got = Vec::new();
    for _ in 0..10 {
        got.extend(payloads(&worker.lease(&["q"], 3).await));
    }
    assert_eq!(got, [filled("q", 1..5), filled("q", 6..10)].concat());
    assert_eq!(bench.store.counts().await.unwrap().enqueued, 0);
}

pub(crate) async fn jobs_are_found_by_their_id(bench: Bench) {
    fill(&*bench.store, "q", 300).await;
    let entry = put(&*bench.store, Set::Dead, 9, "lost").await;
    for n in 0..10 {
        put(&*bench.store, Set::Dead, 10 + n, &format!("d{n}")).await;
    }
    let store = &bench.store;
    let find = |within, id| async move { store.find(within, id).await.unwrap() };
    assert_eq!(find(Within::Set(Set::Dead), "lost").await, Some(entry));
    assert_eq!(find(Within::Set(Set::Retry), "lost").await, None);
    let found = find(Within::Queue("q"), "q-299").await.unwrap();
    assert_eq!(found.payload, payload("q-299"));
    assert_eq!(find(Within::Queue("q"), "q-300").await, None);
    assert_eq!(find(Within::Queue("never"), "q-1").await, None);
}

pub(crate) async fn counts_say_what_there_is(bench: Bench) {
    assert_eq!(bench.store.counts().await.unwrap(), super::Counts::default());
    fill(&*bench.store, "q", 5).await;
    fill(&*bench.store, "r", 4).await;
    put(&*bench.store, Set::Retry, 1, "r").await;
    put(&*bench.store, Set::Dead, 1, "d").await;
    put(&*bench.store, Set::Dead, 2, "e").await;
    let waiting = Push { at: Some(at(9)), ..push_to("q", "s") };
    bench.store.push(&[waiting]).await.unwrap();
    let mut worker = Worker::start(&*bench.store, "a").await;
    worker.lease(&["q"], 2).await;
    let counts = bench.other.counts().await.unwrap();
    assert_eq!((counts.enqueued, counts.leased), (7, 2));
    assert_eq!((counts.scheduled, counts.retries, counts.dead), (1, 1, 2));
}

/// Of a process that did nothing yet.
pub(crate) fn plain_beat(owner: &Owner) -> Beat<'_> {
    Beat {
        owner,
        info: "{}",
        concurrency: 1,
        work: &[],
        is_quiet: false,
        rss_kb: 1,
        rtt_us: 1,
        processed: 0,
        failed: 0,
        ran: &[],
        metrics: Metrics::default(),
    }
}

pub(crate) async fn processes_are_shown_and_told(bench: Bench) {
    let me = owner("host:1:abc");
    let work =
        [Work { thread: "t1".into(), queue: "q".into(), payload: payload("x"), since: at(0) }];
    let beat = Beat {
        info: r#"{"hostname":"host","pid":1}"#,
        concurrency: 10,
        work: &work,
        rss_kb: 1_000,
        rtt_us: 50,
        processed: 7,
        failed: 2,
        ..plain_beat(&me)
    };
    assert_eq!(bench.store.beat(beat.clone()).await.unwrap(), None);
    let processes = bench.other.processes().await.unwrap();
    let shown = &processes[0];
    assert_eq!((processes.len(), &shown.owner, shown.busy, shown.concurrency), (1, &me, 1, 10));
    assert_eq!(shown.info, r#"{"hostname":"host","pid":1}"#);
    bench.other.signal(&me, Signal::Quiet).await.unwrap();
    bench.other.signal(&me, Signal::Stop).await.unwrap();
    let next = Beat { is_quiet: true, work: &[], processed: 1, failed: 0, ..beat };
    assert_eq!(bench.store.beat(next.clone()).await.unwrap(), Some(Signal::Quiet));
    assert_eq!(bench.store.beat(next.clone()).await.unwrap(), Some(Signal::Stop));
    assert_eq!(bench.store.beat(next).await.unwrap(), None);
    let counts = bench.store.counts().await.unwrap();
    assert_eq!((counts.processed, counts.failed, counts.processes), (10, 2, 1));
    assert!(bench.store.processes().await.unwrap()[0].is_quiet);
    bench.store.leave(&me).await.unwrap();
    assert!(bench.other.processes().await.unwrap().is_empty());
}

pub(crate) async fn runs_are_counted_by_class_for_some_hours(bench: Bench) {
    const MINUTE: Duration = Duration::from_secs(60);
    let me = owner("host:1:abc");
    let tell = |metrics, ran: Vec<Ran>| {
        let (store, me) = (Arc::clone(&bench.store), me.clone());
        async move {
            let (processed, failed) = (1, 0);
            let beat = Beat { processed, failed, ran: &ran, metrics, ..plain_beat(&me) };
            assert_eq!(store.beat(beat).await.unwrap(), None);
        }
    };
    let ran = |class: &str, succeeded: u64, failed: u64| {
        let mut ran = Ran::of(class);
        (0..succeeded).for_each(|_| ran.succeeded(Duration::from_millis(25)));
        (0..failed).for_each(|_| ran.failed());
        ran
    };
    let told = |class: &str, processed, failed, ms| Ran { processed, failed, ms, ..Ran::of(class) };
    assert_eq!(bench.other.ran(HOUR).await.unwrap(), []);
    tell(Metrics::Sidekiq8, vec![ran("A::B", 3, 1), ran("C", 0, 2)]).await;
    tell(Metrics::Sidekiq7, vec![ran("A::B", 1, 0)]).await;
    let both = [told("A::B", 5, 1, 100), told("C", 2, 2, 0)];
    assert_eq!(bench.other.ran(HOUR).await.unwrap(), both);
    bench.clock.advance(61 * MINUTE);
    assert_eq!(bench.other.ran(HOUR).await.unwrap(), []);
    tell(Metrics::Sidekiq8, vec![ran("C", 1, 0)]).await;
    assert_eq!(bench.other.ran(MINUTE).await.unwrap(), [told("C", 1, 0, 25)]);
    let all = [told("A::B", 5, 1, 100), told("C", 3, 2, 25)];
    assert_eq!(bench.other.ran(2 * HOUR).await.unwrap(), all);
    bench.clock.advance(RAN_KEPT);
    assert_eq!(bench.other.ran(4 * RAN_KEPT).await.unwrap(), []);
}

pub(crate) async fn notes_are_kept_for_their_time(bench: Bench) {
    let (store, other) = (&bench.store, &bench.other);
    store.note("j", "c", Some(b"{\"n\":1}"), HOUR).await.unwrap();
    store.note("j", "p", Some(b"50"), HOUR).await.unwrap();
    assert_eq!(other.noted("j", "c").await.unwrap().as_deref(), Some(&b"{\"n\":1}"[..]));
    assert_eq!(other.noted("k", "c").await.unwrap(), None);
    store.note("j", "p", None, HOUR).await.unwrap();
    assert_eq!(other.noted("j", "p").await.unwrap(), None);
    bench.clock.advance(2 * HOUR);
    assert_eq!(other.noted("j", "c").await.unwrap(), None);
}

pub(crate) async fn who_waits_is_woken_by_a_push(bench: Bench) {
    let queues: Vec<Arc<str>> = vec!["a".into(), "b".into()];
    let store = Arc::clone(&bench.store);
    let waiting = tokio::spawn(async move { store.wait(&queues, 3 * PATIENCE).await });
    // Until it waits, and afterwards: whichever push it sees, it must see one.
    let began = clock::now();
    while !waiting.is_finished() {
        assert!(clock::now() - began < PATIENCE, "nobody was woken");
        bench.other.push(&[push_to("b", 1)]).await.unwrap();
        clock::sleep(NOT_LONG).await;
    }
    waiting.await.unwrap().unwrap();
}

pub(crate) async fn who_waits_is_woken_when_a_pause_ends(bench: Bench) {
    fill(&*bench.store, "q", 1).await;
    let pause = Pause::Queue("q".into());
    bench.store.pause(&pause, true).await.unwrap();
    let queues: Vec<Arc<str>> = vec!["q".into()];
    let store = Arc::clone(&bench.store);
    let waiting = tokio::spawn(async move { store.wait(&queues, 3 * PATIENCE).await });
    bench.other.pause(&pause, false).await.unwrap();
    let woken = clock::timeout(PATIENCE, waiting).await;
    woken.expect("nobody was woken").unwrap().unwrap();
}

pub(crate) async fn waiting_ends(bench: Bench) {
    let queues: Vec<Arc<str>> = vec!["q".into()];
    let waiting = bench.store.wait(&queues, NOT_LONG);
    clock::timeout(PATIENCE, waiting).await.expect("it ends").unwrap();
    fill(&*bench.store, "q", 1).await;
    let waiting = bench.store.wait(&queues, 3 * PATIENCE);
    clock::timeout(PATIENCE, waiting).await.expect("there is work").unwrap();
}

pub(crate) async fn many_at_once_lease_each_job_once(bench: Bench) {
    const JOBS: usize = 1_000;
    fill(&*bench.store, "q", JOBS).await;
    let mut tasks = Vec::new();
    for n in 0..8 {
        let store = Arc::clone(if n % 2 == 0 { &bench.store } else { &bench.other });
        tasks.push(tokio::spawn(async move {
            let mut worker = Worker::start(&*store, &format!("w{n}")).await;
            let mut got = Vec::new();
            loop {
                let leases = worker.lease(&["q"], 7).await;
                if leases.is_empty() {
                    return got;
                }
                assert_eq!(worker.finish(&leases, &Then::Done).await, 0);
                got.extend(payloads(&leases));
            }
        }));
    }
    let mut got = Vec::new();
    for task in tasks {
        got.extend(task.await.unwrap());
    }
    got.sort_unstable();
    let mut expected = filled("q", 0..JOBS);
    expected.sort_unstable();
    assert_eq!(got, expected);
}

/// Long random lives, side by side with the store in memory, which is small enough to be seen to be right.
#[expect(clippy::too_many_lines, reason = "one arm for each thing that can happen")]
pub(crate) async fn it_does_as_the_store_in_memory_does(bench: Bench) {
    let model = Memory::new(bench.clock.clone(), RETENTION);
    let mut chance = fastrand::Rng::with_seed(20_261_126);
    let (mut workers, mut ids, mut starts) = (Vec::new(), 0_u64, 0_u64);
    let queues: [Arc<str>; 3] = ["q0".into(), "q1".into(), "q2".into()];
    for step in 0..600 {
        let queue = &queues[chance.usize(0..queues.len())];
        match chance.u8(0..12) {
            0..3 => {
                let jobs: Vec<Push> = (0..chance.usize(1..6))
                    .map(|_| {
                        ids += 1;
                        let later = chance.u8(0..4) == 0;
                        // No two at the same moment: their order is nobody's law.
                        let when = bench.clock.now().after(Duration::from_micros(1_000_000 + ids));
                        Push { at: later.then_some(when), ..push_to(queue, ids) }
                    })
                    .collect();
                let there = bench.store.push(&jobs).await.unwrap();
                assert_eq!(there, model.push(&jobs).await.unwrap(), "step {step}");
            }
            3..7 => {
                if workers.len() < 3 {
                    starts += 1;
                    workers.push((owner(&format!("w{starts}")), Vec::<Lease>::new(), 0_u64));
                }
                let at = chance.usize(0..workers.len());
                let (owner, held, next) = &mut workers[at];
                let kept = bench.store.keep(owner).await.unwrap();
                assert_eq!(kept, model.keep(owner).await.unwrap(), "step {step}");
                if !kept {
                    workers.remove(at);
                    continue;
                }
                let ends = chance.usize(0..=held.len());
                let finished: Vec<Finish> = held
                    .drain(..ends)
                    .enumerate()
                    .map(|(n, lease)| {
                        let then = match chance.u8(0..6) {
                            0 => Then::Back,
                            1 | 2 => Then::Wait {
                                set: if chance.bool() { Set::Retry } else { Set::Dead },
                                at: bench
                                    .clock
                                    .now()
                                    .after(Duration::from_micros(step * 100 + n as u64)),
                                payload: lease.payload.clone(),
                            },
                            3 => Then::Park { class: "A".into() },
                            _ => Then::Done,
                        };
                        finish(&lease, then)
                    })
                    .collect();
                let wanted = chance.u64(0..5);
                let fresh: Vec<Token> = (*next..*next + wanted).map(Token).collect();
                *next += wanted;
                let turn = Turn { owner, finished: &finished, queues: &queues, fresh: &fresh };
                let there = bench.store.turn(turn.clone()).await.unwrap();
                let here = model.turn(turn).await.unwrap();
                assert_eq!(payloads(&there.leases), payloads(&here.leases), "step {step}");
                assert_eq!(there.lost, here.lost, "step {step}");
                held.extend(there.leases);
            }
            7 => bench.clock.advance(Duration::from_secs(chance.u64(0..8))),
            8 => {
                let recovered = bench.store.recover(1_000).await.unwrap();
                assert_eq!(recovered, model.recover(1_000).await.unwrap(), "step {step}");
            }
            9 => {
                let set = if chance.bool() { Set::Schedule } else { Set::Retry };
                let due = bench.store.due(set, 4).await.unwrap();
                assert_eq!(due, model.due(set, 4).await.unwrap(), "step {step}");
                let moves: Vec<Due> = due
                    .into_iter()
                    .map(|entry| {
                        let payload = entry.payload.clone();
                        Due { entry, queue: Arc::clone(queue), payload }
                    })
                    .collect();
                let moved = bench.store.promote(set, &moves).await.unwrap();
                assert_eq!(moved, model.promote(set, &moves).await.unwrap(), "step {step}");
            }
            10 => {
                let what = if chance.bool() {
                    Pause::Queue(Arc::clone(queue))
                } else {
                    Pause::Class("A".into())
                };
                let is_paused = chance.bool();
                bench.store.pause(&what, is_paused).await.unwrap();
                model.pause(&what, is_paused).await.unwrap();
            }
            _ => {
                for from in [From::Oldest, From::Newest] {
                    let there = bench.store.page(queue, from, 1, 5).await.unwrap();
                    assert_eq!(there, model.page(queue, from, 1, 5).await.unwrap(), "step {step}");
                }
            }
        }
        assert_eq!(
            bench.store.counts().await.unwrap(),
            model.counts().await.unwrap(),
            "step {step}"
        );
    }
}
