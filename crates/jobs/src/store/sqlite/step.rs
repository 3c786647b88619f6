//! One call's work within a transaction: what every such work has at hand.

use std::cell::Cell;

use rusqlite::{CachedStatement, Connection, OptionalExtension, Params, Row};

use super::super::{Retention, Set};
use super::fault::Done;
use crate::time::Moment;

/// Rows of `forebay_count`.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Leased = 3,
    Processed = 4,
    Failed = 5,
    /// Regions that were given out.
    Regions = 6,
    /// Changes of what is paused.
    Pauses = 7,
}

pub(super) struct Step<'c> {
    pub(super) conn: &'c Connection,
    pub(super) now: Moment,
    pub(super) retention: Retention,
    /// Pages that pushes may fill.
    pub(super) bound: Option<i64>,
    /// True if somebody who waits is to be told.
    pub(super) wakes: Cell<bool>,
}

impl<'c> Step<'c> {
    pub(super) fn now(&self) -> i64 {
        self.now.as_micros()
    }

    pub(super) fn statement(&self, sql: &str) -> Done<CachedStatement<'c>> {
        Ok(self.conn.prepare_cached(sql)?)
    }

    pub(super) fn run(&self, sql: &str, params: impl Params) -> Done<usize> {
        let mut statement = self.statement(sql)?;
        let changed = statement.execute(params)?;
        spent(&statement);
        Ok(changed)
    }

    pub(super) fn find<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Done<Option<T>> {
        let mut statement = self.statement(sql)?;
        let found = statement.query_row(params, read).optional()?;
        spent(&statement);
        Ok(found)
    }

    pub(super) fn list<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Done<Vec<T>> {
        let mut statement = self.statement(sql)?;
        let rows = statement.query_map(params, read)?.collect::<rusqlite::Result<_>>()?;
        spent(&statement);
        Ok(rows)
    }

    pub(super) fn is_there(&self, sql: &str, params: impl Params) -> Done<bool> {
        Ok(self.find(sql, params, |_| Ok(()))?.is_some())
    }

    /// Adds to a counter.
    pub(super) fn add(&self, kind: i64, by: i64) -> Done<()> {
        if by != 0 {
            self.run("UPDATE forebay_count SET n = n + ?2 WHERE kind = ?1", [kind, by])?;
        }
        Ok(())
    }

    pub(super) fn counted(&self, kind: i64) -> Done<i64> {
        let n = "SELECT n FROM forebay_count WHERE kind = ?1";
        Ok(self.find(n, [kind], |row| row.get(0))?.unwrap_or(0))
    }
}

pub(super) const fn kind_of(set: Set) -> i64 {
    match set {
        Set::Schedule => 0,
        Set::Retry => 1,
        Set::Dead => 2,
    }
}

#[cfg(not(test))]
fn spent(_: &CachedStatement<'_>) {}

#[cfg(test)]
thread_local! {
    /// Steps of SQLite's machine that statements of this thread have taken.
    pub(super) static SPENT: Cell<u64> = const { Cell::new(0) };
}

#[cfg(test)]
fn spent(statement: &CachedStatement<'_>) {
    let steps = statement.reset_status(rusqlite::StatementStatus::VmStep);
    SPENT.set(SPENT.get() + u64::try_from(steps).unwrap_or(0));
}
