//! HTTP/2 origins that break their protocol: an error that says so, in time, and nothing of one connection
//! reaches the next request.

use std::time::Duration;

use forebay_edge::ErrorKind;
use forebay_edge::config::origin::{Server, Speaks};
use forebay_signals::clock;
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::frames::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PREFACE, PUSH_PROMISE,
    RST_STREAM, SETTINGS, block, frame, text,
};
use super::support::{Peer, Raw, fetch_text, one, post, run};

/// A sound answer to the request on this stream.
fn hello(stream: u32) -> Vec<u8> {
    let head = block(&[(":status", "200"), ("content-length", "5")]);
    let mut bytes = frame(HEADERS, END_HEADERS, stream, &head);
    bytes.extend(frame(DATA, END_STREAM, stream, b"hello"));
    bytes
}

/// Reads the preface of a connection and the head of its first request; that one's stream.
async fn request(peer: &mut Peer) -> Option<u32> {
    let mut preface = [0; PREFACE.len()];
    peer.stream.read_exact(&mut preface).await.ok()?;
    next_request(peer).await
}

/// Reads frames until a request's head has come; its stream.
async fn next_request(peer: &mut Peer) -> Option<u32> {
    loop {
        let mut head = [0; 9];
        peer.stream.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        peer.stream.read_exact(&mut vec![0; length]).await.ok()?;
        if head[3] == HEADERS {
            return Some(u32::from_be_bytes([head[5], head[6], head[7], head[8]]));
        }
    }
}

/// Settings of the server, and the answer to the client's.
fn greeting() -> Vec<u8> {
    [frame(SETTINGS, 0, 0, &[]), frame(SETTINGS, ACK, 0, &[])].concat()
}

/// Answers its very first request with `first`, again and again up to `times`, and all others as it should.
async fn breaks_once(first: Vec<u8>, times: usize) -> (Raw, Server) {
    let raw = Raw::start(move |mut peer| {
        let first = if peer.number == 0 { first.repeat(times) } else { Vec::new() };
        async move {
            let Some(stream) = request(&mut peer).await else { return };
            let bytes = if first.is_empty() { hello(stream) } else { first };
            let mut bytes = [greeting(), bytes].concat();
            // Ends when the edge closes.
            while peer.stream.write_all(&bytes).await.is_ok() {
                let Some(stream) = next_request(&mut peer).await else { return };
                bytes = hello(stream);
            }
        }
    })
    .await;
    let mut server = raw.server();
    server.speaks = Speaks::Http2;
    (raw, server)
}

/// The first request meets `bytes` and ends in this error; the second one is answered, on a new connection if
/// the first one is spoiled.
fn ends_in_an_error(name: &'static str, bytes: Vec<u8>, times: usize) {
    run(async move {
        let (raw, server) = breaks_once(bytes, times).await;
        let (_origins, upstream) = one(server);
        let fetched = async {
            let answer = upstream.fetch(post("x")).await?;
            answer.body.collect().await.map(http_body_util::Collected::to_bytes)
        };
        let fetched = clock::timeout(Duration::from_secs(10), fetched).await;
        let error = fetched.unwrap_or_else(|_| panic!("{name}: no end")).expect_err(name);
        assert_eq!(error.kind(), ErrorKind::OriginProtocol, "{name}: {error:?}");
        assert_eq!(error.facts().status, 502);
        let second =
            clock::timeout(Duration::from_secs(10), fetch_text(&upstream, post("y"))).await;
        assert_eq!(
            second.unwrap_or_else(|_| panic!("{name}: no second answer")),
            "hello",
            "{name}"
        );
        assert!(raw.connections() <= 2, "{name}");
        assert_eq!(upstream.view().in_flight, 0, "{name}");
    });
}

/// A head as a client of this protocol sees it: `fields` behind the status.
fn head(flags: u8, fields: &[(&str, &str)]) -> Vec<u8> {
    let all: Vec<_> = std::iter::once((":status", "200")).chain(fields.iter().copied()).collect();
    frame(HEADERS, flags, 1, &block(&all))
}

#[test]
fn frames_that_may_not_be_end_in_an_error() {
    let cases: [(&'static str, Vec<u8>); 12] = [
        ("noise", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff garbage".repeat(50)),
        ("HTTP/1", b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello".to_vec()),
        ("content without a head", frame(DATA, END_STREAM, 1, b"hello")),
        (
            "a stream that nobody opened",
            frame(HEADERS, END_HEADERS, 7, &block(&[(":status", "200")])),
        ),
        ("a push that nobody wants", frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2])),
        ("a block that is no HPACK", frame(HEADERS, END_HEADERS, 1, &[0xff; 30])),
        ("no status", frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&[("x", "1")]))),
        (
            "a field in capitals",
            frame(
                HEADERS,
                END_HEADERS | END_STREAM,
                1,
                &block(&[(":status", "200"), ("X-A", "1")]),
            ),
        ),
        (
            "more content than announced",
            [head(END_HEADERS, &[("content-length", "2")]), frame(DATA, END_STREAM, 1, b"hello")]
                .concat(),
        ),
        (
            "less content than announced",
            [head(END_HEADERS, &[("content-length", "9")]), frame(DATA, END_STREAM, 1, b"hello")]
                .concat(),
        ),
        ("settings of a wrong length", frame(SETTINGS, 0, 0, &[0; 5])),
        ("a frame that is too large", frame(DATA, 0, 1, &vec![0; 1 << 20])),
    ];
    for (name, bytes) in cases {
        ends_in_an_error(name, bytes, 1);
    }
}

#[test]
fn a_reset_inside_the_content_is_an_error_and_no_end() {
    let cut = [
        head(END_HEADERS, &[]),
        frame(DATA, 0, 1, b"hel"),
        frame(RST_STREAM, 0, 1, &2_u32.to_be_bytes()),
        // The connection is of no use to the second request either.
        frame(GOAWAY, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 2]),
    ];
    ends_in_an_error("a reset", cut.concat(), 1);
}

#[test]
fn a_head_without_an_end_is_given_up() {
    // A head of many small pieces, and one of fields that are small on the wire and large in memory.
    let piece = frame(CONTINUATION, 0, 1, &block(&[("x", &"a".repeat(1000))]));
    let mut endless = head(0, &[]);
    endless.extend(piece.repeat(64));
    ends_in_an_error("CONTINUATION", endless, 200);
    let mut bomb = Vec::new();
    // One field of 4,000 bytes goes into the table, and is then named ten thousand times by one byte each.
    bomb.push(0x88);
    bomb.push(0x40);
    text(&mut bomb, "x");
    text(&mut bomb, &"a".repeat(4000));
    bomb.extend([0xbe; 10_000]);
    ends_in_an_error("an HPACK bomb", frame(HEADERS, END_HEADERS | END_STREAM, 1, &bomb), 1);
}

#[test]
fn an_origin_that_only_says_go_away_is_an_error_and_no_storm() {
    run(async {
        let away = frame(GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 0]);
        let raw = Raw::start(move |mut peer| {
            let away = away.clone();
            async move {
                if request(&mut peer).await.is_some() {
                    let bytes = [greeting(), away.repeat(1000)].concat();
                    // The edge may have closed already.
                    peer.stream.write_all(&bytes).await.ok();
                    peer.rest().await;
                }
            }
        })
        .await;
        let mut server = raw.server();
        server.speaks = Speaks::Http2;
        let (_origins, upstream) = one(server);
        for _ in 0..3 {
            let fetched = clock::timeout(Duration::from_secs(10), upstream.fetch(post("x"))).await;
            let error = fetched.expect("in time").expect_err("never answered");
            assert!(matches!(error.facts().status.as_u16(), 502 | 503), "{error:?}");
        }
        assert!(raw.connections() <= 9, "{} connections for three requests", raw.connections());
        assert_eq!(upstream.view().in_flight, 0);
    });
}

#[test]
fn floods_from_an_origin_do_not_hold_up_the_answer() {
    for flood in [frame(PING, 0, 0, &[0; 8]), frame(SETTINGS, 0, 0, &[])] {
        run(async move {
            let raw = Raw::start(move |mut peer| {
                let flood = flood.repeat(20_000);
                async move {
                    let Some(stream) = request(&mut peer).await else { return };
                    let (mut reads, mut writes) = peer.stream.split();
                    let bytes = [greeting(), flood, hello(stream)].concat();
                    let mut sink = tokio::io::sink();
                    // What the edge says to the flood has to be taken, or it would wait for us.
                    let (written, _) = tokio::join!(
                        writes.write_all(&bytes),
                        tokio::io::copy(&mut reads, &mut sink)
                    );
                    // The edge may close in the middle, which is its right.
                    written.ok();
                }
            })
            .await;
            let mut server = raw.server();
            server.speaks = Speaks::Http2;
            let (_origins, upstream) = one(server);
            let fetched = clock::timeout(Duration::from_secs(15), upstream.fetch(post("x"))).await;
            match fetched.expect("answered or given up in time") {
                Ok(answer) => assert_eq!(answer.status, 200),
                Err(error) => assert_eq!(error.kind(), ErrorKind::OriginProtocol, "{error:?}"),
            }
        });
    }
}
