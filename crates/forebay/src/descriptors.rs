//! File descriptors: as many as the system lets us have.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What listeners, pools, logs and the runtime take besides the connections of clients.
const OTHERS: u64 = 256;

/// Raises the limit of this process as far as it may, and says so if `max_connections` stays out of reach.
/// The usual soft limit of 1,024 is for programs that call `select`. What the limit was is given back: a
/// wrapped application may be such a program, and starts with it.
pub(crate) fn raise(max_connections: usize) -> Option<u64> {
    let before = getrlimit(Resource::Nofile);
    let most = Rlimit { current: before.maximum, maximum: before.maximum };
    if before.current != before.maximum
        && let Err(error) = setrlimit(Resource::Nofile, most)
    {
        tracing::warn!(%error, "the limit of file descriptors cannot be raised");
    }
    // `None` is no limit.
    let Some(limit) = getrlimit(Resource::Nofile).current else { return before.current };
    if limit < max_connections as u64 + OTHERS {
        tracing::warn!(
            limit,
            max_connections,
            "fewer file descriptors than `admit.max_connections` needs; raise `ulimit -n` or `LimitNOFILE`"
        );
    }
    before.current
}
