use super::*;

fn take(raw: &str) -> Result<AnswerHead, BadHead> {
    take_for(raw, &Method::GET)
}

fn take_for(raw: &str, method: &Method) -> Result<AnswerHead, BadHead> {
    let mut buffer = BytesMut::from(raw);
    HeadParser::default().take(&mut buffer, method).map(|head| head.expect("complete"))
}

#[test]
fn a_head_is_read_however_it_is_cut() {
    let raw = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: \"a\"\r\n\r\nhello";
    let (mut parser, mut buffer) = (HeadParser::default(), BytesMut::new());
    for byte in raw.iter().take(raw.len() - 6) {
        buffer.extend_from_slice(&[*byte]);
        assert!(parser.take(&mut buffer, &Method::GET).expect("lawful").is_none());
    }
    buffer.extend_from_slice(b"\nhello");
    let head = parser.take(&mut buffer, &Method::GET).expect("lawful").expect("complete");
    assert_eq!((head.status, head.ends), (StatusCode::OK, Ends::Framed(Framing::Length(5))));
    assert!(head.keeps_alive);
    assert_eq!(head.fields.len(), 1, "the length is framing: {:?}", head.fields);
    assert_eq!(buffer, "hello");
}

#[test]
fn what_two_programs_could_read_in_two_ways_is_refused() {
    for (fields, why) in [
        ("content-length: 5\r\ncontent-length: 6\r\n", BadHead::BadLength),
        ("content-length: 5, 5\r\n", BadHead::BadLength),
        ("content-length: +5\r\n", BadHead::BadLength),
        ("content-length:\r\n", BadHead::BadLength),
        ("content-length: 99999999999999999999\r\n", BadHead::BadLength),
        ("content-length: 5\r\ntransfer-encoding: chunked\r\n", BadHead::TwoFramings),
        ("transfer-encoding: gzip, chunked\r\n", BadHead::BadCoding),
        ("transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n", BadHead::BadCoding),
        ("x: a\r\n folded\r\n", FieldError::FoldedLine.into()),
        ("x: a\n", FieldError::BareLineFeed.into()),
        ("x : a\r\n", FieldError::BadField.into()),
        ("no colon\r\n", FieldError::BadField.into()),
        ("x: a\rb\r\n", FieldError::BadField.into()),
        ("x: a\0b\r\n", FieldError::BadField.into()),
    ] {
        let raw = format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
        assert_eq!(take(&raw).expect_err("refused"), why, "{fields:?}");
    }
    for line in [
        "HTTP/2.0 200 OK",
        "HTTP/1.2 200 OK",
        "http/1.1 200 OK",
        "HTTP/1.1  200 OK",
        "HTTP/1.1 20 OK",
        "HTTP/1.1 2000 OK",
        "HTTP/1.1 099 OK",
        "HTTP/1.1 200OK",
        "HTTP/1.1 200 O\x01K",
        "garbage",
        "",
    ] {
        assert_eq!(
            take(&format!("{line}\r\n\r\n")).expect_err("refused"),
            BadHead::BadLine,
            "{line:?}"
        );
    }
    let old = "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    assert_eq!(take(old).expect_err("refused"), BadHead::BadCoding);
}

#[test]
fn garbage_is_refused_before_its_line_ends() {
    let mut buffer = BytesMut::from("SSH-2.0");
    let taken = HeadParser::default().take(&mut buffer, &Method::GET);
    assert_eq!(taken.expect_err("refused"), BadHead::BadLine);
}

#[test]
fn a_reason_may_be_missing() {
    for line in ["HTTP/1.1 200", "HTTP/1.1 200 ", "HTTP/1.1 200 \u{e4}"] {
        assert_eq!(take(&format!("{line}\r\n\r\n")).expect("lawful").status, StatusCode::OK);
    }
}

#[test]
fn content_ends_where_the_message_says() {
    let ends = |raw: &str, method: &Method| {
        let head = take_for(raw, method).expect("lawful");
        (head.ends, head.keeps_alive)
    };
    let none = Ends::Framed(Framing::None);
    let get = Method::GET;
    assert_eq!(ends("HTTP/1.1 200 OK\r\n\r\n", &get), (Ends::WithConnection, false));
    assert_eq!(ends("HTTP/1.1 204 No\r\n\r\n", &get), (none, true));
    assert_eq!(ends("HTTP/1.1 204 No\r\ncontent-length: 0\r\n\r\n", &get), (none, true));
    assert_eq!(ends("HTTP/1.1 204 No\r\ncontent-length: 5\r\n\r\n", &get), (none, false));
    assert_eq!(ends("HTTP/1.1 304 No\r\ncontent-length: 5\r\n\r\n", &get), (none, true));
    let sized = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n";
    assert_eq!(ends(sized, &Method::HEAD), (none, true));
    let twice = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 5\r\n\r\n";
    assert_eq!(ends(twice, &get), (Ends::Framed(Framing::Length(5)), true));
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\nconnection: close\r\n\r\n";
    assert_eq!(ends(chunked, &get), (Ends::Framed(Framing::Chunked), false));
    let old = "HTTP/1.0 200 OK\r\ncontent-length: 5\r\n";
    let length = Ends::Framed(Framing::Length(5));
    assert_eq!(ends(&format!("{old}\r\n"), &get), (length, false));
    assert_eq!(ends(&format!("{old}connection: Keep-Alive\r\n\r\n"), &get), (length, true));
}

#[test]
fn a_length_is_kept_only_where_it_tells_of_content_that_is_not_sent() {
    let raw = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n";
    assert_eq!(take_for(raw, &Method::HEAD).expect("lawful").fields["content-length"], "5");
    assert!(take(raw).expect("lawful").fields.is_empty());
}

#[test]
fn fields_of_the_hop_end_here() {
    let head = take(
        "HTTP/1.1 200 OK\r\nx-secret: 1\r\nconnection: X-Secret, keep-alive\r\nkeep-alive: timeout=5\r\nproxy-authenticate: x\r\nupgrade: h2c\r\netag: a\r\n\r\n",
    );
    let head = head.expect("lawful");
    assert_eq!(head.fields.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["etag"]);
}

#[test]
fn heads_and_interim_answers_are_bounded() {
    let many = "x: 1\r\n".repeat(MOST_FIELDS + 1);
    let taken = take(&format!("HTTP/1.1 200 OK\r\n{many}\r\n"));
    assert_eq!(taken.expect_err("too many"), FieldError::TooManyFields.into());
    let long = "a".repeat(MOST_HEAD);
    let taken = take(&format!("HTTP/1.1 200 OK\r\nx: {long}"));
    assert_eq!(taken.expect_err("too large"), BadHead::TooLarge);
    let interim = "HTTP/1.1 100 Continue\r\n\r\n".repeat(MOST_INTERIM + 1);
    assert_eq!(take(&interim).expect_err("too many"), BadHead::TooManyInterim);
    let hints = format!("HTTP/1.1 103 Hints\r\nx: {}\r\n\r\n", "a".repeat(MOST_HEAD / 2));
    assert_eq!(take(&hints.repeat(2)).expect_err("too large"), BadHead::TooLarge);
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(
        bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300),
    ) {
        let mut raw = BytesMut::from("HTTP/1.1 200 OK\r\n");
        raw.extend_from_slice(&bytes);
        drop(HeadParser::default().take(&mut raw, &Method::GET));
    }
}
