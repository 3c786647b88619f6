//! The sockets on which the process listens.
//!
//! Each core has a TCP socket of its own (`SO_REUSEPORT`), so that the kernel spreads connections
//! and no core waits for another. A Unix socket cannot be shared so, nor can one that was handed over by a
//! service manager: one core accepts and hands the connections round.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use socket2::{Domain, Protocol as Transport, Socket, Type};
use tokio::sync::mpsc;

use super::inherited::{Accepted, Inherited, Single};
use crate::config::listen::{Listener, Place, Protocol};

/// Connections that wait in the kernel while a core is busy; the kernel cuts it at `somaxconn`.
const BACKLOG: i32 = 4096;
/// Connections of a Unix socket that wait for one core.
const MOST_HANDED: usize = 64;

/// All bound sockets of a process. A clone is the same sockets.
#[derive(Debug, Clone, Default)]
pub struct Sockets {
    bound: Vec<Arc<Bound>>,
}

impl Sockets {
    /// Binds every listener for `cores` cores. What stands in `keep` under the same listener is
    /// taken over as it is; what is new is bound, or found in `inherited`; nothing happens to `keep` if that
    /// fails.
    pub fn bind(
        listeners: &[Listener],
        cores: usize,
        inherited: &Inherited,
        keep: Option<&Sockets>,
    ) -> Result<Sockets, BindError> {
        let mut sockets = Sockets::default();
        for listener in listeners {
            let kept = keep.into_iter().flat_map(|sockets| &sockets.bound);
            let mut same = kept.clone().filter(|bound| bound.listener == *listener).peekable();
            if same.peek().is_some() {
                sockets.bound.extend(same.cloned());
            } else if let Place::Systemd(name) = &listener.place {
                sockets.bound.extend(Bound::inherited(listener, name, cores.max(1), inherited)?);
            } else {
                let mut kept = kept;
                let bound = match kept.find(|bound| bound.listener.place == listener.place) {
                    // The same place with another protocol: the sockets stay, the new loops take over.
                    Some(bound) => bound.again(listener.protocol)?,
                    None => Bound::new(listener, cores.max(1))?,
                };
                sockets.bound.push(Arc::new(bound));
            }
        }
        Ok(sockets)
    }

    /// Where we listen, as it is: a port 0 has become a real one.
    pub fn addresses(&self) -> Vec<Listener> {
        self.bound
            .iter()
            .map(|bound| Listener { place: bound.place(), protocol: bound.listener.protocol })
            .collect()
    }

    pub(super) fn bound(&self) -> &[Arc<Bound>] {
        &self.bound
    }
}

/// One listener with its sockets.
#[derive(Debug)]
pub(super) struct Bound {
    listener: Listener,
    address: Option<SocketAddr>,
    per_core: Vec<Mutex<Door>>,
    /// Removes the socket's file with the last of those who listen on it.
    file: Option<Arc<SocketFile>>,
}

/// Where one core takes its connections from.
#[derive(Debug)]
pub(super) enum Door {
    /// A TCP socket of its own.
    Tcp(TcpListener),
    /// The one socket that there is: this core accepts for all.
    Single(Single, Vec<mpsc::Sender<Accepted>>, mpsc::Receiver<Accepted>),
    /// What the accepting core hands over.
    Handed(mpsc::Receiver<Accepted>),
    /// The core has it already.
    Taken,
}

impl Bound {
    fn new(listener: &Listener, cores: usize) -> Result<Bound, BindError> {
        let failed = |error| BindError::new(&listener.place, error);
        match &listener.place {
            Place::Systemd(_) => Err(failed(io::ErrorKind::NotFound.into())),
            Place::Tcp(address) => {
                probe(*address).map_err(failed)?;
                let first = tcp(*address).map_err(failed)?;
                // With port 0 the kernel chooses for the first one, and the others join it.
                let address = first.local_addr().map_err(failed)?;
                let mut per_core = vec![Mutex::new(Door::Tcp(first))];
                for _ in 1..cores {
                    per_core.push(Mutex::new(Door::Tcp(tcp(address).map_err(failed)?)));
                }
                let listener = listener.clone();
                Ok(Bound { listener, address: Some(address), per_core, file: None })
            }
            Place::Unix(path) => {
                let socket = Single::Unix(unix(path).map_err(failed)?);
                let file = Some(Arc::new(SocketFile(path.clone())));
                let listener = listener.clone();
                Ok(Bound { listener, address: None, per_core: hand_round(socket, cores), file })
            }
        }
    }

    /// All sockets that were handed over under a name.
    fn inherited(
        listener: &Listener,
        name: &str,
        cores: usize,
        inherited: &Inherited,
    ) -> Result<Vec<Arc<Bound>>, BindError> {
        let failed = |error| BindError::new(&listener.place, error);
        let sockets = inherited.named(name).map_err(failed)?;
        if sockets.is_empty() {
            let error = failed(io::ErrorKind::NotFound.into());
            return Err(BindError { handed_over: inherited.to_string(), ..error });
        }
        let bound = |socket: Single| {
            let (listener, address) = (listener.clone(), socket.address());
            Bound { listener, address, per_core: hand_round(socket, cores), file: None }
        };
        Ok(sockets.into_iter().map(bound).map(Arc::new).collect())
    }

    /// The same place under another protocol.
    fn again(&self, protocol: Protocol) -> Result<Bound, BindError> {
        let failed = |error| BindError::new(&self.listener.place, error);
        let listener = Listener { place: self.listener.place.clone(), protocol };
        let cores = self.per_core.len();
        let per_core = match self.address {
            Some(address) => (0..cores)
                .map(|_| tcp(address).map(|socket| Mutex::new(Door::Tcp(socket))))
                .collect::<io::Result<_>>()
                .map_err(failed)?,
            None => match &self.listener.place {
                Place::Unix(path) => {
                    hand_round(Single::Unix(unix_again(path).map_err(failed)?), cores)
                }
                Place::Tcp(_) | Place::Systemd(_) => Vec::new(),
            },
        };
        Ok(Bound { listener, address: self.address, per_core, file: self.file.clone() })
    }

    fn place(&self) -> Place {
        self.address.map_or_else(|| self.listener.place.clone(), Place::Tcp)
    }

    /// What waits in a socket of the service manager's when we close is for whoever comes after us.
    pub(super) fn is_ours(&self) -> bool {
        !matches!(self.listener.place, Place::Systemd(_))
    }

    pub(super) fn protocol(&self) -> Protocol {
        self.listener.protocol
    }

    /// What `core` listens on; [`Door::Taken`] from the second time on.
    pub(super) fn take(&self, core: usize) -> Door {
        let Some(door) = self.per_core.get(core) else { return Door::Taken };
        let mut door = door.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *door, Door::Taken)
    }
}

/// `SO_REUSEPORT` would let us join another process of the same user without a word, and each would
/// get a part of the connections. Without it the kernel says that the port is taken.
fn probe(address: SocketAddr) -> io::Result<()> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Transport::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())
}

fn tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Transport::TCP))?;
    socket.set_nonblocking(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Old connections in TIME_WAIT are no reason not to start.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    // Accepted connections inherit it: one system call less for each.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Binds a Unix socket. A file that a dead process left behind is replaced, a living one is not.
fn unix(path: &Path) -> io::Result<UnixListener> {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    if is_socket {
        match UnixStream::connect(path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                std::fs::remove_file(path)?;
            }
            _ => return Err(io::ErrorKind::AddrInUse.into()),
        }
    }
    let socket = UnixListener::bind(path)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Binds beside the path and renames over it, so that there is no moment without a listener.
fn unix_again(path: &Path) -> io::Result<UnixListener> {
    let beside = path.with_extension("new");
    let socket = unix(&beside)?;
    std::fs::rename(&beside, path)?;
    Ok(socket)
}

fn hand_round(socket: Single, cores: usize) -> Vec<Mutex<Door>> {
    let (senders, receivers): (Vec<_>, Vec<_>) =
        (0..cores).map(|_| mpsc::channel(MOST_HANDED)).unzip();
    let mut socket = Some(socket);
    receivers
        .into_iter()
        .map(|receiver| match socket.take() {
            Some(socket) => Door::Single(socket, senders.clone(), receiver),
            None => Door::Handed(receiver),
        })
        .map(Mutex::new)
        .collect()
}

#[derive(Debug)]
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Somebody may have removed it before us.
        drop(std::fs::remove_file(&self.0));
    }
}

/// A socket that cannot be had.
#[derive(Debug)]
pub struct BindError {
    place: Place,
    error: io::Error,
    /// Names of the sockets that were handed over, where one was looked for.
    handed_over: String,
}

impl BindError {
    fn new(place: &Place, error: io::Error) -> BindError {
        BindError { place: place.clone(), error, handed_over: String::new() }
    }

    /// What the reader can do about it.
    pub fn hint(&self) -> String {
        match (&self.place, self.error.kind()) {
            (Place::Tcp(address), io::ErrorKind::AddrInUse) => format!(
                "another process listens there: find it with `ss -ltnp 'sport = :{}'`, \
                 or choose another port",
                address.port()
            ),
            (Place::Unix(path), io::ErrorKind::AddrInUse) => format!(
                "another process listens there: find it with `ss -lxp src {}`, \
                 or choose another path",
                path.display()
            ),
            (Place::Tcp(address), io::ErrorKind::PermissionDenied) => format!(
                "ports below 1024 need a privilege: choose a higher one than {}, or give the \
                 program `CAP_NET_BIND_SERVICE`",
                address.port()
            ),
            (Place::Tcp(_), io::ErrorKind::AddrNotAvailable) => {
                "no interface has this address: see `ip address`, or listen on 0.0.0.0 or [::]"
                    .to_owned()
            }
            (Place::Unix(path), io::ErrorKind::NotFound) => {
                let folder = path.parent().unwrap_or(path);
                format!("make the folder: `mkdir -p {}`", folder.display())
            }
            (Place::Systemd(name), _) => format!(
                "start it by a socket unit that says `FileDescriptorName={name}`; what systemd has handed \
                 over is: {}",
                self.handed_over
            ),
            _ => "see `listen` in the configuration".to_owned(),
        }
    }

    /// Which listener it is.
    pub fn place(&self) -> &Place {
        &self.place
    }
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Tcp(address) => write!(f, "cannot listen on `{address}`"),
            Place::Unix(path) => write!(f, "cannot listen on `{}`", path.display()),
            Place::Systemd(name) => write!(f, "cannot listen on `systemd:{name}`"),
        }
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

#[cfg(test)]
#[path = "sockets_tests.rs"]
mod tests;
