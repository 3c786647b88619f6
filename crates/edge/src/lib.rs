//! The edge: a caching reverse proxy as a library.
//!
//! A request walks `listen -> admit -> route -> cache -> compress -> origin`; `pipeline` shows the
//! whole way on one screen. Rooms import the ground (`exchange`, `http1`, `config`, `error`, `identity`, `hashing`, `trace`),
//! never one another.

pub mod access_log;
pub mod acme;
pub mod act;
pub mod admit;
pub mod cache;
pub mod compress;
pub mod config;
pub mod doorman;
pub mod edge;
pub mod error;
pub mod exchange;
pub mod expiry;
pub mod files;
pub mod forward;
pub mod geo;
mod hashing;
pub mod http1;
pub mod identity;
pub mod listen;
pub mod maintenance;
pub mod mirror;
pub mod origin;
mod part;
pub mod pipeline;
mod purge;
pub mod route;
mod site;
pub mod split;
pub mod telemetry;
pub mod top;
pub mod trace;
pub mod traffic;
pub mod view;

pub use error::{Error, ErrorKind};
