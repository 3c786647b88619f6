//! The edge: a caching reverse proxy as a library.
//!
//! A request walks `listen -> admit -> route -> cache -> compress -> origin`; `pipeline.rs` shows the
//! whole way on one screen. Rooms import `exchange`, `config` and `error`, never one another.

pub mod config;
pub mod error;
pub mod exchange;
pub mod listen;

pub use error::{Error, ErrorKind};
