//! `[maintenance]`: what clients get while an application is worked on, and who may pass.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;

use super::admit::{Proxy, names_client};

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
    pub fn allows(&self, has_peer: bool, address: IpAddr) -> bool {
        names_client(&self.allow, has_peer, address)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_no_pass_for_those_who_come_by_a_proxy_on_it() {
        let settings = Maintenance { allow: vec![Proxy::Unix], ..Maintenance::default() };
        assert!(settings.allows(false, [127, 0, 0, 1].into()));
        assert!(!settings.allows(false, [192, 0, 2, 1].into()), "a proxy told that address");
    }
}
