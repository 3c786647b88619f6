//! What the origin learns: the client's request with our own fields in place of what a proxy says.

use std::fmt::Write;
use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::admit::{FORWARDED, X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO};
use crate::exchange::Exchange;
use crate::identity::{TRACEPARENT, X_REQUEST_ID, traceparent};

const VIA: HeaderName = http::header::VIA;

/// How much of the client the origin is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shows {
    /// Address and all: an answer to this is for this client alone, or stored by the rules of `Vary`.
    Client,
    /// Scheme and host only: what is shared must not depend on an address that is not in the key.
    NoClient,
}

/// Adds `Forwarded`, `X-Forwarded-*`, `Via`, the request id and `traceparent` (RFC 7239, RFC 9110 §7.6.3).
pub fn introduce(exchange: &Exchange, shows: Shows, fields: &mut HeaderMap) {
    let client = &exchange.client;
    let proto = client.scheme.as_str();
    // Claims of strangers are gone since `admit`; what is still there comes from trusted proxies.
    if shows == Shows::Client {
        let node = client.peer.map_or(client.address, |peer| peer.ip()).to_canonical();
        let mut address = String::with_capacity(40);
        push_address(&mut address, node);
        append(fields, &X_FORWARDED_FOR, &address);
        append(fields, &FORWARDED, &element(node, &exchange.head.authority, proto));
    } else {
        fields.remove(X_FORWARDED_FOR);
        fields.insert(
            FORWARDED,
            value(&format!("host=\"{}\";proto={proto}", exchange.head.authority)),
        );
    }
    fields.insert(X_FORWARDED_PROTO, HeaderValue::from_static(proto));
    // Always the authority that is in the key, even if a trusted proxy says another: an answer must not
    // depend on what the key does not hold.
    fields.insert(X_FORWARDED_HOST, value(&exchange.head.authority));
    match shows {
        Shows::Client => {
            let is_http2 = exchange.head.version == http::Version::HTTP_2;
            append(fields, &VIA, if is_http2 { "2 forebay" } else { "1.1 forebay" });
        }
        // The client's version is not in the key either.
        Shows::NoClient => drop(fields.insert(VIA, HeaderValue::from_static("1.1 forebay"))),
    }
    fields.insert(TRACEPARENT, traceparent(&exchange.head.fields, &exchange.id));
    let id = HeaderValue::from_bytes(&exchange.id).expect("hex digits are a valid value");
    fields.insert(X_REQUEST_ID, id);
}

fn element(node: IpAddr, authority: &str, proto: &str) -> String {
    let mut text = String::with_capacity(64 + authority.len());
    // RFC 7239 §6: an IPv6 address stands in brackets and quotes.
    let (open, close) = if node.is_ipv6() { ("for=\"[", "]\"") } else { ("for=", "") };
    text.push_str(open);
    push_address(&mut text, node);
    text.push_str(close);
    text + ";host=\"" + authority + "\";proto=" + proto
}

/// The four numbers are written by hand: formatting an address costs as much as parsing a head.
fn push_address(text: &mut String, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            for (at, octet) in address.octets().into_iter().enumerate() {
                if at > 0 {
                    text.push('.');
                }
                text.push_str(itoa::Buffer::new().format(octet));
            }
        }
        IpAddr::V6(address) => {
            write!(text, "{address}").expect("writing to a String does not fail");
        }
    }
}

/// One line, our element last: `a, b` in one field reads the same as two (RFC 9110 §5.3).
fn append(fields: &mut HeaderMap, name: &HeaderName, last: &str) {
    if !fields.contains_key(name) {
        fields.insert(name, value(last));
        return;
    }
    let mut text = String::new();
    for line in fields.get_all(name) {
        text.push_str(line.to_str().unwrap_or_default());
        text.push_str(", ");
    }
    text.push_str(last);
    fields.insert(name, value(&text));
}

fn value(text: &str) -> HeaderValue {
    // The parts are an authority that the gate has passed, addresses, and fields that were valid.
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}
