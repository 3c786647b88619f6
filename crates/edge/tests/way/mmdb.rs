//! Writes small databases in the format of `MaxMind` (specification 2.0), so that tests need none of others.

use std::net::IpAddr;

use ipnet::IpNet;

/// A value of a record.
pub(crate) enum Value {
    Text(&'static str),
    Map(Vec<(&'static str, Value)>),
    List(Vec<Value>),
    Long(f64),
    Short(f32),
    Number(u16),
    Count(u32),
    Time(u64),
}

/// What stands before the metadata.
const MARKER: &[u8] = b"\xab\xcd\xefMaxMind.com";
/// Zeros between tree and data, counted as data by the tree.
const GAP: usize = 16;

/// A database of these networks; of IPv4 alone, or of both.
pub(crate) fn database(networks: &[(&str, Value)]) -> Vec<u8> {
    let networks: Vec<(IpNet, &Value)> = networks
        .iter()
        .map(|(network, value)| (network.parse().expect("a network"), value))
        .collect();
    let has_v6 = networks.iter().any(|(network, _)| network.addr().is_ipv6());
    let mut data = Vec::new();
    let mut nodes = vec![[Record::Nothing; 2]];
    for (network, value) in &networks {
        insert(&mut nodes, &path(network, has_v6), data.len());
        write(value, &mut data);
    }
    let mut file = Vec::new();
    for record in nodes.iter().flatten() {
        let number = match record {
            Record::Nothing => nodes.len(),
            Record::Node(node) => *node,
            Record::Data(offset) => nodes.len() + GAP + offset,
        };
        let bytes = u32::try_from(number).expect("a small tree").to_be_bytes();
        file.extend_from_slice(&bytes[1..]);
    }
    file.extend_from_slice(&[0; GAP]);
    file.extend_from_slice(&data);
    file.extend_from_slice(MARKER);
    let nodes = u32::try_from(nodes.len()).expect("a small tree");
    let metadata = Value::Map(vec![
        ("binary_format_major_version", Value::Number(2)),
        ("binary_format_minor_version", Value::Number(0)),
        ("build_epoch", Value::Time(1)),
        ("database_type", Value::Text("Test-City")),
        ("description", Value::Map(vec![("en", Value::Text("a test"))])),
        ("ip_version", Value::Number(if has_v6 { 6 } else { 4 })),
        ("languages", Value::List(vec![Value::Text("en")])),
        ("node_count", Value::Count(nodes)),
        ("record_size", Value::Number(24)),
    ]);
    write(&metadata, &mut file);
    file
}

#[derive(Clone, Copy)]
enum Record {
    Nothing,
    Node(usize),
    Data(usize),
}

/// The bits of a network, from the root of the tree.
fn path(network: &IpNet, has_v6: bool) -> Vec<usize> {
    let (mut bits, skipped) = match network.addr() {
        IpAddr::V4(address) => (u128::from(address.to_bits()) << 96, if has_v6 { 96 } else { 0 }),
        IpAddr::V6(address) => (address.to_bits(), 0),
    };
    let mut path = vec![0; skipped];
    for _ in 0..network.prefix_len() {
        path.push(usize::from(bits >> 127 == 1));
        bits <<= 1;
    }
    path
}

fn insert(nodes: &mut Vec<[Record; 2]>, path: &[usize], offset: usize) {
    let (last, way) = path.split_last().expect("a network has bits");
    let mut at = 0;
    for side in way {
        at = match nodes[at][*side] {
            Record::Node(next) => next,
            Record::Nothing => {
                nodes.push([Record::Nothing; 2]);
                let next = nodes.len() - 1;
                nodes[at][*side] = Record::Node(next);
                next
            }
            Record::Data(_) => panic!("one network lies in another"),
        };
    }
    nodes[at][*last] = Record::Data(offset);
}

fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Text(text) => {
            begin(2, text.len(), out);
            out.extend_from_slice(text.as_bytes());
        }
        Value::Map(entries) => {
            begin(7, entries.len(), out);
            for (name, value) in entries {
                write(&Value::Text(name), out);
                write(value, out);
            }
        }
        Value::List(values) => {
            begin(11, values.len(), out);
            for value in values {
                write(value, out);
            }
        }
        Value::Long(number) => {
            begin(3, 8, out);
            out.extend_from_slice(&number.to_be_bytes());
        }
        Value::Short(number) => {
            begin(15, 4, out);
            out.extend_from_slice(&number.to_be_bytes());
        }
        Value::Number(number) => {
            begin(5, 2, out);
            out.extend_from_slice(&number.to_be_bytes());
        }
        Value::Count(number) => {
            begin(6, 4, out);
            out.extend_from_slice(&number.to_be_bytes());
        }
        Value::Time(number) => {
            begin(9, 8, out);
            out.extend_from_slice(&number.to_be_bytes());
        }
    }
}

/// The byte, or the bytes, that say kind and size.
fn begin(kind: u8, size: usize, out: &mut Vec<u8>) {
    let size = u8::try_from(size).expect("a small value");
    let first = size.min(29);
    if kind < 8 {
        out.push(kind << 5 | first);
    } else {
        out.extend_from_slice(&[first, kind - 7]);
    }
    if first == 29 {
        out.push(size - 29);
    }
}
