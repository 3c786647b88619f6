//! When a client that takes nothing has been waited for long enough.
//!
//! HTTP/1 and HTTP/2 ask here while their socket is full. The kernel says that a socket takes more only
//! when a third of its buffer is free, which is megabytes where the path is fast: somebody who reads
//! two kilobytes a second would look for minutes as if he read nothing. So the socket is prodded now
//! and then, for it takes whatever it has room for; who takes something begins anew.

use std::io;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use forebay_signals::clock;

use super::deadline::Deadline;
use super::progress::Progress;

/// How often a full socket is prodded within the time that a client has.
const PRODS: u32 = 4;

/// A socket that is full.
pub(super) struct Blocked {
    /// Bytes that it had taken.
    taken: u64,
    ends: Instant,
    /// When it is looked at next.
    look: Deadline,
    is_last: bool,
}

impl Blocked {
    pub(super) fn new(taken: u64, limit: Duration) -> Blocked {
        let now = clock::now();
        let look = Deadline::new(now + limit / PRODS);
        Blocked { taken, ends: now + limit, look, is_last: false }
    }

    /// Ready when the socket is prodded and a write is to be tried, or with an error when the client has had
    /// its time. `taken` is what the socket has taken by now.
    pub(super) fn poll(
        &mut self,
        taken: u64,
        limit: Duration,
        progress: Option<&Progress>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if self.taken != taken {
            *self = Blocked::new(taken, limit);
        }
        ready!(self.look.poll_passed(context));
        if self.is_last {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let now = clock::now();
        // What was taken since the last look counts too.
        self.is_last = now >= self.ends;
        self.look.set(self.ends.min(now + limit / PRODS));
        if let Some(progress) = progress {
            progress.prod();
        }
        Poll::Ready(Ok(()))
    }
}
