//! The whole way on real sockets: client, edge, origin.

mod gate;
mod hops;
mod introduced;
mod leaving;
mod logged;
mod misdirected;
mod parts;
mod purging;
mod sharing;
mod shedding;
mod streaming;
mod support;
mod uploads;
mod users;
