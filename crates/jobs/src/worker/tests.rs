use std::collections::HashSet;
use std::sync::atomic::Ordering;

use super::*;
use crate::push::Outcome;
use crate::store::memory::Fault;
use crate::store::{Owner, Pause, Set, Signal, Store, Token, Turn};
use crate::trial::{Act, Bench, What, began, new_book, run, until};

const LONG: Duration = Duration::from_secs(20);

async fn push(bench: &Bench, book: u64, count: u64, what: What) -> Vec<String> {
    let acts: Vec<Act> = (0..count).map(|n| Act::new(book, n, what)).collect();
    let outcomes = bench.client.push_bulk(&acts).await.unwrap();
    outcomes.iter().map(|it| it.id().unwrap().to_owned()).collect()
}

#[test]
fn ten_thousand_jobs_run_once_each() {
    run(async {
        let (bench, book) = (Bench::new(), new_book());
        let workers: Vec<Handle> = (0..2).map(|_| bench.worker().concurrency(25).start()).collect();
        push(&bench, book, 10_000, What::Nothing).await;
        bench.counted("all are done", |it| it.enqueued == 0 && it.leased == 0).await;
        for worker in workers {
            worker.stop(LONG).await;
        }
        let mut ran = began(book);
        ran.sort_unstable();
        assert_eq!(ran, (0..10_000).collect::<Vec<_>>());
        // Handed over once, whoever counted them.
        assert_eq!(bench.counts().await.processed, 10_000);
        assert_eq!((bench.counts().await.failed, bench.counts().await.processes), (0, 0));
        let ran = bench.store.ran(LONG * 3).await.unwrap();
        assert_eq!((ran.len(), ran[0].processed, ran[0].failed), (1, 10_000, 0));
    });
}

#[test]
fn what_a_killed_worker_held_runs_in_another() {
    run(async {
        let (bench, book) = (Bench::new(), new_book());
        push(&bench, book, 30, What::Hang).await;
        let worker = bench.worker().concurrency(10).start();
        until("ten run", || worker.view().runs.len() == 10).await;
        drop(worker);
        assert_eq!(bench.counts().await.leased, 10);
        // Dead only now.
        bench.clock.advance(Duration::from_secs(16));
        let other = bench.worker().concurrency(30).start();
        until("all run", || other.view().runs.len() == 30).await;
        // A run is on the board a moment before its job begins.
        until("all began", || began(book).len() >= 40).await;
        let ran: HashSet<u64> = began(book).into_iter().collect();
        assert_eq!((ran.len(), began(book).len()), (30, 40));
        other.stop(Duration::ZERO).await;
        let counts = bench.counts().await;
        assert_eq!((counts.enqueued, counts.leased), (30, 0));
    });
}

#[test]
fn stopping_lets_jobs_end_and_gives_back_the_rest_in_order() {
    run(async {
        let (bench, book) = (Bench::new(), new_book());
        push(&bench, book, 3, What::Hang).await;
        push(&bench, book, 2, What::Yield).await;
        push(&bench, book, 4, What::Nothing).await;
        let worker = bench.worker().concurrency(5).start();
        until("five run", || worker.view().runs.len() == 5).await;
        worker.stop(Duration::from_millis(50)).await;
        let counts = bench.counts().await;
        assert_eq!((counts.enqueued, counts.leased, counts.retries), (9, 0, 0));
        assert_eq!((counts.processed, counts.failed), (0, 0));
    });
}

#[test]
fn a_handler_that_never_awaits_is_given_back_all_the_same() {
    use crate::run::{Handler, Performing, Run};
    struct Blocks(std::sync::Arc<std::sync::atomic::AtomicBool>);
    impl Handler for Blocks {
        fn handle<'r>(&'r self, _: &'r Run) -> Performing<'r> {
            Box::pin(async {
                while !self.0.load(Ordering::Acquire) {
                    std::thread::yield_now();
                }
                Ok(())
            })
        }
    }
    run(async {
        let bench = Bench::new();
        let is_free = std::sync::Arc::default();
        bench.client.push_raw("Blocks", &()).await.unwrap();
        let blocks = Blocks(std::sync::Arc::clone(&is_free));
        let worker = bench.worker().handler("Blocks", blocks).start();
        until("it runs", || worker.view().runs.len() == 1).await;
        worker.stop(Duration::ZERO).await;
        is_free.store(true, Ordering::Release);
        let counts = bench.counts().await;
        assert_eq!((counts.enqueued, counts.leased), (1, 0));
    });
}

#[test]
fn a_quiet_worker_takes_no_more() {
    run(async {
        let (bench, book) = (Bench::new(), new_book());
        push(&bench, book, 1, What::Yield).await;
        let worker = bench.worker().start();
        until("it runs", || worker.view().runs.len() == 1).await;
        worker.quiet();
        bench.counted("it beats on", |it| it.processes == 1).await;
        push(&bench, book, 5, What::Nothing).await;
        assert!(worker.view().is_quiet);
        worker.stop(LONG).await;
        assert_eq!(bench.counts().await.enqueued, 6);
        assert_eq!(began(book).len(), 1);
    });
}

#[test]
fn signals_of_the_store_are_heard() {
    run(async {
        let bench = Bench::new();
        let mut worker = bench.worker().start();
        bench.counted("it is there", |it| it.processes == 1).await;
        let owner = worker.view().owner;
        bench.store.signal(&owner, Signal::Dump).await.unwrap();
        bench.store.signal(&owner, Signal::Quiet).await.unwrap();
        until("it is quiet", || worker.view().is_quiet).await;
        bench.store.signal(&owner, Signal::Stop).await.unwrap();
        worker.ended().await;
        assert_eq!(bench.counts().await.processes, 0);
    });
}

#[test]
fn a_job_is_cancelled_here_and_from_afar() {
    run(async {
        let (bench, book) = (Bench::new(), new_book());
        let ids = push(&bench, book, 2, What::Hang).await;
        let worker = bench.worker().start();
        until("both run", || worker.view().runs.len() == 2).await;
        assert!(worker.cancel(&ids[0]) && !worker.cancel("nobody"));
        bench.client.cancel(&ids[1]).await.unwrap();
        // Those that began just now are not asked about.
        bench.clock.advance(Duration::from_secs(1));
        until("both are cancelled", || worker.view().cancelled == 2).await;
        worker.stop(LONG).await;
        let counts = bench.counts().await;
        assert_eq!((counts.enqueued, counts.leased, counts.retries, counts.dead), (0, 0, 0, 0));
    });
}

#[test]
fn panics_of_many_harm_none_of_the_others() {
    run(async {
        let (bench, book) = (Bench::new(), new_book());
        push(&bench, book, 200, What::Panic).await;
        push(&bench, book, 200, What::Nothing).await;
        let worker = bench.worker().start();
        bench.counted("all ran", |it| it.enqueued == 0 && it.leased == 0).await;
        let view = worker.view();
        assert_eq!((view.processed, view.failed), (400, 200));
        worker.stop(LONG).await;
        assert_eq!(bench.entries(Set::Retry).await.len(), 200);
    });
}

#[test]
fn outages_and_lost_answers_lose_no_job() {
    run(async {
        const JOBS: u64 = 3_000;
        let (bench, book) = (Bench::new(), new_book());
        let worker = bench.worker().concurrency(20).start();
        let mut chance = fastrand::Rng::with_seed(7);
        for n in 0..JOBS {
            let act = Act::new(book, n, What::Nothing);
            let done = bench.client.push(&act).await.unwrap();
            assert!(matches!(done, Outcome::Stored { .. }));
            if n % 100 == 50 {
                let fault = [Fault::Away, Fault::AnswersAreLost][chance.usize(0..2)];
                bench.store.fail(Some(fault));
                // So long that the worker meets it, and not so long that it is taken for dead.
                for _ in 0..chance.usize(1..2_000) {
                    tokio::task::yield_now().await;
                }
                bench.store.fail(None);
            }
        }
        bench.counted("all ran", |it| it.enqueued == 0 && it.leased == 0).await;
        let ran: HashSet<u64> = began(book).into_iter().collect();
        assert_eq!(ran.len() as u64, JOBS);
        // It was never taken for dead: then none runs twice either.
        assert_eq!(began(book).len() as u64, JOBS);
        worker.stop(LONG).await;
    });
}

#[test]
fn a_worker_that_was_taken_for_dead_goes_on_under_another_name() {
    run(async {
        let (bench, book) = (Bench::new(), new_book());
        push(&bench, book, 1, What::Yield).await;
        let worker = bench.worker().start();
        until("it runs", || worker.view().runs.len() == 1).await;
        let name = worker.view().owner;
        // It hung, as it were: a machine asleep, a clock that jumps.
        bench.clock.advance(Duration::from_secs(16));
        until("it is another", || worker.view().owner != name).await;
        bench.store.recover(100).await.unwrap();
        // The one that was taken over runs again, here; the first does not count any more.
        until("it runs again", || began(book).len() == 2).await;
        let act = Act::new(book, 7, What::Nothing);
        bench.client.push(&act).await.unwrap();
        until("it takes jobs", || began(book).contains(&7)).await;
        worker.stop(LONG).await;
        let counts = bench.counts().await;
        assert_eq!((counts.enqueued, counts.leased), (1, 0));
    });
}

#[test]
fn a_class_that_is_paused_meanwhile_is_parked() {
    run(async {
        let (bench, book) = (Bench::new(), new_book());
        let worker = bench.worker().start();
        let pause = Pause::Class("Act".into());
        bench.store.pause(&pause, true).await.unwrap();
        let name = worker.view().owner;
        until("it has heard", || worker.shared.engine.paused.find("Act").is_some()).await;
        push(&bench, book, 5, What::Nothing).await;
        bench.counted("all are parked", |it| it.enqueued == 0 && it.leased == 0).await;
        assert!(began(book).is_empty(), "{name:?}");
        bench.store.pause(&pause, false).await.unwrap();
        until("all ran", || began(book).len() == 5).await;
        worker.stop(LONG).await;
    });
}

#[test]
fn a_failed_job_runs_again_when_it_is_due() {
    run(async {
        let (bench, book) = (Bench::new(), new_book());
        let act = Act::new(book, 1, What::Fail);
        bench.client.push(&act).retry(1).await.unwrap();
        let worker = bench.worker().start();
        bench.counted("it failed", |it| it.retries == 1 && it.leased == 0).await;
        worker.stop(LONG).await;
        bench.clock.advance(Duration::from_secs(60));
        let worker = bench.worker().start();
        bench.counted("it is dead", |it| it.dead == 1 && it.leased == 0).await;
        worker.stop(LONG).await;
        let (_, job) = bench.only(Set::Dead).await;
        assert_eq!((job.failures(), began(book).len()), (2, 2));
        assert_eq!((bench.counts().await.processed, bench.counts().await.failed), (2, 2));
    });
}

#[test]
fn a_queue_that_is_first_in_a_strict_order_is_emptied_first() {
    run(async {
        let (bench, book) = (Bench::new(), new_book());
        for (n, queue) in [(0, "low"), (1, "low"), (2, "mail"), (3, "mail")] {
            let act = Act::new(book, n, What::Nothing);
            bench.client.push(&act).queue(queue).await.unwrap();
        }
        let worker = bench.worker().strict(["mail", "low"]).concurrency(1).start();
        bench.counted("all ran", |it| it.enqueued == 0 && it.leased == 0).await;
        assert_eq!(began(book), [2, 3, 0, 1]);
        worker.stop(LONG).await;
    });
}

#[test]
fn a_worker_starts_while_the_store_is_away_and_stops_then_too() {
    run(async {
        let (bench, book) = (Bench::new(), new_book());
        push(&bench, book, 1, What::Nothing).await;
        bench.store.fail(Some(Fault::Away));
        bench.worker().start().stop(Duration::ZERO).await;
        let worker = bench.worker().start();
        bench.store.fail(None);
        until("it ran", || began(book).len() == 1).await;
        worker.stop(LONG).await;
        // Nobody else's lease was touched.
        let owner = Owner::named("x");
        let turn = Turn { owner: &owner, finished: &[], queues: &[], fresh: &[Token(1)] };
        assert!(bench.store.turn(turn).await.unwrap().leases.is_empty());
    });
}

#[test]
fn what_was_leased_ahead_is_left_to_others_when_slots_are_not_free() {
    run(async {
        let (bench, book) = (Bench::new(), new_book());
        let worker = bench.worker().concurrency(2).start();
        push(&bench, book, 500, What::Nothing).await;
        bench.counted("all ran", |it| it.enqueued == 0 && it.leased == 0).await;
        let acts: Vec<Act> = [What::Yield; 2]
            .into_iter()
            .chain([What::Nothing; 3])
            .map(|what| Act::new(book, 0, what))
            .collect();
        bench.client.push_bulk(&acts).await.unwrap();
        until("both slots are taken", || worker.view().runs.len() == 2).await;
        bench.counted("the rest waits for anybody", |it| (it.leased, it.enqueued) == (2, 3)).await;
        worker.stop(LONG).await;
    });
}
