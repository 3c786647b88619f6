//! The whole way on real sockets: client, edge, origin.

mod introduced;
mod leaving;
mod logged;
mod parts;
mod purging;
mod sharing;
mod shedding;
mod streaming;
mod support;
mod uploads;
mod users;
