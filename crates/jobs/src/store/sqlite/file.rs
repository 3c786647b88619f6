//! The file: how it is opened, what is in it, which versions of it there are.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use forebay_signals::clock;
use rusqlite::{Connection, OpenFlags, OptionalExtension, TransactionBehavior};

use super::Options;
use super::fault::{Done, Fault, int};

/// What `file` and others may know a file of ours by: "fjob".
const APPLICATION: i64 = 0x666a_6f62;
/// The steps from one version of the tables to the next; there are as many versions as steps.
const STEPS: [&str; 2] = [include_str!("tables.sql"), include_str!("tables_2.sql")];
const VERSION: i64 = 2;

const WRITER_CACHE_KIB: i64 = 16 * 1024;
const READER_CACHE_KIB: i64 = 2 * 1024;
/// Room beyond the bound for pushes, so that retries, deaths and beats still have some.
const HEADROOM_PARTS: i64 = 20;
const LEAST_HEADROOM_PAGES: i64 = 256;
const STATEMENTS: usize = 128;

/// Opens the file for writing, making it or bringing it up to date if need be.
pub(super) fn writer(path: &Path, options: &Options) -> Done<Connection> {
    /// As long as for any other lock.
    const PATIENCE: Duration = Duration::from_secs(5);
    const PAUSE: Duration = Duration::from_millis(2);
    let until = clock::now() + PATIENCE;
    loop {
        match open(path, options) {
            // Two processes that switch a new file to its log, or one that switches and another that closes, hold
            // what the other waits for. SQLite says so at once and asks no busy handler: one begins anew.
            Err(fault) if fault.is_busy() && clock::now() < until => clock::block_for(PAUSE),
            done => return done,
        }
    }
}

fn open(path: &Path, options: &Options) -> Done<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    let mut conn = connect(path, flags)?;
    if conn.is_readonly(rusqlite::MAIN_DB)? {
        return Err(Fault::Unwritable(path.to_owned()));
    }
    let version = version(&conn, path, options)?;
    if version > VERSION {
        return Err(Fault::Newer { path: path.to_owned(), version, known: VERSION });
    }
    let mode: String = conn.query_row("PRAGMA journal_mode = wal", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(Fault::NoLog { path: path.to_owned(), mode });
    }
    // The log is brought to the disk by a thread of ours before anything is answered; SQLite syncs it only
    // where it must for the file to stay whole.
    conn.pragma_update(None, "synchronous", "normal")?;
    conn.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    conn.pragma_update(None, "temp_store", "memory")?;
    if version < VERSION {
        migrate(&mut conn, path, options)?;
    }
    if let Some(bound) = bound_in_pages(&conn, options)? {
        let headroom = (bound / HEADROOM_PARTS).max(LEAST_HEADROOM_PAGES);
        let most = bound.saturating_add(headroom);
        conn.query_row(&format!("PRAGMA max_page_count = {most}"), [], |_| Ok(()))?;
    }
    Ok(conn)
}

/// Opens the file for reading alone.
pub(super) fn reader(path: &Path) -> Done<Connection> {
    // With the right to write: the index of the log lies in memory that readers write to as well.
    let conn = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    conn.pragma_update(None, "query_only", true)?;
    conn.pragma_update(None, "cache_size", -READER_CACHE_KIB)?;
    Ok(conn)
}

/// The log, to be brought to the disk. `SQLite` keeps no locks on it, which closing it would free.
pub(super) fn log(path: &Path) -> Done<File> {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    let name = PathBuf::from(name);
    File::options().write(true).open(&name).map_err(|source| Fault::File { path: name, source })
}

/// Pages that pushes may fill.
pub(super) fn bound_in_pages(conn: &Connection, options: &Options) -> Done<Option<i64>> {
    let Some(most) = options.most_bytes else { return Ok(None) };
    let page: i64 = conn.query_row("PRAGMA page_size", [], |row| row.get(0))?;
    Ok(Some((i64::try_from(most).unwrap_or(i64::MAX) / page.max(1)).max(1)))
}

/// Pages that hold something.
pub(super) fn pages_in_use(conn: &Connection) -> Done<i64> {
    let pages: i64 = pragma(conn, "PRAGMA page_count")?;
    let free: i64 = pragma(conn, "PRAGMA freelist_count")?;
    Ok(pages.saturating_sub(free))
}

pub(super) fn pragma(conn: &Connection, pragma: &str) -> Done<i64> {
    Ok(conn.prepare_cached(pragma)?.query_row([], |row| row.get(0))?)
}

fn connect(path: &Path, flags: OpenFlags) -> Done<Connection> {
    let mut conn = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    conn.busy_handler(Some(is_worth_waiting))?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(conn)
}

/// Another process writes: its steps take a millisecond, so it is asked again sooner than `SQLite` would.
fn is_worth_waiting(tries: i32) -> bool {
    const SOON: Duration = Duration::from_micros(50);
    const LATER: Duration = Duration::from_micros(500);
    const SOON_TRIES: i32 = 40;
    /// Five seconds altogether.
    const MOST_TRIES: i32 = 10_000;
    clock::block_for(if tries < SOON_TRIES { SOON } else { LATER });
    tries < MOST_TRIES
}

/// The version of the tables that are there; 0 for a file that is ours to fill.
fn version(conn: &Connection, path: &Path, options: &Options) -> Done<i64> {
    let is_ours = has_table(conn, "forebay_file")?;
    if is_ours {
        let version =
            conn.query_row("SELECT version FROM forebay_file", [], |row| row.get(0)).optional()?;
        return version.ok_or(Fault::Odd("the file does not say its version"));
    }
    let tables: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let application: i64 = conn.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let is_foreign = tables > 0 || (application != 0 && application != APPLICATION);
    if is_foreign && !options.is_shared {
        return Err(Fault::Foreign(path.to_owned()));
    }
    Ok(0)
}

fn migrate(conn: &mut Connection, path: &Path, options: &Options) -> Done<()> {
    // Whoever comes second finds it done: the version is read again under the lock.
    let step = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let from = version(&step, path, options)?;
    for tables in STEPS.iter().skip(usize::try_from(from).unwrap_or(0)) {
        step.execute_batch(tables)?;
    }
    if from < VERSION {
        step.execute("DELETE FROM forebay_file", [])?;
        step.execute("INSERT INTO forebay_file (version) VALUES (?1)", [VERSION])?;
        // In an application's own file these two are the application's.
        if !options.is_shared {
            step.pragma_update(None, "application_id", APPLICATION)?;
            step.pragma_update(None, "user_version", VERSION)?;
        }
    }
    step.commit()?;
    Ok(())
}

fn has_table(conn: &Connection, name: &str) -> Done<bool> {
    let exists = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1";
    let found: Option<i64> = conn.query_row(exists, [name], |row| row.get(0)).optional()?;
    Ok(found.is_some())
}

/// Bytes that the file uses, and how many there may be.
pub(super) fn room(conn: &Connection, path: &Path, options: &Options) -> Done<(u64, Option<u64>)> {
    let page = pragma(conn, "PRAGMA page_size")?;
    let used = u64::try_from(pages_in_use(conn)?.saturating_mul(page)).unwrap_or(0);
    let whole = u64::try_from(pragma(conn, "PRAGMA page_count")?.saturating_mul(page)).unwrap_or(0);
    // Pages that are free in the file are filled before it grows.
    let on_disk = rustix::fs::statvfs(path)
        .ok()
        .map(|disk| whole.saturating_add(disk.f_bavail.saturating_mul(disk.f_frsize)));
    let of = match (on_disk, options.most_bytes) {
        (Some(disk), Some(most)) => Some(disk.min(most)),
        (disk, most) => disk.or(most),
    };
    Ok((used, of))
}

/// Where a step begins to be too much for a file with a bound.
pub(super) fn refuse_beyond(conn: &Connection, bound: Option<i64>, bytes: usize) -> Done<()> {
    const BYTES_OF_PAGE: usize = 4_096;
    let Some(bound) = bound else { return Ok(()) };
    let wanted = pages_in_use(conn)?.saturating_add(int(bytes / BYTES_OF_PAGE));
    if wanted >= bound { Err(Fault::Bound { wanted, bound }) } else { Ok(()) }
}
