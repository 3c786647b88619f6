//! TLS towards clients: certificates by server name, one `rustls` configuration for all.
//!
//! In: chains and keys. Out: a `ServerConfig` that lives as long as the process, and the answer to
//! whether a connection may speak for a host. A reload swaps the table of certificates underneath;
//! connections and tickets go on. TLS 1.2 and 1.3, no early data: it can be replayed.

mod der;
mod lifetime;
mod load;
mod managed;
mod self_signed;
mod table;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, ServerConfig};
use rustls::sign::CertifiedKey;

use crate::config::listen::Certificate;
pub use load::{CertificateError, Why};
use managed::Challenges;
pub use managed::Managed;
pub use self_signed::self_signed;
use table::{Entry, Table};

/// Name of HTTP/2 in ALPN (RFC 9113 §3.2).
pub(super) const ALPN_H2: &[u8] = b"h2";
/// Name of the challenge of an authority in ALPN (RFC 8737 §4): a handshake, and nothing behind it.
pub(super) const ALPN_ACME: &[u8] = b"acme-tls/1";

/// All certificates of the process.
#[derive(Debug, Clone)]
pub struct Certificates {
    table: Arc<ArcSwap<Table>>,
    config: Arc<ServerConfig>,
    challenges: Arc<Challenges>,
    /// Held while a table is made from the one in force.
    writing: Arc<Mutex<()>>,
}

impl Certificates {
    /// Loads chains and keys; the first is for clients that name no server, or an unknown one.
    pub fn load(certificates: &[Certificate]) -> Result<Certificates, CertificateError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let table = Table::new(load::all(certificates, &provider, None)?, &[]);
        let table = Arc::new(ArcSwap::from_pointee(table));
        let challenges = Arc::<Challenges>::default();
        let by_name = ByName { table: Arc::clone(&table), challenges: Arc::clone(&challenges) };
        let config = Arc::new(server_config(provider, Arc::new(by_name))?);
        Ok(Certificates { table, config, challenges, writing: Arc::default() })
    }

    /// Loads anew; nothing changes if one of them cannot be had. What stands unchanged on the disk
    /// is not parsed again.
    pub fn prepare(&self, certificates: &[Certificate]) -> Result<Prepared, CertificateError> {
        let before = self.table.load();
        let loaded = load::all(certificates, self.config.crypto_provider(), Some(&before))?;
        Ok(Prepared(loaded))
    }

    /// Puts what was prepared in force. Open connections keep the certificate they began with.
    pub fn swap(&self, prepared: Prepared) {
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let next = Table::new(prepared.0, self.table.load().managed());
        self.table.store(Arc::new(next));
    }

    /// Puts certificates of an authority in force, in place of those that were; those of the settings stay,
    /// and come first. Open connections keep the certificate they began with.
    pub fn put(&self, managed: &[Managed]) {
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let entries: Vec<Arc<Entry>> = managed.iter().map(|of| Arc::clone(&of.0)).collect();
        let before = self.table.load();
        let sources = |entries: &[Arc<Entry>]| -> Vec<u64> {
            entries.iter().map(|entry| entry.source).collect()
        };
        if sources(before.managed()) == sources(&entries) {
            return;
        }
        let next = Table::new(before.set().to_vec(), &entries);
        self.table.store(Arc::new(next));
    }

    /// Shows a certificate to the authority that asks for the challenge of this name, and to nobody else.
    pub fn show_challenge(
        &self,
        name: &str,
        certificate: &rcgen::Certificate,
        key: &rcgen::KeyPair,
    ) -> Result<(), CertificateError> {
        self.challenges.show(name, certificate, key)
    }

    /// Shows it no longer.
    pub fn hide_challenge(&self, name: &str) {
        self.challenges.hide(name);
    }

    /// True if the certificate that a client with this server name got also speaks for `host`
    /// (lower case, without port): otherwise the request is misdirected (RFC 9110 §7.4).
    pub fn covers(&self, server_name: Option<&str>, host: &str) -> bool {
        self.table.load().covers(server_name, host)
    }

    /// How many certificates there are.
    pub fn count(&self) -> usize {
        self.table.load().all().len()
    }

    /// Calls `see` for each certificate with its first name (`-` if it has none), and when it begins and ends.
    pub fn each_lifetime(&self, mut see: impl FnMut(&str, SystemTime, SystemTime)) {
        for entry in self.table.load().all() {
            if let Some(lifetime) = entry.lifetime {
                let name = entry.names.first().map_or("-", |name| &**name);
                see(name, lifetime.begins, lifetime.ends);
            }
        }
    }

    /// What a TLS acceptor needs.
    pub fn server_config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }
}

/// Certificates that are loaded and not yet in force.
#[derive(Debug)]
pub struct Prepared(Vec<Arc<Entry>>);

fn server_config(
    provider: Arc<CryptoProvider>,
    resolver: Arc<ByName>,
) -> Result<ServerConfig, CertificateError> {
    let failed = |error| CertificateError::provider(error);
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(failed)?
        .with_no_client_auth()
        .with_cert_resolver(resolver);
    config.alpn_protocols = vec![ALPN_H2.to_vec(), b"http/1.1".to_vec(), ALPN_ACME.to_vec()];
    config.ticketer = aws_lc_rs::Ticketer::new().map_err(failed)?;
    // Tickets carry the state, so that a resumption costs no memory here.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.max_early_data_size = 0;
    Ok(config)
}

#[derive(Debug)]
struct ByName {
    table: Arc<ArcSwap<Table>>,
    challenges: Arc<Challenges>,
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if managed::is_challenge(&hello) {
            return self.challenges.find(hello.server_name()?);
        }
        self.table.load().choose(hello.server_name(), hello.signature_schemes())
    }
}

#[cfg(test)]
mod tests;
