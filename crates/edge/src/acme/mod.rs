//! Certificates from an authority (ACME, RFC 8555): ordered, renewed and put in force while we serve.
//!
//! In: the settings, the time, and what an authority says. Out: certificates beside those of the settings,
//! answers to the authority's challenges, and what is told of failures. All of it runs beside the cores, one
//! order after the other; of several processes with one folder only one orders. Never: an order before the
//! time has come, a second attempt before the pause is over that the first one earned, or a word over what we
//! did not write.

mod attempt;
mod client;
mod item;
mod keeper;
mod order;
mod state;
mod timing;
mod tokens;

use std::sync::{Mutex, PoisonError};

use forebay_signals::counter::Counter;
use forebay_signals::prometheus::Page;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

pub use keeper::tend;
pub use state::BadState;
use state::State;

use crate::config::acme::Acme as Settings;
use crate::listen::tls::Managed;

/// What is kept of an authority's certificates, in a folder that can be used.
pub(crate) fn held(settings: Option<&Settings>) -> Result<Vec<Managed>, BadState> {
    let Some(settings) = settings else { return Ok(Vec::new()) };
    let state = State::of(settings);
    state.make()?;
    state.check(settings)
}

/// What can be said of the folder without changing it.
pub(crate) fn check(settings: Option<&Settings>) -> Result<(), BadState> {
    settings.map_or(Ok(()), |settings| State::of(settings).check(settings).map(drop))
}

/// What lives as long as the process.
#[derive(Debug, Default)]
pub struct Acme {
    /// What is shown to an authority in clear text.
    pub(crate) tokens: tokens::Tokens,
    standing: Mutex<Vec<Standing>>,
    changed: Notify,
    issued: Counter,
    failed: Counter,
}

/// How a certificate of an authority stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// What it is for.
    pub names: Vec<String>,
    /// True if there is one, whatever its age.
    pub is_held: bool,
    /// When it will be renewed, in seconds since 1970.
    pub renew_at: Option<u64>,
    /// Failures in a row.
    pub failures: u32,
    /// Why the last attempt failed.
    pub failure: Option<String>,
    /// When the next attempt begins after a failure, in seconds since 1970.
    pub next_attempt_at: Option<u64>,
}

impl Standing {
    /// The first name that it is for.
    pub fn name(&self) -> &str {
        self.names.first().map_or("-", |name| name)
    }

    /// What is wrong, if something is: ``certificate of `a.example` not renewed after 3 attempts: …``.
    pub fn sentence(&self) -> Option<String> {
        let failure = self.failure.as_ref()?;
        let what = if self.is_held {
            format!("certificate of `{}` not renewed", self.name())
        } else {
            format!("no certificate for `{}` yet", self.name())
        };
        let attempts = match self.failures {
            1 => "1 attempt".to_owned(),
            failures => format!("{failures} attempts"),
        };
        Some(format!("{what} after {attempts}: {failure}"))
    }
}

impl Acme {
    /// How the certificates stand, in the order of the settings.
    pub fn standing(&self) -> Vec<Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Why the certificate of this name was not renewed, if that was tried.
    pub(crate) fn failure(&self, name: &str) -> Option<String> {
        let standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        standing.iter().find(|of| of.name() == name)?.failure.clone()
    }

    /// New settings are in force, or the same ones again: what waited after a failure is tried now.
    pub(crate) fn settle(&self) {
        self.changed.notify_one();
    }

    /// As metrics.
    pub(crate) fn write(&self, page: &mut Page) {
        let name = "forebay_edge_acme_orders_total";
        page.family(name, "counter", "Orders of certificates, by outcome.");
        page.sample(name, &[("outcome", "issued")], self.issued.value());
        page.sample(name, &[("outcome", "failed")], self.failed.value());
        let name = "forebay_edge_acme_failures";
        page.family(name, "gauge", "Failed attempts in a row to get the certificate of this name.");
        for of in self.standing() {
            page.sample(name, &[("name", of.name())], of.failures);
        }
    }
}
