//! Producers are slowed, then refused, before the store is full: what is left is for retries, for the dead
//! and for beats, which nobody asks here.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use forebay_signals::clock;
use tokio::task::JoinHandle;

use super::PushError;
use crate::store::{Room, Store};

/// When producers are held back.
///
/// ```
/// use forebay_jobs::push::Pressure;
/// let pressure = Pressure { slow_at: 0.70, ..Pressure::default() };
/// assert!(pressure.slow_at < pressure.refuse_at);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pressure {
    /// From this share of the room on pushes take longer, the fuller the longer; 0.85 if nobody says.
    pub slow_at: f64,
    /// From this share on they are refused; 0.95 if nobody says.
    pub refuse_at: f64,
    /// How long a push is held up at most; 250 ms if nobody says.
    pub longest: Duration,
    /// How old what is known of the room may be; 1 s if nobody says.
    pub look_every: Duration,
}

impl Default for Pressure {
    fn default() -> Pressure {
        Pressure {
            slow_at: 0.85,
            refuse_at: 0.95,
            // Slow enough to be felt, too short to time anybody out.
            longest: Duration::from_millis(250),
            look_every: Duration::from_secs(1),
        }
    }
}

/// What is to be done with a push.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Word {
    Go,
    Slow(Duration),
    Refuse { percent: u64 },
}

impl Pressure {
    fn word(&self, room: Room) -> Word {
        let Some(of) = room.of.filter(|of| *of > 0) else { return Word::Go };
        #[expect(clippy::cast_precision_loss, reason = "a share, to be compared with a percentage")]
        let full = room.used as f64 / of as f64;
        if full >= self.refuse_at {
            return Word::Refuse { percent: room.used.saturating_mul(100) / of };
        }
        if full < self.slow_at {
            return Word::Go;
        }
        let way = (full - self.slow_at) / (self.refuse_at - self.slow_at);
        Word::Slow(self.longest.mul_f64(way.clamp(0.0, 1.0)))
    }
}

/// What is known of the room, looked at anew beside the pushes and not before them.
#[derive(Debug)]
pub(super) struct Gauge {
    pressure: Pressure,
    known: Arc<Known>,
    look: Mutex<Look>,
}

#[derive(Debug, Default)]
struct Look {
    last: Option<Instant>,
    task: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Known {
    used: AtomicU64,
    /// 0 for no bound.
    of: AtomicU64,
    was_refused: AtomicBool,
}

impl Gauge {
    pub(super) fn new(pressure: Pressure) -> Gauge {
        Gauge { pressure, known: Arc::default(), look: Mutex::default() }
    }

    /// Waits as long as producers have to, or says no.
    pub(super) async fn ask(&self, store: &Arc<dyn Store>) -> Result<(), PushError> {
        self.look(store);
        let (used, of) = (&self.known.used, &self.known.of);
        let of = Some(of.load(Ordering::Acquire)).filter(|of| *of > 0);
        let word =
            self.pressure.word(Room { used: used.load(Ordering::Acquire), of, evicts: false });
        let was_refused = &self.known.was_refused;
        match word {
            Word::Refuse { percent } => {
                if !was_refused.swap(true, Ordering::Relaxed) {
                    tracing::warn!(percent, "producers are refused: the job store is nearly full");
                }
                return Err(PushError::NoRoom { percent });
            }
            Word::Slow(pause) => clock::sleep(pause).await,
            Word::Go => {}
        }
        if was_refused.load(Ordering::Relaxed) && was_refused.swap(false, Ordering::Relaxed) {
            tracing::info!("producers may push again");
        }
        Ok(())
    }

    fn look(&self, store: &Arc<dyn Store>) {
        const PATIENCE: Duration = Duration::from_secs(5);
        let mut look = self.look.lock().unwrap_or_else(PoisonError::into_inner);
        let now = clock::now();
        let is_fresh = look
            .last
            .is_some_and(|last| now.saturating_duration_since(last) < self.pressure.look_every);
        if is_fresh || look.task.as_ref().is_some_and(|task| !task.is_finished()) {
            return;
        }
        look.last = Some(now);
        let (store, known) = (Arc::clone(store), Arc::clone(&self.known));
        look.task = Some(tokio::spawn(async move {
            // A store that does not say is asked again later; the push itself will tell.
            if let Ok(Ok(room)) = clock::timeout(PATIENCE, store.room()).await {
                known.used.store(room.used, Ordering::Release);
                known.of.store(room.of.unwrap_or(0), Ordering::Release);
            }
        }));
    }
}

impl Drop for Gauge {
    fn drop(&mut self) {
        let look = self.look.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(task) = look.task.take() {
            task.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fuller_the_slower_until_it_is_refused() {
        let pressure = Pressure::default();
        let word = |used, of| pressure.word(Room { used, of, evicts: false });
        assert_eq!(word(1 << 60, None), Word::Go);
        assert_eq!(word(1, Some(0)), Word::Go);
        assert_eq!(word(84, Some(100)), Word::Go);
        let Word::Slow(half) = word(90, Some(100)) else { panic!() };
        assert!((Duration::from_millis(120)..Duration::from_millis(130)).contains(&half));
        assert_eq!(word(95, Some(100)), Word::Refuse { percent: 95 });
        assert_eq!(word(u64::MAX, Some(100)), Word::Refuse { percent: u64::MAX / 100 });
    }
}
