//! Every section and key: the one source for complaints about unknown keys and for the reference.

mod acme;
mod forward_auth;
mod geo;
mod maintenance;
mod origins;
mod rates;
mod rooms;
mod routes;
mod statsd;

pub use acme::ACME;
pub use forward_auth::{BASIC_AUTH, FORWARD_AUTH, MIRROR};
pub use geo::GEO;
pub use maintenance::MAINTENANCE;
pub use origins::{ORIGIN, PROBE, SERVER};
pub use rates::RATE;
pub use rooms::{ADMIN, ADMIT, CACHE, CERTIFICATE, COMPRESS, LISTEN, LOG, PURGE};
pub use routes::{ANSWER, FIELDS, FILES, POLICY, QUERY, REDIRECT, ROUTE};
pub use statsd::STATSD;

/// A section of the config file, or a table within one.
#[derive(Debug)]
pub struct Section {
    /// `listen`; `origin.probe` for a table within.
    pub name: &'static str,
    /// As it stands in the file: `[listen]`, `[[route]]`, `probe = { … }`.
    pub header: &'static str,
    /// What it is for.
    pub doc: &'static str,
    /// Its keys.
    pub keys: &'static [Key],
}

/// A key.
#[derive(Debug)]
pub struct Key {
    /// Name.
    pub name: &'static str,
    /// Kind of value.
    pub kind: &'static str,
    /// Default as one would write it; empty if there is none and the key is needed.
    pub default: &'static str,
    /// One sentence.
    pub doc: &'static str,
    /// A value as one would write it.
    pub example: &'static str,
}

/// All of them, in the order of the way.
pub const SECTIONS: [&Section; 26] = [
    &LISTEN,
    &CERTIFICATE,
    &ACME,
    &ADMIT,
    &ROUTE,
    &BASIC_AUTH,
    &MIRROR,
    &REDIRECT,
    &ANSWER,
    &FILES,
    &FIELDS,
    &POLICY,
    &QUERY,
    &RATE,
    &FORWARD_AUTH,
    &MAINTENANCE,
    &GEO,
    &CACHE,
    &PURGE,
    &COMPRESS,
    &ORIGIN,
    &SERVER,
    &PROBE,
    &LOG,
    &STATSD,
    &ADMIN,
];
