//! From bytes to a header, both versions. Our own: it is a page of code, it meets strangers' bytes before
//! anything else does, and the crates that do it allocate or take more than the protocol permits.
//!
//! After `proxy-protocol.txt` of `HAProxy`, revision 2020/03/05. A receiver must be strict: what is not exactly
//! as written there closes the connection.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

/// Longest header that is taken. Version 1 has 107 bytes, version 2 says its length itself: what balancers
/// add to the addresses (TLVs) is far below this.
pub const MOST_BYTES: usize = 2048;

/// Longest line of version 1, with its end.
const LONGEST_LINE: usize = 107;
const LINE_BEGINS: &[u8] = b"PROXY ";
/// What version 2 begins with: no protocol that anybody speaks on a port begins like it.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// What a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// The sender speaks for itself (`LOCAL`: a health check), or does not know for whom (`UNKNOWN`).
    Own,
    /// It passes on what a client sends.
    Of {
        /// The client.
        source: SocketAddr,
        /// Where the client connected.
        destination: SocketAddr,
    },
}

impl Header {
    /// The client.
    pub fn source(self) -> Option<SocketAddr> {
        match self {
            Header::Own => None,
            Header::Of { source, .. } => Some(source),
        }
    }
}

/// No header, or one that is not as it must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a PROXY header")]
pub struct Malformed;

/// Reads a header from the beginning of a connection. Out: what it says and how long it is; `None` if
/// more bytes are needed.
pub fn parse(bytes: &[u8]) -> Result<Option<(Header, usize)>, Malformed> {
    let begins_as = |what: &[u8]| {
        let length = what.len().min(bytes.len());
        bytes.get(..length) == what.get(..length)
    };
    if begins_as(SIGNATURE) {
        binary(bytes)
    } else if begins_as(LINE_BEGINS) {
        line(bytes)
    } else {
        Err(Malformed)
    }
}

/// Version 1: `PROXY TCP4 192.0.2.1 198.51.100.1 56324 443`.
fn line(bytes: &[u8]) -> Result<Option<(Header, usize)>, Malformed> {
    let looked_at = bytes.get(..LONGEST_LINE).unwrap_or(bytes);
    let Some(end) = looked_at.iter().position(|byte| *byte == b'\n') else {
        return if looked_at.len() < LONGEST_LINE { Ok(None) } else { Err(Malformed) };
    };
    let line = looked_at.get(..end).and_then(|line| line.strip_suffix(b"\r")).ok_or(Malformed)?;
    let line = line.strip_prefix(LINE_BEGINS).ok_or(Malformed)?;
    // Whatever follows UNKNOWN has no meaning.
    let header = if line == b"UNKNOWN" || line.starts_with(b"UNKNOWN ") {
        Header::Own
    } else {
        words(std::str::from_utf8(line).map_err(|_| Malformed)?)?
    };
    Ok(Some((header, end + 1)))
}

fn words(line: &str) -> Result<Header, Malformed> {
    let mut words = line.split(' ');
    let mut next = || words.next().ok_or(Malformed);
    let (family, source, destination) = (next()?, next()?, next()?);
    let (source_port, destination_port) = (port(next()?)?, port(next()?)?);
    if words.next().is_some() {
        return Err(Malformed);
    }
    let (source, destination) = match family {
        "TCP4" => (IpAddr::V4(address(source)?), IpAddr::V4(address(destination)?)),
        "TCP6" => (IpAddr::V6(address(source)?), IpAddr::V6(address(destination)?)),
        _ => return Err(Malformed),
    };
    Ok(Header::Of {
        source: (source, source_port).into(),
        destination: (destination, destination_port).into(),
    })
}

fn address<A: FromStr>(text: &str) -> Result<A, Malformed> {
    text.parse().map_err(|_| Malformed)
}

/// Digits alone, and none that says nothing.
fn port(text: &str) -> Result<u16, Malformed> {
    let is_plain =
        text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if is_plain { address(text) } else { Err(Malformed) }
}

/// Version 2: signature, version and command, family and transport, length, addresses, TLVs.
fn binary(bytes: &[u8]) -> Result<Option<(Header, usize)>, Malformed> {
    let Some((head, rest)) = bytes.split_first_chunk::<16>() else { return Ok(None) };
    let [.., command, family, high, low] = *head;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > MOST_BYTES - head.len() {
        return Err(Malformed);
    }
    let is_local = match command {
        0x20 => true,
        0x21 => false,
        _ => return Err(Malformed),
    };
    let Some(block) = rest.get(..length) else { return Ok(None) };
    let header = if is_local { Header::Own } else { addresses(family, block)? };
    Ok(Some((header, head.len() + length)))
}

/// The addresses; what follows them is not looked at.
fn addresses(family: u8, block: &[u8]) -> Result<Header, Malformed> {
    match family {
        // Unspecified; Unix sockets at the balancer, which have no address that would say anything.
        0x00 | 0x31 | 0x32 => Ok(Header::Own),
        // TCP, and UDP: a balancer that ends QUIC names the address all the same.
        0x11 | 0x12 => {
            let (source, block) = block.split_first_chunk::<4>().ok_or(Malformed)?;
            let (destination, block) = block.split_first_chunk::<4>().ok_or(Malformed)?;
            with_ports((*source).into(), (*destination).into(), block)
        }
        0x21 | 0x22 => {
            let (source, block) = block.split_first_chunk::<16>().ok_or(Malformed)?;
            let (destination, block) = block.split_first_chunk::<16>().ok_or(Malformed)?;
            with_ports((*source).into(), (*destination).into(), block)
        }
        _ => Err(Malformed),
    }
}

fn with_ports(source: IpAddr, destination: IpAddr, block: &[u8]) -> Result<Header, Malformed> {
    let ([a, b, c, d], _) = block.split_first_chunk::<4>().ok_or(Malformed)?;
    Ok(Header::Of {
        source: (source, u16::from_be_bytes([*a, *b])).into(),
        destination: (destination, u16::from_be_bytes([*c, *d])).into(),
    })
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
