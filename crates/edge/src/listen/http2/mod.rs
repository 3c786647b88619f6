//! HTTP/2 towards clients (RFC 9113): hyper's engine with our deadlines, limits and counting.
//!
//! In: a byte stream that begins with the preface. Out: one [`crate::exchange::Exchange`] a stream.
//! What the engine lets through goes by the same rules as HTTP/1. It must never hand on a head that
//! an origin could read in two ways, nor keep a connection that costs more than it asks for.

mod activity;
mod body;
mod connection;
mod executor;
mod head;
mod service;

use hyper::server::conn::http2::Builder;

use super::settings::Settings;
pub(super) use connection::{End, serve};
use executor::{InlineFirst, SignalsTimer};

/// Streams of one connection at once: what browsers and common servers use.
const MAX_STREAMS: u32 = 128;
/// Content of one stream that may wait here for its reader.
const STREAM_WINDOW: u32 = 256 * 1024;
/// Content of all streams of a connection that may wait here: the bound of its memory.
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Content of one answer that may wait for the client.
const MAX_SEND_BUFFER: usize = 256 * 1024;
/// Streams reset by the client before we saw them.
const MAX_PENDING_RESETS: usize = 20;
/// Streams that we had to reset because the client broke the protocol (CVE-2025-8671).
const MAX_LOCAL_RESETS: usize = 64;

fn builder(settings: &Settings) -> Builder<InlineFirst> {
    let mut builder = Builder::new(InlineFirst);
    let head_bytes = settings.http1.limits.head_bytes;
    builder
        .timer(SignalsTimer)
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(MAX_SEND_BUFFER)
        .max_header_list_size(u32::try_from(head_bytes).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        .max_local_error_reset_streams(MAX_LOCAL_RESETS);
    builder
}

#[cfg(test)]
mod tests;
