//! What numbers cost, by `SQLite`'s own account: steps of its machine.

use super::super::super::suite::run;
use super::super::super::{Push, Set};
use super::super::step::{SPENT, Step};
use super::super::{beside, file, look};
use super::*;

/// All that a snapshot reads from the tables, on this thread, and the steps that it took.
fn spent(path: &Path) -> (u64, u64) {
    let conn = file::reader(path).unwrap();
    let now = Moment::from_micros(1_795_436_000_000_000);
    let step = Step { conn: &conn, now, retention: RETENTION, bound: None, wakes: false.into() };
    let before = SPENT.get();
    let counts = look::counts(&step).unwrap();
    let queues = look::queues(&step).unwrap();
    look::pauses(&step).unwrap();
    beside::processes(&step).unwrap();
    file::room(&conn, path, &Options::default()).unwrap();
    assert_eq!(queues.iter().map(|it| it.depth).sum::<u64>(), counts.enqueued);
    (SPENT.get() - before, counts.enqueued)
}

#[test]
fn no_number_costs_more_because_a_queue_is_deep() {
    run(async {
        let bench = bench();
        let folder = bench.kept.downcast_ref::<tempfile::TempDir>().unwrap();
        let path = folder.path().join("jobs.db");
        let mut all = Vec::new();
        let mut depth = 0_usize;
        for deep in [100, 100_000] {
            let jobs: Vec<Push> = (depth..deep).map(|id| push_to("q", id)).collect();
            let later = jobs.iter().map(|job| Push { at: Some(Moment::default()), ..job.clone() });
            bench.store.push(&later.collect::<Vec<_>>()).await.unwrap();
            bench.store.push(&jobs).await.unwrap();
            depth = deep;
            let (steps, enqueued) = spent(&path);
            assert_eq!(enqueued, deep as u64);
            all.push(steps);
        }
        assert_eq!(bench.store.due(Set::Schedule, 1).await.unwrap().len(), 1);
        // To the step: what walked a hundred thousand rows would take as many.
        assert_eq!(all[0], all[1]);
        assert!((1..1_000).contains(&all[1]), "{all:?}");
    });
}
