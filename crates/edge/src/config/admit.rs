//! `[admit]`: who and how much may come in.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

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

/// A proxy before the edge that is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proxy {
    /// By its address.
    Network(IpNet),
    /// Whoever connects to a Unix socket of ours: the rights of its file say who may.
    Unix,
}

/// True if the other end of a connection is one of `proxies`; `None` is a Unix socket's.
pub fn is_among(proxies: &[Proxy], peer: Option<SocketAddr>) -> bool {
    match peer {
        Some(peer) => has_network_of(proxies, peer.ip()),
        None => proxies.contains(&Proxy::Unix),
    }
}

/// True for whoever a list of those who may something names. A Unix socket's clients have no address of their
/// own, that of this machine stands for it; where a trusted proxy told an address, it is that one that counts.
pub(super) fn names_client(allow: &[Proxy], has_peer: bool, address: IpAddr) -> bool {
    if !has_peer && address.to_canonical().is_loopback() {
        return allow.contains(&Proxy::Unix);
    }
    has_network_of(allow, address)
}

fn has_network_of(proxies: &[Proxy], address: IpAddr) -> bool {
    let address = address.to_canonical();
    proxies.iter().any(|proxy| matches!(proxy, Proxy::Network(net) if net.contains(&address)))
}

impl FromStr for Proxy {
    type Err = ipnet::AddrParseError;

    /// `10.0.0.0/8`, `10.0.0.1` or `unix`.
    fn from_str(text: &str) -> Result<Proxy, ipnet::AddrParseError> {
        if text == "unix" {
            return Ok(Proxy::Unix);
        }
        match text.parse::<IpAddr>() {
            Ok(address) => Ok(Proxy::Network(address.into())),
            Err(_) => text.parse().map(Proxy::Network),
        }
    }
}

/// The field in which trusted proxies say whose request it is. They write one of the two and pass on what
/// a client says in the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ForwardedField {
    /// `X-Forwarded-For`, with `X-Forwarded-Proto`: what most write.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// `[admit]`.
#[derive(Debug, Clone)]
pub struct Admit {
    /// Whose word on the client is believed. Nobody's by default.
    pub trusted_proxies: Vec<Proxy>,
    /// Where they say it.
    pub forwarded_field: ForwardedField,
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
        has_network_of(&self.trusted_proxies, address)
    }

    /// True for a trusted proxy at the other end of a connection; `None` is a Unix socket's.
    pub fn trusts_peer(&self, peer: Option<SocketAddr>) -> bool {
        is_among(&self.trusted_proxies, peer)
    }
}

impl Default for Admit {
    fn default() -> Admit {
        Admit {
            trusted_proxies: Vec::new(),
            forwarded_field: ForwardedField::default(),
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
