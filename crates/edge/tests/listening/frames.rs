//! HTTP/2 by hand: frames as they are on the wire, for what no client library would send.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;
pub(crate) const PRIORITY_UPDATE: u8 = 0x10;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const PADDED: u8 = 8;
pub(crate) const WITH_PRIORITY: u8 = 0x20;

pub(crate) const NO_ERROR: u32 = 0;
pub(crate) const PROTOCOL_ERROR: u32 = 1;
pub(crate) const FLOW_CONTROL_ERROR: u32 = 3;
pub(crate) const STREAM_CLOSED: u32 = 5;
pub(crate) const FRAME_SIZE_ERROR: u32 = 6;
pub(crate) const REFUSED_STREAM: u32 = 7;
pub(crate) const CANCEL: u32 = 8;
pub(crate) const COMPRESSION_ERROR: u32 = 9;
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;

/// Index of the newest field in the dynamic table (RFC 7541 §2.3.3).
pub(crate) const FIRST_OF_TABLE: u8 = 0x3e;

/// CANCEL of a client.
pub(crate) fn reset(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])
}

/// A frame as bytes.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a frame").to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// A field block: literal fields without indexing and without Huffman (RFC 7541 §6.2.2).
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.push(0);
        text(&mut bytes, name);
        text(&mut bytes, value);
    }
    bytes
}

/// Fields that every request begins with.
pub(crate) fn request(path: &str) -> Vec<(&str, &str)> {
    vec![(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", path)]
}

/// A whole request in one frame.
pub(crate) fn get(stream: u32, path: &str) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, stream, &block(&request(path)))
}

/// The head of a request with content.
pub(crate) fn post(stream: u32, path: &str) -> Vec<u8> {
    let mut fields = request(path);
    fields[0].1 = "POST";
    frame(HEADERS, END_HEADERS, stream, &block(&fields))
}

/// An integer with a prefix of 7 bits, and the bytes (RFC 7541 §5.2).
pub(crate) fn text(bytes: &mut Vec<u8>, text: &str) {
    let mut length = text.len();
    if length < 127 {
        bytes.push(u8::try_from(length).expect("below 127"));
    } else {
        bytes.push(127);
        length -= 127;
        while length >= 128 {
            bytes.push(u8::try_from(length % 128).expect("7 bits") | 128);
            length /= 128;
        }
        bytes.push(u8::try_from(length).expect("7 bits"));
    }
    bytes.extend_from_slice(text.as_bytes());
}

/// A frame that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// Error code of `RST_STREAM` and `GOAWAY`.
    pub(crate) fn error_code(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        let bytes = self.payload[at..at + 4].try_into().expect("four bytes");
        u32::from_be_bytes(bytes)
    }

    /// What a `WINDOW_UPDATE` grants.
    pub(crate) fn increment(&self) -> u32 {
        u32::from_be_bytes(self.payload[..4].try_into().expect("four bytes"))
    }
}

/// The client's end of a connection.
pub(crate) struct Wire {
    pub(crate) reads: BufReader<OwnedReadHalf>,
    pub(crate) writes: OwnedWriteHalf,
}

impl Wire {
    /// Connects and sends preface and empty SETTINGS.
    pub(crate) async fn connect(address: SocketAddr) -> Wire {
        Wire::connect_after(address, b"").await
    }

    /// The same after what a load balancer sends first.
    pub(crate) async fn connect_after(address: SocketAddr, before: &[u8]) -> Wire {
        let stream = TcpStream::connect(address).await.expect("the server listens");
        let (reads, writes) = stream.into_split();
        let mut wire = Wire { reads: BufReader::new(reads), writes };
        wire.send(before).await.expect("a new connection takes it");
        wire.send(PREFACE).await.expect("a new connection takes it");
        wire.send(&frame(SETTINGS, 0, 0, &[])).await.expect("a new connection takes it");
        wire
    }

    /// Sends bytes; a server that has closed is an error.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writes.write_all(bytes).await
    }

    /// The next frame; `None` at the end or a reset.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.reads.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let mut payload = vec![0; length];
        self.reads.read_exact(&mut payload).await.ok()?;
        Some(Frame { kind: head[3], flags: head[4], stream, payload })
    }

    /// The next frame of one of these kinds.
    pub(crate) async fn wait_for(&mut self, kinds: &[u8]) -> Option<Frame> {
        loop {
            let frame = self.next().await?;
            if kinds.contains(&frame.kind) {
                return Some(frame);
            }
        }
    }

    /// The error code of the GOAWAY that ends this connection; panics if it ends without one.
    pub(crate) async fn goaway(&mut self) -> u32 {
        let mut last = None;
        while let Some(frame) = self.next().await {
            if frame.kind == GOAWAY {
                last = Some(frame.error_code());
            }
        }
        last.expect("a GOAWAY before the end")
    }
}
