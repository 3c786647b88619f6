//! HTTP/2 clients that break the protocol or use it to make us work: each ends in GOAWAY, having
//! cost little.

mod listening;

use std::cell::Cell;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use forebay_edge::config::admit::Admit;
use forebay_edge::config::listen::Protocol;
use forebay_edge::exchange::{Answer, Body, Exchange};
use listening::frames::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, FIRST_OF_TABLE,
    FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, GOAWAY, HEADERS, PING, PRIORITY, PROTOCOL_ERROR,
    REFUSED_STREAM, RST_STREAM, SETTINGS, STREAM_CLOSED, WINDOW_UPDATE, Wire, block, frame, get,
    post, request, reset, text,
};
use listening::{listen, until, with_server};
use tokio::io::AsyncWriteExt;

/// CPU time and memory are those of the process: one attack at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// What an attack may cost this process, client included, in a build without optimisation.
const MOST_CPU: Duration = Duration::from_millis(1_500);
const MOST_MEMORY_KIB: u64 = 24 * 1024;
/// What 256 KiB of content in frames of one byte may take here.
const MOST_TINY_MEMORY_KIB: u64 = 4 * 1024;
/// Rounds that an attack would go on for.
const ROUNDS: u32 = 20_000;

/// Answers nothing but what is asked for with these paths.
const LONG: &str = "/long";
const EARLY: &str = "/early";

async fn never(exchange: Exchange) -> Answer {
    if exchange.head.uri.path() == LONG {
        return Answer::new(Body::from("x".repeat(ROUNDS as usize)));
    }
    if exchange.head.uri.path() == EARLY {
        return Answer::new(Body::from("no"));
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

#[test]
fn rapid_reset() {
    attack(&[ENHANCE_YOUR_CALM], b"", |n| [get(stream(n), "/"), reset(stream(n))].concat());
}

#[test]
fn rapid_reset_in_small_steps() {
    // Each stream is handed on before it is reset.
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
fn answers_before_the_end_of_an_upload_that_never_ends() {
    attack(&[ENHANCE_YOUR_CALM], b"", |n| post(stream(n), EARLY));
}

#[test]
fn heads_that_a_table_makes_large_are_refused_beyond_a_bound() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    with_server(&listen(Protocol::Plain), &Admit::default(), never, |server| async move {
        let mut wire = Wire::connect(server.address).await;
        let flags = END_STREAM | END_HEADERS;
        // The first puts the field into the table, and ends.
        let mut first = block(&request("/"));
        first.push(0x40);
        text(&mut first, "x");
        text(&mut first, &"y".repeat(3_500));
        let first = [frame(HEADERS, flags, 1, &first), reset(1)].concat();
        wire.send(&first).await.expect("the connection is new");
        let large = [block(&request("/")), vec![0x80 | FIRST_OF_TABLE; 8]].concat();
        let mut streams = 3;
        // Each round begins with no stream open: what those before held has come back.
        for _ in 0..3 {
            let mut open: Vec<u32> = (0..40).map(|n| streams + 2 * n).collect();
            streams += 80;
            for stream in &open {
                wire.send(&frame(HEADERS, flags, *stream, &large)).await.expect("it lives");
            }
            wire.send(&frame(PING, 0, 0, &[7; 8])).await.expect("it lives");
            while let Some(told) = wire.wait_for(&[RST_STREAM, PING, GOAWAY]).await
                && told.kind != PING
            {
                assert_eq!((told.kind, told.error_code()), (RST_STREAM, REFUSED_STREAM));
                open.retain(|stream| *stream != told.stream);
            }
            // Sixteen of 32 KiB each, of which these have 28.
            assert_eq!(open.len(), 18);
            let resets: Vec<u8> = open.iter().flat_map(|stream| reset(*stream)).collect();
            wire.send(&resets).await.expect("it lives");
        }
        // Heads of a common size have all streams.
        let common = block(&[&request("/")[..], &[("cookie", &"c".repeat(3_800))]].concat());
        for n in 0..128 {
            let head = frame(HEADERS, flags, streams + 2 * n, &common);
            wire.send(&head).await.expect("it lives");
        }
        wire.send(&frame(PING, 0, 0, &[7; 8])).await.expect("it lives");
        let pong = wire.wait_for(&[RST_STREAM, PING, GOAWAY]).await.expect("it lives");
        assert_eq!(pong.kind, PING, "{pong:?}");
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
