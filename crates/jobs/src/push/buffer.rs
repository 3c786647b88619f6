//! Jobs that wait in this process while the store is away, and are pushed in order when it is back.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use forebay_signals::clock;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::PushError;
use crate::store::{MOST_A_STEP, Push, Store, StoreError};

/// Bounds of what may wait. It is lost with its process: a job that must not be is pushed without.
///
/// ```
/// use forebay_jobs::push::Buffer;
/// let small = Buffer { jobs: 100, ..Buffer::default() };
/// assert_eq!(small.bytes, 8 << 20);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Buffer {
    /// Most jobs; 1,000 if nobody says, as Sidekiq Pro.
    pub jobs: usize,
    /// Most bytes of their payloads; 8 MiB if nobody says.
    pub bytes: usize,
}

impl Default for Buffer {
    fn default() -> Buffer {
        Buffer { jobs: 1_000, bytes: 8 << 20 }
    }
}

/// How long one attempt may take, and the pauses between them.
const PATIENCE: Duration = Duration::from_secs(10);
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What waits, and the task that brings it to the store.
#[derive(Debug)]
pub(super) struct Waiting {
    bounds: Buffer,
    shared: Arc<Shared>,
    task: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    emptied: Notify,
}

#[derive(Debug, Default)]
struct State {
    jobs: VecDeque<Push>,
    bytes: usize,
    error: Option<StoreError>,
    /// A task is at it, and looks once more before it ends.
    is_drained: bool,
}

/// True for errors that pass: the jobs may wait. A store that is full or broken is told to the caller.
pub(super) fn passes(error: &StoreError) -> bool {
    matches!(error, StoreError::Away(_) | StoreError::ReadOnly(_))
}

impl Waiting {
    pub(super) fn new(bounds: Buffer) -> Waiting {
        Waiting { bounds, shared: Arc::default(), task: Mutex::default() }
    }

    /// True if nothing waits: then the store may be asked. Else a job goes behind those that wait, or
    /// it would overtake them.
    pub(super) fn is_empty(&self) -> bool {
        self.shared.state().jobs.is_empty()
    }

    /// Takes all of these jobs, or none.
    pub(super) fn take(
        &self,
        store: &Arc<dyn Store>,
        jobs: &[Push],
        error: Option<StoreError>,
    ) -> Result<(), PushError> {
        let bytes: usize = jobs.iter().map(|job| job.payload.len()).sum();
        let mut state = self.shared.state();
        state.error = error.or(state.error.take());
        if state.jobs.len() + jobs.len() > self.bounds.jobs
            || state.bytes + bytes > self.bounds.bytes
        {
            let error = state.error.clone();
            return Err(PushError::BufferFull { jobs: state.jobs.len(), error });
        }
        if state.jobs.is_empty() {
            tracing::warn!("the job store is away: jobs wait in this process");
        }
        state.jobs.extend(jobs.iter().cloned());
        state.bytes += bytes;
        if !std::mem::replace(&mut state.is_drained, true) {
            let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
            *task = Some(tokio::spawn(drain(Arc::clone(&self.shared), Arc::clone(store))));
        }
        Ok(())
    }

    /// Waits until all has reached the store, and says how many jobs have not by then.
    pub(super) async fn emptied(&self, until: Instant) -> usize {
        loop {
            let emptied = self.shared.emptied.notified();
            let left = self.shared.state().jobs.len();
            let patience = until.saturating_duration_since(clock::now());
            if left == 0 || clock::timeout(patience, emptied).await.is_err() {
                return left;
            }
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let task = self.task.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(task) = task.take() {
            task.abort();
        }
        let lost = self.shared.state().jobs.len();
        if lost > 0 {
            tracing::error!(lost, "jobs that waited for the store are lost with their client");
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends when nothing waits any more; whoever puts something in then begins another.
async fn drain(shared: Arc<Shared>, store: Arc<dyn Store>) {
    let mut pause = SHORTEST_PAUSE;
    loop {
        let batch: Vec<Push> = shared.state().jobs.iter().take(MOST_A_STEP).cloned().collect();
        match clock::timeout(PATIENCE, store.push(&batch)).await {
            Ok(Ok(_)) => {
                pause = SHORTEST_PAUSE;
                // They leave only now: a store that answered late may have them twice, and has them.
                let mut state = shared.state();
                for job in &batch {
                    state.jobs.pop_front();
                    state.bytes = state.bytes.saturating_sub(job.payload.len());
                }
                if state.jobs.is_empty() {
                    state.is_drained = false;
                    drop(state);
                    tracing::info!("what waited for the job store has reached it");
                    shared.emptied.notify_waiters();
                    return;
                }
                continue;
            }
            Ok(Err(error)) => shared.state().error = Some(error),
            Err(_) => {}
        }
        clock::sleep(pause.mul_f64(0.5 + fastrand::f64())).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
