//! Frames: their heads, numbers and bytes (RFC 9113 §4, §6, §7).

#![warn(clippy::indexing_slicing)]

/// Bytes of a frame's head.
pub(super) const HEAD_BYTES: usize = 9;
/// Largest payload that we take, and that a client must take (§4.2).
pub(super) const MAX_PAYLOAD: usize = 16_384;
/// Windows and stream numbers have 31 bits.
pub(super) const MAX_WINDOW: u32 = 0x7fff_ffff;

/// Frame types (§6; RFC 9218 §7.1).
pub(super) mod kind {
    pub(in super::super) const DATA: u8 = 0;
    pub(in super::super) const HEADERS: u8 = 1;
    pub(in super::super) const PRIORITY: u8 = 2;
    pub(in super::super) const RST_STREAM: u8 = 3;
    pub(in super::super) const SETTINGS: u8 = 4;
    pub(in super::super) const PUSH_PROMISE: u8 = 5;
    pub(in super::super) const PING: u8 = 6;
    pub(in super::super) const GOAWAY: u8 = 7;
    pub(in super::super) const WINDOW_UPDATE: u8 = 8;
    pub(in super::super) const CONTINUATION: u8 = 9;
    pub(in super::super) const PRIORITY_UPDATE: u8 = 0x10;
}

/// Flags (§6).
pub(super) mod flag {
    pub(in super::super) const END_STREAM: u8 = 1;
    pub(in super::super) const ACK: u8 = 1;
    pub(in super::super) const END_HEADERS: u8 = 4;
    pub(in super::super) const PADDED: u8 = 8;
    pub(in super::super) const PRIORITY: u8 = 0x20;
}

/// Settings (§6.5.2; RFC 9218 §2.1).
pub(super) mod setting {
    pub(in super::super) const HEADER_TABLE_SIZE: u16 = 1;
    pub(in super::super) const ENABLE_PUSH: u16 = 2;
    pub(in super::super) const MAX_CONCURRENT_STREAMS: u16 = 3;
    pub(in super::super) const INITIAL_WINDOW_SIZE: u16 = 4;
    pub(in super::super) const MAX_FRAME_SIZE: u16 = 5;
    pub(in super::super) const MAX_HEADER_LIST_SIZE: u16 = 6;
    pub(in super::super) const NO_RFC7540_PRIORITIES: u16 = 9;
}

/// Why a stream or a connection ends (§7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::listen) struct Code(pub(in crate::listen) u32);

impl Code {
    pub(in crate::listen) const NO_ERROR: Code = Code(0);
    pub(super) const PROTOCOL_ERROR: Code = Code(1);
    pub(super) const INTERNAL_ERROR: Code = Code(2);
    pub(super) const FLOW_CONTROL_ERROR: Code = Code(3);
    pub(super) const STREAM_CLOSED: Code = Code(5);
    pub(super) const FRAME_SIZE_ERROR: Code = Code(6);
    pub(super) const REFUSED_STREAM: Code = Code(7);
    pub(super) const CANCEL: Code = Code(8);
    pub(super) const COMPRESSION_ERROR: Code = Code(9);
    /// The client behaves so as to make us work.
    pub(in crate::listen) const ENHANCE_YOUR_CALM: Code = Code(11);
}

/// The nine bytes before a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameHead {
    pub(super) length: usize,
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
}

impl FrameHead {
    pub(super) fn parse(bytes: [u8; HEAD_BYTES]) -> FrameHead {
        let [l0, l1, l2, kind, flags, s0, s1, s2, s3] = bytes;
        FrameHead {
            length: u32::from_be_bytes([0, l0, l1, l2]) as usize,
            kind,
            flags,
            // The highest bit is reserved.
            stream: u32::from_be_bytes([s0 & 0x7f, s1, s2, s3]),
        }
    }

    pub(super) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    fn bytes(&self) -> [u8; HEAD_BYTES] {
        let [l0, l1, l2, _] = low_32(self.length << 8);
        let [s0, s1, s2, s3] = self.stream.to_be_bytes();
        [l0, l1, l2, self.kind, self.flags, s0, s1, s2, s3]
    }
}

fn low_32(value: usize) -> [u8; 4] {
    let [.., a, b, c, d] = value.to_be_bytes();
    [a, b, c, d]
}

/// Appends the head of a frame.
pub(super) fn write_head(out: &mut Vec<u8>, length: usize, kind: u8, flags: u8, stream: u32) {
    out.extend_from_slice(&FrameHead { length, kind, flags, stream }.bytes());
}

/// Appends a whole frame.
pub(super) fn write(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    write_head(out, payload.len(), kind, flags, stream);
    out.extend_from_slice(payload);
}

/// Appends SETTINGS with these values.
pub(super) fn write_settings(out: &mut Vec<u8>, settings: &[(u16, u32)]) {
    write_head(out, settings.len() * 6, kind::SETTINGS, 0, 0);
    for (id, value) in settings {
        out.extend_from_slice(&id.to_be_bytes());
        out.extend_from_slice(&value.to_be_bytes());
    }
}

/// Leaves room for the head of a field block, which is appended next; says where it is.
pub(super) fn begin_block(out: &mut Vec<u8>) -> usize {
    let at = out.len();
    out.resize(at + HEAD_BYTES, 0);
    at
}

/// Makes HEADERS of the block that began at `at`, and as many CONTINUATIONs as it takes.
pub(super) fn finish_block(out: &mut Vec<u8>, at: usize, flags: u8, stream: u32) {
    let block_at = at + HEAD_BYTES;
    let length = out.len().saturating_sub(block_at);
    let is_one = length <= MAX_PAYLOAD;
    let first = FrameHead {
        length: length.min(MAX_PAYLOAD),
        kind: kind::HEADERS,
        flags: if is_one { flags | flag::END_HEADERS } else { flags },
        stream,
    };
    if let Some(space) = out.get_mut(at..block_at) {
        space.copy_from_slice(&first.bytes());
    }
    if is_one {
        return;
    }
    let rest = out.split_off(block_at + MAX_PAYLOAD);
    let mut pieces = rest.chunks(MAX_PAYLOAD).peekable();
    while let Some(piece) = pieces.next() {
        let flags = if pieces.peek().is_none() { flag::END_HEADERS } else { 0 };
        write(out, kind::CONTINUATION, flags, stream, piece);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_come_back() {
        let head = FrameHead { length: 0x01_02_03, kind: 4, flags: 5, stream: 0x0102_0304 };
        assert_eq!(head.bytes(), [1, 2, 3, 4, 5, 1, 2, 3, 4]);
        assert_eq!(FrameHead::parse(head.bytes()), head);
        let reserved = FrameHead::parse([0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
        assert_eq!(reserved.stream, MAX_WINDOW);
    }

    #[test]
    fn a_long_block_goes_on() {
        let mut out = vec![7; 3 + HEAD_BYTES];
        out.extend(vec![1; MAX_PAYLOAD + 1]);
        finish_block(&mut out, 3, flag::END_STREAM, 5);
        assert_eq!(out[3..12], [0, 0x40, 0, 1, flag::END_STREAM, 0, 0, 0, 5]);
        let second = 12 + MAX_PAYLOAD;
        assert_eq!(out[second..], [0, 0, 1, 9, flag::END_HEADERS, 0, 0, 0, 5, 1]);
    }
}
