//! Moves the log into the file, beside the writer.
//!
//! To move 16 MiB takes a tenth of a second and two turns of the disk. A thread with a connection of its own does
//! that while the writer goes on; what was written meanwhile is moved in further passes, each shorter. The last
//! few pages are the writer's: it begins the log anew once all of it is in the file, which nobody can bring
//! about while somebody writes.

use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use rusqlite::Connection;
use rusqlite::wal::CheckpointMode;

use super::fault::{Done, Fault};
use super::file;

/// Log that is written before it is moved: 16 MiB, so that moving is rare and the log fits into the system's
/// cache.
const PAGES_OF_LOG: i32 = 4_096;
/// What the writer moves by itself: a millisecond.
const LAST_PAGES: i32 = 512;
/// From here on it moves all of it, and all who push wait: the log would grow without bound otherwise.
const MOST_PAGES: i32 = 8 * PAGES_OF_LOG;

/// The writer's side.
pub(super) struct Mover {
    /// Pages of the log after the last commit.
    pages: Arc<AtomicI32>,
    /// Those of them that are in the file.
    moved: Arc<AtomicI32>,
    /// Pages at the last look.
    before: Cell<i32>,
    wake: SyncSender<()>,
}

impl Mover {
    /// Starts the thread, and takes the place of what moves the log within the writer's commits.
    pub(super) fn start(writer: &mut Connection, path: &Path) -> Done<Mover> {
        let (pages, moved) = (Arc::new(AtomicI32::new(0)), Arc::new(AtomicI32::new(0)));
        let seen = Arc::clone(&pages);
        writer.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages| {
            seen.store(pages, Ordering::Relaxed);
            Ok(())
        }))?;
        let conn = file::reader(path)?;
        let (wake, woken) = sync_channel(1);
        let so_far = Arc::clone(&moved);
        let of_thread = |source| Fault::File { path: path.to_owned(), source };
        let serve = move || serve(&conn, &woken, &so_far);
        thread::Builder::new().name("jobs-move".to_owned()).spawn(serve).map_err(of_thread)?;
        Ok(Mover { pages, moved, before: Cell::new(0), wake })
    }

    /// After a commit.
    pub(super) fn look(&self, writer: &Connection) {
        let pages = self.pages.load(Ordering::Relaxed);
        if pages < self.before.replace(pages) {
            // It has begun anew.
            self.moved.store(0, Ordering::Relaxed);
        }
        if pages < PAGES_OF_LOG {
            return;
        }
        let left = pages.saturating_sub(self.moved.load(Ordering::Relaxed));
        if left <= LAST_PAGES || pages >= MOST_PAGES {
            pass(writer, &self.moved);
        } else {
            // One that is awake already looks again when it is done.
            self.wake.try_send(()).ok();
        }
    }
}

/// Until the writer ends.
fn serve(conn: &Connection, woken: &Receiver<()>, moved: &AtomicI32) {
    while woken.recv().is_ok() {
        pass(conn, moved);
    }
}

/// Moves what can be moved without waiting for anybody.
fn pass(conn: &Connection, moved: &AtomicI32) {
    let passed = conn.wal_checkpoint_v2(None::<&str>, CheckpointMode::PASSIVE);
    match passed {
        Ok((_, some)) => moved.store(some.max(0), Ordering::Relaxed),
        // Another process does the same, or the disk is full: the next commit tries again.
        Err(error) => tracing::debug!(%error, "the log of the job store was not moved"),
    }
}
