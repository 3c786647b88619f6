//! What the access log says of requests that did not go well.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use forebay_edge::config::Config;
use forebay_edge::config::log::{Format, Log};
use forebay_signals::clock;
use http::Request;
use http_body_util::Empty;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Answers, GET, POST, World, always, until, with_world};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

fn logging_to(path: PathBuf) -> impl FnOnce(&mut Config) {
    move |config| config.log = Log { format: Format::Json, path: Some(path) }
}

/// The lines, once there are so many.
async fn lines(path: &Path, count: usize) -> Vec<Value> {
    let read = || std::fs::read_to_string(path).unwrap_or_default();
    until("the lines are written", || read().lines().count() >= count).await;
    read().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

async fn connect(world: &World) -> TcpStream {
    TcpStream::connect(("127.0.0.1", world.port)).await.expect("it listens")
}

fn field<'t>(text: &'t str, name: &str) -> &'t str {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).trim_start_matches([':', ' '])
}

#[test]
fn what_is_refused_at_the_gate_has_a_line_an_id_and_a_date() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("log");
    with_world(always(OK), logging_to(path.clone()), |world| async move {
        let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(9_000));
        for (nth, (raw, status, method, target)) in [
            ("GET /a HTTP/1.1\nHost: a\n\n", 400, "GET", "/a"),
            ("POST /b?c HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "POST", "/b?c"),
            ("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 501, "TRACE", "/"),
            ("\u{1}\r\n\r\n", 400, "-", "-"),
            (long.as_str(), 414, "GET", &long[4..][..256]),
        ]
        .into_iter()
        .enumerate()
        {
            let text = world.ask(raw).await;
            assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{raw:?}: {text}");
            assert!(field(&text, "date").ends_with(" GMT"), "{text}");
            let lines = lines(&path, nth + 1).await;
            let line = &lines[nth];
            assert_eq!(line["id"], field(&text, "x-request-id"), "{text}");
            assert_eq!(line["status"], status, "{line}");
            assert_eq!((&line["method"], &line["target"]), (&method.into(), &target.into()));
            assert_eq!(line["client"], "127.0.0.1");
        }
        assert_eq!(world.edge.traffic.none().requests(), 5, "they count");
        assert_eq!(world.asked(), 0);
    });
}

#[test]
fn what_is_refused_over_http2_has_them_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("log");
    with_world(always(OK), logging_to(path.clone()), |world| async move {
        let io = TokioIo::new(connect(&world).await);
        let (mut sender, connection) =
            http2::handshake(TokioExecutor::new(), io).await.expect("HTTP/2");
        drop(tokio::spawn(connection));
        let request = Request::put("http://a.example/b?c").header("host", "b.example");
        let request = request.body(Empty::<Bytes>::new()).expect("a request");
        let answer = sender.send_request(request).await.expect("an answer");
        assert_eq!(answer.status(), 400);
        assert!(answer.headers().contains_key("date"));
        let line = &lines(&path, 1).await[0];
        assert_eq!(line["id"], answer.headers()["x-request-id"].to_str().expect("text"));
        assert_eq!((&line["method"], &line["target"]), (&"PUT".into(), &"/b?c".into()), "{line}");
        assert_eq!((&line["status"], &line["host"]), (&400.into(), &"a.example".into()), "{line}");
        assert_eq!(world.edge.traffic.none().requests(), 1, "it counts");
        assert_eq!(world.asked(), 0);
    });
}

#[test]
fn a_client_that_leaves_before_its_answer_has_a_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("log");
    let never: Answers = Arc::new(|_| (Duration::from_secs(3_600), String::new()));
    with_world(never, logging_to(path.clone()), |world| async move {
        let mut stream = connect(&world).await;
        stream.write_all(POST.as_bytes()).await.expect("written");
        world.until_asked(1).await;
        drop(stream);
        let line = &lines(&path, 1).await[0];
        assert_eq!((&line["status"], &line["broke_off"]), (&499.into(), &true.into()), "{line}");
        assert_eq!((&line["method"], &line["bytes"]), (&"POST".into(), &0.into()), "{line}");
    });
}

#[test]
fn a_large_hit_that_the_client_does_not_take_is_no_whole_one() {
    const LARGE: usize = 6_000_000;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("log");
    let answers: Answers = Arc::new(|_| {
        let head = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Type: image/png\r\n";
        let answer = format!("{head}Content-Length: {LARGE}\r\n\r\n{}", "x".repeat(LARGE));
        (Duration::ZERO, answer)
    });
    with_world(answers, logging_to(path.clone()), |world| async move {
        assert!(world.ask(GET).await.len() > LARGE);
        assert!(world.ask(GET).await.len() > LARGE);
        let mut stream = connect(&world).await;
        SockRef::from(&stream).set_recv_buffer_size(4_096).expect("a socket of ours");
        stream.write_all(GET.as_bytes()).await.expect("written");
        stream.read_u8().await.expect("an answer begins");
        SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("a socket of ours");
        drop(stream);
        let lines = lines(&path, 3).await;
        let (whole, broken) = (&lines[1], &lines[2]);
        assert_eq!((&whole["cache"], &whole["bytes"]), (&"hit".into(), &LARGE.into()), "{whole}");
        assert_eq!(whole.get("broke_off"), None, "{whole}");
        assert_eq!((&broken["cache"], &broken["broke_off"]), (&"hit".into(), &true.into()));
        assert!(broken["bytes"].as_u64() < Some(LARGE as u64), "{broken}");
    });
}

#[test]
fn a_head_that_comes_slowly_is_time_of_listen() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("log");
    with_world(always(OK), logging_to(path.clone()), |world| async move {
        let mut stream = connect(&world).await;
        let (first, rest) = GET.split_at(30);
        for piece in [first, rest] {
            stream.write_all(piece.as_bytes()).await.expect("written");
            clock::sleep(Duration::from_millis(50)).await;
        }
        let line = &lines(&path, 1).await[0];
        let read = line["listen_us"].as_u64().expect("it is there");
        assert!((40_000..10_000_000).contains(&read), "{line}");
    });
}
