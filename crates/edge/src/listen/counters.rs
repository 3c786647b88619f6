//! What is counted where connections begin and end.

use forebay_signals::counter::{Counter, Gauge};

/// Counters of the whole process.
#[derive(Debug, Default)]
pub struct Counters {
    /// Connections taken from a socket.
    pub accepted: Counter,
    /// Connections open now.
    pub open: Gauge,
    /// Connections closed at once because a cap was reached.
    pub refused: Counter,
    /// Connections closed because they began with no PROXY header, or a wrong one, where one must come.
    pub unintroduced: Counter,
    /// TLS handshakes that failed or did not end in time.
    pub handshake_failures: Counter,
    /// Connections on which a message broke its protocol.
    pub protocol_errors: Counter,
    /// HTTP/2 connections closed because they were a flood.
    pub floods: Counter,
    /// HTTP/2 connections and streams ended because the client took nothing for too long.
    pub stalled: Counter,
    /// Panics caught while a request was handled: each is a bug of ours.
    pub panics: Counter,
    /// Times that accepting paused because the process had no file descriptor left.
    pub accept_pauses: Counter,
    /// Connections turned into tunnels.
    pub upgraded: Counter,
}
