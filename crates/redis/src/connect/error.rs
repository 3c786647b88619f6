//! What a server may answer but what was asked for.

use std::time::Duration;

use redis::{ErrorKind, RedisError, ServerErrorKind};

/// Why a call was not answered.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no connection, it broke, or the answer did not come in time. What was asked for may have
    /// been done.
    #[error("the Redis server does not answer")]
    Away(#[source] RedisError),
    /// The server is there and cannot serve yet: it loads its data, or waits for its primary. Nothing was
    /// done.
    #[error("the Redis server is not ready")]
    NotReady(#[source] RedisError),
    /// It has reached its `maxmemory` and evicts nothing. Nothing was done.
    #[error("the Redis server has no memory left")]
    Full(#[source] RedisError),
    /// It is a replica, or cannot write to its disk or replicas and so refuses to. Nothing was done.
    #[error("the Redis server cannot be written")]
    ReadOnly(#[source] RedisError),
    /// It does not understand, or does not allow it.
    #[error("the Redis server refuses")]
    Refused(#[source] RedisError),
    /// So many others wait that this call was not made.
    #[error("no connection to Redis was free within `{0:?}`")]
    Busy(Duration),
}

impl Error {
    /// True if a server does not know a script by its digest.
    pub fn is_unknown_script(&self) -> bool {
        matches!(self, Error::Refused(it) if it.kind() == ErrorKind::Server(ServerErrorKind::NoScript))
    }

    /// True if it is sure that nothing was done.
    pub fn is_undone(&self) -> bool {
        !matches!(self, Error::Away(_) | Error::Refused(_))
    }
}

/// Codes of servers that are there and not ready.
const NOT_READY: [&str; 5] = ["LOADING", "MASTERDOWN", "TRYAGAIN", "CLUSTERDOWN", "BUSY"];
/// Codes of servers that refuse every write.
const READ_ONLY: [&str; 3] = ["READONLY", "MISCONF", "NOREPLICAS"];

impl From<RedisError> for Error {
    fn from(error: RedisError) -> Error {
        let is_of_connection = matches!(
            error.kind(),
            ErrorKind::Io
                | ErrorKind::Parse
                | ErrorKind::MasterNameNotFoundBySentinel
                | ErrorKind::ClusterConnectionNotFound
        );
        if is_of_connection {
            return Error::Away(error);
        }
        // Redis before 7 says `ERR` of whatever goes wrong in a script, and the code in the sentence.
        let code = error.code().unwrap_or_default();
        let says = |it: &str| {
            let inside = error.detail().is_some_and(|text| text.contains(&format!("-{it} ")));
            code == it || inside
        };
        let has_no_room = error.detail().is_some_and(|text| text.contains("'maxmemory'"));
        match () {
            () if says("OOM") || has_no_room => Error::Full(error),
            () if READ_ONLY.into_iter().any(says) => Error::ReadOnly(error),
            () if NOT_READY.into_iter().any(says) => Error::NotReady(error),
            () => Error::Refused(error),
        }
    }
}
