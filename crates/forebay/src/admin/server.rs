//! Sockets of the admin listener.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use forebay_edge::config::listen::Place;
use forebay_edge::exchange::{Client, Scheme};
use forebay_edge::listen::{self, http1};
use forebay_signals::clock;
use forebay_signals::drain::Drain;
use tokio::net::{TcpListener, TcpSocket, UnixListener};
use tokio::task::{JoinHandle, JoinSet};

use super::answers::{Desk, answer};
use crate::report::Problem;

/// Time for the last answers of a listener that was moved.
const LAST_ANSWERS: Duration = Duration::from_secs(10);
/// Connections that wait to be accepted.
const BACKLOG: u32 = 128;
/// Connections at once; an operator and a scraper need a few.
const MOST_CONNECTIONS: usize = 64;

/// The bound listener.
pub(crate) struct Admin {
    /// As the settings say it.
    place: Place,
    socket: Socket,
}

enum Socket {
    /// TCP, loopback by default.
    Tcp(TcpListener),
    /// Unix socket, removed at the end.
    Unix(UnixListener),
}

impl Admin {
    /// Binds the place from the settings.
    pub(crate) async fn bind(place: &Place) -> Result<Admin, Problem> {
        Admin::bind_beside(place, None).await
    }

    /// The same; `before` is ours and goes once this one is in force, so that it may have the port.
    async fn bind_beside(place: &Place, before: Option<&Admin>) -> Result<Admin, Problem> {
        let socket = match place {
            Place::Tcp(address) => {
                tcp(*address, before).await.map(Socket::Tcp).map_err(|error| {
                    Problem::new(format!("cannot bind `{address}` for [admin]"))
                        .because(error)
                        .hint("another forebay may run already; give this one `--admin 127.0.0.1:0` or another port")
                })
            }
            // The settings take no such place for operators.
            Place::Systemd(_) => Err(Problem::ours("operators need an address of their own")),
            Place::Unix(path) => {
                remove_stale(path);
                UnixListener::bind(path).map(Socket::Unix).map_err(|error| {
                    Problem::new(format!("cannot bind `{}` for [admin]", path.display()))
                        .because(error)
                        .hint("the folder must exist and be writable, and no other forebay may use the socket")
                })
            }
        };
        Ok(Admin { place: place.clone(), socket: socket? })
    }

    /// Where it listens, as `--admin` takes it.
    fn address(&self) -> String {
        match (&self.socket, &self.place) {
            (Socket::Tcp(listener), _) => {
                listener.local_addr().map_or_else(|_| "?".into(), |a| a.to_string())
            }
            (Socket::Unix(_), Place::Unix(path)) => format!("unix:{}", path.display()),
            (Socket::Unix(_), Place::Tcp(_) | Place::Systemd(_)) => "?".into(),
        }
    }

    fn reach(&self) -> Reach {
        match self.place {
            Place::Tcp(address) if !address.ip().is_loopback() => Reach::Everybody,
            _ => Reach::ThisMachine,
        }
    }
}

/// Binds `address`. Where a listener of ours has the port at an address that overlaps with it, the kernel
/// is told for a moment that the two may share it: neither is closed before it is known that the other
/// can be had, and whoever else has the port is told of as always.
async fn tcp(address: SocketAddr, before: Option<&Admin>) -> io::Result<TcpListener> {
    let refused = match TcpListener::bind(address).await {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => error,
        bound => return bound,
    };
    let Some(Admin { socket: Socket::Tcp(before), .. }) = before else { return Err(refused) };
    if before.local_addr()?.port() != address.port() {
        return Err(refused);
    }
    let share = rustix::net::sockopt::set_socket_reuseport;
    share(before, true)?;
    let bound = bind_shared(address);
    share(before, false)?;
    let bound = bound?;
    share(&bound, false)?;
    Ok(bound)
}

fn bind_shared(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// A socket that nobody answers on is left from a process that was killed.
fn remove_stale(path: &PathBuf) {
    if std::os::unix::net::UnixStream::connect(path).is_err()
        && path.exists()
        && let Err(error) = std::fs::remove_file(path)
    {
        tracing::debug!(path = %path.display(), %error, "stale socket not removed");
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        if let Place::Unix(path) = &self.place
            && let Err(error) = std::fs::remove_file(path)
        {
            tracing::debug!(path = %path.display(), %error, "admin socket not removed");
        }
    }
}

/// Who can come to a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// Whoever is on this machine.
    ThisMachine,
    /// Others too: `admin.public` had to permit that.
    Everybody,
}

/// A listener that answers.
pub(crate) struct Serving {
    admin: Arc<Admin>,
    gone: Drain,
    task: JoinHandle<()>,
}

impl Desk {
    /// Binds the listener of changed settings; `None` if it stays where it is.
    pub(crate) async fn prepare_move(&self, place: &Place) -> Result<Option<Admin>, Problem> {
        let before = self.serving().as_ref().map(|serving| Arc::clone(&serving.admin));
        if before.as_ref().is_some_and(|before| before.place == *place) {
            return Ok(None);
        }
        Admin::bind_beside(place, before.as_deref()).await.map(Some)
    }

    /// Answers at `admin` from now on; says where that is. The listener before takes no more
    /// connections and ends with its last answers.
    pub(crate) fn move_to(self: &Arc<Self>, admin: Admin) -> String {
        let (address, admin, gone) = (admin.address(), Arc::new(admin), Drain::default());
        let task = tokio::spawn(serve(Arc::clone(&admin), Arc::clone(self), gone.clone()));
        if let Some(before) = self.serving().replace(Serving { admin, gone, task }) {
            before.gone.begin();
        }
        address
    }

    /// Goes last, so that `/readyz` can say that the edge drains.
    pub(crate) async fn leave(&self, limit: Duration) {
        let serving = self.serving().take();
        if let Some(Serving { admin, gone, task }) = serving {
            gone.begin();
            // The socket closes with whoever holds it last.
            drop(admin);
            drop(clock::timeout(limit, task).await);
        }
    }

    fn serving(&self) -> MutexGuard<'_, Option<Serving>> {
        self.serving.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers until it is told to go.
async fn serve(admin: Arc<Admin>, desk: Arc<Desk>, gone: Drain) {
    let reach = admin.reach();
    let settings =
        Arc::new(http1::Settings { max_content_bytes: 1 << 20, ..http1::Settings::default() });
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let handler = {
            let desk = Arc::clone(&desk);
            move |exchange| answer(Arc::clone(&desk), reach, exchange)
        };
        let full = connections.len() >= MOST_CONNECTIONS;
        tokio::select! {
            () = gone.begun() => break,
            _ = connections.join_next(), if full => {}
            accepted = accept(&admin), if !full => {
                let Some((stream, peer)) = accepted else {
                    // Out of descriptors: the edge has its own pause, this one waits with it.
                    clock::sleep(Duration::from_millis(100)).await;
                    continue;
                };
                let client = client(peer);
                let (settings, gone) = (Arc::clone(&settings), gone.clone());
                connections.spawn(async move {
                    if let Err(error) = stream.serve(client, settings, handler, gone).await {
                        tracing::debug!(%error, "admin connection broke off");
                    }
                });
            }
        }
    }
    drop(admin);
    let last_answers = async { while connections.join_next().await.is_some() {} };
    drop(clock::timeout(LAST_ANSWERS, last_answers).await);
    connections.shutdown().await;
}

enum Stream {
    Tcp(tokio::net::TcpStream),
    Unix(tokio::net::UnixStream),
}

impl Stream {
    async fn serve<H: forebay_edge::listen::Handler>(
        self,
        client: Client,
        settings: Arc<http1::Settings>,
        handler: H,
        gone: Drain,
    ) -> std::io::Result<()> {
        match self {
            Stream::Tcp(io) => {
                let socket = listen::Socket::new(io, BytesMut::new());
                http1::serve(socket, client, settings, handler, gone).await.map(drop)
            }
            Stream::Unix(io) => {
                let socket = listen::Socket::new(io, BytesMut::new());
                http1::serve(socket, client, settings, handler, gone).await.map(drop)
            }
        }
    }
}

async fn accept(admin: &Admin) -> Option<(Stream, Option<SocketAddr>)> {
    match &admin.socket {
        Socket::Tcp(listener) => {
            let (io, peer) = listener.accept().await.ok()?;
            Some((Stream::Tcp(io), Some(peer)))
        }
        Socket::Unix(listener) => {
            let (io, _) = listener.accept().await.ok()?;
            Some((Stream::Unix(io), None))
        }
    }
}

fn client(peer: Option<SocketAddr>) -> Client {
    let address = peer.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |peer| peer.ip());
    Client { peer, address, scheme: Scheme::Http, server_name: None }
}
