//! How urgent an answer is to its client (RFC 9218).

/// Urgency without a word of the client (RFC 9218 §4.1).
const DEFAULT_URGENCY: u8 = 3;
/// The least urgent.
const LAST_URGENCY: u8 = 7;

/// What a client says of one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Priority {
    /// 0 is first, 7 is last.
    pub(super) urgency: u8,
    /// It is of use while it arrives: it shares its turn with others of the same urgency.
    pub(super) is_incremental: bool,
}

impl Default for Priority {
    /// RFC 9218 takes silence for "not incremental". A client that is silent may well not know of
    /// priorities at all, and one endless answer would hold up all others behind it.
    fn default() -> Priority {
        Priority { urgency: DEFAULT_URGENCY, is_incremental: true }
    }
}

impl Priority {
    /// Reads a `priority` field: a dictionary of which two members matter (RFC 9218 §4). What is not
    /// understood is passed over.
    pub(super) fn read(value: &[u8]) -> Priority {
        let mut priority = Priority { urgency: DEFAULT_URGENCY, is_incremental: false };
        for member in value.split(|byte| *byte == b',') {
            let member = member.split(|byte| *byte == b';').next().unwrap_or_default();
            match member.trim_ascii() {
                [b'u', b'=', digit @ b'0'..=b'7'] => priority.urgency = digit - b'0',
                b"i" | b"i=?1" => priority.is_incremental = true,
                b"i=?0" => priority.is_incremental = false,
                _ => {}
            }
        }
        debug_assert!(priority.urgency <= LAST_URGENCY);
        priority
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_understood_counts() {
        for (value, urgency, is_incremental) in [
            ("u=0", 0, false),
            ("u=5, i", 5, true),
            ("i=?1,u=7", 7, true),
            ("i, i=?0", 3, false),
            ("u=8", 3, false),
            ("u=-1, x=2, u=1;q=2", 1, false),
            ("", 3, false),
        ] {
            let expected = Priority { urgency, is_incremental };
            assert_eq!(Priority::read(value.as_bytes()), expected, "{value}");
        }
    }
}
