// Long: one test an attack, and the table of violations.
//! HTTP/2 clients that break the protocol or use it to make us work: each ends in GOAWAY, having
//! cost little.

mod listening;

use std::cell::Cell;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use forebay_edge::config::admit::Admit;
use forebay_edge::config::listen::Protocol;
use forebay_edge::exchange::{Answer, Body, Exchange};
use forebay_signals::clock;
use listening::frames::{
    ACK, COMPRESSION_ERROR, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM,
    FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, GOAWAY, HEADERS, PADDED, PING, PREFACE, PRIORITY,
    PROTOCOL_ERROR, PUSH_PROMISE, RST_STREAM, SETTINGS, STREAM_CLOSED, WINDOW_UPDATE,
    WITH_PRIORITY, Wire, block, frame, get, post, request, text,
};
use listening::{echo, listen, until, with_server};
use tokio::io::AsyncWriteExt;

/// CPU time and memory are those of the process: one attack at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// What an attack may cost this process, client included, in a build without optimisation.
const MOST_CPU: Duration = Duration::from_millis(1_500);
const MOST_MEMORY_KIB: u64 = 24 * 1024;
/// What 256 KiB of content in frames of one byte may take here.
const MOST_TINY_MEMORY_KIB: u64 = 4 * 1024;
/// Index of the newest field in the dynamic table (RFC 7541 §2.3.3).
const FIRST_OF_TABLE: u8 = 0x3e;
/// Rounds that an attack would go on for.
const ROUNDS: u32 = 20_000;

/// Answers nothing but what is asked for with this path.
const LONG: &str = "/long";

async fn never(exchange: Exchange) -> Answer {
    if exchange.head.uri.path() == LONG {
        return Answer::new(Body::from("x".repeat(ROUNDS as usize)));
    }
    std::future::pending().await
}

/// Sends `begin`, then the rounds, until the server says GOAWAY with one of `codes`.
fn attack(codes: &[u32], begin: &[u8], round: impl FnMut(u32) -> Vec<u8>) {
    attack_paced(codes, begin, 32, round);
}

/// The same with so many rounds in one write, after each of which the server works.
fn attack_paced(codes: &[u32], begin: &[u8], at_once: u32, mut round: impl FnMut(u32) -> Vec<u8>) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    with_server(&listen(Protocol::Plain), &Admit::default(), never, |server| async move {
        let mut wire = Wire::connect(server.address).await;
        wire.send(begin).await.expect("the connection is new");
        let (cpu, memory) = (cpu_time(), memory_kib());
        let Wire { reads, mut writes } = wire;
        let mut rounds = 0;
        let is_told = Cell::new(false);
        let sends = async {
            while rounds < ROUNDS && !is_told.get() {
                let bytes: Vec<u8> = (0..at_once).flat_map(|n| round(rounds + n)).collect();
                rounds += at_once;
                if writes.write_all(&bytes).await.is_err() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        };
        // The other half: what comes back.
        let unused = tokio::net::TcpStream::connect(server.address).await.expect("it listens");
        let (_, unused) = unused.into_split();
        let mut reads = Wire { reads, writes: unused };
        let receives = async {
            let goaway = reads.wait_for(&[GOAWAY]).await;
            is_told.set(true);
            goaway
        };
        let ((), goaway) = tokio::join!(sends, receives);
        let goaway = goaway.expect("a GOAWAY before the end");
        assert!(codes.contains(&goaway.error_code()), "{goaway:?}");
        assert!(rounds < ROUNDS, "the attack went through");
        drop((reads, writes));
        let counters = server.entrance.counters();
        until("it is counted", || counters.floods.value() + counters.protocol_errors.value() > 0)
            .await;
        until("nothing of it is left", || server.drain.held() == 1).await;
        let cpu = cpu_time().saturating_sub(cpu);
        assert!(cpu < MOST_CPU, "{cpu:?} of CPU");
        let memory = memory_kib().saturating_sub(memory);
        assert!(memory < MOST_MEMORY_KIB, "{memory} KiB of memory");
    });
}

/// Stream of the n-th request of a client.
fn stream(n: u32) -> u32 {
    2 * n + 1
}

fn reset(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])
}

#[test]
fn rapid_reset() {
    attack(&[ENHANCE_YOUR_CALM], b"", |n| [get(stream(n), "/"), reset(stream(n))].concat());
}

#[test]
fn rapid_reset_in_small_steps() {
    // Each stream is handed on before it is reset, which the engine alone does not count.
    let mut is_reset = true;
    attack_paced(&[ENHANCE_YOUR_CALM], b"", 1, |n| {
        is_reset = !is_reset;
        if is_reset { reset(stream(n - 1)) } else { get(stream(n), "/") }
    });
}

#[test]
fn rapid_reset_paid_with_content_of_single_bytes() {
    let no_window = frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    attack_paced(&[ENHANCE_YOUR_CALM], &[no_window, get(1, LONG)].concat(), 1, |n| {
        let byte = frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]);
        [byte, get(stream(n + 1), "/"), reset(stream(n + 1))].concat()
    });
}

#[test]
fn continuation_flood() {
    let begin = frame(HEADERS, 0, 1, &block(&request("/")));
    let more = block(&[("x", "0123456789")]);
    attack(&[ENHANCE_YOUR_CALM], &begin, |_| frame(CONTINUATION, 0, 1, &more));
}

#[test]
fn empty_continuation_flood() {
    let begin = frame(HEADERS, 0, 1, &block(&request("/")));
    attack(&[ENHANCE_YOUR_CALM], &begin, |_| frame(CONTINUATION, 0, 1, &[]));
}

#[test]
fn hpack_bomb() {
    // One large field into the table, then a thousand times one byte that stands for it.
    let mut fields = block(&request("/"));
    fields.push(0x40);
    text(&mut fields, "x");
    text(&mut fields, &"y".repeat(3_500));
    fields.extend([0x80 | FIRST_OF_TABLE; 8_000]);
    attack_paced(&[ENHANCE_YOUR_CALM], b"", 1, |n| {
        frame(HEADERS, END_STREAM | END_HEADERS, stream(n), &fields)
    });
}

#[test]
fn settings_flood() {
    attack(&[ENHANCE_YOUR_CALM], b"", |_| frame(SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0]));
}

#[test]
fn settings_flood_in_a_single_frame() {
    let windows = [0, 4, 0, 1, 0, 0, 0, 4, 0, 2, 0, 0].repeat(1_000);
    attack(&[ENHANCE_YOUR_CALM], b"", move |n| match n {
        0 => frame(SETTINGS, 0, 0, &windows),
        _ => Vec::new(),
    });
}

#[test]
fn ping_flood() {
    attack(&[ENHANCE_YOUR_CALM], b"", |_| frame(PING, 0, 0, &[7; 8]));
}

#[test]
fn ping_flood_by_answers() {
    attack(&[ENHANCE_YOUR_CALM], b"", |_| frame(PING, ACK, 0, &[7; 8]));
}

#[test]
fn priority_flood() {
    attack(&[ENHANCE_YOUR_CALM], b"", |_| frame(PRIORITY, 0, 3, &[0, 0, 0, 1, 9]));
}

#[test]
fn empty_data_flood() {
    attack(&[ENHANCE_YOUR_CALM], &post(1, "/"), |_| frame(DATA, 0, 1, &[]));
}

#[test]
fn window_update_flood() {
    attack(&[ENHANCE_YOUR_CALM], &get(1, "/"), |_| frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]));
}

#[test]
fn unknown_frame_flood() {
    attack(&[ENHANCE_YOUR_CALM], b"", |_| frame(0x42, 0, 0, &[1; 64]));
}

/// `MadeYouReset` (CVE-2025-8671): frames that make the server reset a stream whose work goes on.
fn made_you_reset(make: impl Fn(u32) -> Vec<u8>) {
    let codes =
        [ENHANCE_YOUR_CALM, PROTOCOL_ERROR, STREAM_CLOSED, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR];
    attack(&codes, b"", |n| [get(stream(n), "/"), make(stream(n))].concat());
}

#[test]
fn made_you_reset_by_window_update_of_nothing() {
    made_you_reset(|stream| frame(WINDOW_UPDATE, 0, stream, &[0; 4]));
}

#[test]
fn made_you_reset_by_too_large_a_window() {
    made_you_reset(|stream| frame(WINDOW_UPDATE, 0, stream, &[0x7f, 0xff, 0xff, 0xff]));
}

#[test]
fn made_you_reset_by_data_after_the_end() {
    made_you_reset(|stream| frame(DATA, 0, stream, b"x"));
}

#[test]
fn made_you_reset_by_a_head_after_the_end() {
    made_you_reset(|stream| get(stream, "/"));
}

#[test]
fn made_you_reset_by_a_stream_that_depends_on_itself() {
    made_you_reset(|stream| {
        let mut payload = stream.to_be_bytes().to_vec();
        payload.push(9);
        frame(PRIORITY, 0, stream, &payload)
    });
}

#[test]
fn made_you_reset_by_a_priority_of_wrong_size() {
    made_you_reset(|stream| frame(PRIORITY, 0, stream, &[0; 4]));
}

#[test]
fn made_you_reset_by_malformed_heads() {
    let codes = [ENHANCE_YOUR_CALM, PROTOCOL_ERROR];
    let mut fields = request("/");
    fields.push(("connection", "close"));
    let fields = block(&fields);
    attack(&codes, b"", |n| frame(HEADERS, END_STREAM | END_HEADERS, stream(n), &fields));
}

#[test]
fn made_you_reset_by_more_content_than_announced() {
    let codes = [ENHANCE_YOUR_CALM, PROTOCOL_ERROR];
    let mut fields = request("/");
    fields.push(("content-length", "1"));
    let fields = block(&fields);
    attack(&codes, b"", |n| {
        let head = frame(HEADERS, END_HEADERS, stream(n), &fields);
        [head, frame(DATA, 0, stream(n), b"xx")].concat()
    });
}

#[test]
fn content_in_tiny_frames_costs_no_more_than_its_bytes() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    with_server(&listen(Protocol::Plain), &Admit::default(), never, |server| async move {
        let memory = memory_kib();
        let mut wire = Wire::connect(server.address).await;
        wire.send(&post(1, "/")).await.expect("the connection is new");
        // As many as the window of a stream allows.
        let tiny = frame(DATA, 0, 1, b"x");
        for _ in 0..256 {
            wire.send(&tiny.repeat(1024)).await.expect("the connection lives");
        }
        wire.send(&frame(PING, 0, 0, &[7; 8])).await.expect("the connection lives");
        let pong = wire.wait_for(&[PING, GOAWAY, RST_STREAM]).await.expect("it lives");
        assert_eq!(pong.kind, PING, "all of it was taken");
        let memory = memory_kib().saturating_sub(memory);
        assert!(memory < MOST_TINY_MEMORY_KIB, "{memory} KiB of memory");
    });
}

fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let rest = stat.rsplit(')').next().expect("a name in parentheses");
    let fields: Vec<_> = rest.split_whitespace().collect();
    let number = |at: usize| fields[at].parse::<u64>().expect("a number");
    Duration::from_millis((number(11) + number(12)) * 10)
}

fn memory_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("Linux");
    line.split_whitespace().nth(1).and_then(|text| text.parse().ok()).expect("a number")
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
async fn verdict(address: std::net::SocketAddr, bytes: &[u8]) -> Option<Verdict> {
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
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
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
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    with_server(&listen(Protocol::Plain), &Admit::default(), echo, |server| async move {
        let stream = tokio::net::TcpStream::connect(server.address).await.expect("it listens");
        let (reads, writes) = stream.into_split();
        let mut wire = Wire { reads: tokio::io::BufReader::new(reads), writes };
        wire.send(&[PREFACE, &get(1, "/")[..]].concat()).await.expect("written");
        assert_eq!(wire.goaway().await, PROTOCOL_ERROR);
    });
}
