//! One server: what all cores know of it, whichever origin's settings it stands under.

use std::error::Error as StdError;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::UNIX_EPOCH;

use forebay_signals::clock;
use forebay_signals::counter::Counter;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use super::BadOrigin;
use super::balance::digest;
use super::connect::{Addresses, Protocol};
use super::health::Health;
use super::pool::Pool;
use super::tls::{self, Secure};
use crate::config::origin::{self as settings, Address, Speaks, Tls};
use crate::error::with_causes;

/// What makes a server the same one after a reload: it keeps health and connections then.
#[derive(PartialEq, Eq)]
pub(super) struct Identity {
    address: Address,
    tls: Option<Tls>,
    speaks: Speaks,
    authorities: Option<Vec<u8>>,
}

impl Identity {
    pub(super) fn of(server: &settings::Server) -> Result<Identity, BadOrigin> {
        Ok(Identity {
            address: server.address.clone(),
            tls: server.tls.clone(),
            speaks: server.speaks,
            authorities: tls::authorities_of(server)?,
        })
    }
}

/// A server.
pub(super) struct Server {
    pub(super) identity: Identity,
    /// How it is called in logs and screens.
    pub(super) label: String,
    /// Its name as a number, by which it is found where requests are spread by hash.
    pub(super) seed: u64,
    pub(super) secure: Option<Secure>,
    pub(super) addresses: Addresses,
    pub(super) health: Health,
    pub(super) pool: Pool,
    pub(super) in_flight: AtomicUsize,
    pub(super) requests: Counter,
    pub(super) failures: Counter,
    /// One new HTTP/2 connection at a time: the others wait and share it.
    pub(super) connecting: Semaphore,
    settled_on_http2: AtomicBool,
    last_error: Mutex<Option<LastError>>,
}

/// The last thing that went wrong with a server.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LastError {
    /// Milliseconds since 1970-01-01 UTC.
    pub at_ms: u64,
    /// What, with its causes.
    pub what: String,
}

impl Server {
    pub(super) fn new(server: &settings::Server, identity: Identity) -> Result<Server, BadOrigin> {
        let label = match &server.address {
            Address::Tcp(host, port) => format!("{host}:{port}"),
            Address::Unix(path) => path.display().to_string(),
        };
        Ok(Server {
            seed: digest(&[label.as_bytes()]),
            label,
            secure: tls::secure(server, identity.authorities.as_deref())?,
            addresses: Addresses::new(&server.address),
            health: Health::default(),
            pool: Pool::default(),
            in_flight: AtomicUsize::new(0),
            requests: Counter::default(),
            failures: Counter::default(),
            connecting: Semaphore::new(1),
            settled_on_http2: AtomicBool::new(server.speaks == Speaks::Http2),
            last_error: Mutex::default(),
            identity,
        })
    }

    pub(super) fn address(&self) -> &Address {
        &self.identity.address
    }

    pub(super) fn speaks(&self) -> Speaks {
        self.identity.speaks
    }

    /// `"http"` or `"https"`, as `:scheme` says it.
    pub(super) fn scheme(&self) -> &'static str {
        if self.secure.is_some() { "https" } else { "http" }
    }

    /// True if a connection may turn out to be HTTP/2.
    pub(super) fn may_be_http2(&self) -> bool {
        match self.speaks() {
            Speaks::Http1 => false,
            Speaks::Http2 => true,
            Speaks::Either => self.secure.is_some(),
        }
    }

    /// True if the last connection was HTTP/2: the next one will be worth sharing.
    pub(super) fn is_http2(&self) -> bool {
        self.settled_on_http2.load(Ordering::Relaxed)
    }

    pub(super) fn settled_on(&self, protocol: Protocol) {
        self.settled_on_http2.store(protocol == Protocol::Http2, Ordering::Relaxed);
    }

    pub(super) fn note(&self, error: &dyn StdError) {
        let at = clock::wall().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let at_ms = u64::try_from(at).unwrap_or(u64::MAX);
        let note = LastError { at_ms, what: with_causes(error) };
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(note);
    }

    pub(super) fn last_error(&self) -> Option<LastError> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
