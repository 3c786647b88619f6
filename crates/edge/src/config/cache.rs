//! `[cache]`: the store.

/// Bytes in memory, keys and fields counted: small enough for the smallest machine.
pub const MEMORY_BYTES: u64 = 256 << 20;
/// Largest object that is stored; larger ones stream through.
pub const MAX_OBJECT_BYTES: u64 = 16 << 20;

/// `[cache]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    /// Bound of the store.
    pub memory_bytes: u64,
    /// Bound of one object.
    pub max_object_bytes: u64,
    /// Tags of answers (`Surrogate-Key`, `Cache-Tag`).
    pub tags: Visibility,
}

/// Whether clients are shown the fields that hold tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Visibility {
    /// They are for the edge: they tell how the application is made.
    #[default]
    Hidden,
    /// A cache before the edge wants them too.
    Shown,
}

impl Default for Cache {
    fn default() -> Cache {
        Cache {
            memory_bytes: MEMORY_BYTES,
            max_object_bytes: MAX_OBJECT_BYTES,
            tags: Visibility::default(),
        }
    }
}
