//! The readers: threads that look at the file beside the writer, each with a connection of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::super::{Retention, StoreError};
use super::fault::{Done, Fault};
use super::step::Step;
use super::{Options, file, patiently};
use crate::time::Clock;

/// One that goes through a large set does not keep a beat's numbers waiting.
const READERS: usize = 2;
/// Questions that wait for a reader; who asks beyond that waits for a place.
const WAITING: usize = 64;

type Question = Box<dyn FnOnce(&Connection) + Send>;

#[derive(Debug)]
pub(super) struct Readers {
    doors: Vec<mpsc::Sender<Question>>,
    next: AtomicUsize,
    clock: Clock,
    retention: Retention,
}

impl Readers {
    pub(super) fn start(path: &std::path::Path, options: &Options) -> Done<Readers> {
        let mut doors = Vec::new();
        for _ in 0..READERS {
            let conn = file::reader(path)?;
            let (door, mut questions) = mpsc::channel::<Question>(WAITING);
            let read = move || {
                while let Some(question) = questions.blocking_recv() {
                    question(&conn);
                }
            };
            thread::Builder::new()
                .name("jobs-read".to_owned())
                .spawn(read)
                .map_err(|source| Fault::File { path: path.to_owned(), source })?;
            doors.push(door);
        }
        let (clock, retention) = (options.clock.clone(), options.retention);
        Ok(Readers { doors, next: AtomicUsize::new(0), clock, retention })
    }

    /// Asks a reader. What it sees is one state of the file.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Step<'_>) -> Done<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let (now, retention) = (self.clock.now(), self.retention);
        let question: Question = Box::new(move |conn| {
            let step = Step { conn, now, retention, bound: None, wakes: false.into() };
            let seen = conn.execute_batch("BEGIN").map_err(Fault::from).and_then(|()| {
                let seen = look(&step);
                // Nothing was written: however it ends is the same.
                drop(conn.execute_batch("ROLLBACK"));
                seen
            });
            // Whoever asked may have gone.
            drop(answer.send(seen));
        });
        let at = self.next.fetch_add(1, Ordering::Relaxed) % self.doors.len().max(1);
        let door = self.doors.get(at).ok_or_else(|| StoreError::Away(Arc::new(Fault::Gone)))?;
        patiently(async {
            door.send(question).await.map_err(|_| Fault::Gone)?;
            answered.await.map_err(|_| Fault::Gone)?
        })
        .await
        .map_err(StoreError::from)
    }
}
