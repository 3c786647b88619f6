//! Whose request it is, when trusted proxies stand before us.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName};

use crate::config::admit::{Admit, ForwardedField};
use crate::exchange::{Exchange, Scheme, VIEWER};

/// RFC 7239.
pub const FORWARDED: HeaderName = http::header::FORWARDED;
/// De facto: addresses from client to last proxy.
pub const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// De facto: scheme towards the client.
pub const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// De facto: host that the client asked for.
pub const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// What their names begin with.
const X_FORWARDED: &str = "x-forwarded";

/// Most hops that are looked at: a longer chain is a client that plays with us.
const MAX_HOPS: usize = 32;

/// Believes the field of trusted proxies and removes the other one, and all those of everybody else.
pub(super) fn settle(settings: &Admit, exchange: &mut Exchange) {
    let fields = &mut exchange.head.fields;
    if !settings.trusts_peer(exchange.client.peer) {
        return remove(fields, is_claim);
    }
    match settings.forwarded_field {
        ForwardedField::XForwardedFor => remove(fields, |name| *name == FORWARDED),
        ForwardedField::Forwarded => remove(fields, |name| name.as_str().starts_with(X_FORWARDED)),
    }
    if let Some(address) = first_stranger(settings, fields) {
        exchange.client.address = address;
    }
    if let Some(scheme) = scheme(settings, fields) {
        exchange.client.scheme = scheme;
    }
}

fn remove(fields: &mut HeaderMap, is_one: fn(&HeaderName) -> bool) {
    while let Some(name) = fields.keys().find(|name| is_one(name)).cloned() {
        fields.remove(name);
    }
}

/// Fields that claim to come from a proxy, in any spelling an application might read.
pub fn is_claim(name: &HeaderName) -> bool {
    let name = name.as_str();
    // Most fields are none, and each request has some.
    if !matches!(name.as_bytes().first(), Some(b'c' | b'f' | b't' | b'x')) {
        return false;
    }
    name.starts_with(X_FORWARDED)
        || name.starts_with(VIEWER)
        || matches!(
            name,
            "forwarded"
                | "x-real-ip"
                | "client-ip"
                | "x-client-ip"
                | "true-client-ip"
                | "cf-connecting-ip"
                | "x-cluster-client-ip"
                | "front-end-https"
                | "x-url-scheme"
                | "x-host"
                | "x-original-host"
                | "x-http-host-override"
                | "x-original-url"
                | "x-rewrite-url"
        )
}

/// True for an address in a trusted network.
pub fn is_trusted(settings: &Admit, address: IpAddr) -> bool {
    settings.trusts(address)
}

/// Walks from our neighbour outwards and stops at the first address that nobody vouches for.
fn first_stranger(settings: &Admit, fields: &HeaderMap) -> Option<IpAddr> {
    let hops = match settings.forwarded_field {
        ForwardedField::XForwardedFor => x_for(fields),
        ForwardedField::Forwarded => forwarded_for(fields),
    };
    let mut last_known = None;
    for hop in hops.into_iter().rev().take(MAX_HOPS) {
        let Some(address) = hop else { break };
        last_known = Some(address);
        if !is_trusted(settings, address) {
            break;
        }
    }
    last_known
}

fn x_for(fields: &HeaderMap) -> Vec<Option<IpAddr>> {
    items(fields, &X_FORWARDED_FOR).map(|item| node(item?.trim())).collect()
}

fn forwarded_for(fields: &HeaderMap) -> Vec<Option<IpAddr>> {
    items(fields, &FORWARDED).map(|element| parameter(element?, "for").and_then(node)).collect()
}

/// Members of all lines; one that is no text is there all the same, so that the walk ends at it.
fn items<'f>(fields: &'f HeaderMap, name: &HeaderName) -> impl Iterator<Item = Option<&'f str>> {
    let lines = fields.get_all(name).into_iter();
    lines
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .map(|item| std::str::from_utf8(item).ok())
}

fn scheme(settings: &Admit, fields: &HeaderMap) -> Option<Scheme> {
    let nearest = |name: &HeaderName| {
        let line = fields.get_all(name).into_iter().next_back()?;
        line.to_str().ok()?.rsplit(',').next().map(str::trim)
    };
    let token = match settings.forwarded_field {
        ForwardedField::XForwardedFor => nearest(&X_FORWARDED_PROTO),
        ForwardedField::Forwarded => {
            nearest(&FORWARDED).and_then(|element| parameter(element, "proto"))
        }
    };
    match token? {
        token if token.eq_ignore_ascii_case("https") => Some(Scheme::Https),
        token if token.eq_ignore_ascii_case("http") => Some(Scheme::Http),
        _ => None,
    }
}

/// A parameter of one `Forwarded` element; quotes are taken off.
fn parameter<'a>(element: &'a str, wanted: &str) -> Option<&'a str> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case(wanted).then(|| value.trim().trim_matches('"'))
    })
}

/// `192.0.2.1`, `192.0.2.1:80`, `[2001:db8::1]:80`, `2001:db8::1`; not `unknown`, not `_hidden`.
fn node(text: &str) -> Option<IpAddr> {
    let address = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0.parse().ok()?,
        None => match text.parse::<IpAddr>() {
            Ok(address) => address,
            Err(_) => text.rsplit_once(':')?.0.parse().ok()?,
        },
    };
    Some(IpAddr::to_canonical(&address))
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use http::{HeaderValue, Method, Uri, Version};
    use proptest::prelude::*;

    use super::*;
    use crate::exchange::{Body, Client, Head, Stamps};

    fn exchange(peer: &str, fields: &[(&HeaderName, &str)]) -> Exchange {
        let peer: SocketAddr = peer.parse().expect("an address");
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(*name, HeaderValue::from_str(value).expect("a value"));
        }
        Exchange {
            id: [b'0'; 32],
            client: Client {
                peer: Some(peer),
                address: peer.ip(),
                scheme: Scheme::Http,
                server_name: None,
            },
            head: Head {
                method: Method::GET,
                uri: Uri::from_static("/"),
                authority: "a".into(),
                version: Version::HTTP_11,
                fields: map,
            },
            body: Body::Empty,
            upgrade: None,
            stamps: Stamps::new(forebay_signals::clock::now()),
        }
    }

    fn settings() -> Admit {
        let nets = ["10.0.0.0/8", "2001:db8:1::/48"];
        let trusted_proxies = nets.iter().map(|net| net.parse().expect("a network")).collect();
        Admit { trusted_proxies, ..Admit::default() }
    }

    fn settings_of(name: &HeaderName) -> Admit {
        let is_newer = *name == FORWARDED;
        let forwarded_field =
            if is_newer { ForwardedField::Forwarded } else { ForwardedField::XForwardedFor };
        Admit { forwarded_field, ..settings() }
    }

    #[test]
    fn a_strangers_claims_are_removed() {
        let mut x =
            exchange("192.0.2.9:1", &[(&X_FORWARDED_FOR, "1.1.1.1"), (&FORWARDED, "for=1.1.1.1")]);
        settle(&settings(), &mut x);
        assert_eq!(x.client.address.to_string(), "192.0.2.9");
        assert!(x.head.fields.is_empty());
    }

    #[test]
    fn the_walk_ends_at_the_first_address_that_nobody_vouches_for() {
        for (fields, expected) in [
            (vec![(&X_FORWARDED_FOR, "6.6.6.6, 203.0.113.7, 10.1.1.1")], "203.0.113.7"),
            (
                vec![(&X_FORWARDED_FOR, "6.6.6.6"), (&X_FORWARDED_FOR, "203.0.113.7,10.1.1.1")],
                "203.0.113.7",
            ),
            (
                vec![(&FORWARDED, "for=6.6.6.6, for=\"[2001:db8::7]:4711\";proto=https")],
                "2001:db8::7",
            ),
            (vec![(&FORWARDED, "for=6.6.6.6, for=unknown")], "10.0.0.1"),
            (vec![(&X_FORWARDED_FOR, "10.2.2.2")], "10.2.2.2"),
            (vec![(&X_FORWARDED_FOR, "6.6.6.6, garbage, 10.2.2.2")], "10.2.2.2"),
            (vec![(&X_FORWARDED_FOR, "203.0.113.7:8080")], "203.0.113.7"),
        ] {
            let mut x = exchange("10.0.0.1:1", &fields);
            settle(&settings_of(fields[0].0), &mut x);
            assert_eq!(x.client.address.to_string(), expected, "{fields:?}");
        }
    }

    #[test]
    fn a_clients_own_word_behind_a_proxy_is_not_the_proxys() {
        let said = [
            (&FORWARDED, "for=1.1.1.1;proto=https"),
            (&X_FORWARDED_FOR, "203.0.113.7"),
            (&X_FORWARDED_PROTO, "http"),
        ];
        let mut x = exchange("10.0.0.1:1", &said);
        settle(&settings(), &mut x);
        assert_eq!(x.client.address.to_string(), "203.0.113.7");
        assert_eq!(x.client.scheme, Scheme::Http);
        assert!(!x.head.fields.contains_key(FORWARDED), "nor is the origin told");
        let mut x = exchange("10.0.0.1:1", &said);
        settle(&settings_of(&FORWARDED), &mut x);
        assert_eq!(x.client.address.to_string(), "1.1.1.1");
        assert_eq!(x.client.scheme, Scheme::Https);
        assert_eq!(x.head.fields.keys_len(), 1, "{:?}", x.head.fields);
    }

    #[test]
    fn a_proxy_on_a_unix_socket_is_believed_where_that_is_said() {
        for (trusted, expected) in [("unix", "203.0.113.7"), ("10.0.0.0/8", "127.0.0.1")] {
            let mut x = exchange("127.0.0.1:1", &[(&X_FORWARDED_FOR, "203.0.113.7")]);
            x.client.peer = None;
            let trusted_proxies = vec![trusted.parse().expect("a proxy")];
            settle(&Admit { trusted_proxies, ..Admit::default() }, &mut x);
            assert_eq!(x.client.address.to_string(), expected);
        }
    }

    #[test]
    fn the_walk_ends_at_what_it_cannot_read() {
        let mut x = exchange("10.0.0.1:1", &[(&X_FORWARDED_FOR, "6.6.6.6")]);
        let odd = HeaderValue::from_bytes(b"\xff, 10.2.2.2").expect("a value");
        x.head.fields.append(X_FORWARDED_FOR, odd);
        settle(&settings(), &mut x);
        assert_eq!(x.client.address.to_string(), "10.2.2.2");
    }

    #[test]
    fn a_strangers_claims_are_removed_in_every_spelling_that_applications_read() {
        for name in [
            "x-forwarded-scheme",
            "x-forwarded-ssl",
            "x-forwarded-prefix",
            "x-forwarded",
            "front-end-https",
            "client-ip",
            "true-client-ip",
            "cf-connecting-ip",
            "x-original-url",
            "x-rewrite-url",
            "x-host",
        ] {
            let mut x = exchange("192.0.2.9:1", &[(&HeaderName::from_static(name), "mine")]);
            settle(&settings(), &mut x);
            assert!(x.head.fields.is_empty(), "{name}");
        }
    }

    #[test]
    fn the_scheme_is_the_nearest_proxys() {
        let mut x = exchange("10.0.0.1:1", &[(&X_FORWARDED_PROTO, "http, https")]);
        settle(&settings(), &mut x);
        assert_eq!(x.client.scheme, Scheme::Https);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(line in "[ -~]{0,80}") {
            let mut x = exchange("10.0.0.1:1", &[(&FORWARDED, &line)]);
            settle(&settings_of(&FORWARDED), &mut x);
            let mut x = exchange("10.0.0.1:1", &[(&X_FORWARDED_PROTO, &line)]);
            settle(&settings(), &mut x);
            let mut x = exchange("10.0.0.1:1", &[(&X_FORWARDED_FOR, &line)]);
            settle(&settings(), &mut x);
        }
    }
}
