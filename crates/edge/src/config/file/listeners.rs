//! Listeners and certificates as text.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use toml::Spanned;
use toml::de::DeValue;

use super::problem::Wrong;
use super::setting::{Setting, text};
use crate::config::listen::{Listener, Place, Protocol};

/// `":80"`, `"https://0.0.0.0:443"`, `"unix:/run/forebay.sock"`, `"systemd:web"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listening {
    written: String,
    place: Where,
    pub(super) protocol: Protocol,
}

/// A place before it is known whether the machine has IPv6.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Where {
    Everywhere(u16),
    There(Place),
}

const HINT: &str = "write `:80`, `0.0.0.0:80`, `[::]:80`, `unix:/run/forebay.sock` or \
                    `systemd:NAME`, and `https://` before it for TLS";

impl Listening {
    /// Everywhere on a port.
    pub(super) fn everywhere(port: u16, protocol: Protocol) -> Listening {
        let scheme = if protocol == Protocol::Tls { "https://" } else { "" };
        Listening { written: format!("{scheme}:{port}"), place: Where::Everywhere(port), protocol }
    }

    /// The sockets: a port alone is one for IPv4 and, where the machine has it, one for IPv6.
    pub(super) fn listeners(&self, has_ipv6: bool) -> Vec<Listener> {
        let at = |place| Listener { place, protocol: self.protocol };
        match &self.place {
            Where::There(place) => vec![at(place.clone())],
            Where::Everywhere(port) => {
                let v4 = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), *port);
                let v6 = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), *port);
                let v6 = has_ipv6.then(|| at(Place::Tcp(v6)));
                [at(Place::Tcp(v4))].into_iter().chain(v6).collect()
            }
        }
    }
}

impl Setting for Listening {
    fn read(value: &Spanned<DeValue<'_>>) -> Result<Listening, Wrong> {
        let written = text(value, "a listener", HINT)?;
        let (protocol, rest) = match written.split_once("://") {
            Some(("https", rest)) => (Protocol::Tls, rest),
            Some(("http", rest)) => (Protocol::Plain, rest),
            Some(_) => {
                return Err(Wrong::new(format!("is not a listener: `{written}`")).hint(HINT));
            }
            None => (Protocol::Plain, written),
        };
        let place = spot(rest.strip_suffix('/').unwrap_or(rest), written)?;
        Ok(Listening { written: written.to_owned(), place, protocol })
    }

    fn show(&self) -> String {
        format!("\"{}\"", self.written)
    }
}

impl Setting for Place {
    fn read(value: &Spanned<DeValue<'_>>) -> Result<Place, Wrong> {
        const HINT: &str = "write `127.0.0.1:7400` or `unix:/run/forebay-admin.sock`";
        let written = text(value, "an address", HINT)?;
        match spot(written, written)? {
            Where::There(place @ (Place::Tcp(_) | Place::Unix(_))) => Ok(place),
            Where::There(Place::Systemd(_)) | Where::Everywhere(_) => {
                Err(Wrong::new(format!("names no address: `{written}`")).hint(HINT))
            }
        }
    }

    fn show(&self) -> String {
        match self {
            Place::Tcp(address) => format!("\"{address}\""),
            Place::Unix(path) => format!("\"unix:{}\"", path.display()),
            Place::Systemd(name) => format!("\"systemd:{name}\""),
        }
    }
}

fn spot(rest: &str, written: &str) -> Result<Where, Wrong> {
    let wrong = |why: &str| Wrong::new(format!("{why}: `{written}`")).hint(HINT);
    if let Some(path) = rest.strip_prefix("unix:") {
        let is_absolute = path.starts_with('/');
        return if is_absolute {
            Ok(Where::There(Place::Unix(PathBuf::from(path))))
        } else {
            Err(wrong("is not an absolute path"))
        };
    }
    if let Some(name) = rest.strip_prefix("systemd:") {
        // What systemd permits in FileDescriptorName=.
        let is_name = name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':');
        return if is_name && !name.is_empty() {
            Ok(Where::There(Place::Systemd(name.to_owned())))
        } else {
            Err(wrong("names no socket of systemd"))
        };
    }
    let port = rest.rsplit_once(':').map(|(_, port)| port);
    let is_number = port.is_some_and(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()));
    if is_number && port.is_some_and(|p| p.parse::<u16>().is_err()) {
        return Err(wrong("has a port above 65535"));
    }
    let place = match rest.strip_prefix(':').and_then(|port| port.parse().ok()) {
        Some(port) => Where::Everywhere(port),
        None => Where::There(Place::Tcp(rest.parse().map_err(|_| wrong("is not a listener"))?)),
    };
    if place == Where::Everywhere(0) {
        return Err(Wrong::new(format!("has port 0: `{written}`"))
            .hint("name a port; `127.0.0.1:0` lets the machine choose one"));
    }
    Ok(place)
}
