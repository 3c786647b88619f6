//! From a server's address to a connected socket: names, addresses in turn, TLS.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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

/// What a look-up changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moved {
    /// No address went.
    No,
    /// Connections to some are not to be used again.
    Yes,
}

/// The addresses of a server. The last good ones are kept when the name goes away.
#[derive(Debug)]
pub(super) struct Addresses {
    known: Mutex<Arc<[Arc<Home>]>>,
    next: AtomicUsize,
}

/// One address, as its connections know it: once the name has moved on they are not used again.
#[derive(Debug)]
pub(super) struct Home {
    address: SocketAddr,
    is_left: AtomicBool,
}

impl Home {
    fn new(address: SocketAddr) -> Arc<Home> {
        Arc::new(Home { address, is_left: AtomicBool::new(false) })
    }

    /// True once the name has moved on.
    pub(super) fn is_left(&self) -> bool {
        self.is_left.load(Ordering::Relaxed)
    }
}

/// A connected socket, what it speaks, and where it leads; a Unix socket does not move.
pub(super) struct Connected {
    pub(super) wire: Wire,
    pub(super) protocol: Protocol,
    pub(super) home: Option<Arc<Home>>,
}

impl Addresses {
    pub(super) fn new(address: &Address) -> Addresses {
        let fixed = match address {
            Address::Tcp(host, port) => literal(host).map(|ip| SocketAddr::new(ip, *port)),
            Address::Unix(_) => None,
        };
        let known = fixed.into_iter().map(Home::new).collect::<Vec<_>>().into();
        Addresses { known: Mutex::new(known), next: AtomicUsize::new(0) }
    }

    /// Those that are connected to now.
    pub(super) fn known(&self) -> Vec<SocketAddr> {
        self.homes().iter().map(|home| home.address).collect()
    }

    fn homes(&self) -> Arc<[Arc<Home>]> {
        Arc::clone(&self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Arc<[Arc<Home>]>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True if no address is known yet.
    pub(super) fn is_unknown(&self) -> bool {
        self.homes().is_empty()
    }

    /// Looks the name up; what was known stays if that fails or finds nothing.
    pub(super) async fn resolve(&self, address: &Address) -> io::Result<Moved> {
        let Address::Tcp(host, port) = address else { return Ok(Moved::No) };
        if literal(host).is_some() {
            return Ok(Moved::No);
        }
        let found = lookup(host.clone(), *port).await?;
        if found.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
        }
        Ok(self.learn(&found))
    }

    /// From now on these are the addresses; those that are not among them any more are left.
    pub(super) fn learn(&self, found: &[SocketAddr]) -> Moved {
        let mut known = self.lock();
        let home_of = |address: &SocketAddr| {
            let kept = known.iter().find(|home| home.address == *address);
            kept.map_or_else(|| Home::new(*address), Arc::clone)
        };
        let now: Arc<[Arc<Home>]> = found.iter().map(home_of).collect();
        let mut moved = Moved::No;
        for home in known.iter().filter(|home| !found.contains(&home.address)) {
            home.is_left.store(true, Ordering::Relaxed);
            moved = Moved::Yes;
        }
        *known = now;
        moved
    }

    /// All addresses, beginning with another one each time: connections spread over them.
    async fn in_turn(&self, address: &Address) -> io::Result<Vec<Arc<Home>>> {
        let mut known = self.homes();
        if known.is_empty() {
            self.resolve(address).await?;
            known = self.homes();
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
) -> io::Result<Connected> {
    let connect = connect_without_limit(server, offer, limit);
    clock::timeout(limit, connect).await.map_err(|_| late("connecting took too long"))?
}

async fn connect_without_limit(
    server: &Server,
    offer: Offer,
    limit: Duration,
) -> io::Result<Connected> {
    let plain = match (server.speaks(), offer) {
        (Speaks::Http2, _) => Protocol::Http2,
        (Speaks::Http1 | Speaks::Either, _) => Protocol::Http1,
    };
    let (stream, home) = match server.address() {
        Address::Unix(path) => {
            let wire = Wire::Unix(UnixStream::connect(path).await?);
            return Ok(Connected { wire, protocol: plain, home: None });
        }
        address @ Address::Tcp(..) => tcp(server.addresses.in_turn(address).await?, limit).await?,
    };
    let (wire, protocol) = match &server.secure {
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
    };
    Ok(Connected { wire, protocol, home: Some(home) })
}

/// One address after the other, each with its share of the time.
async fn tcp(homes: Vec<Arc<Home>>, limit: Duration) -> io::Result<(TcpStream, Arc<Home>)> {
    let share = limit / u32::try_from(homes.len().max(1)).unwrap_or(u32::MAX);
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for home in homes {
        match clock::timeout(share, TcpStream::connect(home.address)).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true)?;
                return Ok((stream, home));
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
