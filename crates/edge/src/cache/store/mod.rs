//! Where answers are kept.
//!
//! In: whole answers that the rules allow to be stored, each with the [`Ticket`] that its fill took
//! before it asked the origin. Out: shared, immutable [`Object`]s whose field lines and body are handed
//! to any number of clients without being copied. It never decides whether an object may be used (that
//! is `cache::rules`), never holds more bytes than it was given, and never gives out an object whose
//! fill began before it was purged or invalidated.

mod epochs;
mod glance;
mod index;
mod lines;
mod memory;
mod object;
mod passes;
mod purge;
mod purges;
mod selection;
mod twins;
mod varying;

pub use memory::{Found, Memory, Refused, Resized, Statistics, Ticket};
pub use object::{Object, Parts, Unstorable};
pub use passes::Pass;
pub use purges::Purge;
pub use selection::{Effect, Selection};
pub use varying::{MAX_VARIANTS, Varying};

#[cfg(test)]
mod memory_tests;
#[cfg(test)]
mod object_tests;
#[cfg(test)]
mod purge_tests;
