//! `[compress]`: encodings.

use crate::exchange::Encoding;

/// Below this an encoding saves nothing that a packet shows.
pub const MIN_BYTES: u64 = 1_024;
/// CPU share of one core that goes into better encodings behind the scenes, in percent.
pub const BACKGROUND_CPU_PERCENT: u8 = 25;
/// Hits after which a stored object is worth the best encoding.
pub const HITS_BEFORE_BEST: u32 = 3;

/// `[compress]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compress {
    /// Encodings in the edge's order of preference among what the client likes equally; empty is off.
    pub encodings: Vec<Encoding>,
    /// Smallest content.
    pub min_bytes: u64,
    /// Media types besides the built-in list.
    pub more_types: Vec<String>,
    /// Background budget.
    pub background_cpu_percent: u8,
    /// When an object has earned it.
    pub hits_before_best: u32,
    /// Encodes answers that set cookies, too. Off: who can make such an answer echo input beside a
    /// secret can guess the secret from its length (BREACH).
    pub encodes_with_cookies: bool,
}

impl Default for Compress {
    fn default() -> Compress {
        Compress {
            encodings: vec![Encoding::Brotli, Encoding::Zstd, Encoding::Gzip],
            min_bytes: MIN_BYTES,
            more_types: Vec::new(),
            background_cpu_percent: BACKGROUND_CPU_PERCENT,
            hits_before_best: HITS_BEFORE_BEST,
            encodes_with_cookies: false,
        }
    }
}
