//! What the other rooms and the config file read of others.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use forebay_edge::admit;
use forebay_edge::compress::Preferences;
use forebay_edge::config::admit::Admit;
use forebay_edge::config::file::{Layer, Machine, Source, explain, read};
use forebay_edge::exchange::{Body, Client, Encoding, Exchange, Head, Scheme, Stamps};
use forebay_signals::clock;
use http::header::{ACCEPT_ENCODING, HeaderMap};
use http::{HeaderName, Method, Uri, Version};

/// What is chosen is something that the client takes, and nothing that is not there.
pub(crate) fn accept_encoding(bytes: &[u8]) {
    let mut fields = HeaderMap::new();
    for value in super::values(bytes) {
        fields.append(ACCEPT_ENCODING, value);
    }
    let preferences = Preferences::of(&fields);
    let order = [Encoding::Brotli, Encoding::Zstd, Encoding::Gzip];
    let chosen = preferences.best(&order, |_| true);
    assert!(chosen == Encoding::Identity || preferences.accepts(chosen));
    let gzip_only = preferences.best(&order, |encoding| encoding == Encoding::Gzip);
    assert!(matches!(gzip_only, Encoding::Identity | Encoding::Gzip));
    assert_eq!(preferences.best(&order, |_| false), Encoding::Identity);
}

/// A stranger's claims change nothing; a trusted proxy's do what they say or nothing.
pub(crate) fn forwarded(bytes: &[u8]) {
    let stranger = settle(bytes, &Admit::default());
    assert_eq!(stranger.client.address, PEER);
    assert_eq!(stranger.client.scheme, Scheme::Http);
    assert!(FIELDS.iter().all(|name| !stranger.head.fields.contains_key(name)));
    let network = "192.0.2.0/24".parse().expect("a network");
    settle(bytes, &Admit { trusted_proxies: vec![network], ..Admit::default() });
}

const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
const FIELDS: [HeaderName; 4] =
    [admit::FORWARDED, admit::X_FORWARDED_FOR, admit::X_FORWARDED_HOST, admit::X_FORWARDED_PROTO];

/// The first line chooses the field that the others are values of.
fn settle(bytes: &[u8], settings: &Admit) -> Exchange {
    let mut fields = HeaderMap::new();
    for (value, name) in super::values(bytes).zip(FIELDS.iter().cycle()) {
        fields.append(name, value);
    }
    let client = Client {
        peer: Some((PEER, 9).into()),
        address: PEER,
        scheme: Scheme::Http,
        server_name: None,
    };
    let head = Head {
        method: Method::GET,
        uri: Uri::from_static("/"),
        authority: "shop.example".into(),
        version: Version::HTTP_11,
        fields,
    };
    let mut exchange = Exchange {
        id: [b'1'; 32],
        client,
        head,
        body: Body::Empty,
        upgrade: None,
        stamps: Stamps::new(clock::now()),
    };
    // A refusal is an answer too.
    drop(admit::message(settings, |_, _| true, &mut exchange));
    exchange
}

/// Settings are taken whole or refused with a place; both can be printed.
pub(crate) fn config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let nothing = |_: &Path| Err(io::Error::from(io::ErrorKind::NotFound));
    let is_folder = |_: &Path| true;
    let folder = Path::new("/etc");
    let machine = Machine { read: &nothing, is_folder: &is_folder, folder, has_ipv6: true };
    let file = Layer { source: Source::File("forebay.toml".into()), text: text.into() };
    match read(&[file], &machine) {
        Ok(loaded) => assert!(!explain(&loaded.values).is_empty()),
        Err(problems) => assert!(!problems.to_string().is_empty()),
    }
}
