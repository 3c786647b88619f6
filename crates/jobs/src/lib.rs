//! Background jobs in Sidekiq's wire format: nothing lost, on `SQLite`, Redis or Valkey.
//!
//! The way of a job: `push -> store -> fetch -> run -> retry`, with `timer` beside them.
//!
//! - [`perform`] is what a job is in Rust, [`job`] what travels: the payload as Sidekiq writes it, unknown
//!   fields kept.
//! - [`push`] takes jobs in.
//! - [`store`] keeps them; its module says what every store promises.
//! - [`fetch`] leases them, [`run`] runs them, [`retry`] decides what becomes of those that failed.
//! - [`timer`] moves what is due and fires timetables.
//! - [`view`] shows numbers, [`act`] changes what waits.
//! - [`worker`] puts these together; [`testing`] is for tests of applications.

pub mod act;
mod args;
#[cfg(feature = "deliver")]
pub mod deliver;
pub mod fetch;
pub mod job;
pub mod payload;
pub mod perform;
pub mod push;
pub mod retry;
pub mod run;
pub mod store;
pub mod testing;
pub mod time;
pub mod timer;
#[cfg(test)]
mod trial;
pub mod view;
pub mod worker;
