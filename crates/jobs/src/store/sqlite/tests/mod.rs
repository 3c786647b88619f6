//! The laws on a file, and what is true of files alone.

use rusqlite::Connection;

use super::super::suite::{Bench, RETENTION};
use super::*;
use crate::time::Moment;

mod cost_tests;
mod file_tests;
mod job_tests;
mod process_tests;
mod wake_tests;

fn bench() -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.db");
    let clock = Clock::manual(Moment::from_micros(1_795_436_000_000_000));
    let options = Options::default().clock(clock.clone()).retention(RETENTION);
    let store = Arc::new(Sqlite::open(&path, options.clone()).unwrap());
    let other = Arc::new(Sqlite::open(&path, options).unwrap());
    Bench { store, other, clock, kept: Box::new(folder) }
}

crate::contract_suite!(async { bench() });

fn payload(id: impl std::fmt::Display) -> bytes::Bytes {
    format!(r#"{{"class":"A","args":[1],"jid":"{id}","queue":"q"}}"#).into()
}

fn push_to(queue: &str, id: impl std::fmt::Display) -> super::super::Push {
    super::super::Push { queue: queue.into(), payload: payload(id), at: None, unique: None }
}

/// What is counted is what is there, and the file is whole.
fn check(path: &Path) {
    let conn = Connection::open(path).unwrap();
    let one = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    let whole: String = conn.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(whole, "ok");
    for kind in 0..3 {
        let there = one(&format!("SELECT count(*) FROM forebay_entry WHERE kind = {kind}"));
        let counted = one(&format!("SELECT n FROM forebay_count WHERE kind = {kind}"));
        assert_eq!(counted, there, "set {kind}");
    }
    let leased = one("SELECT count(*) FROM forebay_lease");
    assert_eq!(one("SELECT n FROM forebay_count WHERE kind = 3"), leased);
    let backs = one("SELECT count(*) FROM forebay_back");
    assert_eq!(one("SELECT coalesce(sum(backs), 0) FROM forebay_queue"), backs);
    let parked = one("SELECT count(*) FROM forebay_park");
    let depth = one("SELECT coalesce(sum(depth), 0) FROM forebay_queue");
    assert_eq!(one("SELECT count(*) FROM forebay_job"), depth + leased + parked);
}
