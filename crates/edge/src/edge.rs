//! The engine: what lives as long as the process, and what a reload swaps.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use arc_swap::{ArcSwap, ArcSwapOption};
use forebay_signals::clock;
use forebay_signals::drain::Drain;
use forebay_signals::journal::{Entry, Journal};
use http::{HeaderName, Uri};
use tokio::sync::Semaphore;

use crate::access_log::AccessLog;
use crate::acme::{self, Acme, BadState};
use crate::admit::{Checks, InFlight, Rates};
use crate::cache::store::Resized;
use crate::cache::{Cache, StoredUrl};
use crate::compress::Compressor;
use crate::config::Config;
use crate::config::log::{Format, Log};
use crate::config::policy::Policy;
use crate::doorman::{Doormen, Reserved};
use crate::exchange::{Encoding, HintCounts, Scheme};
use crate::geo::{BadDatabase, Geo};
use crate::listen::{self, Entrance, Inherited, OpenError};
use crate::maintenance::Maintenance;
use crate::mirror::FOREBAY_MIRROR;
use crate::origin::{BadOrigin, Origins};
use crate::pipeline::Pipeline;
use crate::route::Table;
use crate::site::Shared;
pub use crate::site::Site;
use crate::telemetry::{self, Telemetry};
use crate::top::{self, Top};
use crate::traffic::Traffic;

/// Everything that outlives a reload.
#[derive(Debug)]
pub struct Edge {
    /// The way in: sockets, certificates, caps.
    pub entrance: Arc<Entrance>,
    /// Stored answers.
    pub cache: Cache,
    /// Encoders under the settings in force.
    compressor: ArcSwap<Compressor>,
    /// Counters by route.
    pub traffic: Traffic,
    /// What is asked for most.
    pub top: Top,
    /// Requests in the rooms.
    pub in_flight: InFlight,
    /// What clients were told before their answers.
    pub hints: Arc<HintCounts>,
    /// Purges that clients and operators wait for.
    pub(crate) purging: Arc<Semaphore>,
    /// What operators have closed.
    pub maintenance: Maintenance,
    /// Certificates of an authority.
    pub acme: Acme,
    /// What is told to others.
    pub telemetry: Telemetry,
    /// Who changed what.
    pub journal: Arc<Journal>,
    /// What an operator marked last, such as a deploy.
    pub(crate) mark: ArcSwapOption<Entry>,
    /// Begun when the process is told to go.
    pub drain: Drain,
    /// When the process began.
    pub started: Instant,
    snapshot: ArcSwap<Snapshot>,
    reloads: AtomicU64,
    /// `listen.cores` as it was at the start.
    cores: Option<usize>,
}

/// Everything that a reload swaps. A request holds the snapshot it began with.
#[derive(Debug)]
pub struct Snapshot {
    /// The settings.
    pub config: Config,
    /// Host, path and the rest to a site.
    pub table: Table,
    /// Routes with what belongs to them, in the order of the settings.
    pub sites: Vec<Arc<Site>>,
    /// Policies that routes name, each once.
    pub policies: Vec<Arc<Policy>>,
    /// How often clients may ask.
    pub rates: Rates,
    /// Who says whether requests may come in.
    pub doormen: Doormen,
    /// Fields that only the edge may say: what clients say under these names is dropped.
    pub reserved: Arc<Reserved>,
    /// The bound of passwords that are checked at once.
    checks: Arc<Checks>,
    /// Where they are.
    pub geo: Arc<Geo>,
    /// Applications.
    pub origins: Arc<Origins>,
    /// Access log.
    pub log: AccessLog,
}

/// New settings with their origins, not in force yet. What both settings name is shared already: servers
/// that stay keep health and connections.
#[derive(Debug)]
pub struct Prepared {
    config: Config,
    origins: Arc<Origins>,
}

impl Prepared {
    /// The settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Looks up the origins' names that are not known yet: a name that went away is no reason to refuse
    /// settings, one that was never there is. What is found is used once they are in force.
    pub async fn check_names(&self) -> Result<(), StartError> {
        Ok(self.origins.resolve_unknown().await?)
    }
}

/// Why an engine cannot begin, or a reload not be taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A socket or a certificate.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// An origin.
    #[error(transparent)]
    Origin(#[from] BadOrigin),
    /// A database of addresses.
    #[error(transparent)]
    Geo(#[from] BadDatabase),
    /// What is kept of an authority's certificates.
    #[error(transparent)]
    Acme(#[from] BadState),
    /// The access log.
    #[error("cannot open the access log `{path}`")]
    Log {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
}

impl StartError {
    fn log(settings: &Log, source: std::io::Error) -> StartError {
        let path = settings.path.as_ref().map_or("-".into(), |path| path.display().to_string());
        StartError::Log { path, source }
    }

    /// What the reader can do about it.
    pub fn hint(&self) -> String {
        match self {
            StartError::Open(error) => error.hint(),
            StartError::Origin(error) => error.hint().to_string(),
            StartError::Acme(error) => error.hint(),
            StartError::Geo(_) => {
                "it must be a whole `.mmdb` file that may be read; fetch it again, or leave it out of \
                 `geo.database`"
                    .into()
            }
            StartError::Log { .. } => {
                "its folder must exist and be writable; without `log.path` lines go to standard output".into()
            }
        }
    }
}

impl Edge {
    /// An engine with these settings for `cores` cores. Its sockets are bound: clients wait in the
    /// kernel until [`Edge::serve`] runs.
    pub fn open(config: Config, cores: usize) -> Result<Arc<Edge>, StartError> {
        Edge::open_with(config, cores, Inherited::default())
    }

    /// The same with sockets that the process was started with.
    pub fn open_with(
        config: Config,
        cores: usize,
        inherited: Inherited,
    ) -> Result<Arc<Edge>, StartError> {
        let traffic = Traffic::default();
        let cache = Cache::new(&config.cache);
        let compressor = Compressor::new(&config.compress);
        let journal = Arc::<Journal>::default();
        let origins = Arc::new(Origins::new(&config.origins, None, &journal)?);
        let snapshot = Snapshot::new(Prepared { config, origins }, &traffic, None)?;
        let settings = &snapshot.config;
        let set_cores = settings.listen.cores;
        let admit = settings.admit_at_the_door();
        let managed = acme::held(settings.acme.as_ref())?;
        let entrance = Entrance::open_with(&settings.listen, &admit, cores, inherited)?;
        entrance.certificates().put(&managed);
        let maintenance = Maintenance::default();
        maintenance.settle(settings);
        let telemetry = Telemetry::new(settings.otlp.as_deref());
        Ok(Arc::new(Edge {
            entrance: Arc::new(entrance),
            cache,
            compressor: ArcSwap::from_pointee(compressor),
            traffic,
            top: Top::default(),
            in_flight: InFlight::default(),
            hints: Arc::default(),
            purging: Arc::new(Semaphore::new(crate::purge::MOST_AT_ONCE)),
            maintenance,
            acme: Acme::default(),
            telemetry,
            journal,
            mark: ArcSwapOption::empty(),
            drain: Drain::default(),
            started: clock::now(),
            snapshot: ArcSwap::from_pointee(snapshot),
            reloads: AtomicU64::new(0),
            cores: set_cores,
        }))
    }

    /// Checks settings as far as that goes without binding a socket: origins, names, certificates, the
    /// file of the access log.
    pub async fn check(mut config: Config) -> Result<(), StartError> {
        AccessLog::check(&config.log).map_err(|source| StartError::log(&config.log, source))?;
        config.log = Log { format: Format::Off, path: None };
        Geo::open(&config.geo, None)?;
        acme::check(config.acme.as_ref())?;
        telemetry::check(config.otlp.as_deref())?;
        listen::Certificates::load(&config.listen.certificates).map_err(OpenError::from)?;
        Ok(Origins::new(&config.origins, None, &Arc::default())?.resolve_now().await?)
    }

    /// Serves everything that comes in on one core, until the drain is over. Runs on that core's own
    /// current-thread runtime.
    pub async fn serve(self: Arc<Edge>, core: usize) {
        let flushing = tokio::spawn(crate::access_log::flush_regularly(self.drain.clone()));
        let laying_out = tokio::spawn(top::lay_out(Arc::clone(&self)));
        let handler = Pipeline(Arc::clone(&self));
        listen::run(core, Arc::clone(&self.entrance), handler, self.drain.clone()).await;
        if let Err(error) = laying_out.await {
            tracing::error!(%error, "what counts for top ended early");
        }
        if let Err(error) = flushing.await {
            tracing::error!(%error, "the access log's task ended early");
        }
        crate::access_log::flush();
    }

    /// What is in force now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// The same without counting a reference: for the length of a poll.
    pub(crate) fn current(&self) -> arc_swap::Guard<Arc<Snapshot>> {
        self.snapshot.load()
    }

    /// Builds the origins of new settings, once for all that follows; nothing changes.
    pub fn prepare(&self, config: Config) -> Result<Prepared, StartError> {
        let before = self.current();
        let origins = Origins::new(&config.origins, Some(&before.origins), &self.journal)?;
        Ok(Prepared { config, origins: Arc::new(origins) })
    }

    /// Checks new settings whole and puts them in force whole; nothing changes on an error.
    /// Says which settings wait for a restart.
    pub fn reload(&self, next: Prepared) -> Result<Vec<String>, StartError> {
        let before = self.snapshot();
        let snapshot = Snapshot::new(next, &self.traffic, Some(&before))?;
        let settings = &snapshot.config;
        let next = self.entrance.prepare(&settings.listen, &settings.admit_at_the_door())?;
        let managed = acme::held(settings.acme.as_ref())?;
        // From here on nothing fails.
        self.entrance.swap(next);
        self.entrance.certificates().put(&managed);
        if before.config.compress != settings.compress {
            let renewed = self.compressor.load().renewed(&settings.compress);
            self.compressor.store(Arc::new(renewed));
            self.note_encodings();
        }
        let mut waiting = Vec::new();
        if self.cores != settings.listen.cores {
            waiting.push("listen.cores".to_owned());
        }
        if let Resized::ButForLargest { taken_bytes } = self.cache.resize(&settings.cache) {
            let taken = taken_bytes >> 10;
            waiting.push(format!(
                "cache.max_object (until then the store takes up to {taken} KiB: it stays divided as it was at \
                 the start, and no part of it holds more)"
            ));
        }
        self.maintenance.settle(settings);
        self.snapshot.store(Arc::new(snapshot));
        self.acme.settle();
        self.reloads.fetch_add(1, Ordering::Relaxed);
        Ok(waiting)
    }

    /// What was stored under other settings says nothing of the encodings that are made of it from now on.
    fn note_encodings(&self) {
        let compressor = self.compressor();
        self.cache.memory.each(|object| {
            let length = object.body_len();
            let is_silent = object.encoding() == Encoding::Identity
                && compressor.is_candidate(object.content_type(), length)
                && compressor.is_silent(object.status(), &object.fields(), length);
            if is_silent {
                object.note_vary();
            } else if object.varies_now() {
                object.forget_vary();
            }
        });
    }

    /// Encoders under the settings in force.
    pub fn compressor(&self) -> arc_swap::Guard<Arc<Compressor>> {
        self.compressor.load()
    }

    /// Reloads that took effect.
    pub fn reloads(&self) -> u64 {
        self.reloads.load(Ordering::Relaxed)
    }

    /// True if the certificate that was shown for `server_name`, or without one, is good for `host`.
    pub fn covers(&self, server_name: Option<&str>, host: &str) -> bool {
        self.entrance.certificates().covers(server_name, host)
    }
}

impl Snapshot {
    fn new(
        Prepared { config, origins }: Prepared,
        traffic: &Traffic,
        before: Option<&Snapshot>,
    ) -> Result<Snapshot, StartError> {
        let log = match before {
            Some(before) if before.config.log == config.log => before.log.clone(),
            _ => AccessLog::open(config.log.format, config.log.path.clone())
                .map_err(|source| StartError::log(&config.log, source))?,
        };
        let geo = Arc::new(Geo::open(&config.geo, before.map(|before| &*before.geo))?);
        let table = Table::new(&config);
        let rates = Rates::new(&config.rates, before.map(|before| &before.rates));
        let checks = before.map(|before| Arc::clone(&before.checks)).unwrap_or_default();
        let known = before.map(|before| &before.doormen);
        let doormen = Doormen::new(&config.forward_auths, &origins, known);
        let shared = Shared {
            origins: &origins,
            rates: &rates,
            doormen: &doormen,
            traffic,
            checks: &checks,
            before,
        };
        let sites = config.routes.iter().map(|route| Site::new(route, &shared)).collect();
        let reserved = reserved(&config);
        let mut policies: Vec<Arc<Policy>> = Vec::new();
        for policy in config.routes.iter().filter_map(|route| route.policy.as_ref()) {
            if !policies.iter().any(|known| Arc::ptr_eq(known, policy) || known == policy) {
                policies.push(Arc::clone(policy));
            }
        }
        Ok(Snapshot {
            config,
            table,
            sites,
            policies,
            rates,
            doormen,
            reserved,
            checks,
            geo,
            origins,
            log,
        })
    }

    /// The site of this name.
    pub(crate) fn site(&self, name: &str) -> Option<&Arc<Site>> {
        self.sites.iter().find(|site| site.route.name == name)
    }

    /// A URL as the store knows it under the policies in force.
    pub fn stored_url(&self, scheme: Scheme, authority: &str, uri: &Uri) -> StoredUrl {
        StoredUrl::new(scheme, authority, uri, self.policies.iter().map(|policy| &**policy))
    }
}

/// Fields that only the edge may say: what is taken from a ruling, and the mark of a copy.
fn reserved(config: &Config) -> Arc<Reserved> {
    let taken = config.forward_auths.iter().flat_map(|auth| auth.take.iter().cloned());
    let mut reserved: Vec<HeaderName> = taken.collect();
    if config.routes.iter().any(|route| route.mirror.is_some()) {
        reserved.push(FOREBAY_MIRROR);
    }
    Arc::new(Reserved::new(reserved))
}
