//! Connections to a Redis server: every one of them is made here.
//!
//! In: [`Settings`], and calls. Out: answers, or an [`Error`] that says whether it may have been done.
//!
//! There are two kinds. One connection carries everything that is answered at once, for all callers: many
//! calls are on their way together, and a [`Pipeline`] is their natural form. What waits at the server, or
//! is told things unasked, has a connection [of its own](Redis::own) and its own time-outs.
//!
//! # What becomes of a call
//!
//! | what happens | what a call does |
//! |---|---|
//! | no server | it tries again as often as the settings say, waiting longer each time, then [`Error::Away`] |
//! | the connection breaks while it is idle: a restart | it is noticed; the next call makes a new one and runs once |
//! | the connection breaks during a call, or no answer comes in time | it may have run. What is [`Again::Safe`] is asked again on a new connection, anything else is [`Error::Away`] |
//! | `READONLY`: a failover made the primary a replica | it did not run. Asked again on a new connection, which may find the new primary: once at an address, as often as the settings say with Sentinels; then [`Error::ReadOnly`] |
//! | `LOADING`, `MASTERDOWN`, `CLUSTERDOWN`, `TRYAGAIN`, `BUSY` | it did not run. Asked again as often as the settings say, then [`Error::NotReady`] |
//! | `OOM` | it did not run: [`Error::Full`], at once |
//! | `MISCONF`, `NOREPLICAS` | it did not run: [`Error::ReadOnly`] |
//! | `NOSCRIPT` | it did not run: [the script](crate::script::Script::run) is sent whole |
//! | more than 1,024 calls are on their way | it waits its turn, at most the pool's wait, then [`Error::Busy`] |
//!
//! Never: Cluster. A call that a node of a cluster sends elsewhere (`MOVED`) is [`Error::Refused`].

mod error;
mod own;
mod settings;
mod target;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use forebay_signals::clock;
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Cmd, ErrorKind, Pipeline, ProtocolVersion, PushInfo, RedisError,
    RedisResult, Value,
};
use tokio::sync::{OnceCell, Semaphore};
use tracing::{debug, info};

pub use self::error::Error;
pub use self::own::{Own, Told};
use self::own::{told, too_late};
pub use self::settings::{Settings, SettingsError, URL};
pub use self::target::{Target, UrlError};

/// Calls that are on their way at once at most; further ones wait outside.
const MOST_IN_FLIGHT: usize = 1_024;
/// Bytes that are collected before a write waits for the socket.
const WRITE_BUFFER: usize = 256 * 1_024;

/// A server, and the connections to it. Clones share them.
#[derive(Debug, Clone)]
pub struct Redis(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    settings: Settings,
    line: Mutex<Arc<Line>>,
    calls: Semaphore,
    own: Arc<Semaphore>,
    /// Set for a server, or what stands before it, that knows RESP2 alone.
    is_old: AtomicBool,
}

/// One attempt at a connection, shared by all who wait for it: what fails, fails for all of them at once.
type Line = OnceCell<Result<Live, RedisError>>;

#[derive(Debug)]
struct Live {
    connection: MultiplexedConnection,
    is_gone: Arc<AtomicBool>,
}

/// What goes out in one go.
#[derive(Clone, Copy)]
enum Calls<'a> {
    One(&'a Cmd),
    Many(&'a Pipeline),
}

impl Calls<'_> {
    async fn send(self, mut line: MultiplexedConnection) -> RedisResult<Vec<Value>> {
        let calls = match self {
            Calls::One(call) => {
                return Ok(vec![line.send_packed_command(call).await?.extract_error()?]);
            }
            Calls::Many(calls) => calls,
        };
        let answers = line.send_packed_commands(calls, 0, calls.len()).await?;
        for answer in &answers {
            if let Value::ServerError(error) = answer
                && !matches!(Error::from(RedisError::from(error.clone())), Error::Refused(_))
            {
                return Err(error.clone().into());
            }
        }
        Ok(answers)
    }
}

/// Whether a call may be made twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// It only asks, or to do it twice is to do it once.
    Safe,
    /// To do it twice would do harm.
    Never,
}

impl Redis {
    /// A server to be reached so. Nothing is connected before the first call.
    ///
    /// ```
    /// use forebay_redis::connect::{Redis, Settings};
    /// let redis = Redis::new(Settings::default());
    /// assert_eq!(redis.settings().target.to_string(), "localhost:6379");
    /// ```
    pub fn new(settings: Settings) -> Redis {
        Redis(Arc::new(Shared {
            own: Arc::new(Semaphore::new(settings.pool_size)),
            settings,
            line: Mutex::default(),
            calls: Semaphore::new(MOST_IN_FLIGHT),
            is_old: AtomicBool::new(false),
        }))
    }

    /// How it is reached.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Makes a call.
    ///
    /// # Errors
    /// As the [module](self) says.
    pub async fn ask(&self, call: &Cmd, again: Again) -> Result<Value, Error> {
        let mut answers = self.repeat(again, Calls::One(call)).await?;
        Ok(answers.pop().unwrap_or(Value::Nil))
    }

    /// Makes several calls in one go. They are not one step: others' calls may come between them. What the
    /// server refuses of them stands among the answers as [`Value::ServerError`].
    ///
    /// # Errors
    /// As the [module](self) says: what concerns all of them, said by any.
    pub async fn pipe(&self, calls: &Pipeline, again: Again) -> Result<Vec<Value>, Error> {
        self.repeat(again, Calls::Many(calls)).await
    }

    async fn repeat(&self, again: Again, calls: Calls<'_>) -> Result<Vec<Value>, Error> {
        let settings = &self.0.settings;
        let turn = clock::timeout(settings.pool_timeout, self.0.calls.acquire()).await;
        let _turn = turn.map_err(|_| Error::Busy(settings.pool_timeout))?;
        let mut attempts = 0;
        loop {
            let line = self.line();
            let (is_sent, error) = match line.get_or_init(|| self.live()).await {
                Err(error) => (false, error.clone()),
                Ok(live) => match calls.send(live.connection.clone()).await {
                    Ok(answer) => return Ok(answer),
                    Err(error) => (true, error),
                },
            };
            let error = Error::from(error);
            let is_broken = matches!(error, Error::Away(_) | Error::ReadOnly(_));
            if is_broken {
                self.give_up(&line);
            }
            // Without a connection nothing was asked; with one, the first time goes without a pause: mostly
            // it broke long ago.
            let (may_repeat, most) = match &error {
                Error::Away(_) if !is_sent => (true, settings.reconnect_attempts),
                Error::Away(_) => (again == Again::Safe, settings.reconnect_attempts),
                Error::ReadOnly(_) if settings.target.is_by_sentinels() => {
                    (true, settings.reconnect_attempts)
                }
                Error::ReadOnly(_) => (true, settings.reconnect_attempts.min(1)),
                Error::NotReady(_) => (true, settings.reconnect_attempts),
                Error::Full(_) | Error::Refused(_) | Error::Busy(_) => (false, 0),
            };
            if !may_repeat || attempts >= most {
                return Err(error);
            }
            if !(is_broken && is_sent && attempts == 0) {
                clock::sleep(settings.delay(attempts)).await;
            }
            attempts += 1;
        }
    }

    /// The line of now: another if that one is gone.
    fn line(&self) -> Arc<Line> {
        let mut line = self.0.line.lock().unwrap_or_else(PoisonError::into_inner);
        let is_gone = match line.get() {
            Some(Ok(live)) => live.is_gone.load(Ordering::Acquire),
            Some(Err(_)) => true,
            None => false,
        };
        if is_gone {
            *line = Arc::default();
        }
        Arc::clone(&line)
    }

    /// The next call makes a new line. Calls that are on this one get their answers, if any come.
    fn give_up(&self, broken: &Arc<Line>) {
        let mut line = self.0.line.lock().unwrap_or_else(PoisonError::into_inner);
        if Arc::ptr_eq(&line, broken) {
            *line = Arc::default();
        }
    }

    async fn live(&self) -> Result<Live, RedisError> {
        let is_gone = Arc::new(AtomicBool::new(false));
        let hear = {
            let is_gone = Arc::clone(&is_gone);
            move |told| {
                if told == Told::Gone {
                    is_gone.store(true, Ordering::Release);
                }
            }
        };
        let made = self.connect(self.config(), Arc::new(hear)).await;
        let target = &self.0.settings.target;
        match &made {
            Ok(_) => info!(%target, "connected to Redis"),
            Err(error) => debug!(%target, %error, "no connection to Redis"),
        }
        Ok(Live { connection: made?, is_gone })
    }

    fn config(&self) -> AsyncConnectionConfig {
        let timeout = Some(self.0.settings.timeout);
        AsyncConnectionConfig::new()
            .set_connection_timeout(timeout)
            .set_response_timeout(timeout)
            .set_pipeline_buffer_size(MOST_IN_FLIGHT)
            .set_write_backpressure_boundary(WRITE_BUFFER)
    }

    async fn connect(
        &self,
        config: AsyncConnectionConfig,
        hear: Arc<dyn Fn(Told) + Send + Sync>,
    ) -> RedisResult<MultiplexedConnection> {
        let target = &self.0.settings.target;
        let authorities = self.0.settings.authorities.as_deref();
        // Sentinels are asked one after the other, then the server: each has its own time-out inside.
        let longest = self.0.settings.timeout * if target.is_by_sentinels() { 10 } else { 2 };
        if !self.0.is_old.load(Ordering::Relaxed) {
            let config = config.clone().set_push_sender(move |push: PushInfo| {
                if let Some(told) = told(push) {
                    hear(told);
                }
                Ok::<(), redis::aio::SendError>(())
            });
            let made =
                clock::timeout(longest, target.open(ProtocolVersion::RESP3, &config, authorities))
                    .await;
            match made.unwrap_or_else(|_| Err(too_late())) {
                Err(error) if error.kind() == ErrorKind::RESP3NotSupported => {
                    self.0.is_old.store(true, Ordering::Relaxed);
                }
                made => return made,
            }
        }
        let made =
            clock::timeout(longest, target.open(ProtocolVersion::RESP2, &config, authorities))
                .await;
        made.unwrap_or_else(|_| Err(too_late()))
    }
}
