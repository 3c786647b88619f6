//! Requests that wait for one sub-request: many with the same question ask once.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use super::ruling::Ruling;
use crate::error::ErrorKind;

type Outcome = Result<Arc<Ruling>, Missed>;
type Questions = Arc<Mutex<HashMap<[u8; 32], watch::Receiver<Option<Outcome>>>>>;

/// Questions that are being asked. As many as there are requests that wait, and those have seats.
#[derive(Debug)]
pub(super) struct Together {
    asking: Questions,
    /// The last answer might have been given to others. Where none may, nobody waits for another's.
    is_worth_it: AtomicBool,
}

impl Default for Together {
    fn default() -> Together {
        Together { asking: Questions::default(), is_worth_it: AtomicBool::new(true) }
    }
}

/// Why somebody who waited got no ruling.
#[derive(Debug, Clone, Copy)]
pub(super) enum Missed {
    /// It is for whoever asked alone.
    NotShared,
    /// There is none.
    Failed(ErrorKind, &'static str),
}

/// What a request does.
pub(super) enum Place {
    /// It asks for itself.
    Alone,
    /// It asks for all.
    Leads(Lead),
    /// It waits.
    Follows(Follower),
}

/// Whoever asks for all. Dropped without a word, it tells them that it failed.
pub(super) struct Lead {
    digest: [u8; 32],
    asking: Questions,
    outcome: watch::Sender<Option<Outcome>>,
}

/// Somebody who waits.
pub(super) struct Follower(watch::Receiver<Option<Outcome>>);

impl Together {
    pub(super) fn join(&self, digest: &[u8; 32]) -> Place {
        if !self.is_worth_it.load(Ordering::Relaxed) {
            return Place::Alone;
        }
        let mut asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = asking.get(digest) {
            return Place::Follows(Follower(known.clone()));
        }
        let (outcome, receiver) = watch::channel(None);
        asking.insert(*digest, receiver);
        Place::Leads(Lead { digest: *digest, asking: Arc::clone(&self.asking), outcome })
    }

    pub(super) fn note(&self, is_shared: bool) {
        self.is_worth_it.store(is_shared, Ordering::Relaxed);
    }
}

impl Lead {
    pub(super) fn tell(self, outcome: Outcome) {
        self.outcome.send_replace(Some(outcome));
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        let mut asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        asking.remove(&self.digest);
    }
}

impl Follower {
    pub(super) async fn ruling(mut self) -> Outcome {
        let told = self.0.wait_for(Option::is_some).await;
        let told = told.ok().and_then(|told| told.clone());
        told.unwrap_or(Err(Missed::Failed(ErrorKind::Internal, "whoever asked has gone")))
    }
}
