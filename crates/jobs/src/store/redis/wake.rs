//! Waiting for work without taking it, and without asking again and again.
//!
//! One connection watches: `EXISTS` over the queues says whether there is work and makes the server tell us when
//! one of these keys changes (client-side caching of RESP3), in one atomic step. A push by anyone, Ruby
//! included, then wakes us; nothing is popped that a broken connection could lose. While a process is busy it
//! watches nothing, and whoever pushes pays nothing.
//!
//! Who is told of a push goes for the job at once, as long as that succeeds. Whoever was beaten to the last
//! one waits a moment and looks first, which is a tenth of the work for the server, and one look is for all
//! pushes of that moment: fifty processes with nothing to do are no stampede.
//!
//! Where a server, or what stands before it, knows no tracking, we ask every so often.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use forebay_redis::connect::{Error, Own, Redis, Told};
use forebay_redis::{Cmd, Value, cmd};
use forebay_signals::clock;
use tokio::sync::{Notify, OnceCell};

use super::super::StoreError;
use super::keys;
use super::reply::{is_true, texts};

/// Longest wait between two looks where the server tells us: a net under a connection that died in silence.
const NET: Duration = Duration::from_millis(950);
/// Waits between two looks where it does not.
const SHORTEST_LOOK: Duration = Duration::from_millis(20);
const LONGEST_LOOK: Duration = Duration::from_millis(200);
/// Who was beaten so often in a row waits that much before it looks; at random, so that one of many is early.
const BEATEN: Duration = Duration::from_millis(1);
const OFTEN_BEATEN: u32 = 10;

/// Who waits for work.
#[derive(Debug)]
pub(super) struct Wake {
    redis: Redis,
    heard: Arc<Heard>,
    /// Something was told of since leases were asked for.
    is_told_of: AtomicBool,
    /// Changes of queues that were told of when something was leased last.
    had: AtomicU64,
    /// So many times in a row what was told of was another's.
    beaten: AtomicU32,
    /// That the server does not tell was said.
    is_said: AtomicBool,
    line: Mutex<Arc<OnceCell<Result<Line, Error>>>>,
}

/// What the server told.
#[derive(Debug, Default)]
struct Heard {
    changed: Notify,
    /// Counts changes of queues.
    queues_changed: AtomicU64,
    /// Counts changes of pauses.
    pauses_changed: AtomicU64,
    pauses: Mutex<Option<Arc<Pauses>>>,
}

/// What is paused.
#[derive(Debug, PartialEq, Eq)]
struct Pauses {
    queues: Vec<String>,
    classes: Vec<String>,
}

/// The connection that watches.
#[derive(Debug)]
struct Line {
    own: Own,
    is_told: bool,
    is_gone: Arc<AtomicBool>,
}

impl Wake {
    pub(super) fn new(redis: Redis) -> Wake {
        Wake {
            redis,
            heard: Arc::default(),
            is_told_of: AtomicBool::default(),
            had: AtomicU64::default(),
            beaten: AtomicU32::default(),
            is_said: AtomicBool::default(),
            line: Mutex::default(),
        }
    }

    /// What came of it, when leases were asked for. The step that tells of an end asks as well and finds
    /// nothing as a rule: only who was told of something was beaten to it.
    pub(super) fn found(&self, anything: bool) {
        let was_told = self.is_told_of.swap(false, Ordering::Relaxed);
        if anything {
            self.beaten.store(0, Ordering::Relaxed);
            self.had.store(self.heard.queues_changed.load(Ordering::Acquire), Ordering::Relaxed);
        } else if was_told {
            self.beaten.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Returns when a queue that is not paused holds something, when a pause changed, or after `at_most`.
    pub(super) async fn wait(
        &self,
        queues: &[Arc<str>],
        at_most: Duration,
    ) -> Result<(), StoreError> {
        let until = clock::now() + at_most;
        let (mut before, mut look, mut was_told) = (None, SHORTEST_LOOK, false);
        loop {
            // Before the look: what changes after it is not missed.
            let changed = self.heard.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let queues_changed = self.heard.queues_changed.load(Ordering::Acquire);
            let (pauses, is_work, is_told) = match self.look(queues).await {
                // The connection may have broken long ago, while nobody waited.
                Err(Error::Away(_)) => self.look(queues).await?,
                seen => seen?,
            };
            if is_work || before.as_ref().is_some_and(|it| *it != pauses) {
                self.is_told_of.store(is_work && was_told, Ordering::Relaxed);
                return Ok(());
            }
            if std::mem::take(&mut was_told) {
                self.beaten.fetch_add(1, Ordering::Relaxed);
            }
            before = Some(pauses);
            let left = until.saturating_duration_since(clock::now());
            if left.is_zero() {
                return Ok(());
            }
            let pause = if is_told { NET.mul_f64(0.7 + 0.3 * fastrand::f64()) } else { look };
            look = LONGEST_LOOK.min(look * 2);
            // Woken, or time to look again: both lead to a look.
            clock::timeout(pause.min(left), changed).await.ok();
            let told = self.heard.queues_changed.load(Ordering::Acquire);
            // A step that was under way may have leased it already.
            let is_ours = told == self.had.load(Ordering::Relaxed);
            if told != queues_changed && !is_ours {
                was_told = true;
                let beaten = self.beaten.load(Ordering::Relaxed);
                if beaten == 0 {
                    self.is_told_of.store(true, Ordering::Relaxed);
                    return Ok(());
                }
                let moment = (BEATEN * beaten.min(OFTEN_BEATEN)).mul_f64(fastrand::f64());
                clock::sleep(moment.min(until.saturating_duration_since(clock::now()))).await;
            }
        }
    }

    async fn look(&self, queues: &[Arc<str>]) -> Result<(Arc<Pauses>, bool, bool), Error> {
        let cell = self.line();
        let line = cell.get_or_init(|| self.connect()).await.as_ref().map_err(Clone::clone)?;
        let seen = self.look_by(line, queues).await;
        if let Err(Error::Away(_)) = &seen {
            line.is_gone.store(true, Ordering::Release);
        }
        seen
    }

    async fn look_by(
        &self,
        line: &Line,
        queues: &[Arc<str>],
    ) -> Result<(Arc<Pauses>, bool, bool), Error> {
        let pauses = self.pauses(line).await?;
        let is_open = |name: &&Arc<str>| !pauses.queues.iter().any(|it| **it == ***name);
        let mut call = cmd("EXISTS");
        let mut open = queues.iter().filter(is_open).peekable();
        let is_any_open = open.peek().is_some();
        for name in open {
            call.arg(keys::queue(name));
        }
        let is_work = is_any_open && is_true(&self.ask(line, &call).await?);
        Ok((pauses, is_work, line.is_told))
    }

    /// What is paused, as long as nothing is told of a change; read by the connection that watches, and so
    /// watched from then on.
    async fn pauses(&self, line: &Line) -> Result<Arc<Pauses>, Error> {
        let lock = || self.heard.pauses.lock().unwrap_or_else(PoisonError::into_inner);
        if line.is_told
            && let Some(pauses) = &*lock()
        {
            return Ok(Arc::clone(pauses));
        }
        let before = self.heard.pauses_changed.load(Ordering::Acquire);
        let queues = self.names(line, keys::PAUSED).await?;
        let classes = self.names(line, keys::PAUSED_CLASSES).await?;
        let pauses = Arc::new(Pauses { queues, classes });
        let mut kept = lock();
        if self.heard.pauses_changed.load(Ordering::Acquire) == before {
            *kept = Some(Arc::clone(&pauses));
        }
        Ok(pauses)
    }

    async fn names(&self, line: &Line, key: &str) -> Result<Vec<String>, Error> {
        let mut names = texts(self.ask(line, cmd("SMEMBERS").arg(key)).await?);
        names.sort_unstable();
        Ok(names)
    }

    async fn ask(&self, line: &Line, call: &Cmd) -> Result<Value, Error> {
        line.own.ask(call, self.redis.settings().timeout).await
    }

    fn line(&self) -> Arc<OnceCell<Result<Line, Error>>> {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        let is_gone = match line.get() {
            Some(Ok(it)) => it.is_gone.load(Ordering::Acquire),
            Some(Err(_)) => true,
            None => false,
        };
        if is_gone {
            *line = Arc::default();
        }
        Arc::clone(&line)
    }

    async fn connect(&self) -> Result<Line, Error> {
        let is_gone = Arc::new(AtomicBool::new(false));
        self.heard.forget_pauses();
        let hear = {
            let (heard, is_gone) = (Arc::clone(&self.heard), Arc::clone(&is_gone));
            move |told| {
                if told == Told::Gone {
                    is_gone.store(true, Ordering::Release);
                }
                heard.hear(&told);
            }
        };
        let own = self.redis.own(hear).await?;
        let timeout = self.redis.settings().timeout;
        let mut call = cmd("CLIENT");
        call.arg("TRACKING").arg("ON").arg("NOLOOP");
        let is_told = match own.ask(&call, timeout).await {
            Ok(_) => true,
            Err(Error::Refused(error)) => {
                if !self.is_said.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%error, "Redis does not tell of changes: asking for them instead");
                }
                false
            }
            Err(error) => return Err(error),
        };
        Ok(Line { own, is_told, is_gone })
    }
}

impl Heard {
    fn hear(&self, told: &Told) {
        let of_pauses = |key: &Vec<u8>| {
            [keys::PAUSED, keys::PAUSED_CLASSES].iter().any(|it| it.as_bytes() == key.as_slice())
        };
        match told {
            Told::Changed(keys) if !keys.iter().any(of_pauses) => {
                self.queues_changed.fetch_add(1, Ordering::AcqRel);
            }
            Told::Changed(_) | Told::All | Told::Gone => self.forget_pauses(),
        }
        self.changed.notify_waiters();
    }

    fn forget_pauses(&self) {
        let mut pauses = self.pauses.lock().unwrap_or_else(PoisonError::into_inner);
        self.pauses_changed.fetch_add(1, Ordering::AcqRel);
        *pauses = None;
    }
}
