//! Every word that Forebay says to a Redis or Valkey server.
//!
//! - [`connect`] makes every connection, and says what becomes of a call when one breaks.
//! - [`script`] is what the server runs for us.
//! - `server`, behind the feature of that name, is a real server for tests and benchmarks.
//!
//! Never: a key or a meaning. Those belong to whoever asks.

pub mod connect;
pub mod script;
#[cfg(feature = "server")]
pub mod server;

pub use redis::{Cmd, Pipeline, Value, cmd, pipe};
