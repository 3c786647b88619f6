use std::time::Duration;

use super::*;
use crate::job::Job;
use crate::store::{Push, Store};
use crate::testing::pushed;
use crate::time::Moment;
use crate::trial::{Act, Bench, What, run};

const HOUR: Duration = Duration::from_secs(3_600);

/// A timer on its own, moved step by step.
fn timer(bench: &Bench, name: &str, timetables: Vec<Timetable>) -> Timer {
    let mut engine = Engine::new(bench.store.clone());
    engine.time = crate::run::Time::new(bench.clock.clone());
    let (_, owner) = watch::channel(Owner::named(name));
    Timer::new(Arc::new(engine), owner, timetables)
}

fn hourly(missed: Missed) -> Timetable {
    Timetable::new("hourly", "@hourly", "UTC").unwrap().raw("Report", &(1,)).missed(missed)
}

async fn reports(bench: &Bench) -> usize {
    pushed(&*bench.store, "default").await.unwrap().len()
}

#[test]
fn what_is_due_goes_to_its_queue_and_the_timer_knows_when_more_is() {
    run(async {
        let bench = Bench::new();
        let act = Act::new(0, 1, What::Nothing);
        for delay in [1, 2, 3] {
            let delay = Duration::from_secs(delay);
            bench.client.push(&act).queue("mail").delay(delay).await.unwrap();
        }
        let mut timer = timer(&bench, "a", Vec::new());
        bench.clock.advance(Duration::from_secs(2));
        assert_eq!(timer.step().await.unwrap(), Duration::from_secs(1));
        let jobs = pushed(&*bench.store, "mail").await.unwrap();
        assert_eq!(jobs.len(), 2);
        assert_eq!(jobs[0].enqueued_at(), Some(bench.clock.now()));
        assert_eq!(bench.counts().await.scheduled, 1);
        bench.clock.advance(Duration::from_secs(1));
        let idle = timer.step().await.unwrap();
        assert!((Duration::from_millis(2_500)..=POLL).contains(&idle), "{idle:?}");
        assert_eq!(pushed(&*bench.store, "mail").await.unwrap().len(), 3);
    });
}

#[test]
fn a_job_that_takes_its_processes_with_it_is_dead_with_a_reason_and_mourned() {
    run(async {
        let bench = Bench::new();
        let payload = r#"{"class":"A","args":[1],"jid":"x","queue":"q","big":1.50}"#;
        let push = Push { queue: "q".into(), payload: payload.into(), at: None, unique: None };
        bench.store.push(&[push]).await.unwrap();
        let told = Arc::new(std::sync::Mutex::new(Vec::new()));
        let mut timer = timer(&bench, "a", Vec::new());
        let mut engine = Engine::new(bench.store.clone());
        engine.time = crate::run::Time::new(bench.clock.clone());
        let hears = Arc::clone(&told);
        engine.on_death.push(Arc::new(move |job, failure, why| {
            hears.lock().unwrap().push((job.id().to_owned(), failure.class.clone(), why));
        }));
        timer.engine = Arc::new(engine);
        for n in 0..=crate::store::Retention::default().poison {
            let owner = Owner::named(&format!("w{n}"));
            bench.store.keep(&owner).await.unwrap();
            let (queues, fresh) = ([Arc::from("q")], [crate::store::Token(1)]);
            let turn =
                crate::store::Turn { owner: &owner, finished: &[], queues: &queues, fresh: &fresh };
            assert_eq!(bench.store.turn(turn).await.unwrap().leases.len(), 1, "{n}");
            bench.clock.advance(HOUR);
            timer.swept = None;
            timer.sweep().await.unwrap();
        }
        let dead = bench.store.entries(Set::Dead, crate::store::From::Oldest, 0, 9).await.unwrap();
        let job = Job::parse(dead[0].payload.clone()).unwrap();
        assert_eq!((dead.len(), job.id(), job.field("big")), (1, "x", Some("1.50".to_owned())));
        assert_eq!(job.field("error_class"), Some("\"Poison\"".to_owned()));
        let told = told.lock().unwrap().clone();
        assert_eq!(
            told,
            [("x".to_owned(), "Poison".to_owned(), crate::retry::Exhausted::Poisoned)]
        );
    });
}

#[test]
fn many_that_are_due_at_once_all_go_and_fields_stay() {
    run(async {
        let bench = Bench::new();
        let at = Some(bench.clock.now().after(HOUR));
        let push =
            |payload: String| Push { queue: "q".into(), payload: payload.into(), at, unique: None };
        let mut jobs: Vec<Push> = (0..1_234)
            .map(|n| {
                push(format!(
                    r#"{{"class":"A","args":[],"jid":"{n}","queue":"q","at":1,"big":1.50}}"#
                ))
            })
            .collect();
        // The first that are due are none: they must not keep up the rest.
        jobs.extend((0..150).map(|n| push(format!("!nonsense {n}"))));
        jobs.push(push(r#"{"class":"A","args":[],"jid":"x","queue":7}"#.to_owned()));
        bench.store.push(&jobs).await.unwrap();
        bench.clock.advance(HOUR);
        timer(&bench, "a", Vec::new()).step().await.unwrap();
        let counts = bench.counts().await;
        assert_eq!((counts.enqueued, counts.dead, counts.scheduled), (1_234, 151, 0));
        let first: Job = pushed(&*bench.store, "q").await.unwrap().remove(0);
        assert_eq!((first.field("at"), first.field("big")), (None, Some("1.50".to_owned())));
    });
}

#[test]
fn one_leads_and_another_takes_over_when_it_is_gone() {
    run(async {
        let bench = Bench::new();
        let (mut first, mut second) =
            (timer(&bench, "a", Vec::new()), timer(&bench, "b", Vec::new()));
        first.step().await.unwrap();
        let act = Act::new(0, 1, What::Nothing);
        bench.client.push(&act).delay(Duration::from_secs(1)).await.unwrap();
        bench.clock.advance(Duration::from_secs(1));
        second.step().await.unwrap();
        assert_eq!(bench.counts().await.scheduled, 1);
        bench.clock.advance(LEADS_FOR);
        second.step().await.unwrap();
        assert_eq!(bench.counts().await.scheduled, 0);
    });
}

#[test]
fn a_timetable_begins_when_it_is_new_and_fires_once_a_tick_whoever_looks() {
    run(async {
        let bench = Bench::new();
        let mut timers: Vec<Timer> =
            (0..3).map(|n| timer(&bench, &n.to_string(), vec![hourly(Missed::Latest)])).collect();
        for hours in 0..5_u32 {
            for timer in &mut timers {
                timer.step().await.unwrap();
                timer.step().await.unwrap();
                bench.clock.advance(LEADS_FOR);
            }
            assert_eq!(reports(&bench).await, hours as usize);
            bench.clock.set(Moment::from_micros(1_795_436_000_000_000).after(HOUR * (hours + 1)));
        }
    });
}

#[test]
fn of_missed_ticks_the_latest_is_made_up_for_or_none() {
    run(async {
        for (missed, made_up) in [(Missed::Latest, 1), (Missed::Skip, 0)] {
            let bench = Bench::new();
            timer(&bench, "a", vec![hourly(missed)]).step().await.unwrap();
            // Half past some hour, days later.
            bench.clock.set(Moment::from_micros(1_795_800_600_000_000));
            let mut later = timer(&bench, "b", vec![hourly(missed)]);
            later.step().await.unwrap();
            later.step().await.unwrap();
            assert_eq!(reports(&bench).await, made_up, "{missed:?}");
            // The next is neither missed nor early.
            bench.clock.advance(Duration::from_secs(1_799));
            later.step().await.unwrap();
            assert_eq!(reports(&bench).await, made_up, "{missed:?}");
            bench.clock.advance(Duration::from_secs(1));
            later.step().await.unwrap();
            assert_eq!(reports(&bench).await, made_up + 1, "{missed:?}");
        }
    });
}

#[test]
fn a_paused_timetable_pushes_nothing_and_makes_up_for_nothing() {
    run(async {
        let bench = Bench::new();
        let mut timer = timer(&bench, "a", vec![hourly(Missed::Latest)]);
        timer.step().await.unwrap();
        Timetable::pause(&*bench.store, "hourly", true).await.unwrap();
        assert!(Timetable::is_paused(&*bench.store, "hourly").await.unwrap());
        bench.clock.advance(3 * HOUR);
        timer.step().await.unwrap();
        Timetable::pause(&*bench.store, "hourly", false).await.unwrap();
        timer.step().await.unwrap();
        assert_eq!(reports(&bench).await, 0);
        bench.clock.advance(HOUR);
        timer.step().await.unwrap();
        let jobs = pushed(&*bench.store, "default").await.unwrap();
        assert_eq!(jobs.len(), 1);
        assert_eq!(jobs[0].field("cron").unwrap(), r#""hourly""#);
    });
}

#[test]
fn a_clock_that_goes_back_fires_nothing_twice() {
    run(async {
        let bench = Bench::new();
        let mut timer = timer(&bench, "a", vec![hourly(Missed::Latest)]);
        timer.step().await.unwrap();
        bench.clock.advance(HOUR);
        timer.step().await.unwrap();
        bench.clock.set(bench.clock.now().before(2 * HOUR));
        timer.step().await.unwrap();
        assert_eq!(reports(&bench).await, 1);
    });
}
