//! Sockets that the process was started with: a service manager bound them and keeps them.
//!
//! In: descriptors with names, which the binary was handed. Out: listening sockets by name, as often as they
//! are asked for: a reload may leave one and come back to it. The kernel has one queue for such a socket,
//! and no core a socket of its own.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use socket2::{Domain, Socket, Type};

/// All of them. A clone is the same sockets.
#[derive(Debug, Clone, Default)]
pub struct Inherited(Arc<[Named]>);

#[derive(Debug)]
struct Named {
    name: Box<str>,
    socket: Single,
}

impl Inherited {
    /// Takes descriptors over; each must be a socket that listens. No program that is started from here on
    /// gets them.
    pub fn new(
        sockets: impl IntoIterator<Item = (String, OwnedFd)>,
    ) -> Result<Inherited, NotListening> {
        let named = sockets.into_iter().map(|(name, descriptor)| {
            let refused = |why| NotListening { name: name.clone(), why };
            let socket = Single::of(descriptor).map_err(refused)?;
            Ok(Named { name: name.as_str().into(), socket })
        });
        named.collect::<Result<_, _>>().map(Inherited)
    }

    /// Their names, one for each socket.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|named| &*named.name)
    }

    /// Those of a name, each to have for oneself.
    pub(super) fn named(&self, name: &str) -> io::Result<Vec<Single>> {
        let named = self.0.iter().filter(|named| *named.name == *name);
        named.map(|named| named.socket.again()).collect()
    }
}

/// A descriptor that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("what was handed over as `{name}` is no socket that listens")]
pub struct NotListening {
    name: String,
    #[source]
    why: io::Error,
}

/// One listening socket for all cores.
#[derive(Debug)]
pub(super) enum Single {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// What came in on one.
#[derive(Debug)]
pub(super) enum Accepted {
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream),
}

impl Single {
    fn of(descriptor: OwnedFd) -> io::Result<Single> {
        let socket = Socket::from(descriptor);
        socket.set_cloexec(true)?;
        socket.set_nonblocking(true)?;
        if socket.r#type()? != Type::STREAM || !socket.is_listener()? {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        match socket.local_addr()?.domain() {
            Domain::UNIX => Ok(Single::Unix(socket.into())),
            Domain::IPV4 | Domain::IPV6 => {
                // Accepted connections inherit it.
                socket.set_tcp_nodelay(true)?;
                Ok(Single::Tcp(socket.into()))
            }
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// The same socket under another descriptor.
    pub(super) fn again(&self) -> io::Result<Single> {
        match self {
            Single::Tcp(listener) => listener.try_clone().map(Single::Tcp),
            Single::Unix(listener) => listener.try_clone().map(Single::Unix),
        }
    }

    /// Where it listens, if that is an address.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        match self {
            Single::Tcp(listener) => listener.local_addr().ok(),
            Single::Unix(_) => None,
        }
    }

    /// The next connection; an error if none waits.
    pub(super) fn accept(&self) -> io::Result<Accepted> {
        match self {
            Single::Tcp(listener) => {
                let (stream, peer) = listener.accept()?;
                stream.set_nonblocking(true)?;
                Ok(Accepted::Tcp(stream, peer))
            }
            Single::Unix(listener) => {
                let (stream, _) = listener.accept()?;
                stream.set_nonblocking(true)?;
                Ok(Accepted::Unix(stream))
            }
        }
    }
}

/// The same, watched by a core's runtime.
#[derive(Debug)]
pub(super) enum Watched {
    Tcp(tokio::net::TcpListener),
    Unix(tokio::net::UnixListener),
}

impl Watched {
    pub(super) fn new(socket: Single) -> io::Result<Watched> {
        match socket {
            Single::Tcp(listener) => tokio::net::TcpListener::from_std(listener).map(Watched::Tcp),
            Single::Unix(listener) => {
                tokio::net::UnixListener::from_std(listener).map(Watched::Unix)
            }
        }
    }

    pub(super) fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<Accepted>> {
        Poll::Ready(match self {
            Watched::Tcp(listener) => {
                let (stream, peer) = ready!(listener.poll_accept(context))?;
                stream.into_std().map(|stream| Accepted::Tcp(stream, peer))
            }
            Watched::Unix(listener) => {
                let (stream, _) = ready!(listener.poll_accept(context))?;
                stream.into_std().map(Accepted::Unix)
            }
        })
    }

    pub(super) fn into_single(self) -> io::Result<Single> {
        match self {
            Watched::Tcp(listener) => listener.into_std().map(Single::Tcp),
            Watched::Unix(listener) => listener.into_std().map(Single::Unix),
        }
    }
}

impl fmt::Display for Inherited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.names().map(|name| format!("`{name}`")).collect();
        if names.is_empty() { f.write_str("none") } else { f.write_str(&names.join(", ")) }
    }
}
