//! The contract, call by call: what goes to the writer and what to a reader.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use forebay_signals::clock;

use super::super::{
    Beat, Counts, Due, Entry, From, Lease, Lock, MOST_A_STEP, Owner, Pause, Process, Push, Pushed,
    QueueView, Ran, Recovered, Reply, Room, Set, Signal, Store, StoreError, Turn, Turned, Within,
};
use super::fault::{Done, Fault};
use super::lease::Asked;
use super::queue::Queue;
use super::step::Step;
use super::writer::Until::{self, Committed, OnDisk};
use super::{Sqlite, beside, file, lease, look, mark, patiently, push, queue, set};
use crate::time::Moment;

/// Jobs of a push that are stored whole or not at all.
const SLICE: usize = 1_000;
/// Slices that are on their way at once: enough that the writer always finds one.
const SLICES_ON_THEIR_WAY: usize = 8;
/// Whoever waits looks by himself so often: the net below the wake-up.
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl Sqlite {
    /// Calls the writer for one step.
    fn write<T: Send + 'static>(
        &self,
        until: Until,
        weight: usize,
        work: impl FnMut(&Step<'_>) -> Done<T> + Send + 'static,
    ) -> Reply<'_, T> {
        Box::pin(self.0.door.call(until, weight, work))
    }

    fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Step<'_>) -> Done<T> + Send + 'static,
    ) -> Reply<'_, T> {
        Box::pin(self.0.readers.ask(look))
    }

    async fn push_all(&self, jobs: &[Push]) -> Result<Vec<Pushed>, StoreError> {
        let mut pushed = Vec::with_capacity(jobs.len());
        let mut on_their_way = std::collections::VecDeque::new();
        for slice in jobs.chunks(SLICE) {
            if on_their_way.len() == SLICES_ON_THEIR_WAY
                && let Some(first) = on_their_way.pop_front()
            {
                pushed.extend(arrived(first).await?);
            }
            let (slice, marks) = (slice.to_vec(), marks(slice));
            let work = move |step: &Step<'_>| push::push(step, &slice, &marks);
            let sent = self.0.door.send(OnDisk, jobs.len().min(SLICE), work);
            on_their_way.push_back(patiently(sent).await?);
        }
        for slice in on_their_way {
            pushed.extend(arrived(slice).await?);
        }
        Ok(pushed)
    }

    async fn wait_for(&self, queues: &[Arc<str>], at_most: Duration) -> Result<(), StoreError> {
        let until = clock::now() + at_most;
        self.0.bell.listen();
        let mut before = None;
        loop {
            // Before the look: what comes after it is not missed.
            let changed = self.0.bell.changed().notified();
            let names = queues.to_vec();
            let seen = self.0.readers.ask(move |step| look::sight(step, &names)).await?;
            let pauses = *before.get_or_insert(seen.pauses);
            let left = until.saturating_duration_since(clock::now());
            if seen.is_work || seen.pauses != pauses || left.is_zero() {
                return Ok(());
            }
            // Woken or not, it looks again.
            drop(clock::timeout(left.min(LOOK_EVERY), changed).await);
        }
    }
}

type Answer = tokio::sync::oneshot::Receiver<Result<Vec<Pushed>, StoreError>>;

async fn arrived(slice: Answer) -> Result<Vec<Pushed>, StoreError> {
    patiently(async { slice.await.map_err(|_| Fault::Gone) }).await?
}

fn marks(jobs: &[Push]) -> Vec<Option<i64>> {
    jobs.iter().map(|job| mark::of_payload(&job.payload)).collect()
}

impl Store for Sqlite {
    fn push<'a>(&'a self, jobs: &'a [Push]) -> Reply<'a, Vec<Pushed>> {
        Box::pin(self.push_all(jobs))
    }

    fn turn<'a>(&'a self, turn: Turn<'a>) -> Reply<'a, Turned> {
        let asked = Asked {
            owner: turn.owner.clone(),
            finished: turn.finished.to_vec(),
            queues: turn.queues.to_vec(),
            fresh: turn.fresh.iter().take(MOST_A_STEP).copied().collect(),
        };
        let weight = asked.finished.len() + asked.fresh.len();
        self.write(Committed, weight, move |step| lease::turn(step, &asked))
    }

    fn wait<'a>(&'a self, queues: &'a [Arc<str>], at_most: Duration) -> Reply<'a, ()> {
        Box::pin(self.wait_for(queues, at_most))
    }

    fn keep<'a>(&'a self, owner: &'a Owner) -> Reply<'a, bool> {
        let owner = owner.clone();
        self.write(Committed, 1, move |step| lease::keep(step, &owner))
    }

    fn recover(&self, most: usize) -> Reply<'_, Recovered> {
        // One step may not hold up the others for long: who asks for more asks again.
        Box::pin(async move {
            let mut all = Recovered::default();
            let mut left = most;
            loop {
                let now = left.min(10 * MOST_A_STEP);
                let some =
                    self.write(Committed, now, move |step| lease::recover(step, now)).await?;
                let moved = some.moved();
                all.back += some.back;
                all.poisoned.extend(some.poisoned);
                all.owners += some.owners;
                left = left.saturating_sub(moved);
                if moved < now || left == 0 {
                    return Ok(all);
                }
            }
        })
    }

    fn leases<'a>(&'a self, owner: &'a Owner) -> Reply<'a, Vec<Lease>> {
        let owner = owner.clone();
        self.read(move |step| lease::held(step, &owner))
    }

    fn due(&self, set: Set, most: usize) -> Reply<'_, Vec<Entry>> {
        self.read(move |step| set::due(step, set, most))
    }

    fn promote<'a>(&'a self, set: Set, due: &'a [Due]) -> Reply<'a, usize> {
        let due = due.to_vec();
        self.write(OnDisk, due.len(), move |step| set::promote(step, set, &due))
    }

    fn entries(&self, set: Set, from: From, skip: usize, most: usize) -> Reply<'_, Vec<Entry>> {
        self.read(move |step| set::page(step, set, from, skip, most))
    }

    fn take<'a>(&'a self, set: Set, entry: &'a Entry, to: Option<(Set, Entry)>) -> Reply<'a, bool> {
        let entry = entry.clone();
        self.write(OnDisk, 1, move |step| set::take(step, set, &entry, to.as_ref()))
    }

    fn clear(&self, set: Set) -> Reply<'_, u64> {
        Box::pin(async move {
            let before = self.write(Committed, 1, set::next_id).await?;
            let mut all = 0;
            loop {
                let work = move |step: &Step<'_>| set::clear(step, set, before);
                match self.write(OnDisk, SLICE, work).await? {
                    0 => return Ok(all),
                    some => all += some as u64,
                }
            }
        })
    }

    fn find<'a>(&'a self, within: Within<'a>, id: &'a str) -> Reply<'a, Option<Entry>> {
        let id = id.to_owned();
        match within {
            Within::Set(set) => self.read(move |step| look::find(step, Within::Set(set), &id)),
            Within::Queue(queue) => {
                let queue = queue.to_owned();
                self.read(move |step| look::find(step, Within::Queue(&queue), &id))
            }
        }
    }

    fn queues(&self) -> Reply<'_, Vec<QueueView>> {
        self.read(look::queues)
    }

    fn page<'a>(
        &'a self,
        queue: &'a str,
        from: From,
        skip: usize,
        most: usize,
    ) -> Reply<'a, Vec<Bytes>> {
        let queue = queue.to_owned();
        self.read(move |step| look::page(step, &queue, from, skip, most))
    }

    fn clear_queue<'a>(&'a self, queue: &'a str) -> Reply<'a, u64> {
        let name = queue.to_owned();
        self.write(OnDisk, 1, move |step| queue::clear(step, &name))
    }

    fn remove_queued<'a>(&'a self, queue: &'a str, id: &'a str) -> Reply<'a, bool> {
        let (name, id) = (queue.to_owned(), id.to_owned());
        self.write(OnDisk, 1, move |step| {
            let Some(mut queue) = Queue::named(step, &name)? else { return Ok(false) };
            let Some((job, _)) = queue.find(step, &id)? else { return Ok(false) };
            queue.remove(step, job)?;
            queue.save(step)?;
            Ok(true)
        })
    }

    fn pause<'a>(&'a self, what: &'a Pause, is_paused: bool) -> Reply<'a, ()> {
        Box::pin(async move {
            let (pause, class) = (what.clone(), what.clone());
            self.write(OnDisk, 1, move |step| lease::pause(step, &pause, is_paused)).await?;
            let (Pause::Class(class), false) = (class, is_paused) else { return Ok(()) };
            loop {
                let class = Arc::clone(&class);
                let work = move |step: &Step<'_>| lease::unpark(step, &class, SLICE);
                if self.write(Committed, SLICE, work).await? < SLICE {
                    return Ok(());
                }
            }
        })
    }

    fn pauses(&self) -> Reply<'_, Vec<Pause>> {
        self.read(look::pauses)
    }

    fn counts(&self) -> Reply<'_, Counts> {
        self.read(look::counts)
    }

    fn beat<'a>(&'a self, beat: Beat<'a>) -> Reply<'a, Option<Signal>> {
        let said = beside::Said {
            owner: beat.owner.clone(),
            info: beat.info.to_owned(),
            concurrency: beat.concurrency,
            busy: beat.work.len(),
            is_quiet: beat.is_quiet,
            processed: beat.processed,
            failed: beat.failed,
            ran: beat.ran.to_vec(),
        };
        self.write(Committed, 1, move |step| beside::beat(step, &said))
    }

    fn leave<'a>(&'a self, owner: &'a Owner) -> Reply<'a, ()> {
        let owner = owner.clone();
        self.write(Committed, 1, move |step| lease::leave(step, &owner))
    }

    fn ran(&self, within: Duration) -> Reply<'_, Vec<Ran>> {
        self.read(move |step| beside::ran(step, within))
    }

    fn processes(&self) -> Reply<'_, Vec<Process>> {
        self.read(beside::processes)
    }

    fn signal<'a>(&'a self, owner: &'a Owner, signal: Signal) -> Reply<'a, ()> {
        let owner = owner.clone();
        self.write(Committed, 1, move |step| beside::signal(step, &owner, signal))
    }

    fn lead<'a>(&'a self, role: &'a str, owner: &'a Owner, ttl: Duration) -> Reply<'a, bool> {
        let (role, owner) = (role.to_owned(), owner.clone());
        self.write(Committed, 1, move |step| beside::lead(step, &role, &owner, ttl))
    }

    fn fire<'a>(&'a self, timetable: &'a str, tick: Moment, jobs: &'a [Push]) -> Reply<'a, bool> {
        let (timetable, jobs, marks) = (timetable.to_owned(), jobs.to_vec(), marks(jobs));
        self.write(OnDisk, jobs.len(), move |step| {
            beside::fire(step, &timetable, tick, &jobs, &marks)
        })
    }

    fn fired<'a>(&'a self, timetable: &'a str) -> Reply<'a, Option<Moment>> {
        let timetable = timetable.to_owned();
        self.read(move |step| beside::fired(step, &timetable))
    }

    fn unlock<'a>(&'a self, lock: &'a Lock) -> Reply<'a, bool> {
        let lock = lock.clone();
        self.write(Committed, 1, move |step| push::unlock(step, &lock))
    }

    fn note<'a>(
        &'a self,
        id: &'a str,
        field: &'a str,
        value: Option<&'a [u8]>,
        ttl: Duration,
    ) -> Reply<'a, ()> {
        let (id, field, value) = (id.to_owned(), field.to_owned(), value.map(<[u8]>::to_vec));
        self.write(Committed, 1, move |step| beside::note(step, &id, &field, value.as_deref(), ttl))
    }

    fn noted<'a>(&'a self, id: &'a str, field: &'a str) -> Reply<'a, Option<Bytes>> {
        let (id, field) = (id.to_owned(), field.to_owned());
        self.read(move |step| beside::noted(step, &id, &field))
    }

    fn room(&self) -> Reply<'_, Room> {
        let (path, options) = (self.0.path.clone(), self.0.options.clone());
        self.read(move |step| {
            let (used, of) = file::room(step.conn, &path, &options)?;
            Ok(Room { used, of, evicts: false })
        })
    }

    fn now(&self) -> Reply<'_, Moment> {
        Box::pin(std::future::ready(Ok(self.0.options.clock.now())))
    }
}
