//! HTTP/2 clients that break a rule: each gets the error that RFC 9113 names.

mod listening;

use std::net::SocketAddr;
use std::time::Duration;

use forebay_edge::config::admit::Admit;
use forebay_edge::config::listen::Protocol;
use forebay_edge::exchange::{Answer, Exchange};
use forebay_signals::clock;
use listening::frames::{
    ACK, COMPRESSION_ERROR, CONTINUATION, DATA, END_HEADERS, END_STREAM, FIRST_OF_TABLE,
    FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, GOAWAY, HEADERS, PADDED, PING, PREFACE, PRIORITY,
    PROTOCOL_ERROR, PUSH_PROMISE, RST_STREAM, SETTINGS, STREAM_CLOSED, WINDOW_UPDATE,
    WITH_PRIORITY, Wire, block, frame, get, post, request, reset,
};
use listening::{echo, listen, with_server};

fn never(_: Exchange) -> impl Future<Output = Answer> + Send {
    std::future::pending()
}

/// How a violation must end.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// GOAWAY with this code.
    Connection(u32),
    /// `RST_STREAM` with this code on stream 1.
    Stream(u32),
}

/// What comes after these frames, the first that speaks of an error.
async fn verdict(address: SocketAddr, bytes: &[u8]) -> Option<Verdict> {
    let mut wire = Wire::connect(address).await;
    // The server may close while we still write.
    drop(wire.send(bytes).await);
    let frame = clock::timeout(Duration::from_secs(5), wire.wait_for(&[GOAWAY, RST_STREAM]));
    let frame = frame.await.ok()??;
    let code = frame.error_code();
    Some(if frame.kind == GOAWAY { Verdict::Connection(code) } else { Verdict::Stream(code) })
}

fn with_fields(extra: &[(&str, &str)]) -> Vec<u8> {
    let mut fields = request("/");
    fields.extend_from_slice(extra);
    frame(HEADERS, END_STREAM | END_HEADERS, 1, &block(&fields))
}

fn only_fields(fields: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, 1, &block(fields))
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn each_violation_of_framing_gets_the_error_of_the_rfc() {
    use Verdict::{Connection, Stream};
    let large = vec![0; 16_385];
    let padded = |kind, stream| frame(kind, PADDED | END_HEADERS, stream, &[9, 1, 2]);
    let cases: Vec<(&str, Vec<u8>, Verdict)> = vec![
        ("§6.1 DATA on stream 0", frame(DATA, 0, 0, b"x"), Connection(PROTOCOL_ERROR)),
        ("§5.1 DATA on an idle stream", frame(DATA, 0, 1, b"x"), Connection(PROTOCOL_ERROR)),
        (
            "§6.1 padding beyond the payload",
            [post(1, "/"), padded(DATA, 1)].concat(),
            Connection(PROTOCOL_ERROR),
        ),
        (
            "§5.1 DATA after END_STREAM",
            [get(1, "/"), frame(DATA, 0, 1, b"x")].concat(),
            Stream(STREAM_CLOSED),
        ),
        (
            "§4.2 frame above SETTINGS_MAX_FRAME_SIZE",
            [post(1, "/"), frame(DATA, 0, 1, &large)].concat(),
            Connection(FRAME_SIZE_ERROR),
        ),
        ("§6.2 HEADERS on stream 0", get(0, "/"), Connection(PROTOCOL_ERROR)),
        ("§5.1.1 HEADERS on a stream of ours", get(2, "/"), Connection(PROTOCOL_ERROR)),
        (
            "§5.1.1 a stream number that goes back",
            [get(5, "/"), get(3, "/")].concat(),
            Connection(PROTOCOL_ERROR),
        ),
        ("§6.2 HEADERS with bad padding", padded(HEADERS, 1), Connection(PROTOCOL_ERROR)),
        (
            "§6.2 HEADERS cut by another frame",
            [frame(HEADERS, END_STREAM, 1, &block(&request("/"))), frame(PING, 0, 0, &[0; 8])]
                .concat(),
            Connection(PROTOCOL_ERROR),
        ),
        (
            "§6.10 CONTINUATION of another stream",
            [frame(HEADERS, END_STREAM, 1, &[]), frame(CONTINUATION, END_HEADERS, 3, &[])].concat(),
            Connection(PROTOCOL_ERROR),
        ),
        (
            "§6.10 CONTINUATION without HEADERS",
            frame(CONTINUATION, END_HEADERS, 1, &[]),
            Connection(PROTOCOL_ERROR),
        ),
        (
            "§4.3 a field block that cannot be decoded",
            frame(HEADERS, END_STREAM | END_HEADERS, 1, &[0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]),
            Connection(COMPRESSION_ERROR),
        ),
        (
            "RFC 7541 §2.3.3 an index beyond the table",
            frame(HEADERS, END_STREAM | END_HEADERS, 1, &[0x80 | FIRST_OF_TABLE]),
            Connection(COMPRESSION_ERROR),
        ),
        (
            "§6.2 HEADERS that depend on themselves",
            frame(HEADERS, END_STREAM | END_HEADERS | WITH_PRIORITY, 1, &[0, 0, 0, 1, 9]),
            Stream(PROTOCOL_ERROR),
        ),
        ("§6.3 PRIORITY on stream 0", frame(PRIORITY, 0, 0, &[0; 5]), Connection(PROTOCOL_ERROR)),
        ("§6.4 RST_STREAM on stream 0", reset(0), Connection(PROTOCOL_ERROR)),
        ("§6.4 RST_STREAM on an idle stream", reset(1), Connection(PROTOCOL_ERROR)),
        (
            "§6.4 RST_STREAM of wrong size",
            [get(1, "/"), frame(RST_STREAM, 0, 1, &[0; 3])].concat(),
            Connection(FRAME_SIZE_ERROR),
        ),
        ("§6.5 SETTINGS on a stream", frame(SETTINGS, 0, 1, &[]), Connection(PROTOCOL_ERROR)),
        (
            "§6.5 SETTINGS of wrong size",
            frame(SETTINGS, 0, 0, &[0; 5]),
            Connection(FRAME_SIZE_ERROR),
        ),
        (
            "§6.5 acknowledgement with content",
            frame(SETTINGS, ACK, 0, &[0; 6]),
            Connection(FRAME_SIZE_ERROR),
        ),
        (
            "§6.5.2 ENABLE_PUSH of 2",
            frame(SETTINGS, 0, 0, &[0, 2, 0, 0, 0, 2]),
            Connection(PROTOCOL_ERROR),
        ),
        (
            "RFC 9218 §2.1 SETTINGS_NO_RFC7540_PRIORITIES that is neither 0 nor 1",
            frame(SETTINGS, 0, 0, &[0, 9, 0, 0, 0, 2]),
            Connection(PROTOCOL_ERROR),
        ),
        (
            "§6.5.2 INITIAL_WINDOW_SIZE of 2^31",
            frame(SETTINGS, 0, 0, &[0, 4, 0x80, 0, 0, 0]),
            Connection(FLOW_CONTROL_ERROR),
        ),
        (
            "§6.5.2 MAX_FRAME_SIZE below 2^14",
            frame(SETTINGS, 0, 0, &[0, 5, 0, 0, 0x3f, 0xff]),
            Connection(PROTOCOL_ERROR),
        ),
        (
            "§8.4 PUSH_PROMISE of a client",
            [get(1, "/"), frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2])].concat(),
            Connection(PROTOCOL_ERROR),
        ),
        ("§6.7 PING on a stream", frame(PING, 0, 1, &[0; 8]), Connection(PROTOCOL_ERROR)),
        ("§6.7 PING of wrong size", frame(PING, 0, 0, &[0; 7]), Connection(FRAME_SIZE_ERROR)),
        ("§6.8 GOAWAY on a stream", frame(GOAWAY, 0, 1, &[0; 8]), Connection(PROTOCOL_ERROR)),
        (
            "§6.9 WINDOW_UPDATE of wrong size",
            frame(WINDOW_UPDATE, 0, 0, &[0; 3]),
            Connection(FRAME_SIZE_ERROR),
        ),
        (
            "§6.9 WINDOW_UPDATE of nothing on the connection",
            frame(WINDOW_UPDATE, 0, 0, &[0; 4]),
            Connection(PROTOCOL_ERROR),
        ),
        (
            "§6.9.1 a connection window above 2^31-1",
            frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff]),
            Connection(FLOW_CONTROL_ERROR),
        ),
        (
            "§6.9.1 a stream window above 2^31-1",
            [get(1, "/"), frame(WINDOW_UPDATE, 0, 1, &[0x7f, 0xff, 0xff, 0xff])].concat(),
            Stream(FLOW_CONTROL_ERROR),
        ),
        ("§8.2.1 upper case", with_fields(&[("X-Upper", "1")]), Stream(PROTOCOL_ERROR)),
        ("§8.2.1 blank in a name", with_fields(&[("a b", "1")]), Stream(PROTOCOL_ERROR)),
        ("§8.2.1 line feed in a value", with_fields(&[("a", "1\nb")]), Stream(PROTOCOL_ERROR)),
        ("§8.2.2 connection", with_fields(&[("connection", "x")]), Stream(PROTOCOL_ERROR)),
        (
            "§8.2.2 transfer-encoding",
            with_fields(&[("transfer-encoding", "chunked")]),
            Stream(PROTOCOL_ERROR),
        ),
        ("§8.2.2 te other than trailers", with_fields(&[("te", "gzip")]), Stream(PROTOCOL_ERROR)),
        ("§8.3 unknown pseudo field", with_fields(&[(":x", "1")]), Stream(PROTOCOL_ERROR)),
        (
            "§8.3 pseudo field of answers",
            with_fields(&[(":status", "200")]),
            Stream(PROTOCOL_ERROR),
        ),
        ("§8.3 pseudo field twice", with_fields(&[(":path", "/b")]), Stream(PROTOCOL_ERROR)),
        (
            "§8.3 pseudo field after a field",
            only_fields(&[(":method", "GET"), (":scheme", "http"), ("a", "1"), (":path", "/")]),
            Stream(PROTOCOL_ERROR),
        ),
        (
            "§8.3.1 no method",
            only_fields(&[(":scheme", "http"), (":path", "/"), (":authority", "a")]),
            Stream(PROTOCOL_ERROR),
        ),
        (
            "§8.3.1 no path",
            only_fields(&[(":method", "GET"), (":scheme", "http"), (":authority", "a")]),
            Stream(PROTOCOL_ERROR),
        ),
        (
            "§8.3.1 empty path",
            only_fields(&[
                (":method", "GET"),
                (":scheme", "http"),
                (":authority", "a"),
                (":path", ""),
            ]),
            Stream(PROTOCOL_ERROR),
        ),
        (
            "§8.1.1 content-length without content",
            with_fields(&[("content-length", "5")]),
            Stream(PROTOCOL_ERROR),
        ),
        (
            "§8.1.1 more content than announced",
            [
                frame(
                    HEADERS,
                    END_HEADERS,
                    1,
                    &block(&[request("/"), vec![("content-length", "1")]].concat()),
                ),
                frame(DATA, END_STREAM, 1, b"xx"),
            ]
            .concat(),
            Stream(PROTOCOL_ERROR),
        ),
    ];
    with_server(&listen(Protocol::Plain), &Admit::default(), never, |server| async move {
        let mut wrong = Vec::new();
        for (name, bytes, expected) in cases {
            let found = verdict(server.address, &bytes).await;
            if found.as_ref() != Some(&expected) {
                wrong.push(format!("{name}: expected {expected:?}, got {found:?}"));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    });
}

#[test]
fn a_preface_must_be_followed_by_settings() {
    with_server(&listen(Protocol::Plain), &Admit::default(), echo, |server| async move {
        let stream = tokio::net::TcpStream::connect(server.address).await.expect("it listens");
        let (reads, writes) = stream.into_split();
        let mut wire = Wire { reads: tokio::io::BufReader::new(reads), writes };
        wire.send(&[PREFACE, &get(1, "/")[..]].concat()).await.expect("written");
        assert_eq!(wire.goaway().await, PROTOCOL_ERROR);
    });
}
