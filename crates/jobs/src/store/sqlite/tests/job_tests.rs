//! What becomes of jobs where the tables are more than the contract shows.

use super::super::super::suite::run;
use super::super::super::{
    Finish, From, Lease, Owner, Pause, Push, Pushed, Set, Store, Then, Token, Turn, Within,
};
use super::*;

struct Place {
    store: Sqlite,
    path: PathBuf,
    _folder: tempfile::TempDir,
}

fn place() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.db");
    let store = Sqlite::open(&path, Options::default()).unwrap();
    Place { store, path, _folder: folder }
}

async fn lease(store: &Sqlite, from: u64, count: u64) -> Vec<Lease> {
    let owner = Owner::named("w");
    let fresh: Vec<Token> = (from..from + count).map(Token).collect();
    let queues: [Arc<str>; 1] = ["q".into()];
    let turn = Turn { owner: &owner, finished: &[], queues: &queues, fresh: &fresh };
    store.turn(turn).await.unwrap().leases
}

async fn end(store: &Sqlite, leases: &[Lease], then: Then) {
    let owner = Owner::named("w");
    let finish = |it: &Lease| Finish {
        token: it.token,
        queue: "q".into(),
        then: then.clone(),
        unlock: None,
    };
    let finished: Vec<Finish> = leases.iter().map(finish).collect();
    let turn = Turn { owner: &owner, finished: &finished, queues: &[], fresh: &[] };
    assert!(store.turn(turn).await.unwrap().lost.is_empty());
}

fn jobs(range: std::ops::Range<u64>) -> Vec<Push> {
    range.map(|n| push_to("q", n)).collect()
}

#[test]
fn what_is_leased_when_its_queue_is_emptied_comes_back() {
    run(async {
        let it = place();
        it.store.push(&jobs(0..5_000)).await.unwrap();
        let leases = lease(&it.store, 0, 10).await;
        end(&it.store, &leases[..5], Then::Back).await;
        assert_eq!(it.store.clear_queue("q").await.unwrap(), 4_995);
        assert!(it.store.queues().await.unwrap().is_empty());
        it.store.push(&jobs(10_000..10_003)).await.unwrap();
        end(&it.store, &leases[7..], Then::Back).await;
        // Found where it lies now, and next.
        let found = it.store.find(Within::Queue("q"), "8").await.unwrap();
        assert_eq!(found.unwrap().payload, payload(8));
        let page = it.store.page("q", From::Oldest, 0, 9).await.unwrap();
        assert_eq!(page, [9, 8, 7, 10_000, 10_001, 10_002].map(payload));
        assert!(it.store.remove_queued("q", "8").await.unwrap());
        let next = lease(&it.store, 100, 9).await;
        let ids: Vec<_> = next.into_iter().map(|lease| lease.payload).collect();
        assert_eq!(ids, [9, 7, 10_000, 10_001, 10_002].map(payload));
        end(&it.store, &leases[5..7], Then::Done).await;
        // What was swept behind is gone, and nothing else is.
        let conn = Connection::open(&it.path).unwrap();
        let trash = || {
            let sql = "SELECT count(*) FROM forebay_trash";
            conn.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap()
        };
        let began = clock::now();
        while trash() > 0 {
            assert!(clock::now() - began < Duration::from_secs(20), "it is not swept");
            it.store.note("any", "call", None, Duration::ZERO).await.unwrap();
        }
        assert_eq!(it.store.counts().await.unwrap().leased, 5);
        check(&it.path);
    });
}

#[test]
fn pages_know_what_was_given_back_and_what_was_taken_out() {
    run(async {
        let it = place();
        it.store.push(&jobs(0..100)).await.unwrap();
        let leases = lease(&it.store, 0, 3).await;
        end(&it.store, &leases, Then::Back).await;
        for (removed, expected) in [
            (None, [2, 1, 0].iter().copied().chain(3..100).collect::<Vec<u64>>()),
            (Some("50"), [2, 1, 0].iter().copied().chain(3..50).chain(51..100).collect()),
            (Some("1"), [2, 0].iter().copied().chain(3..50).chain(51..100).collect()),
        ] {
            if let Some(id) = removed {
                assert!(it.store.remove_queued("q", id).await.unwrap());
                assert!(!it.store.remove_queued("q", id).await.unwrap());
            }
            let expected: Vec<_> = expected.into_iter().map(payload).collect();
            for skip in [0, 1, 2, 3, 40, 60, 95, 98, 100, 200] {
                let some: Vec<_> = expected.iter().skip(skip).take(7).cloned().collect();
                let page = it.store.page("q", From::Oldest, skip, 7).await.unwrap();
                assert_eq!(page, some, "{removed:?}, oldest, {skip}");
                let some: Vec<_> = expected.iter().rev().skip(skip).take(7).cloned().collect();
                let page = it.store.page("q", From::Newest, skip, 7).await.unwrap();
                assert_eq!(page, some, "{removed:?}, newest, {skip}");
            }
        }
        check(&it.path);
    });
}

#[test]
fn what_was_parked_when_a_process_died_is_brought_by_recovery() {
    run(async {
        let it = place();
        let class: Arc<str> = "A".into();
        it.store.push(&jobs(0..3)).await.unwrap();
        it.store.pause(&Pause::Class(Arc::clone(&class)), true).await.unwrap();
        let leases = lease(&it.store, 0, 3).await;
        end(&it.store, &leases, Then::Park { class }).await;
        // As if the process that ended the pause had died at once.
        let conn = Connection::open(&it.path).unwrap();
        conn.execute("DELETE FROM forebay_pause", []).unwrap();
        assert_eq!(lease(&it.store, 10, 3).await.len(), 0);
        it.store.recover(100).await.unwrap();
        let got: Vec<_> = lease(&it.store, 20, 3).await.into_iter().map(|it| it.payload).collect();
        assert_eq!(got, [0, 1, 2].map(payload));
    });
}

#[test]
fn a_push_that_fails_takes_nobody_with_it() {
    run(async {
        let it = place();
        // Every insert of one payload fails, within a transaction that others share.
        let conn = Connection::open(&it.path).unwrap();
        conn.execute_batch(
            "CREATE TRIGGER refuse BEFORE INSERT ON forebay_job WHEN NEW.payload = x'62616421' \
             BEGIN SELECT RAISE(ABORT, 'refused'); END",
        )
        .unwrap();
        let mut tasks = Vec::new();
        for n in 0..200_u64 {
            let store = it.store.clone();
            tasks.push(tokio::spawn(async move {
                let mut jobs = vec![push_to("q", n)];
                if n % 10 == 0 {
                    jobs.push(Push { payload: "bad!".into(), ..push_to("q", n) });
                }
                store.push(&jobs).await.is_ok()
            }));
        }
        let mut fine = 0;
        for (n, task) in tasks.into_iter().enumerate() {
            let is_fine = task.await.unwrap();
            assert_eq!(is_fine, n % 10 != 0, "{n}");
            fine += u64::from(is_fine);
        }
        assert_eq!(it.store.counts().await.unwrap().enqueued, fine);
        check(&it.path);
    });
}

#[test]
fn jobs_are_pushed_with_the_transaction_of_an_application_or_not_at_all() {
    run(async {
        let it = place();
        let mut conn = Connection::open(&it.path).unwrap();
        conn.execute("CREATE TABLE user (name TEXT)", []).unwrap();
        for is_kept in [false, true] {
            let transaction = conn.transaction().unwrap();
            transaction.execute("INSERT INTO user (name) VALUES ('ada')", []).unwrap();
            let later = Push { at: Some(Moment::from_micros(1)), ..push_to("q", "later") };
            let staged = it.store.push_within(&transaction, &[push_to("q", 1), later]).unwrap();
            assert_eq!(staged.pushed(), [Pushed::Stored, Pushed::Stored]);
            assert_eq!(it.store.counts().await.unwrap().enqueued, 0);
            if is_kept {
                let queues: Vec<Arc<str>> = vec!["q".into()];
                let store = it.store.clone();
                let waiting = tokio::spawn(async move { store.wait(&queues, 20 * LOOK).await });
                transaction.commit().unwrap();
                staged.wake();
                clock::timeout(10 * LOOK, waiting).await.unwrap().unwrap().unwrap();
            } else {
                transaction.rollback().unwrap();
            }
        }
        let counts = it.store.counts().await.unwrap();
        assert_eq!((counts.enqueued, counts.scheduled), (1, 1));
        let entry = it.store.find(Within::Set(Set::Schedule), "later").await.unwrap();
        assert_eq!(entry.unwrap().at, Moment::from_micros(1));

        let mut elsewhere = Connection::open_in_memory().unwrap();
        let transaction = elsewhere.transaction().unwrap();
        let error = it.store.push_within(&transaction, &jobs(0..1)).unwrap_err();
        assert!(matches!(error, StoreError::Broken(_)), "{error:?}");
    });
}

const LOOK: Duration = Duration::from_secs(1);

#[test]
fn a_job_of_a_deep_queue_is_found_by_the_index_alone() {
    run(async {
        let it = place();
        it.store.push(&jobs(0..30_000)).await.unwrap();
        for id in ["0", "8191", "8192", "29999"] {
            let found = it.store.find(Within::Queue("q"), id).await.unwrap();
            assert_eq!(found.unwrap().payload, payload(id));
        }
        assert!(it.store.find(Within::Queue("q"), "30000").await.unwrap().is_none());
        let conn = Connection::open(&it.path).unwrap();
        let sql = "EXPLAIN QUERY PLAN SELECT id, payload FROM forebay_job \
                   WHERE id >> 13 = 1 AND mark = 2";
        let plan: String = conn.query_row(sql, [], |row| row.get(3)).unwrap();
        assert!(plan.contains("USING INDEX forebay_job_mark (<expr>=? AND mark=?)"), "{plan}");
    });
}
