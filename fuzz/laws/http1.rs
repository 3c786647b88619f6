//! The gate.

use bytes::{Bytes, BytesMut};
use forebay_edge::listen::http1::chunked::{Decoded, Decoder};
use forebay_edge::listen::http1::head::{Framing, HeadLimits, HeadParser, RequestHead, parse};
use forebay_edge::listen::http1::target;
use http::Method;

/// A head that is let through reads the same however it arrives, and written anew it is the same again.
pub(crate) fn http1_head(bytes: &[u8]) {
    let limits = HeadLimits::default();
    let mut buffer = BytesMut::from(bytes);
    let whole = HeadParser::default().take(&mut buffer, &limits);
    let rest = bytes.len() - buffer.len();
    let (pieces, read) = in_pieces(bytes, &limits);
    match (&whole, &pieces) {
        (Ok(Some(whole)), Ok(Some(pieces))) => {
            assert_eq!(format!("{whole:?}"), format!("{pieces:?}"), "it depends on the packets");
            assert_eq!(rest, read, "the message ends elsewhere");
            judge(whole, &limits);
        }
        (Ok(None), Ok(None)) | (Err(_), Err(_)) => {}
        // What is refused byte by byte may be refused before the whole is looked at, never after.
        other => panic!("whole and pieces differ: {other:?}"),
    }
}

type Taken = Result<Option<RequestHead>, forebay_edge::listen::http1::head::HeadError>;

fn in_pieces(bytes: &[u8], limits: &HeadLimits) -> (Taken, usize) {
    let (mut parser, mut buffer) = (HeadParser::default(), BytesMut::new());
    for (at, byte) in bytes.iter().enumerate() {
        buffer.extend_from_slice(&[*byte]);
        let taken = parser.take(&mut buffer, limits);
        if !matches!(taken, Ok(None)) {
            return (taken, at + 1);
        }
    }
    (Ok(None), bytes.len())
}

fn judge(head: &RequestHead, limits: &HeadLimits) {
    assert!(head.fields.len() <= limits.fields);
    for name in ["host", "connection", "transfer-encoding", "content-length", "upgrade", "te"] {
        assert!(!head.fields.contains_key(name), "`{name}` came through");
    }
    let mut anew = format!("{} {} {:?}\r\n", head.method, head.uri, head.version).into_bytes();
    if let Some(authority) = &head.authority {
        anew.extend_from_slice(format!("host: {authority}\r\n").as_bytes());
    }
    for (name, value) in &head.fields {
        anew.extend_from_slice(format!("{name}: ").as_bytes());
        anew.extend_from_slice(value.as_bytes());
        anew.extend_from_slice(b"\r\n");
    }
    anew.extend_from_slice(b"\r\n");
    // It may have grown: a lean `a:b` is written as `a: b`.
    let roomy = HeadLimits { head_bytes: 1 << 20, target_bytes: 1 << 20, ..*limits };
    let again = parse(&Bytes::from(anew), &roomy).expect("what we write is what we read");
    assert_eq!(again.method, head.method);
    assert_eq!(again.uri, head.uri);
    assert_eq!(again.authority, head.authority);
    assert_eq!(again.fields, head.fields);
    assert_eq!(again.framing, Framing::None);
}

/// Content and its end do not depend on the packets in which it arrives.
pub(crate) fn http1_content(bytes: &[u8]) {
    let whole = decode(std::iter::once(bytes));
    let pieces = decode(bytes.chunks(1));
    assert_eq!(whole, pieces);
}

#[derive(Debug, PartialEq)]
struct Content {
    data: Vec<u8>,
    end: Option<Result<Option<http::HeaderMap>, ()>>,
}

fn decode<'a>(packets: impl Iterator<Item = &'a [u8]>) -> (Content, Option<usize>) {
    let (mut decoder, mut buffer) = (Decoder::new(Framing::Chunked), BytesMut::new());
    let mut content = Content { data: Vec::new(), end: None };
    let mut fed = 0;
    for packet in packets {
        buffer.extend_from_slice(packet);
        fed += packet.len();
        loop {
            match decoder.decode(&mut buffer) {
                Ok(Decoded::Data(data)) => content.data.extend_from_slice(&data),
                Ok(Decoded::More) => break,
                Ok(Decoded::Done(trailers)) => {
                    assert!(decoder.is_done());
                    content.end = Some(Ok(trailers));
                    return (content, Some(fed - buffer.len()));
                }
                Err(_) => {
                    content.end = Some(Err(()));
                    return (content, None);
                }
            }
        }
    }
    (content, None)
}

/// A target that is taken is a path, and is taken again as it is; an authority is its own normal form.
pub(crate) fn http1_target(bytes: &[u8]) {
    for method in [Method::GET, Method::OPTIONS] {
        let Ok(taken) = target::parse(&method, Bytes::copy_from_slice(bytes)) else { continue };
        let text = taken.uri.to_string();
        assert!(text.starts_with('/') || (text == "*" && method == Method::OPTIONS), "{text}");
        assert!(text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#'), "{text}");
        let again = target::parse(&method, Bytes::from(text)).expect("it is taken again");
        assert_eq!(again.uri, taken.uri);
        assert_eq!(again.authority, None);
        if let Some(authority) = taken.authority {
            normal(&authority);
        }
    }
    if let Some(authority) = target::authority(bytes) {
        normal(&authority);
    }
}

fn normal(authority: &str) {
    assert!(!authority.bytes().any(|byte| byte.is_ascii_uppercase()), "{authority}");
    assert_eq!(target::authority(authority.as_bytes()).as_deref(), Some(authority));
}
