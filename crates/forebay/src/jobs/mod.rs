//! Jobs in this process: what the config file says of them, and the worker beside the edge.
//!
//! In: the layers of settings, a word to reload or to end. Out: checked settings for whoever pushes, looks or
//! runs; a worker on threads of its own. Never: an edge that does not start, or serves later, for the sake of jobs.

pub(crate) mod beside;
pub(crate) mod config;
mod environment;
mod metrics;
pub(crate) mod open;
pub(crate) mod reference;
pub(crate) mod runners;
pub(crate) mod timetables;
mod traced;

pub(crate) use config::Jobs;
