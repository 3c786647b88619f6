//! HTTP/2 as clients speak it.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};

use forebay_edge::config::admit::Admit;
use forebay_edge::config::listen::Listen;
use forebay_edge::exchange::{Answer, Client, Exchange, Scheme};
use forebay_edge::listen::detect::PREFACE;
use forebay_edge::listen::http2::Session;
use forebay_edge::listen::http2::hpack::{Decoder, Encoder, Field};
use forebay_edge::listen::{Handler, Reply};

/// `ENHANCE_YOUR_CALM`: when a flood is one depends on the clock and on what was answered meanwhile.
const CALM: u32 = 11;
/// `STREAM_CLOSED` of the connection: before the answer is out, the same frame costs its stream alone.
const CLOSED: u32 = 5;
/// `PROTOCOL_ERROR` of the connection: so is a head on a stream that is closed, while on one that has ended
/// and is not answered yet it costs that stream.
const PROTOCOL: u32 = 1;
/// Streams that may wait side by side.
const MOST_STREAMS: usize = 128;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const END_STREAM: u8 = 1;

/// Requests and verdict do not depend on how the bytes are cut; what is answered is whole frames whose field
/// blocks can be decoded.
pub(crate) fn http2(bytes: &[u8]) {
    let inbound = [PREFACE, bytes].concat();
    let (requests, end) = serve(inbound.chunks(inbound.len()));
    let asks_again = asks_again(bytes);
    for at_once in [1, 5] {
        let (in_pieces, other_end) = serve(inbound.chunks(at_once));
        let is_of_the_moment = |end| match end {
            Err(CALM | CLOSED) => true,
            Err(PROTOCOL) => asks_again,
            _ => false,
        };
        if is_of_the_moment(end) || is_of_the_moment(other_end) || requests.len() >= MOST_STREAMS {
            continue;
        }
        assert_eq!(end, other_end, "the verdict depends on the packets");
        assert_eq!(requests, in_pieces, "the requests depend on the packets");
    }
}

/// True if a head comes on a stream whose client has said all.
fn asks_again(mut bytes: &[u8]) -> bool {
    let mut ended = Vec::new();
    while let [a, b, c, kind, flags, s0, s1, s2, s3, rest @ ..] = bytes {
        let stream = u32::from_be_bytes([*s0 & 0x7f, *s1, *s2, *s3]);
        if *kind == HEADERS && ended.contains(&stream) {
            return true;
        }
        if matches!(*kind, DATA | HEADERS) && flags & END_STREAM != 0 {
            ended.push(stream);
        }
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        bytes = rest.get(length..).unwrap_or_default();
    }
    false
}

/// Answers each request at once, and notes it.
#[derive(Clone, Default)]
struct Noting(Arc<Mutex<Vec<String>>>);

impl Handler for Noting {
    fn call(&self, exchange: Exchange) -> Reply {
        let head = exchange.head;
        let note = format!("{} {} {} {:?}", head.method, head.authority, head.uri, head.fields);
        self.0.lock().expect("no panic before").push(note);
        Reply::Now(Answer::new("content"))
    }
}

fn serve<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<String>, Result<(), u32>) {
    let client = Client {
        peer: None,
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        scheme: Scheme::Http,
        server_name: None,
    };
    let noting = Noting::default();
    let mut session = Session::open(client, &Listen::default(), &Admit::default(), noting.clone());
    let mut answered = Vec::new();
    let mut end = Ok(());
    for piece in pieces {
        match session.exchange(piece) {
            Ok(out) => answered.extend(out),
            Err(code) => {
                end = Err(code);
                break;
            }
        }
    }
    read(&answered);
    let requests = std::mem::take(&mut *noting.0.lock().expect("no panic"));
    (requests, end)
}

/// Reads what we have sent as a client would.
fn read(mut bytes: &[u8]) {
    let mut decoder = Decoder::new();
    while let [a, b, c, kind, _, _, _, _, _, rest @ ..] = bytes {
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        let (payload, after) = rest.split_at_checked(length).expect("a whole frame");
        if *kind == HEADERS {
            decoder.decode(payload, |_, _| ()).expect("a block of ours");
        }
        bytes = after;
    }
    assert!(bytes.is_empty(), "part of a frame");
}

/// Blocks that can be decoded are the same when they are encoded again, over several of them.
pub(crate) fn hpack(bytes: &[u8]) {
    let mut decoder = Decoder::new();
    let (mut encoder, mut reader) = (Encoder::new(), Decoder::new());
    // A block ends where the fuzzer says: a length, and so many bytes.
    let mut rest = bytes;
    while let [length, after @ ..] = rest {
        let (block, after) = after.split_at(after.len().min(usize::from(*length)));
        rest = after;
        let (mut fields, mut size) = (Vec::new(), 0);
        if decoder
            .decode(block, |field, bytes| {
                size += bytes;
                fields.push(field);
            })
            .is_err()
        {
            return;
        }
        assert!(size >= 32 * fields.len());
        fields.retain(|field| matches!(field, Field::Plain(..)));
        let mut anew = Vec::new();
        for field in &fields {
            let Field::Plain(name, value) = field else { continue };
            encoder.field(name.as_str().as_bytes(), value.as_bytes(), &mut anew);
        }
        let mut again = Vec::new();
        reader.decode(&anew, |field, _| again.push(field)).expect("a block of ours");
        assert_eq!(again, fields);
    }
}
