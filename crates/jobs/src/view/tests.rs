use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::store::memory::{Fault, Memory};
use crate::store::{Owner, Push, Retention, Set};
use crate::time::Clock;

const NOW: Moment = Moment::from_micros(1_795_436_000_000_000);
const PAUSE: Duration = Duration::from_secs(10);

fn block_on(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

fn job(queue: &str, at: Option<Moment>) -> Push {
    let payload = format!(
        r#"{{"class":"A","args":[],"jid":"1","queue":"{queue}","enqueued_at":1795435990.5}}"#
    );
    Push { queue: queue.into(), payload: payload.into(), at, unique: None }
}

#[test]
fn a_snapshot_says_what_there_is() {
    block_on(async {
        let store = Memory::new(Clock::manual(NOW), Retention::default());
        let later = Some(NOW.after(PAUSE));
        store
            .push(&[job("q", None), job("q", None), job("r", None), job("q", later)])
            .await
            .unwrap();
        store.pause(&Pause::Queue("r".into()), true).await.unwrap();
        let nonsense = Push { payload: "nonsense".into(), ..job("s", None) };
        store.push(&[nonsense]).await.unwrap();
        let seen = Snapshot::take(&store).await.unwrap();
        assert_eq!((seen.at, seen.counts.enqueued, seen.counts.scheduled), (NOW, 4, 1));
        let queues: Vec<_> = seen
            .queues
            .iter()
            .map(|it| (&*it.name, it.depth, it.latency.as_millis(), it.is_paused))
            .collect();
        assert_eq!(queues, [("q", 2, 9_500, false), ("r", 1, 9_500, true), ("s", 1, 0, false)]);
        assert_eq!(
            store.entries(Set::Schedule, crate::store::From::Oldest, 0, 9).await.unwrap().len(),
            1
        );
    });
}

#[test]
fn one_of_all_collects_and_another_follows() {
    block_on(async {
        let clock = Clock::manual(NOW);
        let store = Arc::new(Memory::new(clock.clone(), Retention::default()));
        let (one, other) = (Collector::new(store.clone()), Collector::new(store.clone()));
        one.step(PAUSE).await.unwrap();
        other.step(PAUSE).await.unwrap();
        assert!(one.newest().is_some() && other.newest().is_none());
        // It has died: nobody follows at once, and somebody before long.
        clock.advance(Duration::from_secs(20));
        other.step(PAUSE).await.unwrap();
        assert!(other.newest().is_none());
        clock.advance(Duration::from_secs(20));
        other.step(PAUSE).await.unwrap();
        assert!(other.newest().is_some());
        // And was not dead after all: it shows nothing any more.
        one.step(PAUSE).await.unwrap();
        assert!(one.newest().is_none());
        store.fail(Some(Fault::Away));
        assert!(other.step(PAUSE).await.is_err());
        assert!(other.newest().is_some(), "one that is not answered is no reason to show nothing");
    });
}

#[test]
fn who_ends_in_order_leaves_the_role() {
    block_on(async {
        let store = Arc::new(Memory::new(Clock::manual(NOW), Retention::default()));
        let one = Collector::new(store.clone());
        one.step(PAUSE).await.unwrap();
        let until = forebay_signals::drain::Drain::default();
        until.begin();
        one.run(&until).await;
        assert!(one.newest().is_none());
        assert!(store.lead("metrics", &Owner::named("x"), PAUSE).await.unwrap());
    });
}
