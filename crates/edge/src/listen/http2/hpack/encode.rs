//! From an answer's fields to a block (RFC 7541 §6).
//!
//! A field that comes a second time goes into the table, and is one byte from then on: what answers
//! of a site have in common is sent once a connection. What is new each time (an age, a request id)
//! goes out as it is: to compress it would cost more than it saves. What a client may not see again
//! is never indexed.

use std::collections::VecDeque;

use super::integer::{write_integer, write_plain, write_shortest};
use super::table::STATIC;
use super::{ENTRY_BYTES, TABLE_BYTES};

/// Places in which fields and names are looked up. Two that fall together displace each other, which costs
/// some bytes and nothing else.
const PLACES: usize = 64;

/// Index of the newest entry of the dynamic table (RFC 7541 §2.3.3).
const NEWEST: usize = STATIC.len() + 1;

/// Patterns above the integer of each form (RFC 7541 §6).
mod form {
    pub(super) const INDEXED: u8 = 0x80;
    pub(super) const ADDED: u8 = 0x40;
    pub(super) const RESIZE: u8 = 0x20;
    pub(super) const NEVER_INDEXED: u8 = 0x10;
    pub(super) const LITERAL: u8 = 0;
}

/// One connection's outbound direction.
#[derive(Debug)]
pub struct Encoder {
    /// The table, newest first.
    sent: VecDeque<Sent>,
    /// How many were ever added: each has its number, from 1 on.
    added: u32,
    bytes: usize,
    most: usize,
    /// The smallest and the last bound that the client has set since the last block (§4.2).
    resized: Option<(usize, usize)>,
    /// Fields that were seen, by their hashes, and where they stand in the table.
    seen: Box<[Seen; PLACES]>,
    /// The same for names.
    names: Box<[Seen; PLACES]>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    hash: u32,
    /// Number of the entry; 0 if there is none.
    number: u32,
}

#[derive(Debug)]
struct Sent {
    name_bytes: usize,
    text: Box<[u8]>,
}

impl Sent {
    fn bytes(&self) -> usize {
        self.text.len() + ENTRY_BYTES
    }

    fn name(&self) -> &[u8] {
        self.text.get(..self.name_bytes).unwrap_or_default()
    }

    fn value(&self) -> &[u8] {
        self.text.get(self.name_bytes..).unwrap_or_default()
    }
}

#[expect(clippy::new_without_default, reason = "a connection begins, it is no value")]
impl Encoder {
    /// Of a new connection.
    pub fn new() -> Encoder {
        Encoder {
            sent: VecDeque::new(),
            added: 0,
            bytes: 0,
            most: TABLE_BYTES,
            resized: None,
            seen: Box::new([Seen::default(); PLACES]),
            names: Box::new([Seen::default(); PLACES]),
        }
    }

    /// The client's `SETTINGS_HEADER_TABLE_SIZE`; more than we have a use for is not taken.
    pub fn resize(&mut self, allowed: usize) {
        let most = allowed.min(TABLE_BYTES);
        let least = self.resized.map_or(most, |(least, _)| least.min(most));
        self.resized = Some((least, most));
        self.most = most;
        self.make_room(0);
    }

    /// Begins a block with its status.
    pub fn begin(&mut self, status: http::StatusCode, out: &mut Vec<u8>) {
        self.begin_trailers(out);
        let index = match status.as_u16() {
            200 => 8,
            204 => 9,
            206 => 10,
            304 => 11,
            400 => 12,
            404 => 13,
            500 => 14,
            _ => {
                write_integer(out, 4, form::LITERAL, 8);
                return write_plain(out, status.as_str().as_bytes());
            }
        };
        write_integer(out, 7, form::INDEXED, index);
    }

    /// Begins a block without a status. Whatever the first block after a resize is, it tells of it (§4.2).
    pub fn begin_trailers(&mut self, out: &mut Vec<u8>) {
        if let Some((least, last)) = self.resized.take() {
            if least < last {
                write_integer(out, 5, form::RESIZE, least);
            }
            write_integer(out, 5, form::RESIZE, last);
        }
    }

    /// Adds serialised lines (`name: value\r\n`), but those whose name `is_left_out`.
    pub fn lines(&mut self, lines: &[u8], is_left_out: fn(&[u8]) -> bool, out: &mut Vec<u8>) {
        let mut rest = lines;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (line, after) = rest.split_at(end);
            rest = after.get(1..).unwrap_or_default();
            let Some(colon) = memchr::memchr(b':', line) else { continue };
            let (name, value) = line.split_at(colon);
            if !is_left_out(name) {
                // Behind `: `, before `\r`: nothing but what we have serialised lies in lines.
                let value = value.get(2..value.len().max(3) - 1).unwrap_or_default();
                self.field(name, value, out);
            }
        }
    }

    /// Adds one field that will hardly come again.
    pub fn literal(&mut self, name: &[u8], value: &[u8], out: &mut Vec<u8>) {
        let index = static_index(name);
        write_integer(out, 4, form::LITERAL, index);
        if index == 0 {
            write_plain(out, name);
        }
        write_plain(out, value);
    }

    /// Adds one field; its name is in lower case.
    pub fn field(&mut self, name: &[u8], value: &[u8], out: &mut Vec<u8>) {
        if name == b"set-cookie" {
            // RFC 7541 §7.1.3: not even proxies may put it into a table.
            write_integer(out, 4, form::NEVER_INDEXED, static_index(name));
            return write_plain(out, value);
        }
        let name_hash = hash(0, name);
        let field_hash = hash(name_hash, value);
        let seen = place(&mut self.seen, field_hash);
        let is_known = seen.hash == field_hash;
        let number = seen.number;
        *seen = Seen { hash: field_hash, number: if is_known { number } else { 0 } };
        let is_it = |sent: &Sent| sent.name() == name && sent.value() == value;
        if is_known
            && let Some(nth) = self.nth(number).filter(|nth| self.sent.get(*nth).is_some_and(is_it))
        {
            return write_integer(out, 7, form::INDEXED, NEWEST + nth);
        }
        let index = match static_index(name) {
            0 => self.index_of_name(name_hash, name),
            index => index,
        };
        let is_worth_it = index == 0 || is_known;
        if is_worth_it && name.len() + value.len() + ENTRY_BYTES <= self.most {
            write_integer(out, 6, form::ADDED, index);
            if index == 0 {
                write_shortest(out, name);
            }
            write_shortest(out, value);
            let text = [name, value].concat().into();
            let number = self.add(Sent { name_bytes: name.len(), text });
            *place(&mut self.seen, field_hash) = Seen { hash: field_hash, number };
            *place(&mut self.names, name_hash) = Seen { hash: name_hash, number };
            return;
        }
        write_integer(out, 4, form::LITERAL, index);
        if index == 0 {
            write_plain(out, name);
        }
        write_plain(out, value);
    }

    /// Where the entry with this number stands, if it has not left yet.
    fn nth(&self, number: u32) -> Option<usize> {
        let nth = self.added.wrapping_sub(number) as usize;
        (number != 0 && nth < self.sent.len()).then_some(nth)
    }

    /// Index of an entry with this name and any value; 0 if none is found.
    fn index_of_name(&mut self, name_hash: u32, name: &[u8]) -> usize {
        let Seen { hash, number } = *place(&mut self.names, name_hash);
        let nth = self.nth(number).filter(|_| hash == name_hash);
        let is_it = |nth: &usize| self.sent.get(*nth).is_some_and(|sent| sent.name() == name);
        nth.filter(is_it).map_or(0, |nth| NEWEST + nth)
    }

    /// Adds an entry that fits, and gives its number.
    fn add(&mut self, sent: Sent) -> u32 {
        self.make_room(sent.bytes());
        self.bytes += sent.bytes();
        self.sent.push_front(sent);
        // Numbers may come round: whatever is found by one is compared.
        self.added = self.added.wrapping_add(1).max(1);
        self.added
    }

    fn make_room(&mut self, bytes: usize) {
        while self.bytes + bytes > self.most
            && let Some(oldest) = self.sent.pop_back()
        {
            self.bytes -= oldest.bytes();
        }
    }
}

fn place(places: &mut [Seen; PLACES], hash: u32) -> &mut Seen {
    let [first, ..] = hash.to_le_bytes();
    &mut places[usize::from(first) % PLACES]
}

/// Quick, and harmless if it collides: what it finds is compared.
fn hash(seed: u32, text: &[u8]) -> u32 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut state = u64::from(seed) ^ text.len() as u64;
    let (words, rest) = text.as_chunks::<8>();
    for word in words {
        state = (state.rotate_left(29) ^ u64::from_le_bytes(*word)).wrapping_mul(FACTOR);
    }
    for byte in rest {
        state = (state.rotate_left(29) ^ u64::from(*byte)).wrapping_mul(FACTOR);
    }
    let [.., a, b, c, d] = state.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

/// Index of a name that answers have in the static table (RFC 7541, Appendix A); 0 for others.
fn static_index(name: &[u8]) -> usize {
    match name {
        b"accept-ranges" => 18,
        b"access-control-allow-origin" => 20,
        b"age" => 21,
        b"allow" => 22,
        b"cache-control" => 24,
        b"content-disposition" => 25,
        b"content-encoding" => 26,
        b"content-language" => 27,
        b"content-length" => 28,
        b"content-location" => 29,
        b"content-range" => 30,
        b"content-type" => 31,
        b"date" => 33,
        b"etag" => 34,
        b"expires" => 36,
        b"last-modified" => 44,
        b"link" => 45,
        b"location" => 46,
        b"refresh" => 52,
        b"retry-after" => 53,
        b"server" => 54,
        b"set-cookie" => 55,
        b"strict-transport-security" => 56,
        b"vary" => 59,
        b"via" => 60,
        b"www-authenticate" => 61,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use proptest::prelude::*;

    use super::super::decode::Decoder;
    use super::super::field::Field;
    use super::*;

    fn decoded(decoder: &mut Decoder, block: &[u8]) -> Vec<(String, String)> {
        let mut fields = Vec::new();
        decoder
            .decode(block, |field, _| match field {
                Field::Plain(name, value) => fields.push((
                    name.as_str().to_owned(),
                    String::from_utf8_lossy(value.as_bytes()).into_owned(),
                )),
                other => fields.push((format!("{other:?}"), String::new())),
            })
            .expect("decodes");
        fields
    }

    #[test]
    fn the_static_table_is_where_the_encoder_thinks() {
        for (at, (name, _)) in STATIC.iter().enumerate() {
            let index = static_index(name.as_bytes());
            assert!(index == 0 || index == at + 1, "{name}");
        }
    }

    #[test]
    fn what_comes_again_is_one_byte() {
        let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new());
        let lines =
            b"content-type: text/html; charset=utf-8\r\ncache-control: max-age=60\r\nx-a: \r\n";
        let sizes: Vec<_> = (0..4)
            .map(|_| {
                let mut block = Vec::new();
                encoder.lines(lines, |_| false, &mut block);
                let found = decoded(&mut decoder, &block);
                let expected = [
                    ("content-type", "text/html; charset=utf-8"),
                    ("cache-control", "max-age=60"),
                    ("x-a", ""),
                ];
                let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
                assert_eq!(found, expected);
                block.len()
            })
            .collect();
        assert!(sizes[1] < sizes[0], "{sizes:?}");
        assert_eq!(sizes[2..], [3, 3]);
    }

    #[test]
    fn cookies_never_go_into_a_table() {
        let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new());
        for _ in 0..3 {
            let mut block = Vec::new();
            encoder.field(b"set-cookie", b"s=1", &mut block);
            assert_eq!(block.first(), Some(&(form::NEVER_INDEXED | 0x0f)));
            let expected = [("set-cookie".to_owned(), "s=1".to_owned())];
            assert_eq!(decoded(&mut decoder, &block), expected);
        }
        assert!(encoder.sent.is_empty());
    }

    #[test]
    fn names_are_left_out_as_asked() {
        let mut block = Vec::new();
        let lines = b"connection: close\r\nage: 1\r\n";
        Encoder::new().lines(lines, |name| name == b"connection", &mut block);
        let expected = [("age".to_owned(), "1".to_owned())];
        assert_eq!(decoded(&mut Decoder::new(), &block), expected);
    }

    #[test]
    fn a_client_without_a_table_gets_none() {
        let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new());
        encoder.resize(0);
        for round in 0..3 {
            let mut block = Vec::new();
            encoder.begin(StatusCode::IM_A_TEAPOT, &mut block);
            encoder.field(b"x-a", b"1", &mut block);
            assert_eq!(block.first() == Some(&0x20), round == 0, "the resize is said once");
            let found = decoded(&mut decoder, &block);
            assert_eq!(found.last(), Some(&("x-a".to_owned(), "1".to_owned())));
        }
        assert!(encoder.sent.is_empty());
    }

    proptest! {
        /// Whatever is sent and however the table is resized, the other side reads the same fields.
        #[test]
        fn both_sides_keep_the_same_table(
            rounds in proptest::collection::vec(
                (
                    proptest::option::of(0_usize..5_000),
                    proptest::collection::vec(("[a-c]{1,3}", "[a-z0-9]{0,700}|[a-c]"), 0..12),
                ),
                1..20,
            ),
        ) {
            let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new());
            for (resize, fields) in rounds {
                if let Some(bytes) = resize {
                    encoder.resize(bytes);
                }
                let mut block = Vec::new();
                encoder.begin(StatusCode::OK, &mut block);
                for (name, value) in &fields {
                    encoder.field(name.as_bytes(), value.as_bytes(), &mut block);
                }
                let found = decoded(&mut decoder, &block);
                prop_assert_eq!(&found[1..], fields);
            }
        }
    }
}
