//! Which routes are in maintenance: by the settings, or by an act that outlives a reload (not a restart).

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::config::Config;
use crate::config::route::Route;
use crate::exchange::Exchange;

/// What operators have closed.
#[derive(Debug, Default)]
pub struct Maintenance {
    /// Nothing of what follows is looked at while nothing is closed: every request passes here.
    is_any: AtomicBool,
    acted: Mutex<Acted>,
}

#[derive(Debug, Default)]
struct Acted {
    everything: bool,
    routes: BTreeSet<String>,
}

/// What is left of a route that is in maintenance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// Nothing.
    Wholly,
    /// What is stored.
    ButForHits,
}

impl Maintenance {
    /// Takes new settings in.
    pub fn settle(&self, config: &Config) {
        let acted = self.acted.lock().unwrap_or_else(PoisonError::into_inner);
        let is_set =
            config.maintenance.is_on || config.routes.iter().any(|route| route.is_in_maintenance);
        let is_any = is_set || acted.everything || !acted.routes.is_empty();
        self.is_any.store(is_any, Ordering::Relaxed);
    }

    /// Opens or closes one route, or all. Says what is wrong with that.
    pub fn act(&self, config: &Config, route: Option<&str>, is_on: bool) -> Result<(), String> {
        let known = |name: &str| config.routes.iter().find(|route| route.name == name);
        let set = match route {
            None => config.maintenance.is_on.then_some("`maintenance.on`"),
            Some(name) => {
                let mut acted = self.acted.lock().unwrap_or_else(PoisonError::into_inner);
                let Some(route) = known(name) else {
                    // One that a reload took away can still be forgotten.
                    let is_forgotten = !is_on && acted.routes.remove(name);
                    return if is_forgotten {
                        Ok(())
                    } else {
                        Err(format!("no route is named `{name}`"))
                    };
                };
                route.is_in_maintenance.then_some("`maintenance` of the route")
            }
        };
        if let (Some(set), false) = (set, is_on) {
            return Err(format!("the settings have {set}: change them and reload"));
        }
        let mut acted = self.acted.lock().unwrap_or_else(PoisonError::into_inner);
        match route {
            None => acted.everything = is_on,
            Some(name) if is_on => drop(acted.routes.insert(name.to_owned())),
            Some(name) => drop(acted.routes.remove(name)),
        }
        drop(acted);
        self.settle(config);
        Ok(())
    }

    /// Whether this request finds its route closed.
    pub fn stops(&self, config: &Config, route: &Route, exchange: &Exchange) -> Option<Closed> {
        if !self.is_any.load(Ordering::Relaxed) {
            return None;
        }
        let settings = &config.maintenance;
        let client = &exchange.client;
        let has_peer = client.peer.is_some();
        let is_closed = self.closes(config, route) && !settings.allows(has_peer, client.address);
        let left = if settings.serves_hits { Closed::ButForHits } else { Closed::Wholly };
        is_closed.then_some(left)
    }

    /// Names of the routes that are closed.
    pub fn closed(&self, config: &Config) -> Vec<String> {
        let closed = config.routes.iter().filter(|route| self.closes(config, route));
        closed.map(|route| route.name.clone()).collect()
    }

    /// Whether a route is closed, whoever asks.
    pub fn closes(&self, config: &Config, route: &Route) -> bool {
        if config.maintenance.is_on || route.is_in_maintenance {
            return true;
        }
        let acted = self.acted.lock().unwrap_or_else(PoisonError::into_inner);
        acted.everything || acted.routes.contains(&route.name)
    }
}
