use std::time::Duration;

use super::*;
use crate::store::memory::Fault;
use crate::store::{Set, Store};
use crate::testing::{drain, pushed};
use crate::trial::{Act, Bench, What, new_book, run};

fn acts(count: u64) -> Vec<Act> {
    (0..count).map(|n| Act::new(0, n, What::Nothing)).collect()
}

async fn numbers(bench: &Bench) -> Vec<u64> {
    let jobs = pushed(&*bench.store, "default").await.unwrap();
    jobs.iter().map(|job| crate::args::read::<Act>(job.args_json()).unwrap().n).collect()
}

#[test]
fn bulk_is_stored_in_order_with_an_id_each() {
    run(async {
        let bench = Bench::new();
        let outcomes = bench.client.push_bulk(&acts(2_500)).await.unwrap();
        let jobs = pushed(&*bench.store, "default").await.unwrap();
        let ids: Vec<&str> = outcomes.iter().map(|it| it.id().unwrap()).collect();
        assert_eq!(ids, jobs.iter().map(crate::job::Job::id).collect::<Vec<_>>());
        assert_eq!(numbers(&bench).await, (0..2_500).collect::<Vec<_>>());
        assert!(bench.client.push_bulk(&acts(0)).await.unwrap().is_empty());
    });
}

#[test]
fn what_is_for_later_waits_and_what_is_over_is_now() {
    run(async {
        let bench = Bench::new();
        let act = &acts(1)[0];
        bench.client.push(act).delay(Duration::from_secs(60)).await.unwrap();
        let (at, job) = bench.only(Set::Schedule).await;
        assert_eq!(at, bench.clock.now().after(Duration::from_secs(60)));
        assert_eq!((job.enqueued_at(), job.created_at()), (None, Some(bench.clock.now())));
        bench.client.push(act).at(bench.clock.now().before(Duration::from_secs(1))).await.unwrap();
        assert_eq!(bench.counts().await.enqueued, 1);
    });
}

#[test]
fn middleware_changes_and_stops() {
    struct Odd;
    impl OnPush for Odd {
        fn on_push(&self, job: &mut NewJob) -> Passage {
            job.set("tenant", "\"acme\"");
            if job.args.contains("\"n\":1") { Passage::Stop } else { Passage::On }
        }
    }
    run(async {
        let bench = Bench::new();
        let client = Client::builder(bench.store.clone()).middleware(Odd).build();
        let outcomes = client.push_bulk(&acts(3)).traceparent("00-1-2-01").await.unwrap();
        assert_eq!(outcomes[1], Outcome::Stopped);
        let jobs = pushed(&*bench.store, "default").await.unwrap();
        assert_eq!(outcomes[2].id(), Some(jobs[1].id()));
        assert_eq!(jobs[1].field("tenant").unwrap(), r#""acme""#);
        assert_eq!(jobs[1].traceparent(), Some("00-1-2-01"));
    });
}

#[test]
fn alike_jobs_are_pushed_once_until_the_first_is_over() {
    run(async {
        let bench = Bench::new();
        let act = &acts(1)[0];
        let push = || bench.client.push(act).unique(Unique::by_args());
        let first = push().await.unwrap();
        let Outcome::Duplicate { of } = push().await.unwrap() else { panic!() };
        assert_eq!(Some(&*of), first.id());
        drain(&bench.worker().build()).await.unwrap();
        assert!(push().await.unwrap().id().is_some());
    });
}

#[test]
fn without_a_buffer_an_outage_is_told() {
    run(async {
        let bench = Bench::new();
        bench.store.fail(Some(Fault::Away));
        let error = bench.client.push(&acts(1)[0]).await.unwrap_err();
        assert!(matches!(error, PushError::Store(StoreError::Away(_))), "{error}");
        bench.store.fail(None);
        assert_eq!(bench.counts().await.enqueued, 0);
    });
}

#[test]
fn a_buffer_brings_jobs_through_an_outage_in_order_and_says_when_it_is_full() {
    run(async {
        let bench = Bench::new();
        let bounds = Buffer { jobs: 300, ..Buffer::default() };
        let client = Client::builder(bench.store.clone()).reliable(bounds).build();
        bench.store.fail(Some(Fault::Away));
        let all = acts(302);
        let outcomes = client.push_bulk(&all[..299]).await.unwrap();
        assert!(outcomes.iter().all(|it| matches!(it, Outcome::Buffered { .. })));
        let full = client.push_bulk(&all[299..301]).await.unwrap_err();
        assert!(matches!(full, PushError::BufferFull { jobs: 299, error: Some(_) }), "{full}");
        client.push(&all[299]).await.unwrap();
        bench.store.fail(None);
        // Behind those that wait, whether they still do or not.
        assert_eq!(client.flush(Duration::from_secs(20)).await, 0);
        let outcome = client.push(&all[300]).await.unwrap();
        assert!(matches!(outcome, Outcome::Stored { .. }));
        assert_eq!(numbers(&bench).await, (0..301).collect::<Vec<_>>());
    });
}

#[test]
fn a_lost_answer_doubles_a_job_and_loses_none() {
    run(async {
        let bench = Bench::new();
        let client = Client::builder(bench.store.clone()).reliable(Buffer::default()).build();
        bench.store.fail(Some(Fault::AnswersAreLost));
        let outcome = client.push(&acts(1)[0]).await.unwrap();
        bench.store.fail(None);
        assert_eq!(client.flush(Duration::from_secs(20)).await, 0);
        let jobs = pushed(&*bench.store, "default").await.unwrap();
        assert!(jobs.len() >= 2 && jobs.iter().all(|job| Some(job.id()) == outcome.id()));
    });
}

#[test]
fn producers_are_refused_before_the_store_is_full() {
    // One thread: the look at the room, which is taken beside a push, is over before the next one.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let bench = Bench::new();
        let pressure =
            Pressure { longest: Duration::ZERO, look_every: Duration::ZERO, ..Pressure::default() };
        let client = Client::builder(bench.store.clone()).pressure(Some(pressure)).build();
        let limit = 100_000;
        bench.store.limit(Some(limit));
        let refused = loop {
            match client.push(&Act::new(new_book(), 1, What::Fail)).await {
                Ok(_) => tokio::task::yield_now().await,
                Err(error) => break error,
            }
        };
        assert!(matches!(refused, PushError::NoRoom { percent: 95..=99 }), "{refused}");
        let used = bench.store.room().await.unwrap().used;
        assert!(used < limit, "{used}");
        // What runs may fail all the same: retries are written without asking.
        drain(&bench.worker().build()).await.unwrap();
        assert!(bench.counts().await.retries > 100);
        // And there is room again.
        while client.push(&acts(1)[0]).await.is_err() {
            tokio::task::yield_now().await;
        }
    });
}

#[test]
fn a_bad_job_stops_the_call_before_anything_is_stored() {
    run(async {
        let bench = Bench::new();
        let error = bench.client.push_bulk(&acts(2)).queue("").await.unwrap_err();
        assert_eq!(error.to_string(), "no job has the queue ``");
        let error = bench.client.push(&acts(1)[0]).field("jid", "mine").await.unwrap_err();
        assert!(matches!(error, PushError::Field { .. }), "{error}");
        assert_eq!(bench.counts().await.enqueued, 0);
    });
}
