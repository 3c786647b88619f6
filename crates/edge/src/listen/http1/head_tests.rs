//! The laws of the gate: what is let through, and the raw requests that must not be.

use super::*;

fn take(raw: &[u8]) -> Result<RequestHead, HeadError> {
    let mut buffer = BytesMut::from(raw);
    let head = HeadParser::default().take(&mut buffer, &HeadLimits::default())?;
    Ok(head.expect("the head is complete"))
}

#[test]
fn an_ordinary_request_passes() {
    let head =
        take(b"GET /a?b=c HTTP/1.1\r\nHost: Shop.example\r\nAccept: */*\r\n\r\n").expect("ok");
    assert_eq!(head.method, Method::GET);
    assert_eq!(head.uri, "/a?b=c");
    assert_eq!(head.authority.as_deref(), Some("shop.example"));
    assert_eq!(head.framing, Framing::None);
    assert!(head.keeps_alive);
    assert_eq!(head.fields.len(), 1);
}

/// The corpus of ambiguous requests: every one is refused, whatever other servers do with it.
#[test]
fn every_ambiguous_head_is_refused() {
    use HeadError as E;
    let with = |fields: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n");
    for (raw, expected) in [
        (with("Content-Length: 5\r\nTransfer-Encoding: chunked"), E::TwoFramings),
        (with("Content-Length: 5\r\nContent-Length: 6"), E::BadLength),
        (with("Content-Length: 5\r\nContent-Length: 5"), E::BadLength),
        (with("Content-Length: +5"), E::BadLength),
        (with("Content-Length: 5, 5"), E::BadLength),
        (with("Content-Length: 99999999999999999999"), E::BadLength),
        (with("Transfer-Encoding : chunked"), E::BadField),
        (with("X: a\rb"), E::BadField),
        (with("X: a\0b"), E::BadField),
        (with("Transfer-Encoding: xchunked"), E::UnknownCoding),
        (with("Transfer-Encoding: chunked, chunked"), E::UnknownCoding),
        (with("Transfer-Encoding: gzip, chunked"), E::UnknownCoding),
        (with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"), E::BadTransferEncoding),
        (with("Transfer-Encoding:\r\n chunked"), E::FoldedLine),
        (with("Host: b"), E::BadHost),
        (with(": x"), E::BadField),
        (with("X y: x"), E::BadField),
        (with("no colon"), E::BadField),
        (with("Expect: the-unexpected"), E::BadExpectation),
        ("GET / HTTP/1.1\nHost: a\n\n".into(), E::BareLineFeed),
        ("GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n".into(), E::BareLineFeed),
        ("GET / HTTP/1.1\r\n\r\n".into(), E::BadHost),
        ("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n".into(), E::BadHost),
        ("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n".into(), E::HostMismatch),
        ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n".into(), E::BadTransferEncoding),
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n".into(), E::BadLine),
        ("GET / HTTP/1.1 \r\nHost: a\r\n\r\n".into(), E::BadLine),
        ("GET /\r\nHost: a\r\n\r\n".into(), E::BadLine),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n".into(), E::BadVersion),
        ("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n".into(), E::BadMethod),
        ("G(T / HTTP/1.1\r\nHost: a\r\n\r\n".into(), E::BadLine),
    ] {
        assert_eq!(take(raw.as_bytes()).expect_err(&raw), expected, "{raw:?}");
    }
}

#[test]
fn sizes_are_limited_before_the_head_is_complete() {
    let mut long = BytesMut::from("GET / HTTP/1.1\r\nHost: a\r\nX: ");
    long.resize(40_000, b'x');
    let refused = HeadParser::default().take(&mut long, &HeadLimits::default());
    assert_eq!(refused.expect_err("too large"), HeadError::TooLarge);
    let target = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(9_000));
    assert_eq!(take(target.as_bytes()).expect_err("too long"), HeadError::TargetTooLong);
    let fields = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(101));
    assert_eq!(take(fields.as_bytes()).expect_err("too many"), HeadError::TooManyFields);
}

#[test]
fn what_ends_here_goes_no_further() {
    let head = take(
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close, X-Secret, keep-alive\r\nX-Secret: 1\r\n\
          Keep-Alive: 5\r\nTE: trailers\r\nUpgrade: websocket\r\nAccept: x\r\n\r\n",
    )
    .expect("lawful");
    assert!(!head.keeps_alive, "close wins");
    assert_eq!(head.upgrade, None, "connection does not name it");
    assert_eq!(head.fields.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["accept"]);
}

#[test]
fn websocket_is_asked_for_and_h2c_is_not() {
    let ask = |protocol: &str| {
        let raw = format!(
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n\r\n"
        );
        take(raw.as_bytes()).expect("lawful").upgrade
    };
    assert_eq!(ask("websocket").expect("asked"), "websocket");
    assert_eq!(ask("h2c"), None);
}

#[test]
fn http_1_0_may_leave_out_the_host_and_closes() {
    let head = take(b"GET / HTTP/1.0\r\n\r\n").expect("lawful");
    assert_eq!(head.authority, None);
    assert!(!head.keeps_alive);
    let head = take(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").expect("lawful");
    assert!(head.keeps_alive);
}

#[test]
fn one_empty_line_before_a_request_is_skipped() {
    let mut buffer = BytesMut::from("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\nGET /next");
    let mut parser = HeadParser::default();
    let head = parser.take(&mut buffer, &HeadLimits::default()).expect("lawful");
    assert!(head.is_some());
    assert_eq!(buffer, "GET /next");
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400)) {
        let mut buffer = BytesMut::from(&bytes[..]);
        drop(HeadParser::default().take(&mut buffer, &HeadLimits::default()));
    }

    /// Whatever the cut, the verdict is the same.
    #[test]
    fn the_verdict_does_not_depend_on_the_cut(cut in 0_usize..60) {
        let raw: &[u8] = b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
        let mut parser = HeadParser::default();
        let mut buffer = BytesMut::from(&raw[..cut.min(raw.len())]);
        let first = parser.take(&mut buffer, &HeadLimits::default()).expect("lawful");
        buffer.extend_from_slice(&raw[cut.min(raw.len())..]);
        let head = match first {
            Some(head) => head,
            None => parser.take(&mut buffer, &HeadLimits::default()).expect("lawful").expect("complete"),
        };
        proptest::prop_assert_eq!(head.framing, Framing::Length(3));
        proptest::prop_assert_eq!(buffer, "abc");
    }
}

#[test]
fn names_that_gateways_would_take_for_ours_are_dropped() {
    let head = take(b"GET / HTTP/1.1\r\nHost: a\r\nX_Forwarded_For: 1.2.3.4\r\nX-Mine: 1\r\n\r\n");
    let head = head.expect("it is let through");
    assert_eq!(head.fields.len(), 1, "{:?}", head.fields);
    assert_eq!(head.fields["x-mine"], "1");
}

#[test]
fn no_upgrade_leads_to_another_version_of_http() {
    let upgrade = |to: &str| {
        let fields = format!("Connection: Upgrade\r\nUpgrade: {to}\r\nHTTP2-Settings: AAMAAABk");
        let raw = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n");
        let head = take(raw.as_bytes()).expect("it is let through");
        assert!(!head.fields.contains_key("http2-settings"), "{to}");
        head.upgrade
    };
    for http in ["h2c", "H2C", "h2C, websocket", "websocket, h2c", "h2", "HTTP/2.0", "http/3"] {
        assert_eq!(upgrade(http), None, "{http}");
    }
    assert!(upgrade("websocket").is_some());
}
