//! The edge: a caching reverse proxy as a library.
//!
//! A request walks `listen -> admit -> route -> cache -> compress -> origin`; `pipeline.rs` shows the
//! whole way on one screen. Rooms import `exchange`, `config` and `error`, never one another.

pub mod access_log;
pub mod admit;
pub mod config;
pub mod error;
pub mod exchange;
pub mod forward;
pub mod identity;
pub mod listen;
pub mod traffic;

pub use error::{Error, ErrorKind};
