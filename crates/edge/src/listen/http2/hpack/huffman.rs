//! The static Huffman code of HPACK (RFC 7541 §5.2 and Appendix B).

#![warn(clippy::indexing_slicing)]

const SYMBOLS: usize = 257;
/// Never stands in a string (§5.2).
const END_OF_STRING: u16 = 256;
const LONGEST: usize = 30;
/// Codes up to this length are found at once.
const SHORT: u32 = 8;

/// Bits of each symbol's code. Codes of one length count up in the order of their symbols, so the
/// lengths alone say what the code is.
#[rustfmt::skip]
const LENGTHS: [u8; SYMBOLS] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];

/// The codes of one length: the first of them, how many there are, where their symbols begin in
/// [`Code::ordered`].
#[derive(Clone, Copy)]
struct OfLength {
    first: u32,
    count: u32,
    at: usize,
}

struct Code {
    codes: [u32; SYMBOLS],
    /// Symbols by their codes.
    ordered: [u16; SYMBOLS],
    lengths: [OfLength; LONGEST + 1],
    /// Symbol and length for each byte that begins with a short code; length 0 for all others.
    short: [(u8, u8); 1 << SHORT],
}

static CODE: Code = code();

#[expect(clippy::indexing_slicing, reason = "run by the compiler, which checks each index")]
#[expect(clippy::cast_possible_truncation, reason = "symbols are below 257, lengths below 31")]
const fn code() -> Code {
    let mut made = Code {
        codes: [0; SYMBOLS],
        ordered: [0; SYMBOLS],
        lengths: [OfLength { first: 0, count: 0, at: 0 }; LONGEST + 1],
        short: [(0, 0); 1 << SHORT],
    };
    let (mut next, mut at, mut length) = (0, 0, 1);
    while length <= LONGEST {
        made.lengths[length] = OfLength { first: next, count: 0, at };
        let mut symbol = 0;
        while symbol < SYMBOLS {
            if LENGTHS[symbol] as usize == length {
                made.codes[symbol] = next;
                made.ordered[at] = symbol as u16;
                made.lengths[length].count += 1;
                if length <= SHORT as usize {
                    let free = SHORT as usize - length;
                    let mut rest = 0;
                    while rest < 1 << free {
                        made.short[((next as usize) << free) + rest] = (symbol as u8, length as u8);
                        rest += 1;
                    }
                }
                at += 1;
                next += 1;
            }
            symbol += 1;
        }
        next <<= 1;
        length += 1;
    }
    made
}

/// The bytes are not the code of a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoCode;

/// Bits that are read and stand for nothing yet, the newest lowest.
struct Bits {
    held: u64,
    count: u32,
}

impl Bits {
    /// The first `length` bits.
    fn peek(&self, length: u32) -> u32 {
        let bits = (self.held >> (self.count - length)) & ((1 << length) - 1);
        u32::try_from(bits).unwrap_or_default()
    }

    /// A code of more than eight bits, if all of it is here.
    fn take_long(&mut self) -> Result<Option<u8>, NoCode> {
        let longest = u32::try_from(LONGEST).unwrap_or_default();
        for length in SHORT + 1..=longest.min(self.count) {
            let Some(of_length) = CODE.lengths.get(length as usize) else { break };
            let nth = self.peek(length).wrapping_sub(of_length.first);
            if nth < of_length.count {
                let symbol = CODE.ordered.get(of_length.at + nth as usize).ok_or(NoCode)?;
                self.count -= length;
                // The end of string is the only symbol that is no byte.
                return u8::try_from(*symbol).map(Some).map_err(|_| NoCode);
            }
        }
        if self.count >= longest { Err(NoCode) } else { Ok(None) }
    }
}

/// Appends what `coded` stands for.
pub(super) fn decode(coded: &[u8], out: &mut Vec<u8>) -> Result<(), NoCode> {
    out.reserve(coded.len() * 8 / 5);
    let mut bits = Bits { held: 0, count: 0 };
    for byte in coded {
        bits.held = bits.held << 8 | u64::from(*byte);
        bits.count += 8;
        while bits.count >= SHORT {
            let (symbol, length) = short(bits.peek(SHORT));
            if length > 0 {
                bits.count -= length;
                out.push(symbol);
            } else if let Some(symbol) = bits.take_long()? {
                out.push(symbol);
            } else {
                break;
            }
        }
    }
    // What is left is padding, and perhaps one more short code before it.
    while bits.count < SHORT && bits.count > 0 {
        let free = SHORT - bits.count;
        let (symbol, length) = short(bits.peek(bits.count) << free | ((1 << free) - 1));
        if length == 0 || length > bits.count {
            break;
        }
        bits.count -= length;
        out.push(symbol);
    }
    // §5.2: less than a byte, and all ones.
    let is_padding = bits.count < 8 && bits.peek(bits.count) == (1 << bits.count) - 1;
    if is_padding { Ok(()) } else { Err(NoCode) }
}

fn short(byte: u32) -> (u8, u32) {
    let (symbol, length) = CODE.short.get(byte as usize).copied().unwrap_or_default();
    (symbol, u32::from(length))
}

/// Bytes that `text` takes when it is coded.
pub(super) fn coded_len(text: &[u8]) -> usize {
    let bits: usize = text.iter().map(|byte| usize::from(length_of(*byte))).sum();
    bits.div_ceil(8)
}

fn length_of(byte: u8) -> u8 {
    LENGTHS.get(usize::from(byte)).copied().unwrap_or_default()
}

/// Appends the code of `text`.
pub(super) fn encode(text: &[u8], out: &mut Vec<u8>) {
    let (mut held, mut count) = (0_u64, 0_u32);
    for byte in text {
        let code = CODE.codes.get(usize::from(*byte)).copied().unwrap_or_default();
        let length = u32::from(length_of(*byte));
        held = held << length | u64::from(code);
        count += length;
        while count >= 8 {
            count -= 8;
            out.push((held >> count).to_le_bytes()[0]);
        }
    }
    if count > 0 {
        let free = 8 - count;
        out.push((held << free | ((1 << free) - 1)).to_le_bytes()[0]);
    }
    const { assert!(END_OF_STRING as usize + 1 == SYMBOLS) };
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded(coded: &[u8]) -> Result<Vec<u8>, NoCode> {
        let mut out = Vec::new();
        decode(coded, &mut out).map(|()| out)
    }

    /// RFC 7541, Appendix C.4 and C.6.
    #[test]
    fn the_examples_of_the_rfc() {
        for (text, coded) in [
            ("www.example.com", "f1e3c2e5f23a6ba0ab90f4ff"),
            ("no-cache", "a8eb10649cbf"),
            ("custom-key", "25a849e95ba97d7f"),
            ("custom-value", "25a849e95bb8e8b4bf"),
            ("302", "6402"),
            ("private", "aec3771a4b"),
            ("Mon, 21 Oct 2013 20:13:21 GMT", "d07abe941054d444a8200595040b8166e082a62d1bff"),
            ("https://www.example.com", "9d29ad171863c78f0b97c8e9ae82ae43d3"),
            ("gzip", "9bd9ab"),
        ] {
            let hex = |at| u8::from_str_radix(&coded[at..at + 2], 16).expect("hex digits");
            let coded: Vec<u8> = (0..coded.len()).step_by(2).map(hex).collect();
            assert_eq!(decoded(&coded), Ok(text.as_bytes().to_vec()), "{text}");
            let mut out = Vec::new();
            encode(text.as_bytes(), &mut out);
            assert_eq!(out, coded, "{text}");
            assert_eq!(coded_len(text.as_bytes()), coded.len(), "{text}");
        }
    }

    #[test]
    fn padding_must_be_short_and_of_ones() {
        // `0` is 00000.
        assert_eq!(decoded(&[0b0000_0111]), Ok(b"0".to_vec()));
        assert_eq!(decoded(&[0b0000_0110]), Err(NoCode));
        assert_eq!(decoded(&[0b0000_0111, 0xff]), Err(NoCode));
        assert_eq!(decoded(&[0xff]), Err(NoCode));
        assert_eq!(decoded(&[]), Ok(Vec::new()));
    }

    #[test]
    fn the_end_of_string_never_stands_in_a_string() {
        assert_eq!(decoded(&[0xff, 0xff, 0xff, 0xff]), Err(NoCode));
        assert_eq!(decoded(&[0xff, 0xff, 0xff, 0xfc]), Err(NoCode));
    }

    proptest! {
        #[test]
        fn what_was_coded_is_decoded(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut coded = Vec::new();
            encode(&text, &mut coded);
            prop_assert_eq!(coded.len(), coded_len(&text));
            prop_assert_eq!(decoded(&coded), Ok(text));
        }

        #[test]
        fn any_bytes_are_decoded_or_refused(coded in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(text) = decoded(&coded) {
                // What is accepted is the one code of that text.
                let mut again = Vec::new();
                encode(&text, &mut again);
                prop_assert_eq!(again, coded);
            }
        }
    }
}
