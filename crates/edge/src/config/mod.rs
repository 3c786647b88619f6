//! The edge's settings after they are checked: what the rooms read.
//!
//! In: raw TOML or the flags of `forebay run`. Out: one [`Config`], immutable, swapped
//! whole on reload. Every default is a constant in its room's file with one line of reason. Nothing
//! here reads files, arguments or the environment: the binary does.

pub mod admin;
pub mod admit;
pub mod cache;
pub mod compress;
pub mod file;
pub mod listen;
pub mod log;
pub mod origin;
pub mod policy;
pub mod route;
pub mod template;

use std::sync::Arc;

/// Everything the edge is told.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Sockets, certificates, deadlines.
    pub listen: listen::Listen,
    /// Who and how much may come in.
    pub admit: admit::Admit,
    /// Which request goes where; tried in this order.
    pub routes: Vec<route::Route>,
    /// The store.
    pub cache: cache::Cache,
    /// Encodings.
    pub compress: compress::Compress,
    /// Applications behind the edge, by name.
    pub origins: Vec<Arc<origin::Origin>>,
    /// Access log.
    pub log: log::Log,
    /// The listener for operators.
    pub admin: admin::Admin,
}
