//! The whole way on real sockets: client, edge, origin.

mod collector;
mod early;
mod encodings;
mod ending;
mod files;
#[path = "../listening/frames.rs"]
#[expect(dead_code, reason = "the client's tests use all of it")]
mod frames;
mod gate;
mod geo;
mod guarded;
mod hashed;
mod hops;
mod hostile_http2;
mod introduced;
mod late;
mod leaving;
mod logged;
mod maintenance;
mod mirrored;
mod misdirected;
mod mmdb;
mod otlp;
mod parts;
mod personal;
mod protobuf;
mod purging;
mod rates;
mod reloading;
mod rulings;
mod schemes;
mod sendfile;
mod sharing;
mod shedding;
mod signed;
mod split;
mod statsd;
mod streaming;
mod support;
mod throttled;
mod tls;
mod twins;
mod uploads;
mod users;
mod vouched;
