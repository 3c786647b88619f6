//! `[admin]`: the listener for operators.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use super::listen::Place;

/// Loopback by default: what it tells and does is for whoever is on the machine.
pub const ADMIN: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 7400));

/// `[admin]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// Where.
    pub place: Place,
}

impl Default for Admin {
    fn default() -> Admin {
        Admin { place: Place::Tcp(ADMIN) }
    }
}
