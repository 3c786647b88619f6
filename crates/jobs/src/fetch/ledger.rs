//! What a process holds: leases that wait for a slot, runs, and ends that the store has not heard of yet.
//!
//! Every lease that was ever got is in exactly one of these three, until the store has confirmed its end.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::task::AbortHandle;

use crate::run::{State, Wish};
use crate::store::{Finish, Lease, MOST_A_STEP, Owner, Token};
use crate::time::Moment;

/// A run that is under way.
#[derive(Debug, Clone)]
pub(crate) struct Running {
    pub(crate) lease: Lease,
    /// Under which name it is leased: that may have changed since.
    pub(crate) owner: Owner,
    pub(crate) since: Moment,
    pub(crate) state: Arc<State>,
    pub(crate) task: AbortHandle,
}

impl Running {
    /// Ends it: as a wish first, for what never awaits.
    pub(crate) fn drop_it(&self, wish: Wish) {
        self.state.ask(wish);
        self.task.abort();
    }
}

/// What runs, seen by the heart and by views as well.
#[derive(Debug, Default)]
pub(crate) struct Board(Mutex<HashMap<Token, Running>>);

impl Board {
    pub(crate) fn runs(&self) -> MutexGuard<'_, HashMap<Token, Running>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Copies of them, for those who wait for something meanwhile.
    pub(crate) fn all(&self) -> Vec<Running> {
        self.runs().values().cloned().collect()
    }

    /// Drops the run of a job. False if it does not run here.
    pub(crate) fn cancel(&self, id: &str) -> bool {
        let is_it = |payload: &Bytes| crate::job::id_of(payload).is_some_and(|it| it == id);
        let runs = self.runs();
        let mut found = runs.values().filter(|run| is_it(&run.lease.payload)).peekable();
        let is_there = found.peek().is_some();
        found.for_each(|run| run.drop_it(Wish::Cancel));
        is_there
    }
}

/// Leases before and after their run.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    next: u64,
    ready: VecDeque<(Owner, Lease)>,
    finished: VecDeque<(Owner, Finish)>,
}

impl Ledger {
    /// Names for new leases.
    pub(crate) fn tokens(&mut self, count: usize) -> Vec<Token> {
        let first = self.next;
        self.next += count as u64;
        (first..self.next).map(Token).collect()
    }

    pub(crate) fn got(&mut self, owner: &Owner, leases: Vec<Lease>) {
        self.ready.extend(leases.into_iter().map(|lease| (owner.clone(), lease)));
    }

    /// Takes up what the store says is ours and nobody here knows: it came with an answer that was lost.
    pub(crate) fn adopt(&mut self, owner: &Owner, leases: Vec<Lease>, board: &Board) -> usize {
        let runs = board.runs();
        let is_known = |token: &Token| {
            runs.contains_key(token)
                || self.ready.iter().any(|(_, lease)| lease.token == *token)
                || self.finished.iter().any(|(_, finish)| finish.token == *token)
        };
        let unknown: Vec<Lease> =
            leases.into_iter().filter(|lease| !is_known(&lease.token)).collect();
        drop(runs);
        let count = unknown.len();
        self.got(owner, unknown);
        count
    }

    pub(crate) fn next_ready(&mut self) -> Option<(Owner, Lease)> {
        self.ready.pop_front()
    }

    pub(crate) fn ready(&self) -> usize {
        self.ready.len()
    }

    pub(crate) fn ended(&mut self, owner: Owner, finish: Finish) {
        self.finished.push_back((owner, finish));
    }

    pub(crate) fn is_in_debt(&self) -> bool {
        !self.finished.is_empty()
    }

    /// Ends to be told in one step: all of one owner.
    pub(crate) fn owed(&self) -> (Option<Owner>, Vec<Finish>) {
        let owner = self.finished.front().map(|(owner, _)| owner.clone());
        let of_one = self.finished.iter().take_while(|(it, _)| Some(it) == owner.as_ref());
        let ends = of_one.take(MOST_A_STEP).map(|(_, finish)| finish.clone()).collect();
        (owner, ends)
    }

    /// The store has confirmed so many.
    pub(crate) fn paid(&mut self, count: usize) {
        self.finished.drain(..count.min(self.finished.len()));
    }
}
