//! As much of DER as it takes to find a certificate's dates and what its authority knows it by.

pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const OCTET_STRING: u8 = 0x04;
const INTEGER: u8 = 0x02;
const VERSION: u8 = 0xa0;

/// Some fields of a certificate (RFC 5280 §4.1), as they stand in it.
pub(super) struct Fields<'c> {
    pub(super) serial: &'c [u8],
    pub(super) validity: &'c [u8],
    /// The subject and all that follows it.
    pub(super) rest: &'c [u8],
}

impl<'c> Fields<'c> {
    /// Of a certificate in DER; `None` if it is not to be made out.
    pub(super) fn of(certificate: &'c [u8]) -> Option<Fields<'c>> {
        let (certificate, _) = inside(certificate, SEQUENCE)?;
        let (to_be_signed, _) = inside(certificate, SEQUENCE)?;
        let rest = inside(to_be_signed, VERSION).map_or(to_be_signed, |(_, rest)| rest);
        let (serial, rest) = inside(rest, INTEGER)?;
        let (_algorithm, rest) = inside(rest, SEQUENCE)?;
        let (_issuer, rest) = inside(rest, SEQUENCE)?;
        let (validity, rest) = inside(rest, SEQUENCE)?;
        Some(Fields { serial, validity, rest })
    }
}

/// The content of the element that stands first, if it has this tag, and what follows it.
pub(super) fn inside(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, rest) = bytes.split_first()?;
    let (short, rest) = rest.split_first()?;
    let (length, rest) = match short {
        0..=0x7f => (usize::from(*short), rest),
        0x81..=0x84 => {
            let (length, rest) = rest.split_at_checked(usize::from(short & 0x7f))?;
            (length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    if *found == tag { rest.split_at_checked(length) } else { None }
}
