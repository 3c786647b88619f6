//! The HTTP/1 server on real sockets: order, framing, deadlines, uploads.

use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use forebay_edge::exchange::{Answer, Body, Client, Exchange, Scheme};
use forebay_edge::listen::http1::{self, Settings};
use forebay_edge::listen::{Handler, Socket};
use forebay_signals::clock;
use forebay_signals::drain::Drain;
use http::StatusCode;
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Runs `test` against a server of one connection on a runtime as the edge has it.
fn with_server<H, T, F>(settings: Settings, handler: H, test: T)
where
    H: Handler,
    T: FnOnce(TcpStream, Drain) -> F,
    F: Future<Output = ()>,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime starts").block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let drain = Drain::default();
        let server = tokio::spawn({
            let drain = drain.clone();
            async move {
                let (stream, peer) = listener.accept().await.expect("a client");
                let client = Client {
                    peer: Some(peer),
                    address: IpAddr::from([127, 0, 0, 1]),
                    scheme: Scheme::Http,
                    server_name: None,
                };
                drop(
                    http1::serve(
                        Socket::new(stream, BytesMut::new()),
                        client,
                        Arc::new(settings),
                        handler,
                        drain,
                    )
                    .await,
                );
            }
        });
        let stream = TcpStream::connect(address).await.expect("the server listens");
        clock::timeout(Duration::from_secs(10), test(stream, drain)).await.expect("in time");
        server.await.expect("the server does not panic");
    });
}

async fn echo(exchange: Exchange) -> Answer {
    let path = exchange.head.uri.path().to_owned();
    match exchange.body.collect().await {
        Ok(content) => {
            let text = String::from_utf8_lossy(&content.to_bytes()).into_owned();
            Answer::new(Body::from(format!("{} {path} {text}", exchange.head.method)))
        }
        Err(error) => Answer::from(&error),
    }
}

async fn read_all(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    // A reset after our last words still leaves what was read.
    drop(stream.read_to_end(&mut text).await);
    String::from_utf8_lossy(&text).into_owned()
}

async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    while !text.ends_with(end) {
        let mut byte = [0];
        let count = stream.read(&mut byte).await.expect("readable");
        assert_eq!(count, 1, "closed after {text:?}");
        text.push(char::from(byte[0]));
    }
    text
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    with_server(Settings::default(), echo, |mut stream, _| async move {
        let raw = "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi\
                   POST /3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nho\r\n0\r\n\r\n\
                   GET /4 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        stream.write_all(raw.as_bytes()).await.expect("written");
        let text = read_all(&mut stream).await;
        let bodies: Vec<_> = text.lines().filter(|line| line.contains(" /")).collect();
        assert_eq!(text.matches("200 OK").count(), 4, "{text}");
        let expected = [
            "GET /1 HTTP/1.1 200 OK",
            "POST /2 hiHTTP/1.1 200 OK",
            "POST /3 hoHTTP/1.1 200 OK",
            "GET /4 ",
        ];
        assert_eq!(bodies, expected, "{text}");
    });
}

#[test]
fn a_refused_head_never_reaches_the_handler_and_closes() {
    let never = |_: Exchange| async { panic!("the handler was called") };
    for (raw, status) in [
        ("GET / HTTP/1.1\nHost: a\n\n", "400"),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "400",
        ),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", "501"),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400"),
        ("GET / HTTP/3.0\r\nHost: a\r\n\r\n", "505"),
    ] {
        with_server(Settings::default(), never, |mut stream, _| async move {
            stream.write_all(raw.as_bytes()).await.expect("written");
            let text = read_all(&mut stream).await;
            assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{raw:?}: {text}");
            assert!(text.contains("connection: close"), "{text}");
        });
    }
}

#[test]
fn broken_framing_reaches_the_reader_as_an_error_and_ends_the_connection() {
    with_server(Settings::default(), echo, |mut stream, _| async move {
        let raw = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n";
        stream.write_all(raw.as_bytes()).await.expect("written");
        let text = read_all(&mut stream).await;
        assert!(text.starts_with("HTTP/1.1 400 "), "{text}");
        assert_eq!(text.matches("HTTP/1.1").count(), 1, "the rest is not a request: {text}");
    });
}

#[test]
fn silence_and_half_a_head_end_in_time() {
    let settings = || Settings { head_timeout: Duration::from_millis(50), ..Settings::default() };
    with_server(settings(), echo, |mut stream, _| async move {
        assert_eq!(read_all(&mut stream).await, "", "silence is closed without a word");
    });
    with_server(settings(), echo, |mut stream, _| async move {
        stream.write_all(b"GET / HT").await.expect("written");
        assert!(read_all(&mut stream).await.starts_with("HTTP/1.1 408 "));
    });
}

#[test]
fn an_idle_connection_closes_after_its_time() {
    let settings = Settings { idle_timeout: Duration::from_millis(50), ..Settings::default() };
    with_server(settings, echo, |mut stream, _| async move {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("written");
        let text = read_all(&mut stream).await;
        assert!(text.starts_with("HTTP/1.1 200 ") && text.ends_with("GET / "), "{text}");
    });
}

#[test]
fn a_slow_upload_is_given_up() {
    let settings = Settings { content_grace: Duration::from_millis(50), ..Settings::default() };
    with_server(settings, echo, |mut stream, _| async move {
        stream
            .write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx")
            .await
            .expect("written");
        let text = read_all(&mut stream).await;
        assert!(text.starts_with("HTTP/1.1 408 "), "{text}");
    });
}

#[test]
fn much_content_at_once_buys_no_silence() {
    let settings = Settings { content_grace: Duration::from_millis(50), ..Settings::default() };
    with_server(settings, echo, |mut stream, _| async move {
        let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n";
        stream.write_all(head.as_bytes()).await.expect("written");
        // At the least rate this would be an hour.
        stream.write_all(&vec![b'x'; 1_000_000]).await.expect("written");
        let text = read_all(&mut stream).await;
        assert!(text.starts_with("HTTP/1.1 408 "), "{text}");
    });
}

#[test]
fn continue_is_sent_when_the_handler_wants_the_content() {
    with_server(Settings::default(), echo, |mut stream, _| async move {
        let head = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\n";
        stream.write_all(head).await.expect("written");
        assert_eq!(read_until(&mut stream, "\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
        stream.write_all(b"ok").await.expect("written");
        assert!(read_all(&mut stream).await.ends_with("POST / ok"));
    });
    let refuses =
        |_: Exchange| async { Answer::new(Body::Empty).with_status(StatusCode::FORBIDDEN) };
    with_server(Settings::default(), refuses, |mut stream, _| async move {
        let head =
            b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
        stream.write_all(head).await.expect("written");
        let text = read_all(&mut stream).await;
        assert!(text.starts_with("HTTP/1.1 403 ") && text.contains("connection: close"), "{text}");
    });
}

#[test]
fn continue_never_lands_inside_an_answer_that_has_begun() {
    // Its content is its request's: the reader asks for it only once the answer is on its way.
    let streams = |exchange: Exchange| async move { Answer::new(Body::stream(exchange.body)) };
    with_server(Settings::default(), streams, |mut stream, _| async move {
        let head =
            b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
        stream.write_all(head).await.expect("written");
        let text = read_until(&mut stream, "\r\n\r\n").await;
        assert!(text.starts_with("HTTP/1.1 200 ") && text.contains("connection: close"), "{text}");
        // RFC 9110 §10.1.1: a client does not wait for ever.
        stream.write_all(b"ok").await.expect("written");
        assert_eq!(read_all(&mut stream).await, "ok");
    });
}

#[test]
fn requests_sent_ahead_while_an_answer_is_waited_for_are_kept_in_order() {
    let slow_at_first = |exchange: Exchange| async move {
        if exchange.head.uri.path() == "/0" {
            clock::sleep(Duration::from_millis(100)).await;
        }
        echo(exchange).await
    };
    with_server(Settings::default(), slow_at_first, |stream, _| async move {
        let (mut reads, mut writes) = stream.into_split();
        // More than a head may weigh, so that not all of it may be read ahead.
        let count = 2_000;
        let sends = tokio::spawn(async move {
            for n in 0..count {
                let request = format!("GET /{n} HTTP/1.1\r\nHost: a\r\n\r\n");
                writes.write_all(request.as_bytes()).await.expect("written");
            }
            writes.write_all(b"GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await
        });
        let mut text = String::new();
        reads.read_to_string(&mut text).await.expect("answers");
        sends.await.expect("no panic").expect("written");
        let paths: Vec<_> = text.split("GET /").skip(1).collect();
        assert_eq!(paths.len(), count + 1);
        for (n, path) in paths.iter().take(count).enumerate() {
            assert!(path.starts_with(&format!("{n} ")), "{n}: {path}");
        }
    });
}

#[test]
fn a_client_that_leaves_while_it_waits_ends_the_wait() {
    struct Dropped(Arc<std::sync::atomic::AtomicBool>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.store(true, std::sync::atomic::Ordering::Relaxed);
        }
    }
    let dropped = Arc::<std::sync::atomic::AtomicBool>::default();
    let handler = {
        let dropped = Arc::clone(&dropped);
        move |exchange: Exchange| {
            let held = Dropped(Arc::clone(&dropped));
            async move {
                let answer = std::future::pending().await;
                drop((held, exchange));
                answer
            }
        }
    };
    let upload = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n";
    // More than lies between socket and reader, who does not read.
    let upload = upload.to_owned() + &"x".repeat(80_000);
    for message in ["GET / HTTP/1.1\r\nHost: a\r\n\r\n", &upload] {
        dropped.store(false, std::sync::atomic::Ordering::Relaxed);
        with_server(Settings::default(), handler.clone(), |mut stream, drain| async move {
            stream.write_all(message.as_bytes()).await.expect("written");
            while drain.held() == 0 {
                tokio::task::yield_now().await;
            }
            stream.shutdown().await.expect("its half ends");
            assert_eq!(read_all(&mut stream).await, "", "half-closed is as good as gone");
        });
        assert!(dropped.load(std::sync::atomic::Ordering::Relaxed));
    }
}

#[test]
fn content_that_nobody_reads_passes_by() {
    let ignores = |exchange: Exchange| async move {
        Answer::new(Body::from(exchange.head.uri.path().to_owned()))
    };
    with_server(Settings::default(), ignores, |mut stream, _| async move {
        stream
            .write_all(b"POST /one HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n")
            .await
            .expect("written");
        let first = read_until(&mut stream, "/one").await;
        assert!(first.contains("content-length: 4"), "{first}");
        stream
            .write_all(b"hiGET /two HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            .await
            .expect("written");
        assert!(read_all(&mut stream).await.ends_with("/two"));
    });
}

#[test]
fn large_answers_arrive_whole_and_head_has_no_content() {
    let large = |_: Exchange| async { Answer::new(Body::from(Bytes::from(vec![b'x'; 3_000_000]))) };
    with_server(Settings::default(), large, |mut stream, _| async move {
        let raw = b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        stream.write_all(raw).await.expect("written");
        let text = read_all(&mut stream).await;
        assert_eq!(text.bytes().filter(|byte| *byte == b'x').count(), 3_000_000);
        assert_eq!(text.matches("HTTP/1.1 200").count(), 2);
    });
}

#[test]
fn a_client_that_takes_nothing_is_closed_on() {
    let large =
        |_: Exchange| async { Answer::new(Body::from(Bytes::from(vec![b'x'; 64_000_000]))) };
    let settings =
        Settings { blocked_write_timeout: Duration::from_millis(50), ..Settings::default() };
    with_server(settings, large, |mut stream, _| async move {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("written");
        stream.readable().await.expect("an answer begins");
        clock::sleep(Duration::from_millis(400)).await;
        assert!(read_all(&mut stream).await.len() < 64_000_000, "the answer was cut");
    });
}

#[test]
fn a_drain_closes_idle_connections_and_finishes_requests() {
    let slow = |exchange: Exchange| async move {
        clock::sleep(Duration::from_millis(50)).await;
        echo(exchange).await
    };
    with_server(Settings::default(), slow, |mut stream, drain| async move {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("written");
        while drain.held() == 0 {
            tokio::task::yield_now().await;
        }
        drain.begin();
        let text = read_all(&mut stream).await;
        assert!(text.contains("connection: close") && text.ends_with("GET / "), "{text}");
    });
    with_server(Settings::default(), echo, |mut stream, drain| async move {
        drain.begin();
        assert_eq!(read_all(&mut stream).await, "");
    });
}
