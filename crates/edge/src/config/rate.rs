//! `[rate.NAME]`: how many requests of one kind a client may send.

use std::time::Duration;

use http::HeaderName;

/// Time that a rate is counted over.
pub const PER: Duration = Duration::from_secs(1);
/// Clients that a rate remembers at a time: 1 MiB of memory, and more than a small site has at once.
pub const KEYS: usize = 128 * 1024;
/// Least of them: a rate for everybody needs one.
pub const LEAST_KEYS: usize = 64;
/// Most: 512 MiB, before that another remedy is due.
pub const MOST_KEYS: usize = 64 * 1024 * 1024;
/// Shortest time between two requests of one client: counts are kept in microseconds.
pub const LEAST_INTERVAL: Duration = Duration::from_micros(10);
/// Longest time until a client has all of its burst again.
pub const LONGEST_REFILL: Duration = Duration::from_secs(30 * 86_400);

/// Whose requests are counted together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum RateKey {
    /// One address, or the network that it lies in.
    #[default]
    Address,
    /// All requests together.
    Everybody,
    /// One value of this field; a request without it counts by its address.
    Field(HeaderName),
    /// One value of this cookie; a request without it counts by its address.
    Cookie(String),
}

/// A limit by token bucket: a bucket of `burst` requests that fills again at `requests` in `per`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rate {
    /// Name, in answers, logs and metrics.
    pub name: String,
    /// How many requests…
    pub requests: u32,
    /// …in this time.
    pub per: Duration,
    /// How many at once.
    pub burst: u32,
    /// Whose.
    pub key: RateKey,
    /// Leading bits of an IPv4 address that make one client.
    pub ipv4_prefix: u8,
    /// Leading bits of an IPv6 address that make one client. A household has a /64.
    pub ipv6_prefix: u8,
    /// False only counts what would be refused.
    pub enforces: bool,
    /// Answers tell in `RateLimit` what is left.
    pub announces: bool,
    /// Clients remembered at a time.
    pub keys: usize,
}

impl Rate {
    /// Time after which a client has one request more.
    pub fn interval(&self) -> Duration {
        self.per / self.requests.max(1)
    }
}

impl Default for Rate {
    fn default() -> Rate {
        Rate {
            name: String::new(),
            requests: 1,
            per: PER,
            burst: 1,
            key: RateKey::default(),
            ipv4_prefix: 32,
            ipv6_prefix: 64,
            enforces: true,
            announces: true,
            keys: KEYS,
        }
    }
}
