// Long: a method for each of the contract, and what each does to the state.

//! The store in memory: for tests of applications and of the engine. It ends with its process.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use forebay_signals::clock;
use tokio::sync::Notify;

use super::{
    BUCKETS, Beat, Counts, Due, Entry, Finish, From, Lease, Lock, MOST_A_STEP, Owner, Pause,
    Process, Push, Pushed, QueueView, RAN_KEPT, Ran, Recovered, Reply, Retention, Room, Set,
    Signal, Store, StoreError, Then, Token, Turn, Turned, Within,
};
use crate::time::{Clock, Moment};

/// A store in memory. Clones are the same store.
///
/// ```
/// use forebay_jobs::store::Store;
/// use forebay_jobs::store::memory::Memory;
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let store = Memory::default();
/// assert_eq!(store.counts().await?.enqueued, 0);
/// # Ok::<(), forebay_jobs::store::StoreError>(()) }).unwrap();
/// ```
#[derive(Debug, Clone, Default)]
pub struct Memory(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
    clock: Clock,
    retention: Retention,
    fault: Mutex<Option<Fault>>,
    /// Most bytes in queues; 0 for no bound.
    room: AtomicU64,
}

/// What goes wrong with a store in memory, for tests of what an application does then.
///
/// ```
/// use forebay_jobs::store::{Push, Store, memory::{Fault, Memory}};
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let (store, at) = (Memory::default(), None);
/// store.fail(Some(Fault::AnswersAreLost));
/// assert!(store.push(&[Push { queue: "q".into(), payload: "{}".into(), at, unique: None }]).await.is_err());
/// store.fail(None);
/// assert_eq!(store.counts().await?.enqueued, 1); // it was done all the same
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It does nothing and does not answer.
    Away,
    /// It does what it is asked for, and the answer is lost.
    AnswersAreLost,
}

#[derive(Debug, Default)]
struct State {
    /// The front is next.
    queues: BTreeMap<Arc<str>, VecDeque<Bytes>>,
    parked: BTreeMap<(Arc<str>, Arc<str>), VecDeque<Bytes>>,
    schedule: Sorted,
    retry: Sorted,
    dead: Sorted,
    leases: BTreeMap<Owner, BTreeMap<Token, Lease>>,
    alive: HashMap<Owner, Moment>,
    poison: HashMap<Arc<str>, (u32, Moment)>,
    pauses: BTreeSet<Pause>,
    processes: BTreeMap<Owner, (Process, Moment)>,
    signals: HashMap<Owner, VecDeque<Signal>>,
    roles: HashMap<Box<str>, (Owner, Moment)>,
    fired: HashMap<Box<str>, Moment>,
    locks: HashMap<Arc<str>, (Arc<str>, Moment)>,
    notes: HashMap<(Box<str>, Box<str>), (Bytes, Moment)>,
    processed: u64,
    failed: u64,
    /// By minute.
    ran: BTreeMap<(i64, Arc<str>), Ran>,
}

type Sorted = BTreeSet<(Moment, Bytes)>;

impl Memory {
    /// A store that goes by a clock of its own and keeps what `retention` says.
    ///
    /// ```
    /// use forebay_jobs::store::{Retention, Store, memory::Memory};
    /// use forebay_jobs::time::{Clock, Moment};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let clock = Clock::manual(Moment::from_micros(7));
    /// let store = Memory::new(clock.clone(), Retention::default());
    /// assert_eq!(store.now().await?, clock.now());
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn new(clock: Clock, retention: Retention) -> Memory {
        let shared = Shared { clock, retention, ..Shared::default() };
        Memory(Arc::new(shared))
    }

    /// Lets something go wrong with each call from now on, or no longer.
    ///
    /// ```
    /// use forebay_jobs::store::Store;
    /// use forebay_jobs::store::memory::{Fault, Memory};
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let store = Memory::default();
    /// store.fail(Some(Fault::Away));
    /// assert!(store.counts().await.is_err());
    /// store.fail(None);
    /// assert!(store.counts().await.is_ok());
    /// # });
    /// ```
    pub fn fail(&self, fault: Option<Fault>) {
        *self.0.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
        self.0.changed.notify_waiters();
    }

    /// Bounds the bytes in its queues: it says so ([`Store::room`]), and refuses what is more.
    ///
    /// ```
    /// # use forebay_jobs::store::{Store, memory::Memory};
    /// use forebay_jobs::push::{Client, PushError};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let store = std::sync::Arc::new(Memory::default());
    /// store.limit(Some(10));
    /// let refused = Client::builder(store).pressure(None).build().push_raw("Welcome", &(7,)).await;
    /// assert!(matches!(refused, Err(PushError::Store(_))));
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn limit(&self, bytes: Option<u64>) {
        self.0.room.store(bytes.unwrap_or(0), Ordering::Release);
    }

    fn fault(&self) -> Option<Fault> {
        *self.0.fault.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_room(&self, jobs: &[Push]) -> bool {
        let room = self.0.room.load(Ordering::Acquire);
        let more = jobs.iter().map(|job| job.payload.len() as u64).sum::<u64>();
        room == 0 || self.state().used() + more <= room
    }

    fn with<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut State, Moment) -> T,
    ) -> Reply<'static, T> {
        let fault = self.fault();
        if fault == Some(Fault::Away) {
            return Box::pin(std::future::ready(Err(StoreError::Away(Arc::new(Made)))));
        }
        let now = self.0.clock.now();
        let done = act(&mut self.state(), now);
        self.0.changed.notify_waiters();
        let answer = match fault {
            Some(_) => Err(StoreError::Away(Arc::new(Made))),
            None => Ok(done),
        };
        Box::pin(std::future::ready(answer))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why it fails.
#[derive(Debug, thiserror::Error)]
#[error("a fault that a test has made")]
struct Made;

impl Store for Memory {
    fn push<'a>(&'a self, jobs: &'a [Push]) -> Reply<'a, Vec<Pushed>> {
        if !self.has_room(jobs) {
            return Box::pin(std::future::ready(Err(StoreError::Full(Arc::new(Made)))));
        }
        self.with(|state, now| jobs.iter().map(|job| state.push(job, now)).collect())
    }

    fn turn<'a>(&'a self, turn: Turn<'a>) -> Reply<'a, Turned> {
        let retention = self.0.retention;
        self.with(|state, now| {
            let ends = turn.finished.iter().filter(|end| !state.finish(turn.owner, end, now));
            let lost = ends.map(|end| end.token).collect::<Vec<_>>();
            state.trim(now, &retention);
            Turned { lost, leases: state.lease(&turn) }
        })
    }

    fn wait<'a>(&'a self, queues: &'a [Arc<str>], at_most: Duration) -> Reply<'a, ()> {
        Box::pin(async move {
            let until = clock::now() + at_most;
            let pauses = self.state().pauses.clone();
            loop {
                let changed = self.0.changed.notified();
                {
                    if self.fault().is_some() {
                        return Err(StoreError::Away(Arc::new(Made)));
                    }
                    let state = self.state();
                    let is_work = queues.iter().any(|queue| state.has_work(queue));
                    if is_work || state.pauses != pauses {
                        return Ok(());
                    }
                }
                let left = until.saturating_duration_since(clock::now());
                if clock::timeout(left, changed).await.is_err() {
                    return Ok(());
                }
            }
        })
    }

    fn keep<'a>(&'a self, owner: &'a Owner) -> Reply<'a, bool> {
        let alive = self.0.retention.alive;
        self.with(|state, now| {
            let is_known = state.alive.get(owner).is_none_or(|until| *until > now);
            if is_known {
                state.alive.insert(owner.clone(), now.after(alive));
            }
            is_known
        })
    }

    fn recover(&self, most: usize) -> Reply<'_, Recovered> {
        let retention = self.0.retention;
        self.with(|state, now| state.recover(most, now, &retention))
    }

    fn leases<'a>(&'a self, owner: &'a Owner) -> Reply<'a, Vec<Lease>> {
        self.with(|state, _| {
            let held = state.leases.get(owner);
            held.map(|held| held.values().cloned().collect()).unwrap_or_default()
        })
    }

    fn due(&self, set: Set, most: usize) -> Reply<'_, Vec<Entry>> {
        self.with(|state, now| {
            let due = state.set(set).iter().take_while(|(at, _)| *at <= now);
            due.take(most).map(|(at, payload)| entry(*at, payload)).collect()
        })
    }

    fn promote<'a>(&'a self, set: Set, due: &'a [Due]) -> Reply<'a, usize> {
        self.with(|state, _| {
            let mut moved = 0;
            for one in due {
                if state.set(set).remove(&(one.entry.at, one.entry.payload.clone())) {
                    state.queue(&one.queue).push_back(one.payload.clone());
                    moved += 1;
                }
            }
            moved
        })
    }

    fn entries(&self, set: Set, from: From, skip: usize, most: usize) -> Reply<'_, Vec<Entry>> {
        self.with(|state, _| {
            let to_entry = |(at, payload): &(Moment, Bytes)| entry(*at, payload);
            let all = state.set(set).iter();
            match from {
                From::Oldest => all.skip(skip).take(most).map(to_entry).collect(),
                From::Newest => all.rev().skip(skip).take(most).map(to_entry).collect(),
            }
        })
    }

    fn take<'a>(&'a self, set: Set, entry: &'a Entry, to: Option<(Set, Entry)>) -> Reply<'a, bool> {
        let retention = self.0.retention;
        self.with(|state, now| {
            let is_there = state.set(set).remove(&(entry.at, entry.payload.clone()));
            if let (true, Some((to, entry))) = (is_there, to) {
                state.set(to).insert((entry.at, entry.payload));
                state.trim(now, &retention);
            }
            is_there
        })
    }

    fn clear(&self, set: Set) -> Reply<'_, u64> {
        self.with(|state, _| std::mem::take(state.set(set)).len() as u64)
    }

    fn find<'a>(&'a self, within: Within<'a>, id: &'a str) -> Reply<'a, Option<Entry>> {
        self.with(|state, _| match within {
            Within::Set(set) => {
                let found = state.set(set).iter().find(|(_, payload)| is_of(payload, id));
                found.map(|(at, payload)| entry(*at, payload))
            }
            Within::Queue(queue) => {
                let found = state.queues.get(queue)?.iter().find(|payload| is_of(payload, id));
                found.map(|payload| entry(Moment::default(), payload))
            }
        })
    }

    fn queues(&self) -> Reply<'_, Vec<QueueView>> {
        self.with(|state, _| {
            let view = |(name, jobs): (&Arc<str>, &VecDeque<Bytes>)| QueueView {
                name: Arc::clone(name),
                depth: jobs.len() as u64,
                oldest: jobs.front().cloned(),
                is_paused: state.is_paused(name),
            };
            state.queues.iter().map(view).collect()
        })
    }

    fn page<'a>(
        &'a self,
        queue: &'a str,
        from: From,
        skip: usize,
        most: usize,
    ) -> Reply<'a, Vec<Bytes>> {
        self.with(|state, _| {
            let jobs = state.queues.get(queue).into_iter().flatten();
            match from {
                From::Oldest => jobs.skip(skip).take(most).cloned().collect(),
                From::Newest => jobs.rev().skip(skip).take(most).cloned().collect(),
            }
        })
    }

    fn clear_queue<'a>(&'a self, queue: &'a str) -> Reply<'a, u64> {
        self.with(|state, _| state.queues.remove(queue).map_or(0, |jobs| jobs.len() as u64))
    }

    fn remove_queued<'a>(&'a self, queue: &'a str, id: &'a str) -> Reply<'a, bool> {
        self.with(|state, _| {
            let Some(jobs) = state.queues.get_mut(queue) else { return false };
            let Some(at) = jobs.iter().position(|payload| is_of(payload, id)) else { return false };
            jobs.remove(at).is_some()
        })
    }

    fn pause<'a>(&'a self, what: &'a Pause, is_paused: bool) -> Reply<'a, ()> {
        self.with(|state, _| {
            if is_paused {
                state.pauses.insert(what.clone());
                return;
            }
            state.pauses.remove(what);
            if let Pause::Class(class) = what {
                state.unpark(class);
            }
        })
    }

    fn pauses(&self) -> Reply<'_, Vec<Pause>> {
        self.with(|state, _| state.pauses.iter().cloned().collect())
    }

    fn counts(&self) -> Reply<'_, Counts> {
        self.with(|state, now| Counts {
            processed: state.processed,
            failed: state.failed,
            scheduled: state.schedule.len() as u64,
            retries: state.retry.len() as u64,
            dead: state.dead.len() as u64,
            enqueued: state.queues.values().map(|jobs| jobs.len() as u64).sum(),
            leased: state.leases.values().map(|held| held.len() as u64).sum(),
            processes: state.processes.values().filter(|(_, until)| *until > now).count() as u64,
        })
    }

    fn beat<'a>(&'a self, beat: Beat<'a>) -> Reply<'a, Option<Signal>> {
        self.with(|state, now| {
            state.processed += beat.processed;
            state.failed += beat.failed;
            state.count(beat.ran, now);
            let process = Process {
                owner: beat.owner.clone(),
                info: beat.info.to_owned(),
                concurrency: beat.concurrency as u64,
                busy: beat.work.len() as u64,
                beat: now,
                is_quiet: beat.is_quiet,
            };
            state.processes.insert(beat.owner.clone(), (process, now.after(SHOWN)));
            state.signals.get_mut(beat.owner).and_then(VecDeque::pop_front)
        })
    }

    fn leave<'a>(&'a self, owner: &'a Owner) -> Reply<'a, ()> {
        self.with(|state, _| {
            state.processes.remove(owner);
            state.signals.remove(owner);
            // What it still holds is taken over at once.
            state.alive.insert(owner.clone(), Moment::default());
        })
    }

    fn ran(&self, within: Duration) -> Reply<'_, Vec<Ran>> {
        self.with(|state, now| {
            let mut all: BTreeMap<Arc<str>, Ran> = BTreeMap::new();
            for ((_, class), ran) in
                state.ran.range((minute(now.before(within.min(RAN_KEPT))) + 1, "".into())..)
            {
                let sum = all.entry(Arc::clone(class)).or_insert_with(|| Ran::of(class));
                sum.add(&Ran { took: [0; BUCKETS], ..ran.clone() });
            }
            all.into_values().collect()
        })
    }

    fn processes(&self) -> Reply<'_, Vec<Process>> {
        self.with(|state, now| {
            state.processes.retain(|_, (_, until)| *until > now);
            state.processes.values().map(|(process, _)| process.clone()).collect()
        })
    }

    fn signal<'a>(&'a self, owner: &'a Owner, signal: Signal) -> Reply<'a, ()> {
        self.with(|state, _| {
            let signals = state.signals.entry(owner.clone()).or_default();
            if signals.len() < MOST_A_STEP {
                signals.push_back(signal);
            }
        })
    }

    fn lead<'a>(&'a self, role: &'a str, owner: &'a Owner, ttl: Duration) -> Reply<'a, bool> {
        self.with(|state, now| {
            let held = state.roles.get(role);
            let may = held.is_none_or(|(by, until)| by == owner || *until <= now);
            if may {
                state.roles.insert(role.into(), (owner.clone(), now.after(ttl)));
            }
            may
        })
    }

    fn fire<'a>(&'a self, timetable: &'a str, tick: Moment, jobs: &'a [Push]) -> Reply<'a, bool> {
        self.with(|state, now| {
            if state.fired.get(timetable).is_some_and(|last| *last >= tick) {
                return false;
            }
            state.fired.insert(timetable.into(), tick);
            for job in jobs {
                state.push(job, now);
            }
            true
        })
    }

    fn fired<'a>(&'a self, timetable: &'a str) -> Reply<'a, Option<Moment>> {
        self.with(|state, _| state.fired.get(timetable).copied())
    }

    fn unlock<'a>(&'a self, lock: &'a Lock) -> Reply<'a, bool> {
        self.with(|state, now| state.unlock(lock, now))
    }

    fn note<'a>(
        &'a self,
        id: &'a str,
        field: &'a str,
        value: Option<&'a [u8]>,
        ttl: Duration,
    ) -> Reply<'a, ()> {
        self.with(|state, now| {
            let key = (id.into(), field.into());
            state.notes.retain(|_, (_, until)| *until > now);
            match value {
                Some(value) => {
                    state.notes.insert(key, (Bytes::copy_from_slice(value), now.after(ttl)))
                }
                None => state.notes.remove(&key),
            };
        })
    }

    fn noted<'a>(&'a self, id: &'a str, field: &'a str) -> Reply<'a, Option<Bytes>> {
        self.with(|state, now| {
            let (value, until) = state.notes.get(&(id.into(), field.into()))?;
            (*until > now).then(|| value.clone())
        })
    }

    fn room(&self) -> Reply<'_, Room> {
        let of = Some(self.0.room.load(Ordering::Acquire)).filter(|room| *room > 0);
        self.with(move |state, _| Room { used: state.used(), of, evicts: false })
    }

    fn now(&self) -> Reply<'_, Moment> {
        self.with(|_, now| now)
    }
}

/// How long a process is shown after its last beat, as Sidekiq does.
const SHOWN: Duration = Duration::from_secs(60);

impl State {
    fn used(&self) -> u64 {
        self.queues.values().flatten().map(Bytes::len).sum::<usize>() as u64
    }

    fn push(&mut self, job: &Push, now: Moment) -> Pushed {
        if let Some(lock) = &job.unique {
            if let Some((holder, until)) = self.locks.get(&lock.key)
                && *until > now
                && *holder != lock.holder
            {
                return Pushed::Duplicate { of: Arc::clone(holder) };
            }
            let held = (Arc::clone(&lock.holder), now.after(lock.ttl));
            self.locks.insert(Arc::clone(&lock.key), held);
        }
        match job.at {
            Some(at) => drop(self.schedule.insert((at, job.payload.clone()))),
            None => self.queue(&job.queue).push_back(job.payload.clone()),
        }
        Pushed::Stored
    }

    fn finish(&mut self, owner: &Owner, end: &Finish, now: Moment) -> bool {
        let held = self.leases.get_mut(owner);
        let Some(lease) = held.and_then(|held| held.remove(&end.token)) else { return false };
        match &end.then {
            Then::Done => {}
            Then::Wait { set, at, payload } => {
                self.set(*set).insert((*at, payload.clone()));
            }
            Then::Back => self.queue(&lease.queue).push_front(lease.payload),
            // Resumed meanwhile: nobody would bring it back.
            Then::Park { class } if !self.pauses.contains(&Pause::Class(Arc::clone(class))) => {
                self.queue(&lease.queue).push_front(lease.payload);
            }
            Then::Park { class } => {
                let key = (Arc::clone(class), Arc::clone(&lease.queue));
                self.parked.entry(key).or_default().push_back(lease.payload);
            }
        }
        if let Some(lock) = &end.unlock {
            self.unlock(lock, now);
        }
        true
    }

    fn lease(&mut self, turn: &Turn<'_>) -> Vec<Lease> {
        let mut leases = Vec::new();
        let mut fresh = turn.fresh.iter().take(MOST_A_STEP);
        for name in
            turn.queues.iter().filter(|name| !self.pauses.contains(&Pause::Queue(Arc::clone(name))))
        {
            let Some(jobs) = self.queues.get_mut(name) else { continue };
            while let Some(payload) = jobs.pop_front() {
                let Some(token) = fresh.next() else {
                    jobs.push_front(payload);
                    break;
                };
                leases.push(Lease { token: *token, queue: Arc::clone(name), payload });
            }
        }
        let held = self.leases.entry(turn.owner.clone()).or_default();
        held.extend(leases.iter().map(|lease| (lease.token, lease.clone())));
        leases
    }

    fn recover(&mut self, most: usize, now: Moment, retention: &Retention) -> Recovered {
        let mut recovered = Recovered::default();
        let is_dead = |owner: &Owner| self.alive.get(owner).is_none_or(|until| *until <= now);
        let owners: Vec<Owner> =
            self.leases.keys().filter(|owner| is_dead(owner)).cloned().collect();
        for owner in owners {
            let Some(mut held) = self.leases.remove(&owner) else { continue };
            recovered.owners += u64::from(!held.is_empty());
            // The newest first: what goes back is next, and so the oldest is next of all.
            while let Some((token, lease)) = held.pop_last() {
                if recovered.moved() >= most {
                    held.insert(token, lease);
                    self.leases.insert(owner, held);
                    return recovered;
                }
                if self.is_poison(&lease.payload, now, retention) {
                    self.dead.insert((now, lease.payload.clone()));
                    recovered.poisoned.push(Entry { at: now, payload: lease.payload });
                } else {
                    self.queue(&lease.queue).push_front(lease.payload);
                    recovered.back += 1;
                }
            }
            self.alive.remove(&owner);
        }
        self.trim(now, retention);
        recovered
    }

    fn is_poison(&mut self, payload: &Bytes, now: Moment, retention: &Retention) -> bool {
        self.poison.retain(|_, (_, until)| *until > now);
        let Some(id) = crate::job::id_of(payload) else { return false };
        let (count, until) = self.poison.entry(id.into()).or_insert((0, now));
        *count += 1;
        *until = now.after(retention.poison_window);
        *count > retention.poison
    }

    fn trim(&mut self, now: Moment, retention: &Retention) {
        let oldest = now.before(retention.dead_age);
        while let Some((at, _)) = self.dead.first() {
            if *at >= oldest && self.dead.len() as u64 <= retention.dead_most {
                break;
            }
            self.dead.pop_first();
        }
    }

    fn unpark(&mut self, class: &Arc<str>) {
        let keys: Vec<_> = self.parked.keys().filter(|(it, _)| it == class).cloned().collect();
        for key in keys {
            let jobs = self.parked.remove(&key).unwrap_or_default();
            for payload in jobs.into_iter().rev() {
                self.queue(&key.1).push_front(payload);
            }
        }
    }

    fn count(&mut self, ran: &[Ran], now: Moment) {
        let oldest = minute(now.before(RAN_KEPT));
        while self.ran.first_key_value().is_some_and(|((at, _), _)| *at < oldest) {
            self.ran.pop_first();
        }
        for one in ran {
            let place = (minute(now), Arc::clone(&one.class));
            self.ran.entry(place).or_insert_with(|| Ran::of(&one.class)).add(one);
        }
    }

    fn unlock(&mut self, lock: &Lock, now: Moment) -> bool {
        let held = self.locks.get(&lock.key);
        let is_ours = held.is_some_and(|(holder, until)| *holder == lock.holder && *until > now);
        if is_ours {
            self.locks.remove(&lock.key);
        }
        is_ours
    }

    fn has_work(&self, queue: &Arc<str>) -> bool {
        !self.is_paused(queue) && self.queues.get(queue).is_some_and(|jobs| !jobs.is_empty())
    }

    fn is_paused(&self, queue: &Arc<str>) -> bool {
        self.pauses.contains(&Pause::Queue(Arc::clone(queue)))
    }

    fn queue(&mut self, name: &Arc<str>) -> &mut VecDeque<Bytes> {
        self.queues.entry(Arc::clone(name)).or_default()
    }

    fn set(&mut self, set: Set) -> &mut Sorted {
        match set {
            Set::Schedule => &mut self.schedule,
            Set::Retry => &mut self.retry,
            Set::Dead => &mut self.dead,
        }
    }
}

fn entry(at: Moment, payload: &Bytes) -> Entry {
    Entry { at, payload: payload.clone() }
}

fn minute(at: Moment) -> i64 {
    at.as_micros().div_euclid(60_000_000)
}

fn is_of(payload: &Bytes, id: &str) -> bool {
    crate::job::id_of(payload).is_some_and(|it| it == id)
}

#[cfg(test)]
mod tests {
    use super::super::suite::Bench;
    use super::*;

    fn bench() -> Bench {
        let clock = Clock::manual(Moment::from_micros(1_795_436_000_000_000));
        let store = Arc::new(Memory::new(clock.clone(), super::super::suite::RETENTION));
        Bench { other: store.clone(), store, clock, kept: Box::new(()) }
    }

    crate::contract_suite!(async { bench() });
}
