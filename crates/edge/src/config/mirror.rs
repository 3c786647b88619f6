//! `mirror` of a route: an origin that gets copies of requests, and whose answers nobody gets.

use std::time::Duration;

use http::Method;

/// Copies on their way at once: enough for an origin that is well, and no queue for one that is not.
pub const MAX_IN_FLIGHT: usize = 64;
/// Time that a copy has, answer included.
pub const TIMEOUT: Duration = Duration::from_secs(30);
/// Most content that a copy may be allowed to hold: it lies in memory.
pub const MOST_CONTENT_BYTES: u64 = 1 << 20;

/// Copies of requests for another origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// The origin.
    pub origin: String,
    /// Share of [`ALL_PARTS`](super::route::ALL_PARTS).
    pub share: u32,
    /// Methods that are copied.
    pub methods: Vec<Method>,
    /// Longest content that is copied; 0 copies no request that has any.
    pub max_content_bytes: u64,
    /// Copies on their way at once, whose answers included.
    pub max_in_flight: usize,
    /// Time that a copy has.
    pub timeout: Duration,
    /// Whether copies hold what says whose request it is.
    pub is_personal: bool,
}
