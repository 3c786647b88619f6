//! HTTP/2 towards clients (RFC 9113), with a server of our own.
//!
//! In: a byte stream that begins with the preface. Out: one [`crate::exchange::Exchange`] a stream.
//! Bytes become events in `inbound`, events change `streams`, heads become requests in
//! `requests`, content goes to its readers in `intake` or past them in `passing`, answers become
//! frames in `answers`, and `connection` joins that with a socket and with time. All streams of a
//! connection live in its task; an answer that is ready never becomes a stream, and what one poll
//! makes leaves in one write. It must never hand on a head that an origin could read in two ways,
//! nor keep a connection that costs more than it asks for.

mod answers;
mod budget;
mod connection;
mod frame;
mod head;
pub mod hpack;
mod inbound;
mod intake;
mod output;
mod passing;
mod patience;
mod priority;
mod requests;
mod session;
mod stream;
mod streams;
mod upload;
mod wakes;

pub(super) use connection::{End, serve};
pub use session::Session;
pub(super) use streams::Context;

/// Streams of one connection at once: what browsers and common servers use.
const MAX_STREAMS: u32 = 128;
/// Window of a stream and of a connection before anybody says otherwise (RFC 9113 §6.9.2).
const DEFAULT_WINDOW: u32 = 65_535;
/// Content of one stream that may wait here for its reader.
const STREAM_WINDOW: u32 = 256 * 1024;
/// Content of all streams of a connection that may wait here: the bound of its memory.
const CONNECTION_WINDOW: u32 = 1024 * 1024;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod turns_tests;
