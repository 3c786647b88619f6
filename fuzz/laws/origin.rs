//! What origins answer.

use bytes::{Bytes, BytesMut};
use forebay_edge::http1::Framing;
use forebay_edge::origin::http1::head::{
    AnswerHead, BadHead, Ends, HeadParser, MOST_FIELDS, parse,
};
use http::{HeaderName, Method, StatusCode};

/// A head that is taken reads the same however it arrives, and written anew it is the same again.
pub(crate) fn origin_head(bytes: &[u8]) {
    for method in [Method::GET, Method::HEAD] {
        let mut buffer = BytesMut::from(bytes);
        let whole = HeadParser::default().take(&mut buffer, &method);
        let rest = bytes.len() - buffer.len();
        let (pieces, read) = in_pieces(bytes, &method);
        match (&whole, &pieces) {
            (Ok(Some(whole)), Ok(Some(pieces))) => {
                assert_eq!(
                    format!("{whole:?}"),
                    format!("{pieces:?}"),
                    "it depends on the packets"
                );
                assert_eq!(rest, read, "the head ends elsewhere");
                judge(whole, &method);
            }
            (Ok(None), Ok(None)) | (Err(_), Err(_)) => {}
            other => panic!("whole and pieces differ: {other:?}"),
        }
    }
}

fn in_pieces(bytes: &[u8], method: &Method) -> (Result<Option<AnswerHead>, BadHead>, usize) {
    let (mut parser, mut buffer) = (HeadParser::default(), BytesMut::new());
    for (at, byte) in bytes.iter().enumerate() {
        buffer.extend_from_slice(&[*byte]);
        let taken = parser.take(&mut buffer, method);
        if !matches!(taken, Ok(None)) {
            return (taken, at + 1);
        }
    }
    (Ok(None), bytes.len())
}

fn judge(head: &AnswerHead, method: &Method) {
    assert!(head.fields.len() <= MOST_FIELDS);
    let is_bare = *method == Method::HEAD || head.status == StatusCode::NOT_MODIFIED;
    for name in ["connection", "transfer-encoding", "keep-alive", "upgrade", "te"] {
        assert!(!head.fields.contains_key(name), "`{name}` came through");
    }
    assert!(is_bare || !head.fields.contains_key("content-length"));
    assert!(!(is_bare && head.ends != Ends::Framed(Framing::None)), "content that is not sent");
    assert!(!(head.keeps_alive && head.ends == Ends::WithConnection));
    let status = head.status;
    assert!(!status.is_informational() || status == StatusCode::SWITCHING_PROTOCOLS);
    let mut anew = format!("HTTP/1.1 {}\r\n", status.as_u16()).into_bytes();
    let mut line = |name: &HeaderName, value: &[u8]| {
        anew.extend_from_slice(name.as_str().as_bytes());
        anew.extend_from_slice(b": ");
        anew.extend_from_slice(value);
        anew.extend_from_slice(b"\r\n");
    };
    for (name, value) in &head.fields {
        line(name, value.as_bytes());
    }
    match head.ends {
        Ends::Framed(Framing::Length(length)) => {
            line(&http::header::CONTENT_LENGTH, length.to_string().as_bytes());
        }
        Ends::Framed(Framing::Chunked) => line(&http::header::TRANSFER_ENCODING, b"chunked"),
        Ends::Framed(Framing::None) | Ends::WithConnection => {}
    }
    anew.extend_from_slice(b"\r\n");
    let again = parse(&Bytes::from(anew), method).expect("what was read is read again");
    assert_eq!((again.status, again.ends), (head.status, head.ends));
    assert_eq!(again.fields, head.fields);
}
