//! HPACK, the compression of HTTP/2's fields (RFC 7541).
//!
//! In: field blocks, and field lines. Out: [`Field`]s that are parsed as far as one field can be, and
//! blocks. Both directions have a table, which a block may change: every block is decoded to its end,
//! whatever becomes of its message. Tables and strings are bounded; nothing here looks at a message
//! as a whole.

mod decode;
mod encode;
mod field;
mod huffman;
mod integer;
mod table;

pub use decode::{DecodeError, Decoder};
pub use encode::Encoder;
pub use field::{Field, Name, Reading, TargetScheme};

/// Bytes of a dynamic table unless a side says otherwise (RFC 9113 §6.5.2); we never ask for more.
const TABLE_BYTES: usize = 4_096;

/// What each entry of a table counts beyond its text (RFC 7541 §4.1).
const ENTRY_BYTES: usize = 32;
