//! The task that keeps the slots full.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use forebay_signals::clock;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};

use super::ledger::{Board, Ledger, Running};
use super::order::Order;
use super::outage::{Outage, too_late};
use crate::run::{self, Dropped, Ended, Engine, State, Wish};
use crate::store::{Lease, MOST_A_STEP, Owner, StoreError, Token, Turn, Turned};

/// Jobs that take less than this are leased ahead of their slots: as many as are run in this time, so that the
/// slots are full while a step is under way, and nobody else would have run them sooner.
const SHORT: Duration = Duration::from_millis(1);
/// What was leased ahead and does not find a slot for so long is left to others.
const HELD: Duration = Duration::from_millis(50);
/// How long a step may take before its answer counts as lost.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long an idle process waits in one call.
const IDLE: Duration = Duration::from_secs(5);
/// What runs that were dropped get to be gone, and the store to hear of the last ends.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// What a worker is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Phase {
    /// Take jobs and run them.
    #[default]
    Runs,
    /// Take no more.
    IsQuiet,
    /// Take no more, and give back what still runs then.
    Stops(Instant),
}

/// The task.
pub(crate) struct Fetcher {
    engine: Arc<Engine>,
    board: Arc<Board>,
    order: Order,
    concurrency: usize,
    /// The name that leases are taken under; changed by the heart.
    owner: watch::Receiver<Owner>,
    phase: watch::Receiver<Phase>,
    ledger: Ledger,
    runs: JoinSet<(Token, Ended)>,
    outage: Outage,
    /// Something may be in the queues.
    may_find: bool,
    waiting: Option<Waiting>,
    /// Steps in a row that found nothing though there might have been.
    misses: u32,
    /// Mean time of a run, of late.
    mean: Duration,
}

/// How many jobs are leased ahead of their slots if they take so long in the mean.
pub(super) fn ahead(concurrency: usize, mean: Duration) -> usize {
    if mean >= SHORT {
        return 0;
    }
    let rounds = SHORT.as_nanos() / mean.as_nanos().max(1);
    concurrency
        .saturating_mul(usize::try_from(rounds).unwrap_or(usize::MAX))
        .min(MOST_A_STEP.max(concurrency))
}

type Waiting = Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send>>;

impl Fetcher {
    pub(crate) fn new(
        engine: Arc<Engine>,
        board: Arc<Board>,
        (order, concurrency): (Order, usize),
        owner: watch::Receiver<Owner>,
        phase: watch::Receiver<Phase>,
    ) -> Fetcher {
        Fetcher {
            engine,
            board,
            order,
            concurrency: concurrency.max(1),
            owner,
            phase,
            ledger: Ledger::default(),
            runs: JoinSet::new(),
            outage: Outage::default(),
            may_find: true,
            waiting: None,
            misses: 0,
            // Unknown: nothing is leased ahead.
            mean: SHORT,
        }
    }

    /// Until the worker stops.
    pub(crate) async fn run(mut self) {
        loop {
            self.gather();
            let phase = *self.phase.borrow_and_update();
            match phase {
                Phase::Runs => {}
                Phase::IsQuiet => self.give_back_ready(),
                Phase::Stops(until) => return self.stop(until).await,
            }
            self.start();
            let wanted = if phase == Phase::Runs { self.wanted() } else { 0 };
            if self.ledger.is_in_debt() || (wanted > 0 && self.may_find) {
                if let Err(error) = self.step(wanted).await {
                    self.pause(&error).await;
                }
            } else if let Err(error) = self.idle(wanted).await {
                self.pause(&error).await;
            }
        }
    }

    /// Takes in what has ended.
    fn gather(&mut self) {
        while let Some(ended) = self.runs.try_join_next() {
            self.ended(ended);
        }
    }

    fn ended(&mut self, ended: Result<(Token, Ended), JoinError>) {
        let (run, ended) = match ended {
            Ok((token, ended)) => (self.board.runs().remove(&token), ended),
            Err(error) => {
                let Some(run) = self.run_of(&error) else { return };
                let why = match run.state.wish() {
                    _ if error.is_panic() => Dropped::Panicked,
                    Wish::Cancel => Dropped::Cancelled,
                    Wish::None | Wish::Back => Dropped::Stopped,
                };
                let ended = run::dropped(&self.engine, &run.lease, why);
                (Some(run), ended)
            }
        };
        // What was given back while it would not end is no longer ours.
        let Some(run) = run else { return };
        self.engine.tally.count(ended.ending);
        self.mean = (self.mean * 15 + ended.took) / 16;
        self.ledger.ended(run.owner, ended.finish);
    }

    fn run_of(&self, error: &JoinError) -> Option<Running> {
        let mut runs = self.board.runs();
        let token = runs.iter().find(|(_, run)| run.task.id() == error.id())?.0;
        let token = *token;
        runs.remove(&token)
    }

    /// Fills the slots.
    fn start(&mut self) {
        let free = self.concurrency.saturating_sub(self.runs.len());
        if free == 0 || self.ledger.ready() == 0 {
            return;
        }
        let since = self.engine.time.now();
        for _ in 0..free {
            let Some((owner, lease)) = self.ledger.next_ready() else { return };
            // Leased under a name that was taken for dead: it is another's by now, or soon.
            if owner != *self.owner.borrow() {
                continue;
            }
            self.spawn(owner, lease, since);
        }
    }

    fn spawn(&mut self, owner: Owner, lease: Lease, since: crate::time::Moment) {
        let (engine, state) = (Arc::clone(&self.engine), Arc::<State>::default());
        let (token, theirs, said) = (lease.token, lease.clone(), Arc::clone(&state));
        // Held until the run is on the board: it may end before we go on.
        let mut runs = self.board.runs();
        let work = async move { (token, run::job(&engine, theirs, said).await) };
        let task = self.runs.spawn(work);
        runs.insert(token, Running { lease, owner, since, state, task });
    }

    /// As many as there are free slots; more if they are soon free again.
    fn wanted(&self) -> usize {
        let held = self.runs.len() + self.ledger.ready();
        (self.concurrency + ahead(self.concurrency, self.mean))
            .saturating_sub(held)
            .min(MOST_A_STEP)
    }

    /// One step: ends and fresh leases.
    async fn step(&mut self, wanted: usize) -> Result<(), StoreError> {
        let owner = self.owner.borrow().clone();
        if self.outage.take_doubt() {
            self.adopt(&owner).await?;
        }
        let (whose, finished) = self.ledger.owed();
        let whose = whose.unwrap_or_else(|| owner.clone());
        // Under a name that is over nothing is leased any more.
        let wanted = if whose == owner { wanted } else { 0 };
        let fresh = self.ledger.tokens(wanted);
        let queues = if wanted > 0 { self.order.draw(fastrand::f64) } else { Arc::default() };
        let turn = Turn { owner: &whose, finished: &finished, queues: &queues, fresh: &fresh };
        let Turned { leases, lost } = self.turn(turn).await?;
        self.ledger.paid(finished.len());
        if self.outage.end() && !lost.is_empty() {
            // Told twice: the first time was heard.
            tracing::debug!(ends = lost.len(), "the job store had heard of ends before");
        } else if !lost.is_empty() {
            let lost = lost.len() as u64;
            self.engine.tally.lost.fetch_add(lost, std::sync::atomic::Ordering::Relaxed);
            tracing::warn!(
                lost,
                owner = whose.as_str(),
                "jobs ended here that others had taken over"
            );
        }
        if wanted > 0 {
            self.may_find = leases.len() == wanted;
            self.misses = if leases.is_empty() { self.misses.saturating_add(1) } else { 0 };
        }
        self.ledger.got(&whose, leases);
        Ok(())
    }

    /// The step itself. Slots that are free meanwhile are filled with what was leased ahead.
    async fn turn(&mut self, turn: Turn<'_>) -> Result<Turned, StoreError> {
        let store = Arc::clone(&self.engine.store);
        let answer = clock::timeout(PATIENCE, store.turn(turn));
        tokio::pin!(answer);
        loop {
            tokio::select! {
                biased;
                answer = &mut answer => return answer.unwrap_or_else(|_| Err(too_late())),
                Some(ended) = self.runs.join_next(), if self.ledger.ready() > 0 => {
                    self.ended(ended);
                    self.gather();
                    if *self.phase.borrow() == Phase::Runs {
                        self.start();
                    }
                }
            }
        }
    }

    /// After an answer that did not come: what it brought is ours all the same.
    async fn adopt(&mut self, owner: &Owner) -> Result<(), StoreError> {
        let asked = clock::timeout(PATIENCE, self.engine.store.leases(owner)).await;
        let leases = match asked.unwrap_or_else(|_| Err(too_late())) {
            Ok(leases) => leases,
            Err(error) => {
                self.outage.doubt();
                return Err(error);
            }
        };
        let adopted = self.ledger.adopt(owner, leases, &self.board);
        if adopted > 0 {
            tracing::info!(jobs = adopted, "jobs were leased by a call whose answer was lost");
        }
        Ok(())
    }

    /// Nothing to tell and nothing to be had: waits until that changes.
    async fn idle(&mut self, wanted: usize) -> Result<(), StoreError> {
        /// From here on, whoever says that there is work and has none is asked less often.
        const MISSES: u32 = 8;
        if wanted > 0 && self.waiting.is_none() {
            let (store, queues) = (Arc::clone(&self.engine.store), Arc::clone(self.order.names()));
            let pause = Duration::from_millis(u64::from(self.misses.min(100)));
            let pause = (self.misses > MISSES).then_some(pause);
            self.waiting = Some(Box::pin(async move {
                if let Some(pause) = pause {
                    clock::sleep(pause).await;
                }
                let answer = clock::timeout(IDLE + PATIENCE, store.wait(&queues, IDLE)).await;
                answer.unwrap_or_else(|_| Err(too_late()))
            }));
        }
        let (is_waited_for, has_ready) = (wanted > 0, self.ledger.ready() > 0);
        let (runs, phase) = (&mut self.runs, &mut self.phase);
        let waiting = async {
            match self.waiting.as_mut().filter(|_| is_waited_for) {
                Some(waiting) => waiting.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(ended) = runs.join_next() => {
                self.ended(ended);
                Ok(())
            }
            found = waiting => {
                self.waiting = None;
                self.may_find = true;
                found
            }
            _ = phase.changed() => Ok(()),
            () = clock::sleep(HELD), if has_ready => {
                self.mean = SHORT;
                self.give_back_ready();
                Ok(())
            }
        }
    }

    /// The store is away: waits a little. What runs goes on, and its end is told later.
    async fn pause(&mut self, error: &StoreError) {
        let pause = self.outage.begin(error);
        let mut phase = self.phase.clone();
        // Something may have come meanwhile, by whatever way.
        self.may_find = true;
        drop(clock::timeout(pause, phase.changed()).await);
    }

    fn give_back_ready(&mut self) {
        while let Some((owner, lease)) = self.ledger.next_ready() {
            let ended = run::dropped(&self.engine, &lease, Dropped::Stopped);
            self.ledger.ended(owner, ended.finish);
        }
    }

    /// The end: what runs may come to its own until then, the rest goes back.
    async fn stop(mut self, until: Instant) {
        self.give_back_ready();
        while !self.runs.is_empty() && clock::now() < until {
            self.settle_debt(until).await;
            let left = until.saturating_duration_since(clock::now());
            if let Ok(Some(ended)) = clock::timeout(left, self.runs.join_next()).await {
                self.ended(ended);
                self.gather();
            }
        }
        let late = self.board.all();
        if !late.is_empty() {
            tracing::warn!(jobs = late.len(), "the grace is over: what still runs goes back");
        }
        for run in &late {
            run.drop_it(Wish::Back);
        }
        let last = clock::now() + LAST_WORDS;
        while let Ok(Some(ended)) =
            clock::timeout(last.saturating_duration_since(clock::now()), self.runs.join_next())
                .await
        {
            self.ended(ended);
        }
        // What never awaits cannot be dropped. It runs on until the process is gone, and goes back now:
        // to run twice is better than not at all.
        for (_, run) in self.board.runs().drain() {
            let ended = run::dropped(&self.engine, &run.lease, Dropped::Stopped);
            self.ledger.ended(run.owner, ended.finish);
        }
        self.settle_debt(clock::now() + LAST_WORDS).await;
        if self.ledger.is_in_debt() {
            // They are taken over from us, as if we had died.
            tracing::error!("the job store was not told of the last jobs");
        }
    }

    /// Tells all ends, or as many as can be told until then.
    async fn settle_debt(&mut self, until: Instant) {
        while self.ledger.is_in_debt() {
            let left = until.saturating_duration_since(clock::now());
            if left.is_zero() {
                return;
            }
            match clock::timeout(left, self.step(0)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => clock::sleep(self.outage.begin(&error).min(left)).await,
                Err(_) => self.outage.doubt(),
            }
        }
    }
}
