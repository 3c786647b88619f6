//! Background jobs in Sidekiq's wire format: nothing lost, on `SQLite`, Redis or Valkey.
//!
//! The way of a job: `push -> store -> fetch -> run -> retry`, with `timer` beside them.
//!
//! - [`job`] is what travels: the payload as Sidekiq writes it, unknown fields kept.
//! - [`store`] keeps it; its module says what every store promises.
//! - [`retry`] decides what becomes of a job that failed.

pub mod job;
pub mod payload;
pub mod retry;
pub mod store;
pub mod time;
