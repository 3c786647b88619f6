//! The whole way on real sockets: client, edge, origin.

mod encodings;
mod introduced;
mod late;
mod parts;
mod purging;
mod reloading;
mod sharing;
mod shedding;
mod streaming;
mod support;
mod users;
