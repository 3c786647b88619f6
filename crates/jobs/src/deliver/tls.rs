//! What servers with `https` are checked against.

use std::sync::{Arc, OnceLock};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// Why nobody can be trusted.
///
/// ```
/// use forebay_jobs::deliver::{BadAuthorities, trust};
/// assert!(matches!(trust(Some(b"")), Err(BadAuthorities::None)));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BadAuthorities {
    /// What was given is no certificate.
    #[error("it holds no certificate in PEM that could be an authority's")]
    None,
    /// The system has none.
    #[error("the system has no authorities that a server could be checked against")]
    NoneOfTheSystem,
    /// The library refuses.
    #[error("TLS cannot be set up")]
    Tls(#[from] rustls::Error),
}

/// What checks servers: authorities of one's own, in PEM, or without any those of the system.
///
/// ```
/// assert!(forebay_jobs::deliver::trust(Some(b"no certificate")).is_err());
/// ```
///
/// # Errors
/// There are none.
pub fn trust(authorities: Option<&[u8]>) -> Result<Arc<ClientConfig>, BadAuthorities> {
    let roots = match authorities {
        Some(pem) => Arc::new(read(pem)?),
        None => of_the_system()?,
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn read(pem: &[u8]) -> Result<RootCertStore, BadAuthorities> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|_| BadAuthorities::None)?;
        roots.add(certificate)?;
    }
    if roots.is_empty() { Err(BadAuthorities::None) } else { Ok(roots) }
}

/// Read once a process: it takes milliseconds.
fn of_the_system() -> Result<Arc<RootCertStore>, BadAuthorities> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    if let Some(roots) = ROOTS.get() {
        return Ok(Arc::clone(roots));
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(BadAuthorities::NoneOfTheSystem);
    }
    Ok(Arc::clone(ROOTS.get_or_init(|| Arc::new(roots))))
}
