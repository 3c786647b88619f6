//! What a database of addresses may hold.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use forebay_edge::exchange::{OwnLines, VIEWER, field_lines};
use forebay_edge::geo::Geo;

/// Longest value of a field.
const MOST_BYTES: usize = 512;

/// Whatever stands in a file that is taken, an address leads to sound and bounded fields, or to nothing.
pub(crate) fn geo_database(bytes: &[u8]) {
    let Ok(geo) = Geo::of_bytes(bytes.to_vec()) else { return };
    // Some of each family, and some that the bytes themselves choose: their end is that of the metadata.
    let chosen = bytes.chunks_exact(16).take(16).filter_map(|it| <[u8; 16]>::try_from(it).ok());
    let chosen = chosen.map(|it| IpAddr::V6(Ipv6Addr::from(it)));
    let fixed = [0, 1, 0x0102_0304, 0x5102_4500, 0xd8a0_5338, u32::MAX];
    let fixed = fixed.map(|it| IpAddr::V4(Ipv4Addr::from(it)));
    for address in chosen.chain(fixed) {
        judge(&geo, address);
    }
}

fn judge(geo: &Geo, address: IpAddr) {
    if let Some(country) = geo.country(address) {
        assert!(country.as_str().len() == 2, "{country:?}");
        assert!(country.as_str().bytes().all(|letter| letter.is_ascii_uppercase()));
    }
    let mut own = OwnLines::default();
    geo.tell(address, &mut own);
    let lines = bytes::Bytes::from(own);
    let written = lines.split_inclusive(|byte| *byte == b'\n').count();
    let mut names: Vec<_> = field_lines(&lines)
        .map(|(name, value)| {
            assert!(name.as_str().starts_with(VIEWER), "{name}");
            assert!(value.len() <= MOST_BYTES && value.to_str().is_ok(), "{name}: {value:?}");
            name
        })
        .collect();
    assert_eq!(names.len(), written, "a line that is none");
    names.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    names.dedup();
    assert_eq!(names.len(), written, "a field comes twice");
}
