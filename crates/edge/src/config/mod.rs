//! The edge's settings after they are checked: what the rooms read.
//!
//! In: raw TOML or the flags of `forebay run`. Out: one [`Config`], immutable, swapped
//! whole on reload. Every default is a constant in its room's file with one line of reason. Nothing
//! here reads files, arguments or the environment: the binary does.

pub mod acme;
pub mod admin;
pub mod admit;
pub mod cache;
pub mod compress;
pub mod file;
pub mod forward_auth;
pub mod geo;
pub mod listen;
pub mod log;
pub mod maintenance;
pub mod mirror;
pub mod origin;
pub mod otlp;
pub mod policy;
pub mod purge;
pub mod rate;
pub mod route;
pub mod statsd;
pub mod template;
pub mod users;

use std::sync::Arc;

/// Everything the edge is told.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Sockets, certificates, deadlines.
    pub listen: listen::Listen,
    /// Certificates from an authority.
    pub acme: Option<acme::Acme>,
    /// Who and how much may come in.
    pub admit: admit::Admit,
    /// Which request goes where; tried in this order.
    pub routes: Vec<route::Route>,
    /// How often clients may ask, by name.
    pub rates: Vec<Arc<rate::Rate>>,
    /// Who says whether requests may come in, by name.
    pub forward_auths: Vec<Arc<forward_auth::ForwardAuth>>,
    /// What clients get while an application is worked on.
    pub maintenance: maintenance::Maintenance,
    /// Where addresses are.
    pub geo: geo::Geo,
    /// The store.
    pub cache: cache::Cache,
    /// Who may purge by HTTP.
    pub purge: purge::Purge,
    /// Encodings.
    pub compress: compress::Compress,
    /// Applications behind the edge, by name.
    pub origins: Vec<Arc<origin::Origin>>,
    /// Access log.
    pub log: log::Log,
    /// Traces and metrics for a collector, as the environment says it: the same until the process ends.
    pub otlp: Option<Arc<otlp::Otlp>>,
    /// Metrics for an agent.
    pub statsd: statsd::Statsd,
    /// The listener for operators.
    pub admin: admin::Admin,
}

impl Config {
    /// What holds for a message before its route is known: as much content as any route may have.
    pub fn admit_at_the_door(&self) -> admit::Admit {
        let of_routes = self.routes.iter().filter_map(|route| route.max_content_bytes);
        let most = of_routes.fold(self.admit.max_content_bytes, u64::max);
        admit::Admit { max_content_bytes: most, ..self.admit.clone() }
    }
}
