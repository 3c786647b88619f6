//! `[acme]`: certificates from an authority.

use std::path::PathBuf;

use super::listen::Secret;

/// The directory of Let's Encrypt.
pub const DIRECTORY: &str = "https://acme-v02.api.letsencrypt.org/directory";
/// Where account, keys and certificates are kept: where packages of Debian keep what must not be lost.
pub const FOLDER: &str = "/var/lib/forebay/acme";
/// Most names of one certificate: what Let's Encrypt takes.
pub const MOST_NAMES: usize = 100;
/// Most certificates: each is an order of its own, and they are made one after the other.
pub const MOST_CERTIFICATES: usize = 1_000;

/// How the authority is shown that a name is ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Challenge {
    /// A page in clear text (RFC 8555 §8.3).
    Http01,
    /// A certificate of its own in a TLS handshake (RFC 8737).
    TlsAlpn01,
}

impl Challenge {
    /// As the authority calls it.
    pub fn as_str(self) -> &'static str {
        match self {
            Challenge::Http01 => "http-01",
            Challenge::TlsAlpn01 => "tls-alpn-01",
        }
    }
}

/// `[acme]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acme {
    /// Names of each certificate, lower case; no name stands in two of them.
    pub certificates: Vec<Vec<String>>,
    /// URL of the authority's directory.
    pub directory: String,
    /// Authorities that its own TLS certificate is checked against; `None` for the system's.
    pub authorities: Option<PathBuf>,
    /// Whom the authority may write to: `mailto:ops@shop.example`.
    pub contact: Vec<String>,
    /// Where account, keys and certificates are kept.
    pub folder: PathBuf,
    /// Tried in this order, one each time.
    pub challenges: Vec<Challenge>,
    /// An account at the authority that ours is bound to.
    pub binding: Option<Binding>,
}

/// An account that exists already (RFC 8555 §7.3.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// Its key's name.
    pub key_id: String,
    /// Its key, as base64url.
    pub key: Secret,
}
