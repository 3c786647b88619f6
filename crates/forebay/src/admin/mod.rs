//! The listener for operators: health, metrics, status, reload, purge, why.
//!
//! In: HTTP on loopback or a Unix socket. Out: JSON and the Prometheus text format. GET reads, POST acts.
//! It reads the edge through its `view` and changes it through its `act`, and holds no lock of an
//! engine. A browser on the same machine must not be led to it by a strange page: a POST needs
//! `content-type: application/json`, and the host must be a literal address or `localhost`.

mod answers;
mod server;

pub(crate) use answers::{Desk, Status};
pub(crate) use server::Admin;
