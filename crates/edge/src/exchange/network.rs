//! The network that an address lies in.

use std::net::IpAddr;

use ipnet::IpNet;

/// The network of this many leading bits, by the family of the address; its first address stands for it.
pub fn network(address: IpAddr, ipv4_bits: u8, ipv6_bits: u8) -> IpAddr {
    let address = address.to_canonical();
    let bits = if address.is_ipv4() { ipv4_bits } else { ipv6_bits };
    // More bits than there are name the address itself.
    IpNet::new(address, bits).map_or(address, |net| net.network())
}
