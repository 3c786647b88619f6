//! From a server's address to a connected socket: names, addresses in turn, TLS.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use forebay_signals::clock;
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Semaphore;

use super::server::Server;
use super::wire::Wire;
use crate::config::origin::{Address, Speaks};

/// Time of one lookup: resolvers try each of their servers for about 5 s.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(10);
/// Lookups at a time in the process. Each holds a thread, also after we stopped waiting for it.
const LOOKUPS: usize = 8;

/// Which protocols a new connection may settle on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Offer {
    /// What the server is set to speak.
    AsSet,
    /// HTTP/1.1 alone: the request is an upgrade.
    Http1,
}

/// What a new connection settled on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// The addresses of a server. The last good ones are kept when the name goes away.
#[derive(Debug)]
pub(super) struct Addresses {
    known: Mutex<Arc<[SocketAddr]>>,
    next: AtomicUsize,
}

impl Addresses {
    pub(super) fn new(address: &Address) -> Addresses {
        let fixed = match address {
            Address::Tcp(host, port) => literal(host).map(|ip| SocketAddr::new(ip, *port)),
            Address::Unix(_) => None,
        };
        let known = fixed.into_iter().collect::<Vec<_>>().into();
        Addresses { known: Mutex::new(known), next: AtomicUsize::new(0) }
    }

    pub(super) fn known(&self) -> Arc<[SocketAddr]> {
        Arc::clone(&self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// True if no address is known yet.
    pub(super) fn is_unknown(&self) -> bool {
        self.known().is_empty()
    }

    /// Looks the name up; what was known stays if that fails or finds nothing.
    pub(super) async fn resolve(&self, address: &Address) -> io::Result<Arc<[SocketAddr]>> {
        let Address::Tcp(host, port) = address else { return Ok(self.known()) };
        if literal(host).is_some() {
            return Ok(self.known());
        }
        let found: Arc<[SocketAddr]> = lookup(host.clone(), *port).await?.into();
        if found.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
        }
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&found);
        Ok(found)
    }

    /// All addresses, beginning with another one each time: connections spread over them.
    async fn in_turn(&self, address: &Address) -> io::Result<Vec<SocketAddr>> {
        let mut known = self.known();
        if known.is_empty() {
            known = self.resolve(address).await?;
        }
        let mut turn = known.to_vec();
        turn.rotate_left(self.next.fetch_add(1, Ordering::Relaxed) % known.len().max(1));
        Ok(turn)
    }
}

/// True if the address holds a name that can change.
pub(super) fn is_name(address: &Address) -> bool {
    matches!(address, Address::Tcp(host, _) if literal(host).is_none())
}

fn literal(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

async fn lookup(host: String, port: u16) -> io::Result<Vec<SocketAddr>> {
    static ALLOWED: Semaphore = Semaphore::const_new(LOOKUPS);
    let find = async {
        let permit = ALLOWED.acquire().await.map_err(io::Error::other)?;
        // A task of its own keeps the permit for as long as the resolver really works.
        let work = tokio::spawn(async move {
            let found = tokio::net::lookup_host((host.as_str(), port)).await.map(Iterator::collect);
            drop(permit);
            found
        });
        work.await.map_err(io::Error::other)?
    };
    clock::timeout(LOOKUP_TIMEOUT, find).await.map_err(|_| late("the lookup took too long"))?
}

/// Connects to `server` within `limit`, TLS included.
pub(super) async fn connect(
    server: &Server,
    offer: Offer,
    limit: Duration,
) -> io::Result<(Wire, Protocol)> {
    let connect = connect_without_limit(server, offer, limit);
    clock::timeout(limit, connect).await.map_err(|_| late("connecting took too long"))?
}

async fn connect_without_limit(
    server: &Server,
    offer: Offer,
    limit: Duration,
) -> io::Result<(Wire, Protocol)> {
    let plain = match (server.speaks(), offer) {
        (Speaks::Http2, _) => Protocol::Http2,
        (Speaks::Http1 | Speaks::Either, _) => Protocol::Http1,
    };
    let stream = match server.address() {
        Address::Unix(path) => {
            return Ok((Wire::Unix(UnixStream::connect(path).await?), plain));
        }
        address @ Address::Tcp(..) => tcp(server.addresses.in_turn(address).await?, limit).await?,
    };
    Ok(match &server.secure {
        None => (Wire::Tcp(stream), plain),
        Some(secure) => {
            let connector = match offer {
                Offer::AsSet => &secure.connector,
                Offer::Http1 => &secure.http1,
            };
            let stream = connector.connect(secure.name.clone(), stream).await?;
            let protocol = match stream.get_ref().1.alpn_protocol() {
                Some(b"h2") => Protocol::Http2,
                // A server without ALPN that is set to HTTP/2 is taken at the setting's word.
                None if offer == Offer::AsSet => plain,
                _ => Protocol::Http1,
            };
            (Wire::Tls(Box::new(stream)), protocol)
        }
    })
}

/// One address after the other, each with its share of the time.
async fn tcp(addresses: Vec<SocketAddr>, limit: Duration) -> io::Result<TcpStream> {
    let share = limit / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match clock::timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Ok(Err(error)) => failure = error,
            Err(_) => failure = late("connecting took too long"),
        }
    }
    Err(failure)
}

fn late(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, what)
}
