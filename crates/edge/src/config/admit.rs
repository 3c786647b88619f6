//! `[admit]`: who and how much may come in.

use std::net::IpAddr;

use ipnet::IpNet;

/// Largest head of a request: what the common application servers take too.
pub const MAX_HEAD_BYTES: usize = 32 * 1024;
/// Most fields of a request.
pub const MAX_FIELDS: usize = 100;
/// Longest target.
pub const MAX_URI_BYTES: usize = 8 * 1024;
/// Largest content of a request.
pub const MAX_CONTENT_BYTES: u64 = 1 << 30;
/// Connections open at once, all clients together.
pub const MAX_CONNECTIONS: usize = 20_000;
/// Connections of one address: a large office behind one address stays below.
pub const MAX_CONNECTIONS_PER_ADDRESS: usize = 512;
/// Connections of one IPv4 /24 or IPv6 /48.
pub const MAX_CONNECTIONS_PER_NETWORK: usize = 2_048;
/// Requests in the rooms at once.
pub const MAX_IN_FLIGHT: usize = 20_000;

/// `[admit]`.
#[derive(Debug, Clone)]
pub struct Admit {
    /// Networks whose `Forwarded` and `X-Forwarded-*` are believed. Nobody by default.
    pub trusted_proxies: Vec<IpNet>,
    /// Head.
    pub max_head_bytes: usize,
    /// Fields.
    pub max_fields: usize,
    /// Target.
    pub max_uri_bytes: usize,
    /// Content.
    pub max_content_bytes: u64,
    /// All connections.
    pub max_connections: usize,
    /// Connections of one address; an IPv6 client counts as its /64.
    pub max_connections_per_address: usize,
    /// Connections of one /24 or /48.
    pub max_connections_per_network: usize,
    /// Requests.
    pub max_in_flight: usize,
}

impl Admit {
    /// True for an address in a trusted network.
    pub fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.trusted_proxies.iter().any(|net| net.contains(&address))
    }
}

impl Default for Admit {
    fn default() -> Admit {
        Admit {
            trusted_proxies: Vec::new(),
            max_head_bytes: MAX_HEAD_BYTES,
            max_fields: MAX_FIELDS,
            max_uri_bytes: MAX_URI_BYTES,
            max_content_bytes: MAX_CONTENT_BYTES,
            max_connections: MAX_CONNECTIONS,
            max_connections_per_address: MAX_CONNECTIONS_PER_ADDRESS,
            max_connections_per_network: MAX_CONNECTIONS_PER_NETWORK,
            max_in_flight: MAX_IN_FLIGHT,
        }
    }
}
