//! `[[origin]]`: an application behind the edge and its servers.

use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderName, StatusCode};

/// Where one server is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// Host (a name or an address) and port. Names are resolved again as they age.
    Tcp(String, u16),
    /// A Unix socket.
    Unix(PathBuf),
}

/// What we speak to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Speaks {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2; over clear text with prior knowledge.
    Http2,
    /// Over TLS what ALPN settles on; HTTP/1.1 over clear text.
    Either,
}

/// One server of an origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Where.
    pub address: Address,
    /// TLS towards it.
    pub tls: Option<Tls>,
    /// Protocol.
    pub speaks: Speaks,
    /// Share of the load relative to the others; 0 takes nothing new.
    pub weight: u32,
    /// 0 is the primary group; 1 is asked when no server of group 0 can be, and so on.
    pub group: u8,
}

/// TLS towards a server.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Tls {
    /// Name to check and to send; `None` is the host of the address.
    pub server_name: Option<String>,
    /// PEM file of authorities in place of the system's.
    pub authorities: Option<PathBuf>,
}

/// How a server is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Balance {
    /// In turn, by weight.
    RoundRobin,
    /// The less busy of two drawn by weight ("power of two choices").
    #[default]
    LeastInFlight,
    /// The same server for the same thing, while that server has no more than its share.
    Hash,
}

/// What a server is found by, if it is found by hash.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum HashBy {
    /// Authority, path and query as the origin is shown them.
    #[default]
    Url,
    /// The client's address.
    Address,
    /// A field of the request; the address if it has none.
    Field(HeaderName),
    /// A cookie of the request; the address if it has none.
    Cookie(String),
}

/// Active probes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// Path of a GET.
    pub path: String,
    /// Time between probes.
    pub interval: Duration,
    /// Time a probe may take.
    pub timeout: Duration,
    /// Probes in a row that must succeed before a sick server is well.
    pub rises_after: u32,
    /// Probes in a row that must fail before a well server is sick.
    pub falls_after: u32,
}

/// A number above 1, such as 2 or 1.5.
#[derive(Debug, Clone, Copy)]
pub struct Factor(pub f64);

/// Settings are compared as they were written.
impl PartialEq for Factor {
    fn eq(&self, other: &Factor) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Eq for Factor {}

/// Time to connect, TLS included: a healthy origin is a few milliseconds away.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Time of one try until the answer's head.
pub const TRY_TIMEOUT: Duration = Duration::from_secs(30);
/// Time of all tries together until the answer's head.
pub const TOTAL_TIMEOUT: Duration = Duration::from_secs(60);
/// Time between two reads of an answer's content; server-sent events stay below with their keep-alives.
pub const CONTENT_IDLE_TIMEOUT: Duration = Duration::from_secs(300);
/// Time that an unused connection is kept: shorter than the common servers' own 5 s would waste them,
/// longer meets their closing; a try on a connection that just closed is repeated at once.
pub const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Unused connections kept for each core and server.
pub const POOL_MAX_IDLE: usize = 128;
/// Retries as a share of requests, in percent: more would amplify an outage.
pub const RETRY_BUDGET_PERCENT: u8 = 10;
/// Requests in flight to one origin, all cores together.
pub const MAX_IN_FLIGHT: usize = 1_024;
/// K of adaptive throttling ("Site Reliability Engineering", chapter 21): an origin is sent at most so many
/// times what it takes. Less sheds sooner, more lets the origin refuse more by itself.
pub const THROTTLE_FACTOR: f64 = 2.0;
/// Load of a server above which hashing goes on to the next, as a factor of the mean (Mirrokni, Thorup and
/// Zadimoghaddam, "Consistent Hashing with Bounded Loads").
pub const HASH_BOUND: f64 = 1.25;
/// Failures in a row that open a server's breaker (passive health).
pub const BREAKER_FAILURES: u32 = 5;
/// Time that a breaker stays open before one request may try.
pub const BREAKER_OPEN_FOR: Duration = Duration::from_secs(5);
/// Age at which a name is resolved again.
pub const RESOLVE_EVERY: Duration = Duration::from_secs(30);

/// An origin: one application on one or more servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Name, as routes refer to it.
    pub name: String,
    /// Servers.
    pub servers: Vec<Server>,
    /// Choice among them.
    pub balance: Balance,
    /// What a server is found by, if it is found by hash.
    pub hash_by: HashBy,
    /// Load above which hashing goes on to the next server.
    pub hash_bound: Factor,
    /// Time in which the share of a server that becomes well, or is new, grows to the whole.
    pub slow_start: Option<Duration>,
    /// Probes; `None` leaves passive health alone.
    pub probe: Option<Probe>,
    /// Host to send in place of the client's.
    pub host: Option<String>,
    /// Statuses after which another server is asked, where a retry is safe.
    pub failover_statuses: Vec<StatusCode>,
    /// Connect.
    pub connect_timeout: Duration,
    /// One try.
    pub try_timeout: Duration,
    /// All tries.
    pub total_timeout: Duration,
    /// Content.
    pub content_idle_timeout: Duration,
    /// Tries at most, the first included.
    pub max_tries: u32,
    /// Retry budget.
    pub retry_budget_percent: u8,
    /// In flight.
    pub max_in_flight: usize,
    /// K of adaptive throttling; `None` sends everything on.
    pub throttle_factor: Option<Factor>,
    /// Pool.
    pub pool_idle_timeout: Duration,
    /// Pool.
    pub pool_max_idle: usize,
    /// Breaker.
    pub breaker_failures: u32,
    /// Breaker.
    pub breaker_open_for: Duration,
    /// DNS.
    pub resolve_every: Duration,
}

impl Origin {
    /// An origin with these servers and every other setting at its default.
    pub fn new(name: impl Into<String>, servers: Vec<Server>) -> Origin {
        Origin {
            name: name.into(),
            servers,
            balance: Balance::default(),
            hash_by: HashBy::default(),
            hash_bound: Factor(HASH_BOUND),
            slow_start: None,
            probe: None,
            host: None,
            failover_statuses: Vec::new(),
            connect_timeout: CONNECT_TIMEOUT,
            try_timeout: TRY_TIMEOUT,
            total_timeout: TOTAL_TIMEOUT,
            content_idle_timeout: CONTENT_IDLE_TIMEOUT,
            max_tries: 3,
            retry_budget_percent: RETRY_BUDGET_PERCENT,
            max_in_flight: MAX_IN_FLIGHT,
            throttle_factor: Some(Factor(THROTTLE_FACTOR)),
            pool_idle_timeout: POOL_IDLE_TIMEOUT,
            pool_max_idle: POOL_MAX_IDLE,
            breaker_failures: BREAKER_FAILURES,
            breaker_open_for: BREAKER_OPEN_FOR,
            resolve_every: RESOLVE_EVERY,
        }
    }
}

impl Server {
    /// A server over clear text with weight 1 in the primary group.
    pub fn plain(address: Address) -> Server {
        Server { address, tls: None, speaks: Speaks::Either, weight: 1, group: 0 }
    }
}
