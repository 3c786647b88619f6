//! One task a process that leases jobs, starts their runs and tells the store of their ends.
//!
//! - What is this room for: to keep the slots full with as few calls to the store as can be. Ends and fresh
//!   leases go in one step, one step is under way at a time; what ends meanwhile goes with the next.
//! - In: leases from the store, ends from `run`.
//! - Out: runs; ends to the store.
//! - Never: a lease that is forgotten. A step whose answer is lost is told again, and what it may have leased
//!   is asked for. While the store is away, ends wait here; what is leased under a name that was taken to be
//!   dead is finished under that name, and if somebody has taken it over that changes nothing.

mod fetcher;
mod ledger;
mod order;
mod outage;
#[cfg(test)]
mod tests;

pub(crate) use self::fetcher::{Fetcher, Phase};
pub(crate) use self::ledger::Board;
pub use self::order::Order;
pub(crate) use self::outage::{Outage, too_late};
