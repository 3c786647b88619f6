//! The whole way on real sockets: client, edge, origin.

mod encodings;
mod gate;
mod hops;
mod introduced;
mod late;
mod leaving;
mod logged;
mod misdirected;
mod parts;
mod purging;
mod rates;
mod reloading;
mod schemes;
mod sharing;
mod shedding;
mod streaming;
mod support;
mod throttled;
mod tls;
mod uploads;
mod users;
