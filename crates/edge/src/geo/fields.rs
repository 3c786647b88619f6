//! The fields that tell an origin where a client is, by the names that `CloudFront` gave them.

use std::fmt::Display;
use std::io::Write;

use http::HeaderMap;

use super::database::Place;
use crate::exchange::{Country, OwnLines, VIEWER};

/// Longest value: the longest name of a place has 170 letters.
const MOST_BYTES: usize = 512;

/// What the origin is shown of the client's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShownPlace {
    /// Nothing: the answer is shared and its key knows no place.
    Nothing,
    /// The country that is in the key.
    Country(Option<Country>),
    /// All that is known: the answer is for this client alone.
    Everything,
}

impl ShownPlace {
    /// The country alone, as the key has it.
    pub fn push_country(self, own: &mut OwnLines) {
        if let ShownPlace::Country(Some(country)) = self {
            push_line(own, "country", country.as_str());
        }
    }
}

/// Takes out what a client says of its place.
pub fn strip(fields: &mut HeaderMap) {
    let said = fields.keys().filter(|name| name.as_str().starts_with(VIEWER));
    let said: Vec<_> = said.cloned().collect();
    for name in said {
        fields.remove(name);
    }
}

/// Adds a line for all that is known.
pub(super) fn push(place: &Place<'_>, own: &mut OwnLines) {
    if let Some(country) = place.country {
        push_line(own, "country", country.as_str());
    }
    for (name, text) in [
        ("country-name", place.country_name),
        ("country-region", place.region),
        ("country-region-name", place.region_name),
        ("city", place.city),
        ("postal-code", place.postal_code),
        ("time-zone", place.time_zone),
    ] {
        if let Some(text) = text {
            push_line(own, name, text);
        }
    }
    push_number(own, "latitude", place.latitude);
    push_number(own, "longitude", place.longitude);
    push_number(own, "metro-code", place.metro_code);
}

fn push_number(own: &mut OwnLines, name: &str, number: Option<impl Display>) {
    if let Some(number) = number {
        push_line(own, name, &number.to_string());
    }
}

fn push_line(own: &mut OwnLines, name: &str, text: &str) {
    own.push(&format!("{VIEWER}{name}"), |out| write_ascii(text, out));
}

/// A text that any program may read as a field value: what is not printable ASCII is percent-encoded as
/// UTF-8 (`M%C3%BCnchen`), and so is the percent sign, so that it can be read back. A blank at an end would
/// be lost.
fn write_ascii(text: &str, out: &mut Vec<u8>) {
    let end = out.len() + MOST_BYTES;
    for byte in text.trim().bytes() {
        if out.len() + 3 > end {
            return;
        }
        match byte {
            b' '..=b'~' if byte != b'%' => out.push(byte),
            _ => write!(out, "%{byte:02X}").expect("writing to memory does not fail"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_places_become_printable_ascii_and_can_be_read_back() {
        let written = |text: &str| {
            let mut out = Vec::new();
            write_ascii(text, &mut out);
            String::from_utf8(out).expect("ASCII")
        };
        assert_eq!(written("München"), "M%C3%BCnchen");
        assert_eq!(written("Ann Arbor"), "Ann Arbor");
        assert_eq!(written(" 100 %\r\nX: 1"), "100 %25%0D%0AX: 1");
        assert!(written(&"ü".repeat(1_000)).len() <= MOST_BYTES);
    }

    #[test]
    fn every_field_of_a_client_about_its_place_is_taken_out() {
        let mut fields = HeaderMap::new();
        for name in ["cloudfront-viewer-country", "cloudfront-viewer-asn", "accept"] {
            fields.append(name, "x".parse().expect("a value"));
            fields.append(name, "y".parse().expect("a value"));
        }
        strip(&mut fields);
        assert_eq!(fields.keys().collect::<Vec<_>>(), ["accept"]);
    }
}
