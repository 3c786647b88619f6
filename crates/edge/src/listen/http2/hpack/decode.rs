//! From field blocks to fields (RFC 7541 §3, §6).

#![warn(clippy::indexing_slicing)]

use super::TABLE_BYTES;
use super::field::{Field, Name};
use super::integer::Reader;
use super::table::{Entry, Table};

/// Why a block cannot be decoded. The tables of both sides differ from here on: the connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the sentences say it")]
pub enum DecodeError {
    #[error("field block ends inside a field")]
    CutShort,
    #[error("integer larger than any that is of use")]
    TooLargeInteger,
    #[error("string that is no Huffman code")]
    BadString,
    #[error("index beyond the tables")]
    BadIndex,
    #[error("table larger than we allow, or resized inside a block")]
    BadResize,
}

/// One connection's inbound direction.
#[derive(Debug)]
pub struct Decoder {
    table: Table,
    name: Vec<u8>,
    value: Vec<u8>,
}

#[expect(clippy::new_without_default, reason = "a connection begins, it is no value")]
impl Decoder {
    /// Of a new connection.
    pub fn new() -> Decoder {
        Decoder { table: Table::new(), name: Vec::new(), value: Vec::new() }
    }

    /// Decodes a whole block. `take` gets each field and what it counts, in bytes (RFC 9113 §6.5.2).
    ///
    /// # Errors
    /// The block cannot be decoded, and no block after it: what came before the error was taken.
    pub fn decode(
        &mut self,
        block: &[u8],
        mut take: impl FnMut(Field, usize),
    ) -> Result<(), DecodeError> {
        let mut reader = Reader::new(block);
        // §4.2: a resize stands before the first field.
        while let Some(0x20..0x40) = reader.first() {
            let most = reader.integer(5)?;
            if most > TABLE_BYTES {
                return Err(DecodeError::BadResize);
            }
            self.table.resize(most);
        }
        while let Some(first) = reader.first() {
            match first {
                0x80.. => {
                    let index = reader.integer(7)?;
                    let entry = self.table.entry(index).ok_or(DecodeError::BadIndex)?;
                    take(entry.field.clone(), entry.bytes);
                }
                0x40.. => {
                    let entry = self.literal(&mut reader, 6)?;
                    take(entry.field.clone(), entry.bytes);
                    self.table.add(entry);
                }
                0x20.. => return Err(DecodeError::BadResize),
                // Without indexing, and never to be indexed, which binds those who pass it on.
                _ => {
                    let entry = self.literal(&mut reader, 4)?;
                    take(entry.field, entry.bytes);
                }
            }
        }
        Ok(())
    }

    fn literal(&mut self, reader: &mut Reader<'_>, prefix: u32) -> Result<Entry, DecodeError> {
        let index = reader.integer(prefix)?;
        let (name, name_bytes) = if index == 0 {
            let text = reader.text()?.decoded(&mut self.name)?;
            (Name::of(text), text.len())
        } else {
            let entry = self.table.entry(index).ok_or(DecodeError::BadIndex)?;
            (entry.field.name(), entry.name_bytes)
        };
        let value = reader.text()?.decoded(&mut self.value)?;
        Ok(Entry::new(name, name_bytes, value))
    }
}

#[cfg(test)]
mod tests {
    use http::Method;
    use http::uri::PathAndQuery;

    use super::super::field::{Reading, TargetScheme};
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<_> = hex.chars().filter(|c| !c.is_whitespace()).collect();
        let pair = |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16);
        digits.chunks(2).map(|chunk| pair(chunk).expect("hex digits")).collect()
    }

    fn decode(decoder: &mut Decoder, block: &str) -> Result<Vec<Field>, DecodeError> {
        let mut fields = Vec::new();
        decoder.decode(&bytes(block), |field, _| fields.push(field)).map(|()| fields)
    }

    fn plain(name: &'static str, value: &'static str) -> Field {
        Field::of(Name::of(name.as_bytes()), value.as_bytes())
    }

    /// RFC 7541, Appendix C.3 and C.4: three requests on one connection, in both forms.
    #[test]
    fn the_requests_of_the_rfc() {
        for blocks in [
            [
                "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
                "8286 84be 5808 6e6f 2d63 6163 6865",
                "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
            ],
            [
                "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
                "8286 84be 5886 a8eb 1064 9cbf",
                "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
            ],
        ] {
            let mut decoder = Decoder::new();
            let get = Field::Method(Method::GET);
            let web = Field::Scheme(TargetScheme::Web);
            let path = |path| Field::Path(Reading::Clear(PathAndQuery::from_static(path)));
            let named = Field::Authority(Reading::Clear("www.example.com".into()));
            let [first, second, third] = blocks.map(|block| decode(&mut decoder, block));
            let expected = [get.clone(), web.clone(), path("/"), named.clone()];
            assert_eq!(first.as_deref(), Ok(&expected[..]));
            let expected = [&expected[..], &[plain("cache-control", "no-cache")]].concat();
            assert_eq!(second.as_deref(), Ok(&expected[..]));
            let expected =
                [get, web, path("/index.html"), named, plain("custom-key", "custom-value")];
            assert_eq!(third.as_deref(), Ok(&expected[..]));
            assert_eq!(decoder.table.entry(62).map(|entry| entry.bytes), Some(54));
            assert_eq!(decoder.table.entry(64).map(|entry| entry.bytes), Some(57));
        }
    }

    #[test]
    fn entries_leave_when_the_table_is_full_or_shrinks() {
        let mut decoder = Decoder::new();
        // A field of 1 + 1 + 32 bytes, then a table of 40 bytes, then another one.
        decode(&mut decoder, "40 01 61 01 31").expect("valid");
        assert_eq!(decode(&mut decoder, "be"), Ok(vec![plain("a", "1")]));
        assert_eq!(decode(&mut decoder, "3f09 be"), Ok(vec![plain("a", "1")]));
        decode(&mut decoder, "40 01 62 01 32").expect("valid");
        assert_eq!(decode(&mut decoder, "be"), Ok(vec![plain("b", "2")]));
        assert_eq!(decode(&mut decoder, "bf"), Err(DecodeError::BadIndex));
        assert_eq!(decode(&mut decoder, "20 be"), Err(DecodeError::BadIndex));
    }

    #[test]
    fn what_cannot_be_decoded_is_an_error() {
        for (block, error) in [
            ("80", DecodeError::BadIndex),
            ("be", DecodeError::BadIndex),
            ("7f", DecodeError::CutShort),
            ("40 05 61", DecodeError::CutShort),
            ("00 01 61", DecodeError::CutShort),
            ("00 81 00 00", DecodeError::BadString),
            ("3f e2 1f", DecodeError::BadResize),
            ("82 20", DecodeError::BadResize),
            ("ff ff ff ff ff 7f", DecodeError::TooLargeInteger),
        ] {
            assert_eq!(decode(&mut Decoder::new(), block), Err(error), "{block}");
        }
    }

    #[test]
    fn a_malformed_field_is_told_and_keeps_its_place() {
        let mut decoder = Decoder::new();
        let fields = decode(&mut decoder, "40 01 41 01 31 40 01 62 01 32").expect("decodes");
        assert_eq!(fields, [Field::Malformed(Name::Malformed), plain("b", "2")]);
        assert_eq!(decode(&mut decoder, "be"), Ok(vec![plain("b", "2")]));
    }
}
