//! What the origin learns: the client's request with our own fields in place of what a proxy says.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};

use http::{HeaderMap, HeaderName};

use crate::admit::{FORWARDED, X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO};
use crate::exchange::{Exchange, OwnLines};
use crate::identity::{TRACEPARENT, X_REQUEST_ID};

const VIA: HeaderName = http::header::VIA;

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// How much of the client the origin is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shows {
    /// Address and all: an answer to this is for this client alone, or stored by the rules of `Vary`.
    Client,
    /// Scheme and host only: what is shared must not depend on an address that is not in the key.
    NoClient,
}

/// Lines of `Forwarded`, `X-Forwarded-*`, `Via`, the request id and `traceparent` (RFC 7239, RFC 9110
/// §7.6.3); what `fields` say of the same is taken out of them. `trace` is our place in the trace.
pub fn introduce(
    exchange: &Exchange,
    shows: Shows,
    trace: &[u8; 55],
    fields: &mut HeaderMap,
) -> OwnLines {
    let mut lines = OwnLines::with_capacity(USUAL_BYTES);
    let own = &mut lines;
    let client = &exchange.client;
    let (authority, proto) = (exchange.head.authority.as_bytes(), client.scheme.as_str());
    // Claims of strangers are gone since `admit`; what is still there comes from trusted proxies.
    if shows == Shows::Client {
        // A Unix socket has no address: who connects there is on this machine.
        let node = client.peer.map_or(LOCAL, |peer| peer.ip()).to_canonical();
        // Proxies tell of the client in one field; applications may read the other.
        let untold = |fields: &HeaderMap, name: &HeaderName| {
            (client.address != node && !fields.contains_key(name)).then_some(client.address)
        };
        let text = AddressText::of(node);
        let client_first = untold(fields, &X_FORWARDED_FOR).map(AddressText::of);
        add(own, fields, &X_FORWARDED_FOR, |out| {
            if let Some(address) = &client_first {
                out.extend_from_slice(address.as_bytes());
                out.extend_from_slice(b", ");
            }
            out.extend_from_slice(text.as_bytes());
        });
        let client_first = untold(fields, &FORWARDED).map(AddressText::of);
        add(own, fields, &FORWARDED, |out| {
            if let Some(address) = &client_first {
                push_for(out, address);
                out.extend_from_slice(b", ");
            }
            push_for(out, &text);
            push_rest(out, ";host=\"", authority, proto);
        });
    } else {
        fields.remove(X_FORWARDED_FOR);
        set(own, fields, &FORWARDED, |out| push_rest(out, "host=\"", authority, proto));
    }
    set(own, fields, &X_FORWARDED_PROTO, |out| out.extend_from_slice(proto.as_bytes()));
    // Always the authority that is in the key, even if a trusted proxy says another: an answer must not
    // depend on what the key does not hold.
    set(own, fields, &X_FORWARDED_HOST, |out| out.extend_from_slice(authority));
    match shows {
        Shows::Client => {
            let is_http2 = exchange.head.version == http::Version::HTTP_2;
            let version: &[u8] = if is_http2 { b"2 forebay" } else { b"1.1 forebay" };
            add(own, fields, &VIA, |out| out.extend_from_slice(version));
        }
        // The client's version is not in the key either.
        Shows::NoClient => set(own, fields, &VIA, |out| out.extend_from_slice(b"1.1 forebay")),
    }
    set(own, fields, &TRACEPARENT, |out| out.extend_from_slice(trace));
    set(own, fields, &X_REQUEST_ID, |out| out.extend_from_slice(&exchange.id));
    lines
}

/// Room for all of it, so that it is made once.
const USUAL_BYTES: usize = 400;

/// One line of ours in place of any other.
fn set(
    own: &mut OwnLines,
    fields: &mut HeaderMap,
    name: &HeaderName,
    write: impl FnOnce(&mut Vec<u8>),
) {
    fields.remove(name);
    own.push(name.as_str(), write);
}

/// One line, our element last: `a, b` in one field reads the same as two (RFC 9110 §5.3).
fn add(
    own: &mut OwnLines,
    fields: &mut HeaderMap,
    name: &HeaderName,
    write: impl FnOnce(&mut Vec<u8>),
) {
    own.push(name.as_str(), |out| {
        for line in fields.get_all(name) {
            out.extend_from_slice(line.as_bytes());
            out.extend_from_slice(b", ");
        }
        write(out);
    });
    fields.remove(name);
}

fn push_for(out: &mut Vec<u8>, node: &AddressText) {
    // RFC 7239 §6: an IPv6 address stands in brackets and quotes.
    let (open, close) = if node.is_ipv6 { ("for=\"[", "]\"") } else { ("for=", "") };
    out.extend_from_slice(open.as_bytes());
    out.extend_from_slice(node.as_bytes());
    out.extend_from_slice(close.as_bytes());
}

fn push_rest(out: &mut Vec<u8>, host: &str, authority: &[u8], proto: &str) {
    for part in [host.as_bytes(), authority, b"\";proto=", proto.as_bytes()] {
        out.extend_from_slice(part);
    }
}

/// Longest address: eight groups of four digits, the last two as four decimal numbers.
const MOST_ADDRESS_BYTES: usize = 45;

/// An address as text, made once for the lines that say it.
struct AddressText {
    bytes: [u8; MOST_ADDRESS_BYTES],
    length: usize,
    is_ipv6: bool,
}

impl AddressText {
    fn of(address: IpAddr) -> AddressText {
        let is_ipv6 = address.is_ipv6();
        let mut text = AddressText { bytes: [0; MOST_ADDRESS_BYTES], length: 0, is_ipv6 };
        match address {
            // By hand: formatting an address costs as much as parsing a head.
            IpAddr::V4(address) => {
                for (at, octet) in address.octets().into_iter().enumerate() {
                    if at > 0 {
                        text.push(b'.');
                    }
                    text.push_number(octet);
                }
            }
            IpAddr::V6(address) => {
                let mut rest = &mut text.bytes[..];
                write!(rest, "{address}").expect("there is room for the longest address");
                text.length = MOST_ADDRESS_BYTES - rest.len();
            }
        }
        text
    }

    fn push_number(&mut self, octet: u8) {
        if octet >= 100 {
            self.push(b'0' + octet / 100);
        }
        if octet >= 10 {
            self.push(b'0' + octet / 10 % 10);
        }
        self.push(b'0' + octet % 10);
    }

    fn push(&mut self, byte: u8) {
        self.bytes[self.length] = byte;
        self.length += 1;
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    #[test]
    fn addresses_are_written_as_they_are_displayed() {
        let fours = (0..=255).map(|octet| Ipv4Addr::new(octet, 255 - octet, octet / 2, 10).into());
        let longest = Ipv6Addr::new(0x1111, 0x2222, 0x3333, 0x4444, 0x5555, 0x6666, 0x7777, 0x8888);
        let mapped = Ipv4Addr::BROADCAST.to_ipv6_mapped();
        let sixes = [longest, mapped, Ipv6Addr::LOCALHOST, Ipv6Addr::UNSPECIFIED];
        for address in fours.chain(sixes.into_iter().map(IpAddr::from)) {
            let text = AddressText::of(address);
            assert_eq!(String::from_utf8_lossy(text.as_bytes()), address.to_string());
            assert_eq!(text.is_ipv6, address.is_ipv6());
        }
    }
}
