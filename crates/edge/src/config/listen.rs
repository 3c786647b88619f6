//! `[listen]`: sockets, certificates, deadlines.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::admit::Proxy;

/// Where one listener waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// IPv4 or IPv6; an IPv6 address takes IPv6 only, so that `0.0.0.0` and `[::]` stand side by side.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
    /// Sockets that the service manager bound and handed over under this name.
    Systemd(String),
}

/// What one listener speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1, and HTTP/2 with prior knowledge.
    Plain,
    /// TLS 1.2 and 1.3; HTTP/2 or HTTP/1.1 by ALPN.
    Tls,
}

/// One listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Where.
    pub place: Place,
    /// What it speaks.
    pub protocol: Protocol,
}

impl std::fmt::Display for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = if self.protocol == Protocol::Tls { "https" } else { "http" };
        match &self.place {
            Place::Tcp(address) => write!(f, "{scheme}://{address}"),
            Place::Unix(path) => write!(f, "{scheme}+unix:{}", path.display()),
            Place::Systemd(name) => write!(f, "{scheme}+systemd:{name}"),
        }
    }
}

/// Where a certificate comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Certificate {
    /// Chain and key, both PEM. Its names are read from the certificate.
    Files {
        /// Chain, leaf first.
        chain: PathBuf,
        /// Private key.
        key: PathBuf,
    },
    /// Chain and key in memory: the demo's self-signed one.
    Pem {
        /// Chain, leaf first.
        chain: String,
        /// Private key.
        key: Secret,
    },
}

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Time for the first byte, the handshake and each head.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Time that a new HTTP/2 connection may be without a request: it has cost us a handshake.
pub const HTTP2_FIRST_REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Time between two requests of a connection.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// Least upload rate, bytes a second: what a very bad mobile link still does.
pub const MIN_CONTENT_RATE: u32 = 240;
/// Time before that rate is asked for.
pub const CONTENT_GRACE: Duration = Duration::from_secs(5);
/// Time that a write towards the client may make no progress.
pub const BLOCKED_WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// Time that an upgraded connection may be silent in both directions.
pub const UPGRADED_IDLE_TIMEOUT: Duration = Duration::from_secs(3600);
/// Time that requests in flight have to end when the process is told to go.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// `[listen]`.
#[derive(Debug, Clone)]
pub struct Listen {
    /// Sockets.
    pub listeners: Vec<Listener>,
    /// Certificates; the first is for clients that name no server.
    pub certificates: Vec<Certificate>,
    /// Peers that begin each connection with a PROXY header. None by default.
    pub proxy_protocol: Vec<Proxy>,
    /// First byte, handshake, head.
    pub head_timeout: Duration,
    /// HTTP/2 before its first request.
    pub http2_first_request_timeout: Duration,
    /// Between requests.
    pub idle_timeout: Duration,
    /// Bytes a second.
    pub min_content_rate: u32,
    /// Before that rate counts.
    pub content_grace: Duration,
    /// Towards the client.
    pub blocked_write_timeout: Duration,
    /// Upgraded connections.
    pub upgraded_idle_timeout: Duration,
    /// At the end.
    pub drain_timeout: Duration,
    /// Threads that serve requests; `None` is one a core.
    pub cores: Option<usize>,
}

impl Default for Listen {
    fn default() -> Listen {
        Listen {
            listeners: Vec::new(),
            certificates: Vec::new(),
            proxy_protocol: Vec::new(),
            head_timeout: HEAD_TIMEOUT,
            http2_first_request_timeout: HTTP2_FIRST_REQUEST_TIMEOUT,
            idle_timeout: IDLE_TIMEOUT,
            min_content_rate: MIN_CONTENT_RATE,
            content_grace: CONTENT_GRACE,
            blocked_write_timeout: BLOCKED_WRITE_TIMEOUT,
            upgraded_idle_timeout: UPGRADED_IDLE_TIMEOUT,
            drain_timeout: DRAIN_TIMEOUT,
            cores: None,
        }
    }
}
