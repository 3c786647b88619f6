//! The laws on a file.

use super::super::suite::{Bench, RETENTION};
use super::*;
use crate::time::Moment;

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
