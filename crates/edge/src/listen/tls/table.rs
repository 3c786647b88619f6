//! Which certificate speaks for which name.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use rustls::SignatureScheme;
use rustls::sign::CertifiedKey;

use super::lifetime::Lifetime;

/// One certificate.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: Arc<CertifiedKey>,
    /// DNS names it is for, lower case; `*.example` stands for one label before `.example`.
    pub(super) names: Vec<Box<str>>,
    /// When it begins and ends, if that can be made out.
    pub(super) lifetime: Option<Lifetime>,
    /// Hash of the files it came from.
    pub(super) source: u64,
}

impl Entry {
    pub(super) fn covers(&self, host: &str) -> bool {
        let wildcard = parent(host);
        self.names.iter().any(|name| {
            **name == *host || (name.strip_prefix("*.").is_some_and(|n| Some(n) == wildcard))
        })
    }
}

type Candidates = Vec<Arc<Entry>>;

/// Certificates by exact name, by wildcard, and the default.
#[derive(Debug, Default)]
pub(super) struct Table {
    exact: HashMap<Box<str>, Candidates>,
    /// `*.example` stands here as `example`.
    wildcard: HashMap<Box<str>, Candidates>,
    /// The first one, alone.
    default: Candidates,
    all: Vec<Arc<Entry>>,
    /// How many of `all`, at its beginning, are those of the settings.
    set: usize,
}

impl Table {
    /// Those of the settings, and behind them those that an authority gave us.
    pub(super) fn new(set: Vec<Arc<Entry>>, managed: &[Arc<Entry>]) -> Table {
        let mut table = Table { set: set.len(), ..Table::default() };
        let mut entries = set;
        entries.extend_from_slice(managed);
        table.default.extend(entries.first().cloned());
        for entry in &entries {
            for name in &entry.names {
                let (names, name) = match name.strip_prefix("*.") {
                    Some(parent) => (&mut table.wildcard, parent),
                    None => (&mut table.exact, &**name),
                };
                // Several for one name: RSA beside ECDSA. The order is that of the settings.
                names.entry(name.into()).or_default().push(Arc::clone(entry));
            }
        }
        table.all = entries;
        table
    }

    pub(super) fn all(&self) -> &[Arc<Entry>] {
        &self.all
    }

    /// Those of the settings.
    pub(super) fn set(&self) -> &[Arc<Entry>] {
        self.all.get(..self.set).unwrap_or_default()
    }

    /// Those that an authority gave us.
    pub(super) fn managed(&self) -> &[Arc<Entry>] {
        self.all.get(self.set..).unwrap_or_default()
    }

    /// What was made from the same bytes before.
    pub(super) fn by_source(&self) -> HashMap<u64, &Arc<Entry>> {
        self.all.iter().map(|entry| (entry.source, entry)).collect()
    }

    /// The first certificate for this name whose key the client can verify.
    pub(super) fn choose(
        &self,
        server_name: Option<&str>,
        schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        let candidates = self.candidates(server_name);
        let fits = |entry: &&Arc<Entry>| entry.key.key.choose_scheme(schemes).is_some();
        let entry = candidates.iter().find(fits).or(candidates.first())?;
        Some(Arc::clone(&entry.key))
    }

    pub(super) fn covers(&self, server_name: Option<&str>, host: &str) -> bool {
        if let Some(server_name) = server_name {
            return host == server_name
                || self.candidates(Some(server_name)).iter().any(|entry| entry.covers(host));
        }
        // Without a server name the client got the default. It may ask for an address, or for a
        // name that nothing else here speaks for.
        let is_address = host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
        is_address
            || self.default.iter().any(|entry| entry.covers(host))
            || self.named(host).is_none()
    }

    fn candidates(&self, server_name: Option<&str>) -> &[Arc<Entry>] {
        server_name.and_then(|name| self.named(name)).unwrap_or(&self.default)
    }

    fn named(&self, name: &str) -> Option<&Candidates> {
        self.exact.get(name).or_else(|| self.wildcard.get(parent(name)?))
    }
}

/// A name without its first label.
fn parent(name: &str) -> Option<&str> {
    name.split_once('.').map(|(_, parent)| parent)
}
