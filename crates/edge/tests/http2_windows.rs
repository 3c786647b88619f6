//! HTTP/2 streams side by side: windows, turns, and clients that do not take what they asked for.

mod listening;

use std::time::Duration;

use bytes::Bytes;
use forebay_edge::config::admit::Admit;
use forebay_edge::config::listen::{Listen, Protocol};
use forebay_edge::exchange::{Answer, Body, Exchange};
use forebay_signals::clock;
use listening::frames::{self, DATA, GOAWAY, HEADERS, RST_STREAM, WINDOW_UPDATE, Wire};
use listening::{Server, echo, listen, until, with_server};

fn plain() -> Listen {
    listen(Protocol::Plain)
}

/// Asks for much with a window of nothing or little.
async fn ask_without_window(server: &Server, window: u32) -> Wire {
    let mut wire = Wire::connect(server.address).await;
    let mut settings = vec![0, 4];
    settings.extend_from_slice(&window.to_be_bytes());
    wire.send(&frames::frame(frames::SETTINGS, 0, 0, &settings)).await.expect("written");
    wire.send(&frames::get(1, "/")).await.expect("written");
    wire
}

#[test]
fn a_client_that_grants_no_window_is_closed_on() {
    let settings = Listen { blocked_write_timeout: Duration::from_millis(100), ..plain() };
    for length in [10, 10_000_000] {
        for window in [0, 5] {
            let handler = move |_: Exchange| async move {
                Answer::new(Body::from(Bytes::from(vec![b'x'; length])))
            };
            with_server(&settings, &Admit::default(), handler, |server| async move {
                let mut wire = ask_without_window(&server, window).await;
                assert_eq!(wire.goaway().await, frames::ENHANCE_YOUR_CALM);
                drop(wire);
                let counters = server.entrance.counters();
                until("it is counted", || counters.stalled.value() == 1).await;
            });
        }
    }
}

/// Windows of a client before it says otherwise.
const FIRST_WINDOW: usize = 65_535;
/// What lies behind that window.
const BEHIND: usize = 1_200;

/// Asks for more than the window of the connection (0) or of the stream (1) allows, takes that, and then
/// opens that window bit by bit. Says what ended that before the content did.
async fn drip(server: &Server, window_of: u32, bit: u32) -> Option<frames::Frame> {
    let mut wire = Wire::connect(server.address).await;
    let wide = if window_of == 0 { [0, 4, 0x7f, 0, 0, 0] } else { [0, 4, 0, 0, 0xff, 0xff] };
    wire.send(&frames::frame(frames::SETTINGS, 0, 0, &wide)).await.expect("written");
    if window_of == 1 {
        let wide = frames::frame(WINDOW_UPDATE, 0, 0, &[0x70, 0, 0, 0]);
        wire.send(&wide).await.expect("written");
    }
    wire.send(&[frames::get(1, "/"), frames::get(3, "/empty")].concat()).await.expect("written");
    let mut received = 0;
    while received < FIRST_WINDOW + BEHIND {
        if received >= FIRST_WINDOW {
            clock::sleep(Duration::from_millis(100)).await;
            let update = frames::frame(WINDOW_UPDATE, 0, window_of, &bit.to_be_bytes());
            drop(wire.send(&update).await);
        }
        let frame = wire.wait_for(&[DATA, RST_STREAM, GOAWAY]).await.expect("a word");
        if frame.kind != DATA {
            return Some(frame);
        }
        received += frame.payload.len();
    }
    None
}

/// The content for [`drip`].
async fn behind_a_window(exchange: Exchange) -> Answer {
    let is_empty = exchange.head.uri.path() == "/empty";
    let bytes = if is_empty { 0 } else { FIRST_WINDOW + BEHIND };
    Answer::new(Body::from("x".repeat(bytes)))
}

#[test]
fn a_client_that_takes_little_by_little_gets_all() {
    let settings = Listen {
        blocked_write_timeout: Duration::from_millis(500),
        idle_timeout: Duration::from_millis(50),
        ..plain()
    };
    with_server(&settings, &Admit::default(), behind_a_window, |server| async move {
        for window_of in [0, 1] {
            // A kilobyte a second, for longer than a write may be blocked.
            assert_eq!(drip(&server, window_of, 120).await, None);
        }
    });
}

#[test]
fn a_client_that_opens_a_window_by_single_bytes_is_closed_on() {
    let settings = Listen { blocked_write_timeout: Duration::from_millis(500), ..plain() };
    with_server(&settings, &Admit::default(), behind_a_window, |server| async move {
        for window_of in [0, 1] {
            let end = drip(&server, window_of, 1).await.expect("it is not all");
            assert_eq!((end.kind, end.error_code()), (GOAWAY, frames::ENHANCE_YOUR_CALM));
        }
        let counters = server.entrance.counters();
        until("it is counted", || counters.stalled.value() == 2).await;
    });
}

#[test]
fn a_client_that_reads_nothing_is_closed_on() {
    let settings = Listen { blocked_write_timeout: Duration::from_millis(100), ..plain() };
    let handler =
        |_: Exchange| async { Answer::new(Body::from(Bytes::from(vec![b'x'; 64_000_000]))) };
    with_server(&settings, &Admit::default(), handler, |server| async move {
        let mut wire = ask_without_window(&server, 0x7fff_ffff).await;
        let update = frames::frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0, 0, 0]);
        wire.send(&update).await.expect("written");
        let counters = server.entrance.counters();
        until("it is counted", || counters.stalled.value() == 1).await;
    });
}

fn with_field(stream: u32, flags: u8, method: &str, name: &str, value: &str) -> Vec<u8> {
    let mut fields = frames::request("/");
    fields[0].1 = method;
    fields.push((name, value));
    frames::frame(HEADERS, flags, stream, &frames::block(&fields))
}

#[test]
fn a_stream_that_is_not_taken_ends_alone() {
    let settings = Listen { blocked_write_timeout: Duration::from_millis(300), ..plain() };
    let handler = |_: Exchange| async { Answer::new(Body::from("x".repeat(1_200))) };
    with_server(&settings, &Admit::default(), handler, |server| async move {
        let mut wire = ask_without_window(&server, 0).await;
        wire.send(&frames::get(3, "/")).await.expect("written");
        let (mut received, mut given_up) = (0, None);
        while received < 1_200 {
            clock::sleep(Duration::from_millis(60)).await;
            let update = frames::frame(WINDOW_UPDATE, 0, 3, &[0, 0, 0, 120]);
            wire.send(&update).await.expect("the connection lives");
            let frame = wire.wait_for(&[DATA, RST_STREAM]).await.expect("it lives");
            if frame.kind == RST_STREAM {
                given_up = Some((frame.stream, frame.error_code()));
            } else {
                assert_eq!(frame.stream, 3);
                received += frame.payload.len();
            }
        }
        assert_eq!(given_up, Some((1, frames::CANCEL)));
        assert_eq!(server.entrance.counters().stalled.value(), 1);
    });
}

#[test]
fn a_client_that_waits_for_100_gets_it() {
    with_server(&plain(), &Admit::default(), echo, |server| async move {
        let mut wire = Wire::connect(server.address).await;
        let head = with_field(1, frames::END_HEADERS, "POST", "expect", "100-continue");
        wire.send(&head).await.expect("written");
        let interim = wire.wait_for(&[HEADERS]).await.expect("an interim answer");
        assert_eq!(interim.payload, b"\x08\x03100");
        assert_eq!(interim.flags, frames::END_HEADERS);
        wire.send(&frames::frame(DATA, frames::END_STREAM, 1, b"x")).await.expect("written");
        let answer = wire.wait_for(&[DATA]).await.expect("an answer");
        assert_eq!(answer.payload, b"POST / x");
    });
}

#[test]
fn a_head_that_does_not_end_is_given_up() {
    let settings = Listen { head_timeout: Duration::from_millis(100), ..plain() };
    let whole = frames::get(1, "/");
    let in_parts = frames::frame(HEADERS, frames::END_STREAM, 1, &whole[9..]);
    for head in [&in_parts[..], &whole[..whole.len() - 1]] {
        with_server(&settings, &Admit::default(), echo, |server| async move {
            let mut wire = Wire::connect(server.address).await;
            wire.send(head).await.expect("written");
            assert_eq!(wire.goaway().await, frames::ENHANCE_YOUR_CALM);
        });
    }
}

#[test]
fn an_upload_gets_on_inside_its_frame() {
    let settings = Listen { content_grace: Duration::from_millis(300), ..plain() };
    with_server(&settings, &Admit::default(), echo, |server| async move {
        let mut wire = Wire::connect(server.address).await;
        let frame = frames::frame(DATA, frames::END_STREAM, 1, &[b'x'; 400]);
        let (head, content) = frame.split_at(9);
        wire.send(&[frames::post(1, "/"), head.to_vec()].concat()).await.expect("written");
        // 400 B/s, where 240 are asked for; the whole frame takes three times as long as the grace.
        for piece in content.chunks(20) {
            clock::sleep(Duration::from_millis(50)).await;
            wire.send(piece).await.expect("the connection lives");
        }
        let answer = wire.wait_for(&[DATA]).await.expect("an answer");
        assert_eq!(answer.payload.len(), "POST / ".len() + 400);
    });
}

#[test]
fn what_is_urgent_comes_first() {
    let handler = |_: Exchange| async { Answer::new(Body::from("y".repeat(30_000))) };
    with_server(&plain(), &Admit::default(), handler, |server| async move {
        let mut wire = ask_without_window(&server, 0).await;
        let flags = frames::END_HEADERS | frames::END_STREAM;
        for (stream, priority) in [(3, "u=5"), (5, "u=1"), (7, "u=5"), (9, "u=4, i")] {
            let head = with_field(stream, flags, "GET", "priority", priority);
            wire.send(&head).await.expect("written");
        }
        let later = [&7_u32.to_be_bytes()[..], b"u=0"].concat();
        wire.send(&frames::frame(frames::PRIORITY_UPDATE, 0, 0, &later)).await.expect("written");
        // Room for two answers and a half of the connection's 65,535 bytes.
        let settings = [&[0, 4][..], &100_000_u32.to_be_bytes()].concat();
        wire.send(&frames::frame(frames::SETTINGS, 0, 0, &settings)).await.expect("written");
        let mut order = Vec::new();
        let mut received = 0;
        while received < 65_535 {
            let frame = wire.wait_for(&[DATA]).await.expect("content");
            received += frame.payload.len();
            order.push(frame.stream);
        }
        order.dedup();
        // Stream 1 says nothing: urgency 3.
        assert_eq!(order, [7, 5, 1]);
    });
}

#[test]
fn a_reader_that_stands_still_stops_the_client() {
    let handler = |exchange: Exchange| async move {
        let _unread = exchange.body;
        std::future::pending::<Answer>().await
    };
    with_server(&plain(), &Admit::default(), handler, |server| async move {
        let mut wire = Wire::connect(server.address).await;
        wire.send(&frames::post(1, "/")).await.expect("written");
        // The window of the stream, and one byte.
        for _ in 0..16 {
            wire.send(&frames::frame(DATA, 0, 1, &[b'x'; 16_384])).await.expect("written");
        }
        wire.send(&frames::frame(DATA, 0, 1, b"x")).await.expect("written");
        let reset = wire.wait_for(&[RST_STREAM, GOAWAY]).await.expect("an end");
        assert_eq!((reset.kind, reset.error_code()), (RST_STREAM, frames::FLOW_CONTROL_ERROR));
    });
}

#[test]
fn a_refused_head_is_answered_though_its_content_comes() {
    with_server(&plain(), &Admit::default(), echo, |server| async move {
        let mut wire = Wire::connect(server.address).await;
        let head = with_field(1, frames::END_HEADERS, "POST", "expect", "a miracle");
        let content = frames::frame(DATA, frames::END_STREAM, 1, &[b'x'; 1_000]);
        wire.send(&[head, content].concat()).await.expect("written");
        let answer = wire.wait_for(&[HEADERS, RST_STREAM]).await.expect("an answer");
        assert_eq!(answer.payload.get(..5), Some(&b"\x08\x03417"[..]));
        let content = wire.wait_for(&[DATA, RST_STREAM]).await.expect("content");
        assert_eq!((content.kind, content.flags), (DATA, frames::END_STREAM), "{content:?}");
    });
}

#[test]
fn a_stream_that_waits_for_a_more_urgent_one_is_not_given_up() {
    let settings = Listen { blocked_write_timeout: Duration::from_millis(200), ..plain() };
    let handler = |_: Exchange| async { Answer::new(Body::from(Bytes::from(vec![b'x'; 200_000]))) };
    with_server(&settings, &Admit::default(), handler, |server| async move {
        let mut wire = Wire::connect(server.address).await;
        let settings = frames::frame(frames::SETTINGS, 0, 0, &[0, 4, 0x7f, 0, 0, 0]);
        wire.send(&settings).await.expect("written");
        for (stream, urgency) in [(1, "u=5"), (3, "u=1")] {
            let flags = frames::END_HEADERS | frames::END_STREAM;
            let head = with_field(stream, flags, "GET", "priority", urgency);
            wire.send(&head).await.expect("written");
        }
        // The connection's window is what is short, all the time.
        let (mut received, mut window) = ([0, 0], 65_535);
        while received.iter().sum::<usize>() < 400_000 {
            let frame = wire.wait_for(&[DATA, RST_STREAM, GOAWAY]).await.expect("it lives");
            assert_eq!(frame.kind, DATA, "{frame:?} after {received:?}");
            received[usize::from(frame.stream == 3)] += frame.payload.len();
            window -= frame.payload.len();
            if window == 0 {
                clock::sleep(Duration::from_millis(40)).await;
                window = 20_000;
                let update = frames::frame(WINDOW_UPDATE, 0, 0, &20_000_u32.to_be_bytes());
                wire.send(&update).await.expect("the connection lives");
            }
        }
        assert_eq!(received, [200_000, 200_000]);
    });
}

#[test]
fn a_head_has_its_whole_time_whatever_came_before_it() {
    let settings = Listen { head_timeout: Duration::from_millis(150), ..plain() };
    with_server(&settings, &Admit::default(), echo, |server| async move {
        let mut wire = Wire::connect(server.address).await;
        let heads: Vec<u8> = (0..10).flat_map(|n| frames::get(2 * n + 1, "/")).collect();
        // At no pause is a head whole.
        for piece in heads.chunks(heads.len() / 10 + 1) {
            wire.send(piece).await.expect("the connection lives");
            clock::sleep(Duration::from_millis(40)).await;
        }
        for _ in 0..10 {
            let answer = wire.wait_for(&[DATA, GOAWAY]).await.expect("an answer");
            assert_eq!(answer.kind, DATA, "{answer:?}");
        }
    });
}
