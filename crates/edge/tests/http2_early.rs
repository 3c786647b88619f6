//! Answers over HTTP/2 that are out before the request has come whole.

mod listening;

use std::process::Stdio;
use std::time::Duration;

use forebay_edge::config::admit::Admit;
use forebay_edge::config::listen::Protocol;
use forebay_edge::error::{Error, ErrorKind};
use forebay_edge::exchange::{Answer, Body, Exchange};
use forebay_signals::clock;
use listening::frames::{
    self, DATA, END_STREAM, GOAWAY, NO_ERROR, PING, RST_STREAM, WINDOW_UPDATE, Wire,
};
use listening::{Server, listen, until, with_server};
use tokio::process::Command;

/// What is let pass of a stream.
const PASSED: usize = 1024 * 1024;
const PIECE: usize = 16 * 1024;

/// Says no before it has looked at the content.
async fn no(exchange: Exchange) -> Answer {
    drop(exchange.body);
    Answer::new(Body::from("no"))
}

/// Begins an upload on stream 1 and reads its answer.
async fn answered(server: &Server) -> Wire {
    let mut wire = Wire::connect(server.address).await;
    wire.send(&frames::post(1, "/")).await.expect("written");
    let answer = wire.wait_for(&[DATA, RST_STREAM]).await.expect("an answer");
    assert_eq!((answer.kind, answer.flags, &answer.payload[..]), (DATA, END_STREAM, &b"no"[..]));
    wire
}

/// Sends so much content of stream 1, as its window allows; says what ends that early.
async fn upload(wire: &mut Wire, bytes: usize) -> Option<frames::Frame> {
    let (mut window, mut sent) = (256 * 1024, 0);
    while sent < bytes {
        while window < PIECE {
            let frame =
                wire.wait_for(&[WINDOW_UPDATE, RST_STREAM, GOAWAY]).await.expect("it lives");
            match frame.kind {
                WINDOW_UPDATE if frame.stream == 1 => window += frame.increment() as usize,
                WINDOW_UPDATE => {}
                _ => return Some(frame),
            }
        }
        wire.send(&frames::frame(DATA, 0, 1, &[b'x'; PIECE])).await.expect("written");
        window -= PIECE;
        sent += PIECE;
    }
    None
}

/// The connection goes on: the next request is answered, and nothing else is said before.
async fn goes_on(wire: &mut Wire) {
    wire.send(&frames::get(3, "/")).await.expect("written");
    let answer = wire.wait_for(&[DATA, GOAWAY, RST_STREAM]).await.expect("an answer");
    assert_eq!((answer.kind, answer.stream), (DATA, 3), "{answer:?}");
}

#[test]
fn what_is_left_of_an_upload_may_end_by_itself() {
    with_server(&listen(Protocol::Plain), &Admit::default(), no, |server| async move {
        let mut wire = answered(&server).await;
        assert_eq!(upload(&mut wire, PASSED - PIECE).await, None);
        wire.send(&frames::frame(DATA, END_STREAM, 1, b"end")).await.expect("written");
        goes_on(&mut wire).await;
        until("nothing of it is left", || server.drain.held() == 1).await;
    });
}

#[test]
fn an_upload_may_end_with_trailers_or_a_reset_too() {
    let trailers = frames::block(&[("checksum", "7")]);
    let flags = frames::END_HEADERS | END_STREAM;
    let trailers = frames::frame(frames::HEADERS, flags, 1, &trailers);
    for end in [trailers, frames::frame(RST_STREAM, 0, 1, &[0, 0, 0, 0])] {
        with_server(&listen(Protocol::Plain), &Admit::default(), no, |server| async move {
            let mut wire = answered(&server).await;
            wire.send(&end).await.expect("written");
            goes_on(&mut wire).await;
            until("nothing of it is left", || server.drain.held() == 1).await;
        });
    }
}

#[test]
fn an_upload_that_is_too_large_is_cut() {
    with_server(&listen(Protocol::Plain), &Admit::default(), no, |server| async move {
        let mut wire = answered(&server).await;
        let reset = upload(&mut wire, 4 * PASSED).await.expect("an end");
        assert_eq!((reset.stream, reset.error_code()), (1, NO_ERROR), "{reset:?}");
        // What was on its way does no harm, and its window comes back.
        for _ in 0..100 {
            let content = frames::frame(DATA, 0, 1, &[b'x'; PIECE]);
            wire.send(&content).await.expect("written");
        }
        goes_on(&mut wire).await;
    });
}

#[test]
fn an_upload_that_does_not_go_on_is_cut() {
    with_server(&listen(Protocol::Plain), &Admit::default(), no, |server| async move {
        let mut wire = answered(&server).await;
        wire.send(&frames::frame(PING, 0, 0, &[7; 8])).await.expect("written");
        let pong = wire.wait_for(&[PING, RST_STREAM, GOAWAY]).await.expect("it lives");
        assert_eq!(pong.kind, PING, "not at once: {pong:?}");
        let reset = wire.wait_for(&[RST_STREAM, GOAWAY]).await.expect("a reset");
        assert_eq!((reset.stream, reset.error_code()), (1, NO_ERROR), "{reset:?}");
        goes_on(&mut wire).await;
    });
}

/// Version 7.88 loses the answer when a reset comes with it.
#[test]
fn curl_shows_the_answer_to_a_large_upload() {
    let Ok(version) = std::process::Command::new("curl").arg("--version").output() else { return };
    if !String::from_utf8_lossy(&version.stdout).contains("HTTP2") {
        return;
    }
    let file = tempfile::NamedTempFile::new().expect("a file");
    file.as_file().set_len(64 * PASSED as u64).expect("room for it");
    let refuse = |exchange: Exchange| async move {
        drop(exchange.body);
        Answer::from(&Error::new(ErrorKind::ContentTooLarge, "more than is allowed"))
    };
    with_server(&listen(Protocol::Plain), &Admit::default(), refuse, |server| async move {
        for _ in 0..5 {
            let curl = Command::new("curl")
                .args(["--silent", "--http2-prior-knowledge", "--max-time", "20", "--output", "-"])
                .args(["--write-out", " %{http_code}", "--upload-file"])
                .arg(file.path())
                .arg(format!("http://{}/", server.address))
                .stdin(Stdio::null())
                .output();
            let output = clock::timeout(Duration::from_secs(30), curl).await.expect("it ends");
            let output = output.expect("it runs");
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(text.ends_with(" 413"), "{:?} {text}", output.status);
        }
    });
}
