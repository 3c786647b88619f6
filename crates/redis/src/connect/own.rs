//! Connections that are not shared: what waits at the server, or is told things unasked.

use std::sync::Arc;
use std::time::Duration;

use forebay_signals::clock;
use redis::aio::MultiplexedConnection;
use redis::{Cmd, PushInfo, PushKind, RedisError, Value};
use tokio::sync::OwnedSemaphorePermit;

use super::{Error, Redis};

/// What a server tells unasked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// These keys changed, which the connection has read ([client-side caching]).
    ///
    /// [client-side caching]: https://redis.io/docs/latest/develop/reference/client-side-caching/
    Changed(Vec<Vec<u8>>),
    /// Everything may have changed.
    All,
    /// The connection is gone.
    Gone,
}

impl Redis {
    /// A connection for one alone, that tells `hear` what the server says unasked. At most as many as the pool
    /// is large.
    ///
    /// # Errors
    /// It cannot be made, or [`Error::Busy`].
    pub async fn own(&self, hear: impl Fn(Told) + Send + Sync + 'static) -> Result<Own, Error> {
        let wait = self.0.settings.pool_timeout;
        let permit = clock::timeout(wait, Arc::clone(&self.0.own).acquire_owned()).await;
        let permit = permit.map_err(|_| Error::Busy(wait))?.expect("it is never closed");
        // What waits has its own time-outs.
        let config = self.config().set_response_timeout(None);
        let mut connection = self.connect(config, Arc::new(hear)).await?;
        connection.set_response_timeout(Duration::MAX);
        Ok(Own { connection, _permit: permit })
    }
}

/// A connection for one alone. It is not made again when it breaks: what stood on it is lost with it, and
/// only its owner knows what that was.
#[derive(Debug)]
pub struct Own {
    connection: MultiplexedConnection,
    _permit: OwnedSemaphorePermit,
}

impl Own {
    /// Makes a call and waits for its answer, at most so long. After [`Error::Away`] the connection is of no
    /// further use.
    ///
    /// # Errors
    /// As the module says; nothing is asked again.
    pub async fn ask(&self, call: &Cmd, at_most: Duration) -> Result<Value, Error> {
        let mut connection = self.connection.clone();
        let answer = clock::timeout(at_most, connection.send_packed_command(call)).await;
        Ok(answer.unwrap_or_else(|_| Err(too_late()))?.extract_error()?)
    }
}

pub(super) fn too_late() -> RedisError {
    std::io::Error::from(std::io::ErrorKind::TimedOut).into()
}

pub(super) fn told(push: PushInfo) -> Option<Told> {
    match push.kind {
        PushKind::Disconnection => Some(Told::Gone),
        PushKind::Invalidate => Some(match push.data.into_iter().next() {
            Some(Value::Array(keys)) => Told::Changed(
                keys.into_iter()
                    .filter_map(|key| match key {
                        Value::BulkString(key) => Some(key),
                        _ => None,
                    })
                    .collect(),
            ),
            _ => Told::All,
        }),
        _ => None,
    }
}
