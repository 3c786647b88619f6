//! Origin: the applications behind the edge.
//!
//! In: an [`Ask`](crate::exchange::Ask), framing aside. Out: an [`Answer`](crate::exchange::Answer)
//! whose content streams, or an error that says whose fault it is. Between them: a server is chosen
//! (groups, balance, health), tried on a connection of this core's pool, and another one is tried
//! where that is safe, within a budget.
//!
//! Pools are per thread; in flight, breakers, probes, budget and counts are one state per process.
//!
//! It never sends a request twice that the method or its content forbids, never reads an answer it
//! cannot tell the end of, never uses a connection again whose messages did not both end well, and
//! never waits without a deadline.

mod attempt;
mod balance;
mod budget;
pub mod child;
mod choice;
mod connect;
mod content;
mod deadline;
mod health;
pub mod http1;
mod message;
mod overload;
mod pool;
mod server;
mod tend;
mod throttle;
mod tls;
mod upload;
mod upstream;
mod view;
mod walk;
mod wire;

#[cfg(test)]
mod moving_tests;

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use forebay_signals::clock;
use forebay_signals::drain::Drain;
use forebay_signals::journal::Journal;
use http::HeaderValue;

use crate::config::origin::Origin;
use crate::error::Source;
use health::since_start;
use server::{Identity, Server};
use upstream::Member;

pub use server::LastError;
pub use throttle::ThrottleView;
pub(crate) use tls::{connector, roots};
pub use upstream::Upstream;
pub use view::{OriginView, ServerView};

/// Settings that cannot be put to work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BadOrigin {
    /// Two origins of one name.
    #[error("two origins are named `{0}`")]
    SameName(String),
    /// An origin that nobody can be asked for.
    #[error("origin `{0}` has no server with a weight above 0")]
    NoServer(String),
    /// A host that is no field value.
    #[error("`{0}` is no host")]
    Host(String),
    /// A file of authorities that cannot be used.
    #[error("cannot use authorities in `{path}`")]
    Authorities {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Source,
    },
    /// The system has no authorities to check a server's certificate by.
    #[error("the system's certificate authorities are missing")]
    NoSystemAuthorities,
    /// A name that no certificate can bear.
    #[error("`{name}` is no server name")]
    ServerName {
        /// The name.
        name: String,
        /// Why.
        source: Source,
    },
    /// TLS over a Unix socket.
    #[error("TLS towards a Unix socket is not supported")]
    TlsOnUnix,
    /// The TLS library refuses its own settings.
    #[error("TLS cannot be set up")]
    Tls {
        /// Why.
        source: Source,
    },
    /// A name without an address, at the start.
    #[error("origin `{origin}`: `{server}` does not resolve")]
    Unresolved {
        /// The origin.
        origin: String,
        /// The server.
        server: String,
        /// Why.
        source: io::Error,
    },
}

impl BadOrigin {
    /// What the reader can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            BadOrigin::SameName(_) => "give each `[[origin]]` a name of its own",
            BadOrigin::NoServer(_) => "add a server, or raise a weight above 0",
            BadOrigin::Host(_) => "write a host name, with a port if it needs one",
            BadOrigin::Authorities { .. } => "`authorities` takes a readable PEM file",
            BadOrigin::NoSystemAuthorities => {
                "install the package ca-certificates, or set `authorities`"
            }
            BadOrigin::ServerName { .. } => "set `server_name` to the name in the certificate",
            BadOrigin::TlsOnUnix => "use http:// for a Unix socket",
            BadOrigin::Tls { .. } => "this is a fault of the build",
            BadOrigin::Unresolved { .. } => "check the spelling, or what `getent hosts` says",
        }
    }
}

/// All origins of one configuration.
pub struct Origins {
    by_name: HashMap<String, Arc<Upstream>>,
    retired: Drain,
}

impl Origins {
    /// Builds them. Servers that stand in `previous` too keep health, breaker and connections; those
    /// that do not finish what they have in flight, and close.
    pub fn new(
        settings: &[Arc<Origin>],
        previous: Option<&Origins>,
        journal: &Arc<Journal>,
    ) -> Result<Origins, BadOrigin> {
        let mut by_name = HashMap::new();
        for origin in settings {
            let before = previous.and_then(|previous| previous.by_name.get(&origin.name));
            let upstream = build(origin, before, journal)?;
            if by_name.insert(origin.name.clone(), Arc::new(upstream)).is_some() {
                return Err(BadOrigin::SameName(origin.name.clone()));
            }
        }
        Ok(Origins { by_name, retired: Drain::default() })
    }

    /// The origin of this name.
    pub fn find(&self, name: &str) -> Option<Arc<Upstream>> {
        self.by_name.get(name).cloned()
    }

    /// All origins, by name.
    pub fn all(&self) -> Vec<Arc<Upstream>> {
        let mut all: Vec<_> = self.by_name.values().cloned().collect();
        all.sort_by(|a, b| a.name().cmp(b.name()));
        all
    }

    /// Looks every name up; one that has no address now is an error. For the start and for `check`:
    /// later, the last good addresses are kept.
    pub async fn resolve_now(&self) -> Result<(), BadOrigin> {
        for upstream in self.all() {
            upstream.resolve_now().await?;
        }
        Ok(())
    }

    /// The same for names of which nothing is known yet.
    pub async fn resolve_unknown(&self) -> Result<(), BadOrigin> {
        for upstream in self.all() {
            upstream.resolve(|server| server.addresses.is_unknown()).await?;
        }
        Ok(())
    }

    /// Spawns probes, lookups and the closing of old connections on the caller's runtime. They end
    /// with `drain`, with [`Origins::retire`], or with this value.
    pub fn spawn_probes(&self, drain: &Drain) {
        for upstream in self.by_name.values() {
            tend::spawn(upstream, &self.retired, drain);
        }
    }

    /// Ends what [`Origins::spawn_probes`] began: another configuration is in force. Requests that
    /// hold an origin of this one finish.
    pub fn retire(&self) {
        self.retired.begin();
    }
}

impl Drop for Origins {
    fn drop(&mut self) {
        self.retire();
    }
}

impl Upstream {
    /// Looks the names of its servers up.
    pub async fn resolve_now(&self) -> Result<(), BadOrigin> {
        self.resolve(|_| true).await
    }

    async fn resolve(&self, is_asked: impl Fn(&Server) -> bool) -> Result<(), BadOrigin> {
        for member in self.members.iter().filter(|member| is_asked(&member.server)) {
            let server = &member.server;
            server.addresses.resolve(server.address()).await.map_err(|source| {
                let (origin, server) = (self.settings.name.clone(), server.label.clone());
                BadOrigin::Unresolved { origin, server, source }
            })?;
        }
        Ok(())
    }
}

fn build(
    origin: &Arc<Origin>,
    before: Option<&Arc<Upstream>>,
    journal: &Arc<Journal>,
) -> Result<Upstream, BadOrigin> {
    if origin.servers.iter().all(|server| server.weight == 0) {
        return Err(BadOrigin::NoServer(origin.name.clone()));
    }
    let host = origin.host.as_ref().map(|host| {
        HeaderValue::try_from(host.as_str()).map_err(|_| BadOrigin::Host(host.clone()))
    });
    let mut members = Vec::with_capacity(origin.servers.len());
    for settings in &origin.servers {
        let identity = Identity::of(settings)?;
        let same = |member: &&Member| member.server.identity == identity;
        let kept = before.and_then(|before| before.members.iter().find(same));
        let server = if let Some(member) = kept {
            Arc::clone(&member.server)
        } else {
            let server = Server::new(settings, identity)?;
            if before.is_some() {
                // Its caches are cold beside those of the others.
                server.health.warm_up(since_start(clock::now()));
            }
            Arc::new(server)
        };
        members.push(Member { server, weight: settings.weight, group: settings.group });
    }
    let (origin, host) = (Arc::clone(origin), host.transpose()?);
    let running = before.map(|before| Arc::clone(&before.running)).unwrap_or_default();
    Ok(Upstream::new(origin, members, host, running, Arc::clone(journal)))
}

impl std::fmt::Debug for Origins {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.by_name.keys()).finish()
    }
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Upstream({})", self.settings.name)
    }
}
