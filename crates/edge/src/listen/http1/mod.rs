//! HTTP/1.0 and 1.1 towards clients (RFC 9112), with a parser that is itself the strict gate.
//!
//! In: a byte stream. Out: one [`crate::exchange::Exchange`] a request, in order; the answers as
//! bytes. There is one parser: what it lets through is what everything behind it sees, and the
//! origin gets a head written anew. It never repairs a message: what is ambiguous is refused with
//! 400 or 501 and the connection closes, so that edge and origin cannot disagree on where a message
//! ends (request smuggling).

mod connection;
mod content;
mod glimpse;
pub mod head;
mod message;
pub mod target;
mod write;

use std::time::{Duration, Instant};

use forebay_signals::clock;

use crate::exchange::{Body, Client, Exchange, Head, Stamps};
use head::{HeadLimits, RequestHead};

pub use crate::http1::{chunked, fields};
pub(crate) use connection::FRESH_GRACE;
pub use connection::{End, serve};

/// Deadlines and limits of a connection.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What a head may weigh.
    pub limits: HeadLimits,
    /// Time for the first head on a new connection, and for each head from its first byte on.
    pub head_timeout: Duration,
    /// Time between two messages.
    pub idle_timeout: Duration,
    /// Least upload rate in bytes a second, counted only while we wait for the client.
    pub min_content_rate: u32,
    /// Time before that rate is asked for.
    pub content_grace: Duration,
    /// Time that a write to the client may be blocked without progress.
    pub blocked_write_timeout: Duration,
    /// Largest content of a request.
    pub max_content_bytes: u64,
    /// Time in which a closed client may still read our last words.
    pub linger: Duration,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            limits: HeadLimits::default(),
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            min_content_rate: 240,
            content_grace: Duration::from_secs(5),
            blocked_write_timeout: Duration::from_secs(30),
            max_content_bytes: 1 << 30,
            linger: Duration::from_secs(2),
        }
    }
}

/// Makes the exchange that travels through the rooms. `first_byte` is when its head began, if that was
/// before it was complete.
fn begin(head: RequestHead, client: Client, body: Body, first_byte: Option<Instant>) -> Exchange {
    Exchange {
        id: [b'0'; 32],
        client,
        head: Head {
            method: head.method,
            uri: head.uri,
            authority: head.authority.unwrap_or_default(),
            version: head.version,
            fields: head.fields,
        },
        body,
        upgrade: head.upgrade,
        stamps: stamps(first_byte),
    }
}

/// The same of what never became a request.
fn begin_refused(head: Head, client: Client, first_byte: Option<Instant>) -> Exchange {
    let (id, body, upgrade) = ([b'0'; 32], Body::Empty, None);
    Exchange { id, client, head, body, upgrade, stamps: stamps(first_byte) }
}

fn stamps(first_byte: Option<Instant>) -> Stamps {
    let now = clock::now();
    let mut stamps = Stamps::new(now);
    stamps.read_since(first_byte.unwrap_or(now));
    stamps
}
