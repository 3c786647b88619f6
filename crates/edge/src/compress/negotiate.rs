//! What a client takes (RFC 9110 §12.5.3).

use http::header::{ACCEPT_ENCODING, HeaderMap};

use crate::exchange::Encoding;

/// How much a client likes each coding, in thousandths; 0 is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preferences {
    gzip: u16,
    brotli: u16,
    zstd: u16,
    /// `None` if it is only taken for want of anything else.
    identity: Option<u16>,
}

const NOTHING: Preferences = Preferences { gzip: 0, brotli: 0, zstd: 0, identity: None };

impl Preferences {
    /// Reads `Accept-Encoding`. Without it, or where it cannot be read, everything stays as it is.
    pub fn of(fields: &HeaderMap) -> Preferences {
        let mut lines = fields.get_all(ACCEPT_ENCODING).iter();
        let Some(first) = lines.next() else { return NOTHING };
        // What nearly all browsers and tools send.
        let known = match first.as_bytes() {
            b"gzip, deflate, br, zstd" => Some((1_000, 1_000, 1_000)),
            b"gzip, deflate, br" => Some((1_000, 1_000, 0)),
            b"gzip, deflate" | b"gzip" => Some((1_000, 0, 0)),
            b"identity" | b"" => Some((0, 0, 0)),
            _ => None,
        };
        if let Some((gzip, brotli, zstd)) = known
            && lines.next().is_none()
        {
            return Preferences { gzip, brotli, zstd, identity: None };
        }
        let lines = fields.get_all(ACCEPT_ENCODING).iter();
        parse(lines.map(http::HeaderValue::as_bytes)).unwrap_or(NOTHING)
    }

    /// True if the client takes this coding.
    pub fn accepts(&self, encoding: Encoding) -> bool {
        match encoding {
            Encoding::Identity => self.identity != Some(0),
            coded => self.quality(coded) > 0,
        }
    }

    /// The coding that suits best among those in `order` that are there; of what the client likes
    /// equally, the first. Identity if it likes that better, or if nothing else is left: an answer
    /// that the client did not want is of more use than none (RFC 9110 §12.5.3).
    pub fn best(&self, order: &[Encoding], is_there: impl Fn(Encoding) -> bool) -> Encoding {
        let mut best = (Encoding::Identity, self.identity.unwrap_or(0));
        for encoding in order.iter().copied().filter(|encoding| *encoding != Encoding::Identity) {
            let quality = self.quality(encoding);
            let is_better = quality > best.1
                || (quality == best.1 && quality > 0 && best.0 == Encoding::Identity);
            if is_better && is_there(encoding) {
                best = (encoding, quality);
            }
        }
        best.0
    }

    fn quality(&self, encoding: Encoding) -> u16 {
        match encoding {
            Encoding::Identity => self.identity.unwrap_or(1),
            Encoding::Gzip => self.gzip,
            Encoding::Brotli => self.brotli,
            Encoding::Zstd => self.zstd,
        }
    }
}

fn parse<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Option<Preferences> {
    let (mut gzip, mut brotli, mut zstd, mut identity, mut any) = (None, None, None, None, None);
    for member in lines.flat_map(|line| line.split(|byte| *byte == b',')) {
        let mut parts = member.splitn(2, |byte| *byte == b';');
        let name = parts.next().unwrap_or_default().trim_ascii();
        if name.is_empty() {
            continue;
        }
        let quality = match parts.next() {
            None => 1_000,
            Some(weight) => weight_of(weight.trim_ascii())?,
        };
        let slot = if name.eq_ignore_ascii_case(b"gzip") || name.eq_ignore_ascii_case(b"x-gzip") {
            &mut gzip
        } else if name.eq_ignore_ascii_case(b"br") {
            &mut brotli
        } else if name.eq_ignore_ascii_case(b"zstd") {
            &mut zstd
        } else if name.eq_ignore_ascii_case(b"identity") {
            &mut identity
        } else if name == b"*" {
            &mut any
        } else if name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.+".contains(byte)) {
            continue;
        } else {
            return None;
        };
        *slot = Some(quality);
    }
    let rest = any.unwrap_or(0);
    Some(Preferences {
        gzip: gzip.unwrap_or(rest),
        brotli: brotli.unwrap_or(rest),
        zstd: zstd.unwrap_or(rest),
        // `*;q=0` refuses identity too, any other `*` does not make it a favourite.
        identity: identity.or(any.filter(|any| *any == 0)),
    })
}

/// `q=0.123` in thousandths.
fn weight_of(text: &[u8]) -> Option<u16> {
    let value = text.strip_prefix(b"q").or(text.strip_prefix(b"Q"))?.trim_ascii_start();
    let value = value.strip_prefix(b"=")?.trim_ascii_start();
    let (whole, fraction) = match value {
        [whole] => (whole, &[][..]),
        [whole, b'.', fraction @ ..] if fraction.len() <= 3 => (whole, fraction),
        _ => return None,
    };
    let mut thousandths = 0;
    for place in 0..3 {
        let digit = fraction.get(place).copied().unwrap_or(b'0');
        if !digit.is_ascii_digit() {
            return None;
        }
        thousandths = thousandths * 10 + u16::from(digit - b'0');
    }
    match whole {
        b'0' => Some(thousandths),
        b'1' if thousandths == 0 => Some(1_000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;
    use Encoding::{Brotli, Gzip, Identity, Zstd};

    const ORDER: [Encoding; 3] = [Brotli, Zstd, Gzip];

    fn of(lines: &[&[u8]]) -> Preferences {
        let mut fields = HeaderMap::new();
        for line in lines {
            fields.append(ACCEPT_ENCODING, HeaderValue::from_bytes(line).unwrap());
        }
        Preferences::of(&fields)
    }

    #[test]
    fn the_client_chooses_and_the_edge_breaks_ties() {
        for (accepts, chosen) in [
            ("gzip, deflate, br, zstd", Brotli),
            ("gzip, deflate, br", Brotli),
            ("gzip, deflate", Gzip),
            ("gzip", Gzip),
            ("zstd,gzip", Zstd),
            ("x-gzip", Gzip),
            ("GZIP;Q=0.5, BR;q=0.4", Gzip),
            ("br;q=0.8, gzip;q=0.9, zstd;q=0.85", Gzip),
            ("br ; q = 1.000 , gzip", Brotli),
            ("deflate", Identity),
            ("", Identity),
            ("identity", Identity),
            ("*", Brotli),
            ("*;q=0.5, gzip", Gzip),
            ("br;q=0, *", Zstd),
            ("*;q=0", Identity),
            ("identity;q=0", Identity),
            ("identity;q=0, gzip;q=0.001", Gzip),
            ("identity, gzip;q=0.5", Identity),
            ("identity;q=0.5, gzip;q=0.5", Gzip),
            ("gzip;q=0", Identity),
            ("br;level=5, gzip", Identity),
            ("gzip;q=1.001", Identity),
            ("gzip;q=0.1234", Identity),
            ("gzip;q=", Identity),
            ("gzip;q=-1", Identity),
            ("g(zip", Identity),
        ] {
            assert_eq!(of(&[accepts.as_bytes()]).best(&ORDER, |_| true), chosen, "{accepts}");
        }
        assert_eq!(of(&[]).best(&ORDER, |_| true), Identity);
        assert_eq!(of(&[b"gzip", b"br"]).best(&ORDER, |_| true), Brotli);
    }

    #[test]
    fn what_is_not_there_is_not_chosen() {
        let browser = of(&[b"gzip, deflate, br, zstd"]);
        assert_eq!(browser.best(&ORDER, |encoding| encoding == Gzip), Gzip);
        assert_eq!(browser.best(&ORDER, |_| false), Identity);
        assert_eq!(browser.best(&[], |_| true), Identity);
    }

    #[test]
    fn identity_is_taken_unless_it_is_refused() {
        assert!(of(&[b"gzip"]).accepts(Identity));
        assert!(!of(&[b"gzip, identity;q=0"]).accepts(Identity));
        assert!(!of(&[b"gzip, *;q=0"]).accepts(Identity));
        assert!(of(&[b"gzip, *;q=0, identity;q=0.1"]).accepts(Identity));
        assert!(!of(&[b"gzip, *;q=0"]).accepts(Brotli));
    }

    proptest! {
        #[test]
        fn whatever_stands_there_the_choice_is_one_that_the_client_takes(
            line in "[ -~]{0,40}", known in "(gzip|br|zstd|identity|\\*|deflate)(;q=[01](\\.[0-9]{0,3})?)?(, ?(gzip|br|zstd|identity|\\*)(;q=0\\.[0-9])?){0,4}",
        ) {
            for text in [line, known] {
                let preferences = of(&[text.as_bytes()]);
                let chosen = preferences.best(&ORDER, |_| true);
                prop_assert!(chosen == Identity || preferences.accepts(chosen));
            }
        }
    }
}
