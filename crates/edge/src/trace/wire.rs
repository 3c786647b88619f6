//! Protocol Buffers, as far as telemetry is written in them: numbers, texts, and messages within messages.
//!
//! One way only: nothing is read. A field with its default is left out where the format says so.

/// A message under construction.
#[derive(Debug, Default, Clone)]
pub(crate) struct Message(Vec<u8>);

const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const LENGTH: u32 = 2;
const FIXED32: u32 = 5;

impl Message {
    /// The bytes.
    pub(crate) fn finish(self) -> Vec<u8> {
        self.0
    }

    /// A number of a variable length.
    pub(crate) fn number(&mut self, field: u32, number: u64) {
        if number != 0 {
            self.tag(field, VARINT);
            self.varint(number);
        }
    }

    /// Eight bytes, whatever they are.
    pub(crate) fn fixed64(&mut self, field: u32, number: u64) {
        self.tag(field, FIXED64);
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    /// Four bytes.
    pub(crate) fn fixed32(&mut self, field: u32, number: u32) {
        self.tag(field, FIXED32);
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    /// A number that is not whole.
    pub(crate) fn double(&mut self, field: u32, number: f64) {
        self.fixed64(field, number.to_bits());
    }

    /// A text or bytes.
    pub(crate) fn bytes(&mut self, field: u32, bytes: &[u8]) {
        self.tag(field, LENGTH);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    /// Numbers of eight bytes, one after the other.
    pub(crate) fn packed(&mut self, field: u32, numbers: impl Iterator<Item = u64>) {
        let bytes: Vec<u8> = numbers.flat_map(u64::to_le_bytes).collect();
        self.bytes(field, &bytes);
    }

    /// A message within.
    pub(crate) fn message(&mut self, field: u32, message: &Message) {
        self.bytes(field, &message.0);
    }

    /// `KeyValue` with a text.
    pub(crate) fn text_attribute(&mut self, field: u32, name: &str, value: &str) {
        let mut any = Message::default();
        any.bytes(1, value.as_bytes());
        self.attribute(field, name, &any);
    }

    /// `KeyValue` with a whole number that is not negative.
    pub(crate) fn number_attribute(&mut self, field: u32, name: &str, value: u64) {
        let mut any = Message::default();
        any.tag(3, VARINT);
        any.varint(value);
        self.attribute(field, name, &any);
    }

    fn attribute(&mut self, field: u32, name: &str, value: &Message) {
        let mut pair = Message::default();
        pair.bytes(1, name.as_bytes());
        pair.message(2, value);
        self.message(field, &pair);
    }

    fn tag(&mut self, field: u32, kind: u32) {
        self.varint(u64::from(field << 3 | kind));
    }

    fn varint(&mut self, mut number: u64) {
        loop {
            let byte = u8::try_from(number & 0x7F).unwrap_or_default();
            number >>= 7;
            if number == 0 {
                return self.0.push(byte);
            }
            self.0.push(byte | 0x80);
        }
    }
}
