//! Threads for work that would hold up a core.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use forebay_signals::clock;

/// Jobs that wait. Each holds its content, so that more would be memory without a bound.
const QUEUE: usize = 64;
/// Longest rest after a job, whatever the budget says.
const MAX_REST: Duration = Duration::from_secs(60);

/// No room: do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too much to encode at the moment")]
pub struct Shed;

pub(super) type Job = Box<dyn FnOnce() + Send>;

/// One thread with a bounded queue and a share of a core. It sheds everything until it is told to work.
#[derive(Debug)]
pub(super) struct Pool {
    name: &'static str,
    shared: Arc<Shared>,
    worker: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
    /// Most of the time that the thread works; 0 takes no more jobs.
    percent: AtomicU8,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    is_closed: bool,
}

impl Pool {
    /// A pool whose thread begins with the first [`Pool::work_at`] above 0.
    pub(super) fn new(name: &'static str) -> Pool {
        Pool { name, shared: Arc::default(), worker: Mutex::default() }
    }

    /// From now on the thread works at most `percent` of the time. With 0 nothing more is taken; what
    /// waits is still done, at the slowest pace.
    pub(super) fn work_at(&self, percent: u8) {
        let mut worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner);
        if percent > 0 && worker.is_none() {
            let shared = Arc::clone(&self.shared);
            let thread = thread::Builder::new().name(self.name.into());
            match thread.spawn(move || shared.work()) {
                Ok(begun) => *worker = Some(begun),
                Err(error) => {
                    tracing::warn!(%error, name = self.name, "no thread to encode on");
                    return;
                }
            }
        }
        self.shared.percent.store(percent, Ordering::Relaxed);
    }

    pub(super) fn push(&self, job: Job) -> Result<(), Shed> {
        if self.shared.percent.load(Ordering::Relaxed) == 0 {
            return Err(Shed);
        }
        let mut queue = self.shared.lock();
        if queue.jobs.len() >= QUEUE {
            return Err(Shed);
        }
        queue.jobs.push_back(job);
        drop(queue);
        self.shared.changed.notify_all();
        Ok(())
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let jobs = {
            let mut queue = self.shared.lock();
            queue.is_closed = true;
            std::mem::take(&mut queue.jobs)
        };
        self.shared.changed.notify_all();
        // A job may hold the last handle of what holds this pool.
        drop(jobs);
        let worker = self.worker.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(worker) = worker
            && worker.thread().id() != thread::current().id()
            && worker.join().is_err()
        {
            tracing::error!("an encoding thread panicked");
        }
    }
}

impl Shared {
    fn work(&self) {
        while let Some(job) = self.next() {
            let began = clock::now();
            if catch_unwind(AssertUnwindSafe(job)).is_err() {
                tracing::error!("encoding panicked");
            }
            let worked = clock::now().saturating_duration_since(began);
            self.rest(rest_after(worked, self.percent.load(Ordering::Relaxed)));
        }
    }

    fn next(&self) -> Option<Job> {
        let mut queue = self.lock();
        loop {
            if queue.is_closed {
                return None;
            }
            if let Some(job) = queue.jobs.pop_front() {
                return Some(job);
            }
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Pays for the work with time in which there is none; ends early when the pool closes.
    fn rest(&self, rest: Duration) {
        if rest.is_zero() {
            return;
        }
        let is_open = |queue: &mut Queue| !queue.is_closed;
        let queue = self.lock();
        drop(self.changed.wait_timeout_while(queue, rest, is_open));
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} jobs", self.lock().jobs.len())
    }
}

fn rest_after(worked: Duration, percent: u8) -> Duration {
    let percent = u32::from(percent.clamp(1, 100));
    (worked * (100 - percent) / percent).min(MAX_REST)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn working(percent: u8) -> Pool {
        let pool = Pool::new("test");
        pool.work_at(percent);
        pool
    }

    #[test]
    fn a_quarter_of_the_time_means_three_times_as_much_rest() {
        assert_eq!(rest_after(Duration::from_millis(100), 25), Duration::from_millis(300));
        assert_eq!(rest_after(Duration::from_millis(100), 100), Duration::ZERO);
        assert_eq!(rest_after(Duration::from_secs(3_600), 1), MAX_REST);
    }

    #[test]
    fn the_budget_holds_over_several_jobs() {
        let pool = working(25);
        let (tell, told) = sync_channel(8);
        let began = clock::now();
        for _ in 0..4 {
            let tell = tell.clone();
            let job = move || {
                clock::block_for(Duration::from_millis(10));
                tell.send(clock::now()).unwrap();
            };
            pool.push(Box::new(job)).unwrap();
        }
        let ends: Vec<_> = (0..4).map(|_| told.recv_timeout(PATIENCE).unwrap()).collect();
        // Three rests of 30 ms and four jobs of 10 ms.
        assert!(ends[3] - began >= Duration::from_millis(130), "{:?}", ends[3] - began);
    }

    #[test]
    fn a_full_queue_sheds_and_a_panic_harms_no_other_job() {
        let pool = working(100);
        let (tell, told) = sync_channel(1);
        let (go, wait) = sync_channel(1);
        let blocks = move || {
            tell.send(()).unwrap();
            wait.recv_timeout(PATIENCE).unwrap();
        };
        pool.push(Box::new(blocks)).unwrap();
        told.recv_timeout(PATIENCE).unwrap();
        pool.push(Box::new(|| panic!("on purpose"))).unwrap();
        let (tell, told) = sync_channel(QUEUE);
        for n in 1..QUEUE {
            let tell = tell.clone();
            pool.push(Box::new(move || tell.send(n).unwrap())).unwrap();
        }
        assert_eq!(pool.push(Box::new(|| ())), Err(Shed));
        go.send(()).unwrap();
        let ran: Vec<_> = (1..QUEUE).map(|_| told.recv_timeout(PATIENCE).unwrap()).collect();
        assert_eq!(ran, (1..QUEUE).collect::<Vec<_>>());
    }

    #[test]
    fn a_pool_that_closes_does_not_finish_its_rest() {
        let pool = working(1);
        let (tell, told) = sync_channel(1);
        let job = move || {
            clock::block_for(Duration::from_millis(300));
            tell.send(()).unwrap();
        };
        pool.push(Box::new(job)).unwrap();
        told.recv_timeout(PATIENCE).unwrap();
        let began = clock::now();
        drop(pool);
        // It would rest for half a minute.
        assert!(clock::now() - began < Duration::from_secs(10));
    }

    #[test]
    fn the_share_changes_while_it_works() {
        let pool = Pool::new("test");
        assert_eq!(pool.push(Box::new(|| ())), Err(Shed), "it was not told to work");
        for percent in [100, 0, 100] {
            pool.work_at(percent);
            let (tell, told) = sync_channel(1);
            let pushed = pool.push(Box::new(move || tell.send(()).unwrap()));
            assert_eq!(pushed.is_ok(), percent > 0);
            assert_eq!(told.recv_timeout(PATIENCE).is_ok(), percent > 0);
        }
    }
}
