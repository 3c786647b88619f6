//! From when to when a certificate is good: the two dates of RFC 5280 §4.1.2.5, read from its DER.
//!
//! `webpki` checks these dates and does not tell them; a whole parser of X.509 would be a dependency for two
//! dates of files that are the operator's own.

use std::time::SystemTime;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::der::{Fields, inside};

const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// When a certificate begins and ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lifetime {
    pub(super) begins: SystemTime,
    pub(super) ends: SystemTime,
}

impl Lifetime {
    /// Of a certificate in DER; `None` if it is not to be made out.
    pub(super) fn of(certificate: &[u8]) -> Option<Lifetime> {
        let Fields { validity, .. } = Fields::of(certificate)?;
        let (begins, rest) = time(validity)?;
        let (ends, _) = time(rest)?;
        Some(Lifetime { begins, ends })
    }
}

/// `YYMMDDHHMMSSZ` for years from 1950 to 2049, else with four digits of the year.
fn time(bytes: &[u8]) -> Option<(SystemTime, &[u8])> {
    let (year, text, rest) = if let Some((text, rest)) = inside(bytes, UTC_TIME) {
        let (year, text) = text.split_first_chunk::<2>()?;
        let year = number(year)?;
        (if year < 50 { 2000 + year } else { 1900 + year }, text, rest)
    } else {
        let (text, rest) = inside(bytes, GENERALIZED_TIME)?;
        let (year, text) = text.split_first_chunk::<4>()?;
        (number(year)?, text, rest)
    };
    let (pairs, end) = text.as_chunks::<2>();
    let [month, day, hour, minute, second] = pairs else { return None };
    if end != b"Z" {
        return None;
    }
    let small = |pair: &[u8]| number(pair).and_then(|number| i8::try_from(number).ok());
    let civil = DateTime::new(
        year,
        small(month)?,
        small(day)?,
        small(hour)?,
        small(minute)?,
        small(second)?,
        0,
    );
    let at = SystemTime::from(TimeZone::UTC.to_timestamp(civil.ok()?).ok()?);
    Some((at, rest))
}

fn number(digits: &[u8]) -> Option<i16> {
    let is_plain = digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(digits).ok().filter(|_| is_plain)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    fn made(from: (i32, u8, u8), to: (i32, u8, u8)) -> Vec<u8> {
        let mut params = CertificateParams::new(["a.example".to_owned()]).expect("names");
        params.not_before = date_time_ymd(from.0, from.1, from.2);
        params.not_after = date_time_ymd(to.0, to.1, to.2);
        let key = KeyPair::generate().expect("a key");
        params.self_signed(&key).expect("made").der().to_vec()
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn both_forms_of_a_date_are_read() {
        let lifetime = Lifetime::of(&made((2024, 2, 29), (2049, 12, 31)));
        let expected = Lifetime { begins: at(1_709_164_800), ends: at(2_524_521_600) };
        assert_eq!(lifetime, Some(expected));
        let lifetime = Lifetime::of(&made((1999, 12, 31), (2050, 1, 1)));
        let expected = Lifetime { begins: at(946_598_400), ends: at(2_524_608_000) };
        assert_eq!(lifetime, Some(expected));
    }

    #[test]
    fn what_is_no_certificate_has_no_lifetime_and_makes_no_panic() {
        let whole = made((2024, 2, 29), (2050, 1, 1));
        for length in 0..whole.len() {
            Lifetime::of(&whole[..length]);
        }
        for at in 0..whole.len() {
            for byte in [0, 0x7f, 0x80, 0x84, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] = byte;
                Lifetime::of(&bytes);
            }
        }
        assert_eq!(Lifetime::of(b""), None);
        assert_eq!(Lifetime::of(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
    }
}
