//! Sockets of the admin listener.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use forebay_edge::config::listen::Place;
use forebay_edge::exchange::{Client, Scheme};
use forebay_edge::listen::http1;
use forebay_signals::drain::Drain;
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinSet;

use super::answers::{Desk, answer};
use crate::report::Problem;

/// Connections at once; an operator and a scraper need a few.
const MOST_CONNECTIONS: usize = 64;

/// The bound listener.
pub(crate) enum Admin {
    /// TCP, loopback by default.
    Tcp(TcpListener),
    /// Unix socket, removed at the end.
    Unix(UnixListener, PathBuf),
}

impl Admin {
    /// Binds the place from the settings.
    pub(crate) async fn bind(place: &Place) -> Result<Admin, Problem> {
        match place {
            Place::Tcp(address) => match TcpListener::bind(address).await {
                Ok(listener) => Ok(Admin::Tcp(listener)),
                Err(error) => Err(Problem::new(format!("cannot bind `{address}` for [admin]"))
                    .because(error)
                    .hint("another forebay may run already; give this one `--admin 127.0.0.1:0` or another port")),
            },
            Place::Unix(path) => {
                remove_stale(path);
                match UnixListener::bind(path) {
                    Ok(listener) => Ok(Admin::Unix(listener, path.clone())),
                    Err(error) => Err(Problem::new(format!("cannot bind `{}` for [admin]", path.display()))
                        .because(error)
                        .hint("the folder must exist and be writable, and no other forebay may use the socket")),
                }
            }
        }
    }

    /// Where it listens, as `--admin` takes it.
    pub(crate) fn address(&self) -> String {
        match self {
            Admin::Tcp(listener) => {
                listener.local_addr().map_or_else(|_| "?".into(), |a| a.to_string())
            }
            Admin::Unix(_, path) => format!("unix:{}", path.display()),
        }
    }
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

/// Answers until the drain is over. It goes last, so that `/readyz` can say that the edge drains.
pub(crate) async fn serve(admin: Admin, desk: Arc<Desk>, gone: Drain) {
    let settings =
        Arc::new(http1::Settings { max_content_bytes: 1 << 20, ..http1::Settings::default() });
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let handler = {
            let desk = Arc::clone(&desk);
            move |exchange| answer(Arc::clone(&desk), exchange)
        };
        let full = connections.len() >= MOST_CONNECTIONS;
        tokio::select! {
            () = gone.begun() => break,
            _ = connections.join_next(), if full => {}
            accepted = accept(&admin), if !full => {
                let Some((stream, peer)) = accepted else {
                    // Out of descriptors: the edge has its own pause, this one waits with it.
                    forebay_signals::clock::sleep(std::time::Duration::from_millis(100)).await;
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
    connections.shutdown().await;
    if let Admin::Unix(_, path) = &admin {
        remove_stale_after(path);
    }
}

fn remove_stale_after(path: &PathBuf) {
    if let Err(error) = std::fs::remove_file(path) {
        tracing::debug!(path = %path.display(), %error, "admin socket not removed");
    }
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
                http1::serve(io, bytes::BytesMut::new(), client, settings, handler, gone)
                    .await
                    .map(drop)
            }
            Stream::Unix(io) => {
                http1::serve(io, bytes::BytesMut::new(), client, settings, handler, gone)
                    .await
                    .map(drop)
            }
        }
    }
}

async fn accept(admin: &Admin) -> Option<(Stream, Option<SocketAddr>)> {
    match admin {
        Admin::Tcp(listener) => {
            let (io, peer) = listener.accept().await.ok()?;
            Some((Stream::Tcp(io), Some(peer)))
        }
        Admin::Unix(listener, _) => {
            let (io, _) = listener.accept().await.ok()?;
            Some((Stream::Unix(io), None))
        }
    }
}

fn client(peer: Option<SocketAddr>) -> Client {
    let address = peer.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |peer| peer.ip());
    Client { peer, address, scheme: Scheme::Http, server_name: None }
}
