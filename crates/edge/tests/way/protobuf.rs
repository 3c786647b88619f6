//! A reader of Protocol Buffers that knows nothing of how ours are written.

use std::fmt::Write;

/// A message of Protocol Buffers as its fields, by nothing but the format of the wire.
#[derive(Debug, Clone, Default)]
pub(crate) struct Read(pub(crate) Vec<(u64, Wire)>);

#[derive(Debug, Clone)]
pub(crate) enum Wire {
    Number(u64),
    Bytes(Vec<u8>),
}

impl Read {
    pub(crate) fn of(mut bytes: &[u8]) -> Read {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let tag = varint(&mut bytes);
            let wire = match tag & 7 {
                0 => Wire::Number(varint(&mut bytes)),
                1 => Wire::Number(u64::from_le_bytes(taken(&mut bytes, 8).try_into().expect("8"))),
                2 => {
                    let length = usize::try_from(varint(&mut bytes)).expect("small");
                    Wire::Bytes(taken(&mut bytes, length).to_vec())
                }
                5 => {
                    let number = u32::from_le_bytes(taken(&mut bytes, 4).try_into().expect("4"));
                    Wire::Number(number.into())
                }
                other => panic!("wire type {other}"),
            };
            fields.push((tag >> 3, wire));
        }
        Read(fields)
    }

    pub(crate) fn all(&self, field: u64) -> Vec<Read> {
        let of = self.0.iter().filter(|(known, _)| *known == field);
        of.map(|(_, wire)| match wire {
            Wire::Bytes(bytes) => Read::of(bytes),
            Wire::Number(_) => panic!("field {field} is no message"),
        })
        .collect()
    }

    pub(crate) fn one(&self, field: u64) -> Read {
        let mut all = self.all(field);
        assert_eq!(all.len(), 1, "field {field}");
        all.remove(0)
    }

    pub(crate) fn bytes(&self, field: u64) -> Vec<u8> {
        self.0
            .iter()
            .find_map(|(known, wire)| match wire {
                Wire::Bytes(bytes) if *known == field => Some(bytes.clone()),
                _ => None,
            })
            .unwrap_or_default()
    }

    pub(crate) fn text(&self, field: u64) -> String {
        String::from_utf8(self.bytes(field)).expect("text")
    }

    pub(crate) fn hex(&self, field: u64) -> String {
        let mut hex = String::new();
        for byte in self.bytes(field) {
            write!(hex, "{byte:02x}").expect("a String takes everything");
        }
        hex
    }

    pub(crate) fn number(&self, field: u64) -> u64 {
        let found = self.0.iter().find_map(|(known, wire)| match wire {
            Wire::Number(number) if *known == field => Some(*number),
            _ => None,
        });
        found.unwrap_or_default()
    }

    /// The value of an attribute among the `KeyValue`s of `field`, as text.
    pub(crate) fn attribute(&self, field: u64, name: &str) -> Option<String> {
        let pair = self.all(field).into_iter().find(|pair| pair.text(1) == name)?;
        let value = pair.one(2);
        Some(match value.0.first() {
            Some((1, Wire::Bytes(text))) => String::from_utf8(text.clone()).expect("text"),
            Some((3, Wire::Number(number))) => number.to_string(),
            other => panic!("{other:?}"),
        })
    }
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut number = 0;
    for nth in 0..10 {
        let byte = taken(bytes, 1)[0];
        number |= u64::from(byte & 0x7F) << (7 * nth);
        if byte < 0x80 {
            return number;
        }
    }
    panic!("a number without an end");
}

fn taken<'b>(bytes: &mut &'b [u8], count: usize) -> &'b [u8] {
    let (first, rest) = bytes.split_at(count);
    *bytes = rest;
    first
}
