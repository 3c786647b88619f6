use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;

/// A header as a balancer writes it.
fn written(header: Header, tlvs: &[u8], version: u8) -> Vec<u8> {
    match (header, version) {
        (Header::Own, 1) => b"PROXY UNKNOWN ffff::1 anything\r\n".to_vec(),
        (Header::Own, _) => framed(0x20, 0x00, tlvs),
        (Header::Of { source, destination }, 1) => {
            let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
            let (from, to) = (source.ip(), destination.ip());
            let ports = (source.port(), destination.port());
            format!("PROXY {family} {from} {to} {} {}\r\n", ports.0, ports.1).into_bytes()
        }
        (Header::Of { source, destination }, _) => {
            let mut block = Vec::new();
            for ip in [source.ip(), destination.ip()] {
                match ip {
                    IpAddr::V4(ip) => block.extend(ip.octets()),
                    IpAddr::V6(ip) => block.extend(ip.octets()),
                }
            }
            block.extend(source.port().to_be_bytes());
            block.extend(destination.port().to_be_bytes());
            block.extend(tlvs);
            framed(0x21, if source.is_ipv4() { 0x11 } else { 0x21 }, &block)
        }
    }
}

fn framed(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let length = u16::try_from(block.len()).expect("short").to_be_bytes();
    [SIGNATURE, &[command, family], &length, block].concat()
}

fn headers() -> impl Strategy<Value = Header> {
    let of = |source: SocketAddr, destination| Header::Of { source, destination };
    prop_oneof![
        Just(Header::Own),
        any::<(u32, u16, u32, u16)>().prop_map(move |(a, b, c, d)| of(
            (Ipv4Addr::from(a), b).into(),
            (Ipv4Addr::from(c), d).into()
        )),
        any::<(u128, u16, u128, u16)>().prop_map(move |(a, b, c, d)| of(
            (Ipv6Addr::from(a), b).into(),
            (Ipv6Addr::from(c), d).into()
        )),
    ]
}

proptest! {
    #[test]
    fn what_a_balancer_writes_is_read_and_no_part_of_it_is_enough(
        header in headers(),
        tlvs in proptest::collection::vec(any::<u8>(), 0..300),
        version in 1_u8..=2,
        behind in proptest::collection::vec(any::<u8>(), 0..20),
    ) {
        let bytes = written(header, &tlvs, version);
        let whole = [&bytes[..], &behind].concat();
        prop_assert_eq!(parse(&whole), Ok(Some((header, bytes.len()))));
        for length in 0..bytes.len() {
            prop_assert_eq!(parse(&bytes[..length]), Ok(None), "{} bytes", length);
        }
    }

    #[test]
    fn whatever_comes_ends_within_the_bound(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
        for begin in [&b""[..], b"PROXY ", SIGNATURE] {
            let filler = vec![b'x'; MOST_BYTES];
            let bytes = [begin, &bytes, &filler].concat();
            prop_assert!(!matches!(parse(&bytes), Ok(None)));
        }
    }
}

#[test]
fn what_is_not_exactly_as_it_must_be_is_refused() {
    for line in [
        "PROXY TCP4 192.0.2.1 198.51.100.1 56324\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443 1\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443 \r\n",
        "PROXY TCP4 192.0.2.1  198.51.100.1 56324 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 056324 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 +5632 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 65536 443\r\n",
        "PROXY TCP4 192.0.2.01 198.51.100.1 56324 443\r\n",
        "PROXY TCP4 ::1 ::1 56324 443\r\n",
        "PROXY TCP6 192.0.2.1 198.51.100.1 56324 443\r\n",
        "PROXY tcp4 192.0.2.1 198.51.100.1 56324 443\r\n",
        "PROXY UNKNOWNS\r\n",
        "PROXY \r\n",
        "proxy TCP4 192.0.2.1 198.51.100.1 56324 443\r\n",
        "GET / HTTP/1.1\r\n",
        "\r\n\r\nPROXY",
    ] {
        assert_eq!(parse(line.as_bytes()), Err(Malformed), "{line:?}");
    }
    let addresses = [0; 12];
    for (command, family, block) in [
        (0x11, 0x11, &addresses[..]),
        (0x22, 0x11, &addresses),
        (0x01, 0x11, &addresses),
        (0x21, 0x10, &addresses),
        (0x21, 0x41, &addresses),
        (0x21, 0x11, &addresses[..11]),
        (0x21, 0x21, &addresses),
    ] {
        let bytes = framed(command, family, block);
        assert_eq!(parse(&bytes), Err(Malformed), "{command:#x} {family:#x}");
    }
}

#[test]
fn a_local_command_is_taken_whatever_its_block_says() {
    let bytes = framed(0x20, 0x11, &[1, 2, 3]);
    assert_eq!(parse(&bytes), Ok(Some((Header::Own, bytes.len()))));
    let unix = framed(0x21, 0x31, &[0; 216]);
    assert_eq!(parse(&unix), Ok(Some((Header::Own, unix.len()))));
}

#[test]
fn a_header_longer_than_the_bound_is_refused_before_it_has_come() {
    let long = u16::try_from(MOST_BYTES - 15).expect("short").to_be_bytes();
    let begin = [SIGNATURE, &[0x21, 0x11], &long].concat();
    assert_eq!(parse(&begin), Err(Malformed));
    let longest = u16::try_from(MOST_BYTES - 16).expect("short").to_be_bytes();
    assert_eq!(parse(&[SIGNATURE, &[0x21, 0x11], &longest].concat()), Ok(None));
    let line = [b"PROXY UNKNOWN ".to_vec(), vec![b'x'; 93]].concat();
    assert_eq!(parse(&line), Err(Malformed));
}
