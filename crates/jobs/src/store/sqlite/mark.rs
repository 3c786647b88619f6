//! What jobs are found by: hashes that are the same in every version, since they lie on the disk.

use std::borrow::Cow;

/// The hash of the job's id, if its payload has one.
pub(super) fn of_payload(payload: &[u8]) -> Option<i64> {
    #[derive(serde::Deserialize)]
    struct Id<'a> {
        #[serde(borrow)]
        jid: Cow<'a, str>,
    }
    serde_json::from_slice::<Id<'_>>(payload).ok().map(|it| sum(it.jid.as_bytes()))
}

/// FNV-1a, 64 bits. Who makes two that are alike makes a search longer and nothing else: what is found is
/// compared whole.
pub(super) fn sum(bytes: &[u8]) -> i64 {
    const START: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    let mut hash = START;
    for byte in bytes {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(PRIME);
    }
    hash.cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_what_they_were() {
        assert_eq!(sum(b""), 0xcbf2_9ce4_8422_2325_u64.cast_signed());
        assert_eq!(sum(b"a"), 0xaf63_dc4c_8601_ec8c_u64.cast_signed());
        assert_eq!(of_payload(br#"{"class":"A","jid":"\u0061"}"#), Some(sum(b"a")));
        assert_eq!(of_payload(b"\xff"), None);
    }
}
