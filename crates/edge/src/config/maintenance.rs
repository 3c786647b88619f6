//! `[maintenance]`: what clients get while an application is worked on, and who may pass.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;

use super::admit::{Proxy, has_network_of};

/// When clients are told to come again: people look again by themselves, robots do as told.
pub const RETRY_AFTER: Duration = Duration::from_secs(300);

/// `[maintenance]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maintenance {
    /// All routes are in maintenance.
    pub is_on: bool,
    /// HTML in place of the plain sentence.
    pub page: Option<Bytes>,
    /// Who passes.
    pub allow: Vec<Proxy>,
    /// What is stored goes on being answered.
    pub serves_hits: bool,
    /// When to come again.
    pub retry_after: Duration,
}

impl Maintenance {
    /// True for a client that passes.
    pub fn allows(&self, peer: Option<SocketAddr>, address: IpAddr) -> bool {
        has_network_of(&self.allow, address)
            || (peer.is_none() && self.allow.contains(&Proxy::Unix))
    }
}

impl Default for Maintenance {
    fn default() -> Maintenance {
        Maintenance {
            is_on: false,
            page: None,
            allow: Vec::new(),
            serves_hits: false,
            retry_after: RETRY_AFTER,
        }
    }
}
