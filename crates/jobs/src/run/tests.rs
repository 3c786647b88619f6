use std::sync::Mutex;

use serde::{Deserialize, Serialize};

use super::*;
use crate::job::Retry;
use crate::perform::Perform;
use crate::push::Unique;
use crate::store::{Pause, Push, Store};
use crate::testing::{Drained, drain};
use crate::trial::{Act, Bench, What, began, died, new_book, run as on_a_runtime};

#[test]
fn each_end_of_a_run_has_its_place() {
    on_a_runtime(async {
        for (what, retry, place) in [
            (What::Nothing, Retry::Times(25), "gone"),
            (What::Fail, Retry::Times(25), "retry"),
            (What::Panic, Retry::Times(25), "retry"),
            (What::Fail, Retry::Times(0), "dead"),
            (What::Fail, Retry::Never, "gone"),
            (What::Kill, Retry::Times(25), "dead"),
            (What::Discard, Retry::Times(25), "gone"),
            (What::Snooze, Retry::Times(25), "schedule"),
        ] {
            let (bench, book) = (Bench::new(), new_book());
            bench.client.push(&Act::new(book, 1, what)).retry(retry).await.unwrap();
            drain(&bench.worker().build()).await.unwrap();
            let counts = bench.counts().await;
            let there = match (counts.scheduled, counts.retries, counts.dead) {
                (1, 0, 0) => "schedule",
                (0, 1, 0) => "retry",
                (0, 0, 1) => "dead",
                (0, 0, 0) => "gone",
                _ => "in two places",
            };
            assert_eq!((there, counts.leased, counts.enqueued), (place, 0, 0), "{what:?}");
            let is_death = place == "dead" || what == What::Discard || retry == Retry::Never;
            assert_eq!(died(book).len(), usize::from(is_death), "{what:?}");
        }
    });
}

#[test]
fn a_panic_says_what_it_said() {
    on_a_runtime(async {
        let bench = Bench::new();
        bench.client.push(&Act::new(new_book(), 1, What::Panic)).await.unwrap();
        drain(&bench.worker().build()).await.unwrap();
        let (_, job) = bench.only(Set::Retry).await;
        assert_eq!(job.field("error_class").unwrap(), r#""Panic""#);
        assert_eq!(job.field("error_message").unwrap(), r#""it was told to panic""#);
    });
}

#[test]
fn an_unknown_class_is_tried_again_and_may_be_run_by_another_handler() {
    struct Remembers(Arc<Mutex<Vec<String>>>);
    impl Handler for Remembers {
        fn handle<'r>(&'r self, run: &'r Run) -> Performing<'r> {
            self.0.lock().unwrap().push(run.job().class().to_owned());
            Box::pin(std::future::ready(Ok(())))
        }
    }
    on_a_runtime(async {
        let bench = Bench::new();
        bench.client.push_raw("Ruby::Only", &(7, "x")).await.unwrap();
        drain(&bench.worker().build()).await.unwrap();
        let (_, job) = bench.only(Set::Retry).await;
        let message = job.field("error_message").unwrap();
        assert_eq!(message, r#""this worker has no class `Ruby::Only`""#);

        let seen = Arc::<Mutex<Vec<String>>>::default();
        bench.client.push_raw("Ruby::Only", &(7, "x")).await.unwrap();
        let worker = bench.worker().otherwise(Remembers(seen.clone())).build();
        assert_eq!(drain(&worker).await.unwrap().done, 1);
        assert_eq!(*seen.lock().unwrap(), ["Ruby::Only"]);
    });
}

#[test]
fn hostile_payloads_are_kept_with_a_reason_and_harm_nobody() {
    on_a_runtime(async {
        let (bench, book) = (Bench::new(), new_book());
        let deep = format!(
            r#"{{"class":"Act","jid":"d","args":[{}1{}]}}"#,
            "[".repeat(200_000),
            "]".repeat(200_000)
        );
        let large = format!(r#"{{"class":"Act","jid":"l","args":["{}"]}}"#, "x".repeat(10 << 20));
        let hostile: Vec<&[u8]> = vec![
            b"",
            b"null",
            b"[]",
            b"{",
            b"\xff\xfe\x00",
            b"{}",
            br#"{"class":"Act"}"#,
            br#"{"class":"Act","args":{},"jid":"1"}"#,
            br#"{"class":["Act"],"args":[],"jid":"1"}"#,
            br#"{"class":"Act","args":[],"jid":7}"#,
            br#"{"class":"Act","args":[],"jid":"1","retry":"often"}"#,
            br#"{"class":"Act","args":[],"jid":"1","retry_count":"once"}"#,
        ];
        let payloads = hostile.iter().map(|it| bytes::Bytes::copy_from_slice(it));
        let failing = [deep.into(), large.into()];
        let jobs: Vec<Push> = payloads
            .chain(failing)
            .map(|payload| Push { queue: "default".into(), payload, at: None, unique: None })
            .collect();
        bench.store.push(&jobs).await.unwrap();
        bench.client.push(&Act::new(book, 1, What::Nothing)).await.unwrap();
        let drained = drain(&bench.worker().build()).await.unwrap();
        assert_eq!(drained, Drained { done: 1, failed: jobs.len(), other: 0 });
        assert_eq!(began(book), [1]);
        // Arguments that do not fit are a failure of a job, not of a payload.
        assert_eq!(bench.counts().await.retries, 2);
        let dead = bench.entries(Set::Dead).await;
        // An entry that is there already is there once: three of them are no objects and keep their bytes.
        assert_eq!(dead.len(), hostile.len());
        for bytes in &hostile[..5] {
            assert!(dead.iter().any(|it| it.payload == *bytes), "{bytes:?}");
        }
        let reasons = dead.iter().filter(|it| {
            std::str::from_utf8(&it.payload).is_ok_and(|text| text.contains("error_message"))
        });
        assert_eq!(reasons.count(), hostile.len() - 5);
    });
}

#[test]
fn what_is_too_late_is_dropped_and_frees_its_lock() {
    on_a_runtime(async {
        let (bench, book) = (Bench::new(), new_book());
        let act = Act::new(book, 1, What::Nothing);
        let expires = std::time::Duration::from_secs(10);
        let push = || bench.client.push(&act).unique(Unique::by_args()).expires_in(expires);
        let first = push().await.unwrap();
        bench.clock.advance(expires);
        let duplicate = push().await.unwrap();
        assert_eq!(duplicate.id(), None, "{first:?}");
        let worker = bench.worker().build();
        assert_eq!(drain(&worker).await.unwrap(), Drained { done: 0, failed: 0, other: 1 });
        assert!(began(book).is_empty());
        assert!(push().await.unwrap().id().is_some());
        assert_eq!(drain(&worker).await.unwrap().done, 1);
    });
}

#[test]
fn a_deadline_drops_the_run_and_is_a_failure() {
    on_a_runtime(async {
        let bench = Bench::new();
        bench.client.push(&Act::new(new_book(), 1, What::Hang)).await.unwrap();
        let worker = bench.worker().deadline(Duration::from_millis(20)).build();
        assert_eq!(drain(&worker).await.unwrap().failed, 1);
        let (_, job) = bench.only(Set::Retry).await;
        assert_eq!(job.field("error_class").unwrap(), r#""DeadlineExceeded""#);
    });
}

#[test]
fn locks_end_at_the_start_or_with_the_job() {
    use crate::push::Until;
    on_a_runtime(async {
        for (ends, is_free_after_a_failure) in [(Until::Start, true), (Until::Success, false)] {
            let bench = Bench::new();
            let act = Act::new(new_book(), 1, What::Fail);
            let unique = Unique::by_args().until(ends);
            bench.client.push(&act).unique(unique.clone()).await.unwrap();
            drain(&bench.worker().build()).await.unwrap();
            let again = bench.client.push(&act).unique(unique.clone()).await.unwrap();
            assert_eq!(again.id().is_some(), is_free_after_a_failure, "{ends:?}");
        }
        // Death ends it, too.
        let bench = Bench::new();
        let act = Act::new(new_book(), 1, What::Kill);
        for _ in 0..2 {
            let done = bench.client.push(&act).unique(Unique::by_key("k")).await.unwrap();
            assert!(done.id().is_some());
            drain(&bench.worker().build()).await.unwrap();
        }
        assert_eq!(bench.counts().await.dead, 2);
    });
}

#[test]
fn a_paused_class_is_parked_and_goes_on() {
    on_a_runtime(async {
        let (bench, book) = (Bench::new(), new_book());
        let pause = Pause::Class("Act".into());
        bench.store.pause(&pause, true).await.unwrap();
        let acts: Vec<Act> = (0..3).map(|n| Act::new(book, n, What::Nothing)).collect();
        bench.client.push_bulk(&acts).await.unwrap();
        let worker = bench.worker().build();
        assert_eq!(drain(&worker).await.unwrap(), Drained { done: 0, failed: 0, other: 3 });
        bench.store.pause(&pause, false).await.unwrap();
        assert_eq!(drain(&worker).await.unwrap().done, 3);
        assert_eq!(began(book), [0, 1, 2]);
    });
}

#[test]
fn middleware_stands_around_in_order_and_may_answer_itself() {
    struct Around(&'static str, Arc<Mutex<Vec<String>>>);
    impl Middleware for Around {
        fn around<'r>(&'r self, run: &'r Run, next: Next<'r>) -> Performing<'r> {
            Box::pin(async move {
                self.1.lock().unwrap().push(format!("{} in", self.0));
                let result = if self.0 == "stop" { Ok(()) } else { next.run(run).await };
                self.1.lock().unwrap().push(format!("{} out", self.0));
                result
            })
        }
    }
    on_a_runtime(async {
        let (bench, book) = (Bench::new(), new_book());
        let seen = Arc::<Mutex<Vec<String>>>::default();
        let of = |name| Around(name, Arc::clone(&seen));
        bench.client.push(&Act::new(book, 1, What::Nothing)).await.unwrap();
        let worker = bench.worker().middleware(of("a")).middleware(of("stop")).build();
        assert_eq!(drain(&worker).await.unwrap().done, 1);
        assert_eq!(*seen.lock().unwrap(), ["a in", "stop in", "stop out", "a out"]);
        assert!(began(book).is_empty());
    });
}

/// Counts to its number, and is interrupted on the way as often as it says.
#[derive(Serialize, Deserialize)]
struct Counts(u32, u32);

static COUNTED: Mutex<Vec<u32>> = Mutex::new(Vec::new());

impl Perform for Counts {
    const CLASS: &'static str = "Counts";
    async fn perform(self, run: &Run) -> Result<(), Failure> {
        let first = run.cursor::<u32>().await?.unwrap_or(0);
        for n in first..self.0 {
            COUNTED.lock().unwrap().push(n);
            run.save(&(n + 1)).await?;
            run.progress(u64::from(n) + 1, u64::from(self.0));
            run.log(format_args!("counted {n}"));
            if (n + 1) % self.1 == 0 && n + 1 < self.0 {
                return Err(Failure::interrupted());
            }
        }
        Ok(())
    }
}

#[test]
fn an_interrupted_job_goes_on_from_its_cursor() {
    on_a_runtime(async {
        let bench = Bench::new();
        let done = bench.client.push(&Counts(10, 3)).await.unwrap();
        let worker = bench.worker().register::<Counts>().build();
        let drained = drain(&worker).await.unwrap();
        assert_eq!(drained, Drained { done: 1, failed: 0, other: 3 });
        assert_eq!(*COUNTED.lock().unwrap(), (0..10).collect::<Vec<_>>());
        let id = done.id().unwrap();
        let noted = async |field| bench.store.noted(id, field).await.unwrap();
        assert_eq!(noted(notes::PROGRESS).await.unwrap(), br#"{"done":10,"of":10}"#.as_slice());
        assert_eq!(noted(notes::LOG).await.unwrap(), b"counted 9".as_slice());
        // A worker that missed the end does nothing twice; later it is forgotten.
        assert_eq!(noted(notes::CURSOR).await.unwrap(), b"10".as_slice());
        bench.clock.advance(notes::CURSOR_AFTER);
        assert_eq!(noted(notes::CURSOR).await, None);
    });
}

#[test]
fn a_hook_that_panics_harms_nobody() {
    on_a_runtime(async {
        let (bench, book) = (Bench::new(), new_book());
        bench.client.push(&Act::new(book, 1, What::Kill)).await.unwrap();
        bench.client.push(&Act::new(book, 2, What::Nothing)).await.unwrap();
        let worker = bench.worker().on_death(|_, _, _| panic!("a hook that panics")).build();
        assert_eq!(drain(&worker).await.unwrap(), Drained { done: 1, failed: 1, other: 0 });
        assert_eq!(bench.counts().await.dead, 1);
    });
}

#[test]
fn a_class_may_say_how_long_it_waits() {
    #[derive(Serialize, Deserialize)]
    struct Waits;
    impl Perform for Waits {
        const CLASS: &'static str = "Waits";
        const RETRY: Retry = Retry::AsClass;
        async fn perform(self, _: &Run) -> Result<(), Failure> {
            Err(Failure::new("E", "e"))
        }
        fn retry_in(_: &Failure, failures: u32) -> Option<Duration> {
            Some(Duration::from_secs(100 + u64::from(failures)))
        }
    }
    on_a_runtime(async {
        let bench = Bench::new();
        bench.client.push(&Waits).await.unwrap();
        drain(&bench.worker().register::<Waits>().build()).await.unwrap();
        let (at, job) = bench.only(Set::Retry).await;
        assert_eq!(at, bench.clock.now().after(Duration::from_secs(100)));
        assert!(
            job.bytes()
                .starts_with(br#"{"retry":null,"queue":"default","args":[],"class":"Waits""#)
        );
    });
}

mod lives {
    use proptest::prelude::*;

    use super::*;

    fn what() -> impl Strategy<Value = What> {
        prop_oneof![
            Just(What::Nothing),
            Just(What::Fail),
            Just(What::Panic),
            Just(What::Kill),
            Just(What::Discard),
            Just(What::Snooze),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        /// Whatever handlers do: each job is in one place, or is over.
        #[test]
        fn no_job_is_lost_or_doubled(acts in proptest::collection::vec((what(), 0_u32..3), 1..20)) {
            on_a_runtime(async {
                let (bench, book) = (Bench::new(), new_book());
                for (n, (what, retry)) in acts.iter().enumerate() {
                    let act = Act::new(book, n as u64, *what);
                    let pushed = bench.client.push(&act).retry(*retry).await.unwrap();
                    assert!(matches!(pushed, crate::push::Outcome::Stored { .. }));
                }
                drain(&bench.worker().build()).await.unwrap();
                let counts = bench.counts().await;
                let over = acts.iter().filter(|(what, _)| matches!(what, What::Nothing | What::Discard));
                let there = counts.scheduled + counts.retries + counts.dead;
                assert_eq!(over.count() as u64 + there, acts.len() as u64, "{counts:?}");
                assert_eq!((counts.enqueued, counts.leased), (0, 0));
                assert_eq!(began(book).len(), acts.len());
            });
        }
    }
}
