//! From files to certificates that can be used.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::lifetime::Lifetime;
use super::table::{Entry, Table};
use crate::config::listen::Certificate;

/// Loads all of them; takes over what `before` made from the same bytes.
pub(super) fn all(
    certificates: &[Certificate],
    provider: &CryptoProvider,
    before: Option<&Table>,
) -> Result<Vec<Arc<Entry>>, CertificateError> {
    let before = before.map(Table::by_source).unwrap_or_default();
    certificates.iter().map(|certificate| one(certificate, provider, &before)).collect()
}

/// Loads one of them.
pub(super) fn one(
    certificate: &Certificate,
    provider: &CryptoProvider,
    before: &HashMap<u64, &Arc<Entry>>,
) -> Result<Arc<Entry>, CertificateError> {
    let texts = Texts::read(certificate)?;
    let source = hash(&texts);
    if let Some(entry) = before.get(&source) {
        return Ok(Arc::clone(entry));
    }
    let bad_chain = |why| texts.chain_error(why);
    let chain = CertificateDer::pem_slice_iter(&texts.chain)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| bad_chain(Why::BadPem(error)))?;
    let leaf = chain.first().ok_or_else(|| bad_chain(Why::NoCertificate))?;
    let names = names(leaf).map_err(|error| bad_chain(Why::BadCertificate(error)))?;
    let lifetime = Lifetime::of(leaf);
    let key = PrivateKeyDer::from_pem_slice(&texts.key).map_err(|error| {
        texts.key_error(match error {
            pem::Error::NoItemsFound => Why::NoKey,
            error => Why::BadPem(error),
        })
    })?;
    let key = provider
        .key_provider
        .load_private_key(key)
        .map_err(|error| texts.key_error(Why::BadKey(error)))?;
    let key = CertifiedKey::new(chain, key);
    match key.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {}
        Err(_) => return Err(texts.key_error(Why::KeyMismatch)),
    }
    if names.is_empty() {
        tracing::warn!(
            certificate = %texts.chain_place(),
            "certificate names no host: only a client without server name gets it"
        );
    }
    Ok(Arc::new(Entry { key: Arc::new(key), names, lifetime, source }))
}

/// The DNS names of a certificate, lower case. Its common name does not count (RFC 9525 §6.3).
fn names(leaf: &CertificateDer<'_>) -> Result<Vec<Box<str>>, webpki::Error> {
    let certificate = webpki::EndEntityCert::try_from(leaf)?;
    Ok(certificate.valid_dns_names().map(|name| name.to_ascii_lowercase().into()).collect())
}

struct Texts<'a> {
    certificate: &'a Certificate,
    chain: Vec<u8>,
    key: Vec<u8>,
}

impl Texts<'_> {
    fn read(certificate: &Certificate) -> Result<Texts<'_>, CertificateError> {
        let (chain, key) = match certificate {
            Certificate::Files { chain, key } => (read(chain)?, read(key)?),
            Certificate::Pem { chain, key } => (chain.clone().into(), key.0.clone().into()),
        };
        Ok(Texts { certificate, chain, key })
    }

    fn chain_place(&self) -> String {
        match self.certificate {
            Certificate::Files { chain, .. } => chain.display().to_string(),
            Certificate::Pem { .. } => "in memory".to_owned(),
        }
    }

    fn chain_error(&self, why: Why) -> CertificateError {
        let path = match self.certificate {
            Certificate::Files { chain, .. } => Some(chain.clone()),
            Certificate::Pem { .. } => None,
        };
        CertificateError { path, chain: None, why }
    }

    fn key_error(&self, why: Why) -> CertificateError {
        let (path, chain) = match self.certificate {
            Certificate::Files { chain, key } => (Some(key.clone()), Some(chain.clone())),
            Certificate::Pem { .. } => (None, None),
        };
        CertificateError { path, chain, why }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, CertificateError> {
    let failed = |error| CertificateError {
        path: Some(path.to_owned()),
        chain: None,
        why: Why::Unreadable(error),
    };
    std::fs::read(path).map_err(failed)
}

fn hash(texts: &Texts<'_>) -> u64 {
    static SEED: OnceLock<RandomState> = OnceLock::new();
    SEED.get_or_init(RandomState::new).hash_one((&texts.chain, &texts.key))
}

/// A certificate that cannot be used.
#[derive(Debug)]
pub struct CertificateError {
    path: Option<PathBuf>,
    /// The chain that a key should belong to.
    chain: Option<PathBuf>,
    why: Why,
}

/// Why a certificate cannot be used.
#[derive(Debug)]
#[non_exhaustive]
pub enum Why {
    /// The file cannot be read.
    Unreadable(io::Error),
    /// It is not PEM.
    BadPem(pem::Error),
    /// The file of the chain holds no certificate.
    NoCertificate,
    /// The first certificate is not one that TLS can use.
    BadCertificate(webpki::Error),
    /// The file of the key holds no private key.
    NoKey,
    /// The private key is of a kind that is not supported.
    BadKey(rustls::Error),
    /// The key belongs to another certificate.
    KeyMismatch,
    /// The cryptography itself cannot be set up.
    Provider(rustls::Error),
}

impl CertificateError {
    pub(super) fn provider(error: rustls::Error) -> CertificateError {
        CertificateError { path: None, chain: None, why: Why::Provider(error) }
    }

    /// Why.
    pub fn why(&self) -> &Why {
        &self.why
    }

    /// What the reader can do about it.
    pub fn hint(&self) -> String {
        let path = self.path();
        match &self.why {
            Why::Unreadable(error) if error.kind() == io::ErrorKind::NotFound => {
                format!("put the file there or change its path: `ls -l {path}`")
            }
            Why::Unreadable(_) => format!("let this user read it: `ls -l {path}`"),
            Why::BadPem(_) | Why::NoCertificate => format!(
                "the chain must be PEM, leaf first (`-----BEGIN CERTIFICATE-----`): \
                 `openssl x509 -in {path} -noout -subject`"
            ),
            Why::BadCertificate(_) => format!("look at it: `openssl x509 -in {path} -noout -text`"),
            Why::NoKey | Why::BadKey(_) => format!(
                "the key must be PEM without passphrase, ECDSA, Ed25519 or RSA from 2048 bits on: \
                 `openssl pkey -in {path} -noout -text`"
            ),
            Why::KeyMismatch => {
                let chain = self.chain.as_deref().unwrap_or(Path::new("CHAIN")).display();
                format!(
                    "these two must print the same: `openssl pkey -in {path} -pubout` and \
                     `openssl x509 -in {chain} -noout -pubkey`"
                )
            }
            Why::Provider(_) => "this is a fault of ours, please report it".to_owned(),
        }
    }

    fn path(&self) -> String {
        self.path.as_ref().map_or_else(|| "in memory".to_owned(), |path| path.display().to_string())
    }
}

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path();
        match &self.why {
            Why::Unreadable(_) => write!(f, "cannot read `{path}`"),
            Why::BadPem(_) => write!(f, "`{path}` is not PEM"),
            Why::NoCertificate => write!(f, "`{path}` holds no certificate"),
            Why::BadCertificate(_) => write!(f, "the certificate in `{path}` cannot be used"),
            Why::NoKey => write!(f, "`{path}` holds no private key"),
            Why::BadKey(_) => write!(f, "the private key in `{path}` cannot be used"),
            Why::KeyMismatch => match &self.chain {
                Some(chain) => {
                    write!(f, "the private key `{path}` does not belong to `{}`", chain.display())
                }
                None => write!(f, "the private key does not belong to the certificate"),
            },
            Why::Provider(_) => f.write_str("cannot set up TLS"),
        }
    }
}

impl std::error::Error for CertificateError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.why {
            Why::Unreadable(error) => Some(error),
            Why::BadPem(error) => Some(error),
            Why::BadCertificate(error) => Some(error),
            Why::BadKey(error) | Why::Provider(error) => Some(error),
            Why::NoCertificate | Why::NoKey | Why::KeyMismatch => None,
        }
    }
}
