//! The writer: one thread, one connection, and all calls that wait in one transaction.
//!
//! In: calls, through a bounded door. Out: answers, after `COMMIT`, and for what must outlive a loss of power
//! after the log is on the disk. Bringing it there is the work of a second thread, so that the next
//! transaction is made meanwhile: the slower the disk, the more calls share one of its turns.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::thread;
use std::time::{Duration, Instant};

use forebay_signals::clock;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::super::{Retention, StoreError};
use super::disk::{Disk, Due};
use super::fault::{Done, Fault};
use super::move_log::Mover;
use super::step::Step;
use super::wake::Bell;
use super::{Durability, Options, beside, file, patiently, queue};
use crate::time::Clock;

/// Calls that wait for the writer; who calls beyond that waits for a place.
const WAITING: usize = 256;
/// Jobs in one transaction: some milliseconds of work, for which other processes wait.
const MOST_A_COMMIT: usize = 4_000;
/// How often what has ended by itself is taken away.
const TIDY_EVERY: Duration = Duration::from_secs(1);

/// What an answer waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// The log is on the disk.
    OnDisk,
    /// It is committed: it outlives the process, and reaches the disk soon. For what may be undone by a loss
    /// of power without the loss of a job: a lease that is forgotten is a job in its queue.
    Committed,
}

/// A call, whatever it answers.
pub(super) trait Call: Send {
    /// Does its work; again, from the start, if the transaction came to nothing because of another's.
    fn work(&mut self, step: &Step<'_>) -> Done<()>;
    fn answer(self: Box<Self>, end: Result<(), StoreError>);
    fn until(&self) -> Until;
    fn weight(&self) -> usize;
}

struct Asked<T, F> {
    work: F,
    done: Option<T>,
    to: oneshot::Sender<Result<T, StoreError>>,
    until: Until,
    weight: usize,
}

impl<T: Send, F: FnMut(&Step<'_>) -> Done<T> + Send> Call for Asked<T, F> {
    fn work(&mut self, step: &Step<'_>) -> Done<()> {
        self.done = Some((self.work)(step)?);
        Ok(())
    }

    fn answer(self: Box<Self>, end: Result<(), StoreError>) {
        let Asked { done, to, .. } = *self;
        let gone = || StoreError::Away(Arc::new(Fault::Gone));
        // Whoever called may have gone.
        drop(to.send(end.and_then(|()| done.ok_or_else(gone))));
    }

    fn until(&self) -> Until {
        self.until
    }

    fn weight(&self) -> usize {
        self.weight
    }
}

/// The way to the writer.
#[derive(Debug, Clone)]
pub(super) struct Door(mpsc::Sender<Box<dyn Call>>);

impl Door {
    /// Calls the writer. The answer comes when it is awaited; the work is done even if it is not.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        until: Until,
        weight: usize,
        work: impl FnMut(&Step<'_>) -> Done<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        patiently(async {
            let answered = self.send(until, weight, work).await?;
            Ok(answered.await.map_err(|_| Fault::Gone))
        })
        .await??
    }

    pub(super) async fn send<T: Send + 'static>(
        &self,
        until: Until,
        weight: usize,
        work: impl FnMut(&Step<'_>) -> Done<T> + Send + 'static,
    ) -> Done<oneshot::Receiver<Result<T, StoreError>>> {
        let (to, answered) = oneshot::channel();
        let call = Box::new(Asked { work, done: None, to, until, weight });
        self.0.send(call).await.map_err(|_| Fault::Gone)?;
        Ok(answered)
    }
}

struct Writer {
    conn: Connection,
    mover: Mover,
    bell: Arc<Bell>,
    clock: Clock,
    retention: Retention,
    bound: Option<i64>,
    durability: Durability,
    disk: SyncSender<Due>,
    /// Once the disk has failed to take something, nobody knows what it holds.
    has_failed: Arc<AtomicBool>,
    tidied: Instant,
    has_trash: bool,
}

/// Opens the file and starts its writer.
pub(super) fn start(path: &Path, options: &Options, bell: Arc<Bell>) -> Done<Door> {
    let mut conn = file::writer(path, options)?;
    let mover = Mover::start(&mut conn, path)?;
    let has_failed = Arc::new(AtomicBool::new(false));
    let of_thread = |source| Fault::File { path: path.to_owned(), source };
    let (disk, due) = std::sync::mpsc::sync_channel(WAITING);
    let (log, failed) = (file::log(path)?, Arc::clone(&has_failed));
    let sync = move || Disk::new(log, failed).serve(&due);
    thread::Builder::new().name("jobs-sync".to_owned()).spawn(sync).map_err(of_thread)?;
    let mut writer = Writer {
        bound: file::bound_in_pages(&conn, options)?,
        conn,
        mover,
        bell,
        clock: options.clock.clone(),
        retention: options.retention,
        durability: options.durability,
        disk,
        has_failed,
        tidied: clock::now(),
        has_trash: true,
    };
    let (door, mut calls) = mpsc::channel::<Box<dyn Call>>(WAITING);
    let write = move || {
        while let Some(first) = calls.blocking_recv() {
            let mut weight = first.weight();
            let mut batch = vec![first];
            while weight < MOST_A_COMMIT
                && let Ok(call) = calls.try_recv()
            {
                weight += call.weight();
                batch.push(call);
            }
            writer.commit(batch);
            writer.mover.look(&writer.conn);
            writer.keep_house(|| calls.is_empty());
        }
    };
    thread::Builder::new().name("jobs-write".to_owned()).spawn(write).map_err(of_thread)?;
    Ok(Door(door))
}

impl Writer {
    fn commit(&mut self, batch: Vec<Box<dyn Call>>) {
        match self.together(batch) {
            Ok(ended) => self.answer(ended),
            // It did not come to be, for want of room perhaps. What needs none need not suffer with what does.
            Err((batch, _)) if batch.len() > 1 => {
                for call in batch {
                    match self.together(vec![call]) {
                        Ok(ended) => self.answer(ended),
                        Err((batch, error)) => refuse(batch, &error),
                    }
                }
            }
            Err((batch, error)) => refuse(batch, &error),
        }
    }

    /// One transaction of all these calls, each by itself undone if it fails.
    #[expect(clippy::type_complexity, reason = "the calls, whichever way it goes")]
    fn together(
        &self,
        mut batch: Vec<Box<dyn Call>>,
    ) -> Result<Vec<(Box<dyn Call>, Result<(), StoreError>)>, (Vec<Box<dyn Call>>, StoreError)>
    {
        if self.has_failed.load(Ordering::Acquire) {
            let fault = Fault::Disk("an earlier write; open the store anew".to_owned());
            return Err((batch, fault.into()));
        }
        let wakes = match self.transact(&mut batch) {
            Ok((wakes, ends)) => {
                let ended = batch.into_iter().zip(ends).collect();
                if wakes {
                    // Before the log is on the disk: whoever is woken may run a job whose push is not
                    // answered yet. It runs, or is pushed again: it is not lost.
                    self.bell.ring();
                }
                return Ok(ended);
            }
            Err(fault) => fault,
        };
        if !self.conn.is_autocommit() {
            // It fails where SQLite has undone everything already.
            drop(self.conn.execute_batch("ROLLBACK"));
        }
        Err((batch, wakes.into()))
    }

    fn transact(&self, batch: &mut [Box<dyn Call>]) -> Done<(bool, Vec<Result<(), StoreError>>)> {
        let conn = &self.conn;
        let run = |sql| Ok::<_, Fault>(conn.prepare_cached(sql)?.execute([])?);
        run("BEGIN IMMEDIATE")?;
        let step = self.step();
        let is_alone = batch.len() == 1;
        let mut ends = Vec::with_capacity(batch.len());
        for call in batch {
            if is_alone {
                call.work(&step)?;
                ends.push(Ok(()));
                continue;
            }
            run("SAVEPOINT call")?;
            match call.work(&step) {
                Ok(()) => ends.push(Ok(())),
                // Undone as a whole: the others are to be done again without this one.
                Err(fault) if conn.is_autocommit() => return Err(fault),
                Err(fault) => {
                    run("ROLLBACK TO call")?;
                    ends.push(Err(fault.into()));
                }
            }
            run("RELEASE call")?;
        }
        run("COMMIT")?;
        Ok((step.wakes.get(), ends))
    }

    fn answer(&self, ended: Vec<(Box<dyn Call>, Result<(), StoreError>)>) {
        let mut waiting = Vec::new();
        for (call, end) in ended {
            let waits = self.durability == Durability::Full && call.until() == Until::OnDisk;
            if end.is_ok() && waits { waiting.push(call) } else { call.answer(end) }
        }
        if self.durability == Durability::Full
            && let Err(refused) = self.disk.send(Due(waiting))
        {
            refuse(refused.0.0, &Fault::Gone.into());
        }
    }

    /// What nobody waits for: while nobody calls, or at least now and then.
    fn keep_house(&mut self, is_idle: impl Fn() -> bool) {
        let now = clock::now();
        if now.saturating_duration_since(self.tidied) >= TIDY_EVERY {
            self.tidied = now;
            self.by_itself(|step| beside::tidy(step).map(|()| true));
            self.has_trash = self.by_itself(queue::sweep);
        }
        while self.has_trash && is_idle() {
            self.has_trash = self.by_itself(queue::sweep);
        }
    }

    /// A transaction of our own. What fails is tried again later.
    fn by_itself(&self, work: impl FnOnce(&Step<'_>) -> Done<bool>) -> bool {
        let begun = self.conn.execute_batch("BEGIN IMMEDIATE").map_err(Fault::from);
        let done = begun.and_then(|()| work(&self.step()));
        let done = done.and_then(|more| Ok(self.conn.execute_batch("COMMIT").map(|()| more)?));
        if let Err(fault) = &done {
            tracing::debug!(error = %fault, "the job store could not tidy up");
            if !self.conn.is_autocommit() {
                drop(self.conn.execute_batch("ROLLBACK"));
            }
        }
        self.mover.look(&self.conn);
        done.unwrap_or(false)
    }

    fn step(&self) -> Step<'_> {
        Step {
            conn: &self.conn,
            now: self.clock.now(),
            retention: self.retention,
            bound: self.bound,
            wakes: false.into(),
        }
    }
}

fn refuse(batch: Vec<Box<dyn Call>>, error: &StoreError) {
    for call in batch {
        call.answer(Err(error.clone()));
    }
}
