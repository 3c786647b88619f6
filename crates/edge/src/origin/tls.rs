//! TLS towards a server: whose authorities, which name, which protocols.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

use super::BadOrigin;
use crate::config::origin::{Address, Server, Speaks};

/// What a handshake needs, made once a server.
pub(super) struct Secure {
    pub(super) name: ServerName<'static>,
    /// Offers what the server is set to speak.
    pub(super) connector: TlsConnector,
    /// Offers HTTP/1.1 alone, for upgrades.
    pub(super) http1: TlsConnector,
}

/// The PEM text of a server's own authorities: part of what makes it the same server after a reload.
pub(super) fn authorities_of(server: &Server) -> Result<Option<Vec<u8>>, BadOrigin> {
    let path = server.tls.as_ref().and_then(|tls| tls.authorities.as_ref());
    path.map(|path| {
        std::fs::read(path)
            .map_err(|source| BadOrigin::Authorities { path: path.clone(), source: source.into() })
    })
    .transpose()
}

/// Builds what a handshake with `server` needs; `None` without TLS.
pub(super) fn secure(
    server: &Server,
    authorities: Option<&[u8]>,
) -> Result<Option<Secure>, BadOrigin> {
    let Some(tls) = &server.tls else { return Ok(None) };
    let Address::Tcp(host, _) = &server.address else { return Err(BadOrigin::TlsOnUnix) };
    let name = tls.server_name.as_ref().unwrap_or(host);
    let bare = name.trim_start_matches('[').trim_end_matches(']').to_owned();
    let name = ServerName::try_from(bare)
        .map_err(|source| BadOrigin::ServerName { name: name.clone(), source: source.into() })?;
    let roots = match (&tls.authorities, authorities) {
        (Some(path), Some(pem)) => Arc::new(read(path, pem)?),
        _ => of_the_system()?,
    };
    let offers: &[&[u8]] = match server.speaks {
        Speaks::Http1 => &[b"http/1.1"],
        Speaks::Http2 => &[b"h2"],
        Speaks::Either => &[b"h2", b"http/1.1"],
    };
    let connector = connector(&roots, offers)?;
    Ok(Some(Secure { name, connector, http1: self::connector(&roots, &[b"http/1.1"])? }))
}

/// Authorities of a file, or of the system.
pub(crate) fn roots(path: Option<&Path>) -> Result<Arc<RootCertStore>, BadOrigin> {
    let Some(path) = path else { return of_the_system() };
    let bad = |source: std::io::Error| BadOrigin::Authorities {
        path: path.to_owned(),
        source: source.into(),
    };
    Ok(Arc::new(read(path, &std::fs::read(path).map_err(bad)?)?))
}

/// A client of TLS that trusts these authorities and offers these protocols.
pub(crate) fn connector(
    roots: &Arc<RootCertStore>,
    offers: &[&[u8]],
) -> Result<TlsConnector, BadOrigin> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|source| BadOrigin::Tls { source: source.into() })?
        .with_root_certificates(Arc::clone(roots))
        .with_no_client_auth();
    config.alpn_protocols = offers.iter().map(|offer| offer.to_vec()).collect();
    Ok(TlsConnector::from(Arc::new(config)))
}

fn read(path: &Path, pem: &[u8]) -> Result<RootCertStore, BadOrigin> {
    let bad = |source| BadOrigin::Authorities { path: path.to_owned(), source };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|source| bad(source.into()))?;
        roots.add(certificate).map_err(|source| bad(source.into()))?;
    }
    if roots.is_empty() { Err(bad("no certificate in it".into())) } else { Ok(roots) }
}

/// Read once a process: it takes milliseconds, and a change of the system's store is a restart's work.
fn of_the_system() -> Result<Arc<RootCertStore>, BadOrigin> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    if let Some(roots) = ROOTS.get() {
        return Ok(Arc::clone(roots));
    }
    let loaded = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(loaded.certs);
    if roots.is_empty() {
        return Err(BadOrigin::NoSystemAuthorities);
    }
    Ok(Arc::clone(ROOTS.get_or_init(|| Arc::new(roots))))
}
