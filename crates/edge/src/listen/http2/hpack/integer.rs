//! Integers and strings of HPACK (RFC 7541 §5).

#![warn(clippy::indexing_slicing)]

use super::{DecodeError, huffman};

/// A reader of one field block.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

/// A string as it stands in the block.
#[derive(Debug, Clone, Copy)]
pub(super) enum Text<'a> {
    Plain(&'a [u8]),
    Huffman(&'a [u8]),
}

impl<'a> Text<'a> {
    /// The string itself; `space` holds it if it has to be decoded.
    pub(super) fn decoded<'b>(self, space: &'b mut Vec<u8>) -> Result<&'b [u8], DecodeError>
    where
        'a: 'b,
    {
        match self {
            Text::Plain(text) => Ok(text),
            Text::Huffman(coded) => {
                space.clear();
                huffman::decode(coded, space).map_err(|_| DecodeError::BadString)?;
                Ok(space)
            }
        }
    }
}

impl<'a> Reader<'a> {
    pub(super) fn new(block: &'a [u8]) -> Reader<'a> {
        Reader { rest: block }
    }

    /// The next byte, which stays where it is.
    pub(super) fn first(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// An integer whose first byte has `prefix` bits of it.
    pub(super) fn integer(&mut self, prefix: u32) -> Result<usize, DecodeError> {
        let (first, mut rest) = self.rest.split_first().ok_or(DecodeError::CutShort)?;
        let most = (1 << prefix) - 1;
        let mut value = usize::from(*first) & most;
        if value == most {
            // Four more bytes say more than any string or table of ours may hold.
            for shift in [0, 7, 14, 21] {
                let (byte, after) = rest.split_first().ok_or(DecodeError::CutShort)?;
                rest = after;
                value += usize::from(byte & 0x7f) << shift;
                if byte & 0x80 == 0 {
                    self.rest = rest;
                    return Ok(value);
                }
            }
            return Err(DecodeError::TooLargeInteger);
        }
        self.rest = rest;
        Ok(value)
    }

    pub(super) fn text(&mut self) -> Result<Text<'a>, DecodeError> {
        let is_huffman = self.first().is_some_and(|byte| byte & 0x80 != 0);
        let length = self.integer(7)?;
        let (text, rest) = self.rest.split_at_checked(length).ok_or(DecodeError::CutShort)?;
        self.rest = rest;
        Ok(if is_huffman { Text::Huffman(text) } else { Text::Plain(text) })
    }
}

/// Appends an integer whose first byte has `prefix` bits of it and `pattern` above them.
pub(super) fn write_integer(out: &mut Vec<u8>, prefix: u32, pattern: u8, value: usize) {
    let most = (1 << prefix) - 1;
    if value < most {
        out.push(pattern | low_byte(value));
        return;
    }
    out.push(pattern | low_byte(most));
    let mut left = value - most;
    while left >= 0x80 {
        out.push(0x80 | low_byte(left & 0x7f));
        left >>= 7;
    }
    out.push(low_byte(left));
}

fn low_byte(value: usize) -> u8 {
    let [low, ..] = value.to_le_bytes();
    low
}

/// Appends a string as it is: it costs no work here.
pub(super) fn write_plain(out: &mut Vec<u8>, text: &[u8]) {
    write_integer(out, 7, 0, text.len());
    out.extend_from_slice(text);
}

/// Appends a string in whichever form is shorter.
pub(super) fn write_shortest(out: &mut Vec<u8>, text: &[u8]) {
    let coded = huffman::coded_len(text);
    if coded >= text.len() {
        return write_plain(out, text);
    }
    write_integer(out, 7, 0x80, coded);
    huffman::encode(text, out);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// RFC 7541, Appendix C.1.
    #[test]
    fn the_examples_of_the_rfc() {
        for (prefix, value, expected) in
            [(5, 10, &[0x0a][..]), (5, 1337, &[0x1f, 0x9a, 0x0a]), (8, 42, &[0x2a])]
        {
            let mut out = Vec::new();
            write_integer(&mut out, prefix, 0, value);
            assert_eq!(out, expected);
            assert_eq!(Reader::new(&out).integer(prefix), Ok(value));
        }
    }

    #[test]
    fn integers_end_and_are_bounded() {
        assert_eq!(Reader::new(&[]).integer(7), Err(DecodeError::CutShort));
        assert_eq!(Reader::new(&[0x7f, 0x80]).integer(7), Err(DecodeError::CutShort));
        let endless = [0x7f, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00];
        assert_eq!(Reader::new(&endless).integer(7), Err(DecodeError::TooLargeInteger));
    }

    proptest! {
        #[test]
        fn integers_and_strings_come_back(
            value in 0_usize..200_000_000, prefix in 4_u32..8, text in ".{0,300}",
        ) {
            let mut out = Vec::new();
            write_integer(&mut out, prefix, 0, value);
            write_shortest(&mut out, text.as_bytes());
            write_plain(&mut out, text.as_bytes());
            let mut reader = Reader::new(&out);
            let mut space = Vec::new();
            prop_assert_eq!(reader.integer(prefix), Ok(value));
            for _ in 0..2 {
                let found = reader.text().expect("a string").decoded(&mut space);
                prop_assert_eq!(found, Ok(text.as_bytes()));
            }
            prop_assert_eq!(reader.first(), None);
        }
    }
}
