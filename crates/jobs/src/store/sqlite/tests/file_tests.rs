//! Which files are opened and which are refused; what happens without room.

use std::error::Error;
use std::fs;

use super::super::super::suite::run;
use super::super::super::{Finish, Owner, Set, Store, Then, Token, Turn};
use super::*;

fn why(error: &StoreError) -> String {
    error.source().map(ToString::to_string).unwrap_or_default()
}

fn fresh() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.db");
    (folder, path)
}

#[test]
fn a_file_of_ours_is_known_and_opened_again() {
    let (_folder, path) = fresh();
    run(async move {
        let store = Sqlite::open(&path, Options::default()).unwrap();
        store.push(&[push_to("q", 1)]).await.unwrap();
        drop(store);
        let store = Sqlite::open(&path, Options::default()).unwrap();
        assert_eq!(store.counts().await.unwrap().enqueued, 1);
        let conn = Connection::open(&path).unwrap();
        let number = |pragma: &str| {
            conn.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get::<_, i64>(0)).unwrap()
        };
        assert_eq!((number("application_id"), number("user_version")), (0x666a_6f62, 2));
        check(&path);
    });
}

#[test]
fn many_may_open_a_file_at_once_that_is_not_there_yet() {
    for _ in 0..5 {
        let (_folder, path) = fresh();
        let start = std::sync::Barrier::new(8);
        let open = || {
            start.wait();
            Sqlite::open(&path, Options::default()).map(drop)
        };
        std::thread::scope(|scope| {
            let opens: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
            for opened in opens {
                opened.join().unwrap().unwrap();
            }
        });
        check(&path);
    }
}

#[test]
fn a_file_of_an_older_version_is_brought_up_to_date() {
    let (_folder, path) = fresh();
    run(async move {
        let conn = Connection::open(&path).unwrap();
        conn.execute_batch(include_str!("../tables.sql")).unwrap();
        conn.execute("INSERT INTO forebay_file (version) VALUES (1)", []).unwrap();
        drop(conn);
        let store = Sqlite::open(&path, Options::default()).unwrap();
        store.push(&[push_to("q", 1)]).await.unwrap();
        assert_eq!(store.ran(Duration::from_secs(60)).await.unwrap(), []);
        check(&path);
    });
}

#[test]
fn the_log_is_moved_beside_the_writer_and_begins_anew() {
    const MIB: usize = 1 << 20;
    let (_folder, path) = fresh();
    run(async move {
        let store = Sqlite::open(&path, Options::default()).unwrap();
        for n in 0..30 {
            let mut job = push_to("q", n);
            job.payload = vec![b'x'; MIB].into();
            store.push(&[job]).await.unwrap();
        }
        let began = clock::now();
        let is_late = || clock::now() - began > Duration::from_secs(20);
        // Nobody writes meanwhile.
        while fs::metadata(&path).unwrap().len() < 16 * MIB as u64 {
            assert!(!is_late(), "the log is not moved");
            tokio::task::yield_now().await;
        }
        let mut log = path.clone().into_os_string();
        log.push("-wal");
        // The head of the log says how often it began.
        while fs::read(&log).unwrap()[12..16] == [0; 4] {
            assert!(!is_late(), "the log goes on");
            store.push(&[push_to("q", "small")]).await.unwrap();
        }
        drop(store);
        check(&path);
    });
}

#[test]
fn a_file_of_a_newer_version_is_refused() {
    let (_folder, path) = fresh();
    drop(Sqlite::open(&path, Options::default()).unwrap());
    let conn = Connection::open(&path).unwrap();
    conn.execute("UPDATE forebay_file SET version = 9", []).unwrap();
    let error = Sqlite::open(&path, Options::default()).unwrap_err();
    assert!(matches!(error, StoreError::Broken(_)), "{error:?}");
    let path = path.canonicalize().unwrap();
    assert_eq!(
        why(&error),
        format!(
            "`{}` is of version 9; this program knows versions up to 2: use the newer program",
            path.display()
        )
    );
}

#[test]
fn a_file_of_another_application_is_refused_unless_it_is_shared_on_purpose() {
    let (_folder, path) = fresh();
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch("CREATE TABLE user (name TEXT); PRAGMA user_version = 7").unwrap();
    let error = Sqlite::open(&path, Options::default()).unwrap_err();
    assert!(matches!(error, StoreError::Broken(_)), "{error:?}");
    assert!(why(&error).contains("belongs to another application"), "{}", why(&error));
    drop(Sqlite::open(&path, Options::default().shared()).unwrap());
    // And from then on it is ours as well, with the application's own version kept.
    drop(Sqlite::open(&path, Options::default()).unwrap());
    let version: i64 = conn.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    assert_eq!(version, 7);
}

#[test]
fn what_is_no_database_is_refused() {
    let (_folder, path) = fresh();
    fs::write(&path, "no database at all, whatever its name says".repeat(100)).unwrap();
    let error = Sqlite::open(&path, Options::default()).unwrap_err();
    assert!(matches!(error, StoreError::Broken(_)), "{error:?}");
}

#[test]
fn a_folder_that_is_not_there_is_told() {
    let error = Sqlite::open("/nowhere/at/all/jobs.db", Options::default()).unwrap_err();
    assert!(matches!(error, StoreError::Away(_)), "{error:?}");
    assert_eq!(why(&error), "`/nowhere/at/all/jobs.db` cannot be opened");
}

#[test]
fn what_is_broken_is_told_and_the_rest_is_served() {
    let (_folder, path) = fresh();
    run(async move {
        let store = Sqlite::open(&path, Options::default()).unwrap();
        let jobs: Vec<_> = (0..5_000).map(|n| push_to("q", n)).collect();
        store.push(&jobs).await.unwrap();
        drop(store);
        // The last connection moves the log into the file.
        let conn = Connection::open(&path).unwrap();
        conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        let sql = "SELECT rootpage FROM sqlite_schema WHERE name = 'forebay_job'";
        let root: i64 = conn.query_row(sql, [], |row| row.get(0)).unwrap();
        let root = usize::try_from(root).unwrap();
        drop(conn);
        let mut bytes = fs::read(&path).unwrap();
        bytes[(root - 1) * 4_096..root * 4_096].fill(0xff);
        fs::write(&path, bytes).unwrap();
        let store = Sqlite::open(&path, Options::default()).unwrap();
        let error = store.page("q", super::super::super::From::Oldest, 0, 1).await.unwrap_err();
        assert!(matches!(error, StoreError::Broken(_)), "{error:?}");
        assert_eq!(store.counts().await.unwrap().enqueued, 5_000);
    });
}

#[test]
fn a_full_store_refuses_pushes_and_still_takes_failures() {
    const LARGE: usize = 10_000;
    let (_folder, path) = fresh();
    run(async move {
        let store = Sqlite::open(&path, Options::default().most_bytes(2 << 20)).unwrap();
        let large = |id: u64| {
            let mut payload = payload(id).to_vec();
            payload.resize(LARGE, b' ');
            super::super::super::Push { payload: payload.into(), ..push_to("q", id) }
        };
        let mut stored = 0;
        let error = loop {
            match store.push(&[large(stored)]).await {
                Ok(_) => stored += 1,
                Err(error) => break error,
            }
            assert!(stored < 1_000, "it takes more than there is room for");
        };
        assert!(matches!(error, StoreError::Full(_)), "{error:?}");
        let room = store.room().await.unwrap();
        assert!(room.used <= 2 << 20 && room.of == Some(2 << 20), "{room:?}");

        let owner = Owner::named("w");
        let queues: [Arc<str>; 1] = ["q".into()];
        let tokens: Vec<Token> = (0..50).map(Token).collect();
        let turn = Turn { owner: &owner, finished: &[], queues: &queues, fresh: &tokens };
        let leases = store.turn(turn).await.unwrap().leases;
        assert_eq!(leases.len(), 50);
        // Each failure writes more than it takes away, until the reserve is gone as well.
        let mut wider = vec![b'x'; 8 * LARGE];
        wider[..payload(0).len()].copy_from_slice(&payload(0));
        let mut failed = 0;
        for lease in &leases {
            let then = Then::Wait {
                set: Set::Retry,
                at: Moment::from_micros(1),
                payload: wider.clone().into(),
            };
            let finish = Finish { token: lease.token, queue: "q".into(), then, unlock: None };
            let turn = Turn { owner: &owner, finished: &[finish], queues: &[], fresh: &[] };
            match store.turn(turn).await {
                Ok(_) => failed += 1,
                Err(error) => {
                    assert!(matches!(error, StoreError::Full(_)), "{error:?}");
                    break;
                }
            }
        }
        assert!(failed > 5 && failed < 50, "{failed} failures fit");
        // Nothing was lost by it, and what needs no room is done.
        let counts = store.counts().await.unwrap();
        assert_eq!((counts.retries, counts.leased), (failed, 50 - failed));
        assert_eq!(counts.enqueued, stored - 50);
        let ends: Vec<Finish> = leases
            .iter()
            .skip(usize::try_from(failed).unwrap())
            .map(|lease| Finish {
                token: lease.token,
                queue: "q".into(),
                then: Then::Done,
                unlock: None,
            })
            .collect();
        let turn = Turn { owner: &owner, finished: &ends, queues: &[], fresh: &[] };
        assert!(store.turn(turn).await.unwrap().lost.is_empty());
        assert_eq!(store.clear(Set::Retry).await.unwrap(), failed);
        store.push(&[large(0)]).await.unwrap();
        check(&path);
    });
}
