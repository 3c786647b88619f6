//! The real executable in a fresh folder: what it prints, how it ends, what it does to clients.

mod acme;
#[path = "../../../edge/tests/acme/authority.rs"]
mod authority;
mod beside;
mod busiest;
mod collected;
mod demo;
mod explained;
mod jobs;
mod live;
mod managed;
mod metrics;
mod moving_name;
mod operators;
mod refusals;
mod reloading;
mod serving;
mod shapes;
mod support;
mod world;
mod wrapping;
