//! Jobs of applications in any language: delivered by HTTP, or run as a command.
//!
//! - What is this room for: to be the handler of classes that this process does not have in Rust.
//! - In: a job; out: what the application said of it, as the outcome of the run.
//! - Never: a job that counts as done because nobody said otherwise.

pub mod exec;
pub mod http;
mod sign;
mod tls;

pub use self::sign::{BadSecret, Secret};
pub use self::tls::{BadAuthorities, trust};
