//! HTTP/2 as ordinary clients and slow ones see it.

mod listening;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use forebay_edge::config::admit::Admit;
use forebay_edge::config::listen::{Listen, Protocol};
use forebay_edge::error::{Error, ErrorKind};
use forebay_edge::exchange::{Answer, Body, Exchange};
use forebay_signals::clock;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version};
use http_body::{Body as HttpBody, Frame};
use http_body_util::{BodyExt, Collected, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use listening::frames::{self, DATA, GOAWAY, HEADERS, NO_ERROR, RST_STREAM, WINDOW_UPDATE, Wire};
use listening::{Server, echo, listen, until, with_server};
use tokio::net::TcpStream;

async fn client<B>(server: &Server) -> SendRequest<B>
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let stream = TcpStream::connect(server.address).await.expect("the server listens");
    let io = TokioIo::new(stream);
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.expect("HTTP/2");
    drop(tokio::spawn(connection));
    sender
}

async fn text(response: Response<Incoming>) -> String {
    let content = response.into_body().collect().await.expect("whole").to_bytes();
    String::from_utf8_lossy(&content).into_owned()
}

fn plain() -> Listen {
    listen(Protocol::Plain)
}

#[test]
fn requests_of_one_connection_are_answered_side_by_side() {
    let handler = |exchange: Exchange| async move {
        if exchange.head.uri.path() == "/slow" {
            clock::sleep(Duration::from_millis(100)).await;
        }
        echo(exchange).await
    };
    with_server(&plain(), &Admit::default(), handler, |server| async move {
        let mut sender = client::<Full<Bytes>>(&server).await;
        let mut ask = |path: &str, content: &'static str| {
            let request = Request::post(format!("http://a{path}")).body(Full::from(content));
            sender.send_request(request.expect("a request"))
        };
        let slow = tokio::spawn(ask("/slow", "first"));
        let quick = ask("/quick", "second").await.expect("an answer");
        assert!(!slow.is_finished());
        assert_eq!(quick.version(), Version::HTTP_2);
        assert_eq!(quick.headers()["content-length"], "18");
        assert_eq!(text(quick).await, "POST /quick second");
        let slow = slow.await.expect("no panic").expect("an answer");
        assert_eq!(text(slow).await, "POST /slow first");
    });
}

#[test]
fn large_contents_pass_both_ways_whole() {
    let handler = |exchange: Exchange| async move {
        let content = exchange.body.collect().await.map(Collected::to_bytes);
        content.map_or_else(|error| Answer::from(&error), Answer::new)
    };
    with_server(&plain(), &Admit::default(), handler, |server| async move {
        let mut sender = client::<Full<Bytes>>(&server).await;
        let content: Vec<u8> =
            (0..5_000_000_u32).map(|n| n.to_le_bytes()[n as usize % 3]).collect();
        let content = Bytes::from(content);
        let request = Request::post("http://a/").body(Full::from(content.clone()));
        let response = sender.send_request(request.expect("a request")).await.expect("an answer");
        let received = response.into_body().collect().await.expect("whole").to_bytes();
        assert!(received == content, "{} of {} bytes", received.len(), content.len());
    });
}

#[test]
fn trailers_pass_both_ways() {
    let handler = |exchange: Exchange| async move {
        let content = exchange.body.collect().await.expect("whole");
        let trailers = content.trailers().cloned().unwrap_or_default();
        let frames = [Frame::data(content.to_bytes()), Frame::trailers(trailers)];
        Answer::new(Body::stream(Frames::<Error>::new(frames)))
    };
    with_server(&plain(), &Admit::default(), handler, |server| async move {
        let trailers = HeaderMap::from_iter([(
            http::HeaderName::from_static("checksum"),
            HeaderValue::from_static("7"),
        )]);
        let frames = [Frame::data(Bytes::from("x")), Frame::trailers(trailers.clone())];
        let mut sender = client(&server).await;
        let body = Frames::<Infallible>::new(frames);
        let request = Request::post("http://a/").body(body).expect("a request");
        let response = sender.send_request(request).await.expect("an answer");
        let content = response.into_body().collect().await.expect("whole");
        assert_eq!(content.trailers(), Some(&trailers));
    });
}

/// Frames one after the other, some time before each.
struct Frames<E> {
    rest: VecDeque<Frame<Bytes>>,
    pause: Duration,
    timer: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    error: PhantomData<fn() -> E>,
}

impl<E> Frames<E> {
    fn new(frames: impl IntoIterator<Item = Frame<Bytes>>) -> Frames<E> {
        Frames {
            rest: frames.into_iter().collect(),
            pause: Duration::ZERO,
            timer: None,
            error: PhantomData,
        }
    }
}

impl<E> HttpBody for Frames<E> {
    type Data = Bytes;
    type Error = E;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, E>>> {
        let pause = self.pause;
        if !pause.is_zero() {
            let timer = self.timer.get_or_insert_with(|| Box::pin(clock::sleep(pause)));
            ready!(timer.as_mut().poll(context));
            self.timer = None;
        }
        Poll::Ready(self.rest.pop_front().map(Ok))
    }
}

#[test]
fn head_and_304_keep_the_length_of_what_they_do_not_carry() {
    let handler = |exchange: Exchange| async move {
        let length = HeaderValue::from_static("1000");
        let answer = Answer::new(Body::Empty).with(http::header::CONTENT_LENGTH, length);
        match exchange.head.uri.path() {
            "/304" => answer.with_status(StatusCode::NOT_MODIFIED),
            "/204" => answer.with_status(StatusCode::NO_CONTENT),
            _ => answer,
        }
    };
    with_server(&plain(), &Admit::default(), handler, |server| async move {
        let mut sender = client::<Full<Bytes>>(&server).await;
        for (method, path, length) in
            [("HEAD", "/", Some("1000")), ("GET", "/304", Some("1000")), ("GET", "/204", None)]
        {
            let request = Request::builder().method(method).uri(format!("http://a{path}"));
            let request = request.body(Full::default()).expect("a request");
            let response = sender.send_request(request).await.expect("an answer");
            let found = response.headers().get("content-length").cloned();
            assert_eq!(found, length.map(HeaderValue::from_static), "{method} {path}");
            assert_eq!(text(response).await, "");
        }
    });
}

#[test]
fn fields_of_one_connection_do_not_pass() {
    let handler = |exchange: Exchange| async move {
        let mut seen: Vec<_> = exchange.head.fields.keys().map(http::HeaderName::as_str).collect();
        seen.sort_unstable();
        let mut answer = Answer::new(Body::from(seen.join(" ")));
        answer.lines = Bytes::from_static(b"keep-alive: timeout=5\r\nx-kept: 1\r\n");
        answer.with(http::header::CONNECTION, HeaderValue::from_static("close"))
    };
    with_server(&plain(), &Admit::default(), handler, |server| async move {
        let mut sender = client::<Full<Bytes>>(&server).await;
        let request = Request::get("http://a/")
            .header("te", "trailers")
            .header("x-own", "1")
            .header("proxy-authorization", "Basic eDp5")
            .header("expect", "100-continue")
            .body(Full::default());
        let response = sender.send_request(request.expect("a request")).await.expect("an answer");
        assert_eq!(response.headers()["x-kept"], "1");
        assert!(!response.headers().contains_key("connection"));
        assert!(!response.headers().contains_key("keep-alive"));
        assert_eq!(text(response).await, "x-own");
    });
}

#[test]
fn a_refused_head_costs_one_stream_and_not_the_connection() {
    with_server(&plain(), &Admit::default(), echo, |server| async move {
        let mut sender = client::<Full<Bytes>>(&server).await;
        let request = |host| {
            let request = Request::get("http://a.example/ok").header("host", host);
            request.body(Full::default()).expect("a request")
        };
        let response = sender.send_request(request("b.example")).await.expect("an answer");
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        assert_eq!(response.headers()["forebay-error"], "bad-message");
        let response = sender.send_request(request("a.example")).await.expect("an answer");
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(server.entrance.counters().protocol_errors.value(), 1);
    });
}

#[test]
fn a_panic_costs_one_stream_and_not_the_connection() {
    let handler = |exchange: Exchange| async move {
        match exchange.head.uri.path() {
            "/panic" => panic!("as asked"),
            "/late" => {
                let frames = [Frame::data(Bytes::from("x"))];
                let panics = Frames::<Error>::new(frames).map_frame(|_| panic!("as asked"));
                Answer::new(Body::stream(panics))
            }
            _ => echo(exchange).await,
        }
    };
    with_server(&plain(), &Admit::default(), handler, |server| async move {
        let mut sender = client::<Full<Bytes>>(&server).await;
        let mut ask = |path| {
            let request = Request::get(format!("http://a{path}")).body(Full::default());
            sender.send_request(request.expect("a request"))
        };
        let response = ask("/panic").await.expect("an answer");
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        // The reset may overtake the head.
        if let Ok(response) = ask("/late").await {
            response.into_body().collect().await.expect_err("the content breaks off");
        }
        assert_eq!(ask("/").await.expect("an answer").status(), StatusCode::OK);
        assert_eq!(server.entrance.counters().panics.value(), 2);
    });
}

#[test]
fn a_slow_upload_is_given_up() {
    let settings = Listen { content_grace: Duration::from_millis(50), ..plain() };
    with_server(&settings, &Admit::default(), echo, |server| async move {
        let mut wire = Wire::connect(server.address).await;
        wire.send(&frames::post(1, "/")).await.expect("written");
        wire.send(&frames::frame(DATA, 0, 1, b"x")).await.expect("written");
        let head = wire.wait_for(&[HEADERS]).await.expect("an answer");
        // `:status: 408` is not in the static table: its digits are there as they are or coded.
        assert!(
            head.stream == 1
                && wire
                    .wait_for(&[DATA])
                    .await
                    .is_some_and(|frame| { frame.payload.starts_with(b"408 ") })
        );
    });
}

#[test]
fn too_large_an_upload_is_refused() {
    let admit = Admit { max_content_bytes: 4, ..Admit::default() };
    with_server(&plain(), &admit, echo, |server| async move {
        let mut sender = client::<Full<Bytes>>(&server).await;
        let request = Request::post("http://a/").body(Full::from("12345")).expect("a request");
        let response = sender.send_request(request).await.expect("an answer");
        assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    });
}

#[test]
fn a_connection_without_a_request_ends_sooner_than_one_between_requests() {
    let settings = Listen {
        http2_first_request_timeout: Duration::from_millis(50),
        idle_timeout: Duration::from_millis(300),
        ..plain()
    };
    with_server(&settings, &Admit::default(), echo, |server| async move {
        for (request, least) in [(false, 50), (true, 300)] {
            let began = clock::now();
            let mut wire = Wire::connect(server.address).await;
            if request {
                wire.send(&frames::get(1, "/")).await.expect("written");
            }
            let goaway = wire.wait_for(&[GOAWAY]).await.expect("a GOAWAY");
            assert_eq!(goaway.error_code(), NO_ERROR);
            let took = clock::now() - began;
            assert!(took >= Duration::from_millis(least), "{took:?}");
            assert!(took < Duration::from_millis(least + 250), "{took:?}");
            drop(wire);
        }
        until("both are closed", || server.entrance.counters().open.value() == 0).await;
    });
}

#[test]
fn a_quiet_origin_is_never_the_clients_fault() {
    let settings = Listen {
        blocked_write_timeout: Duration::from_millis(50),
        idle_timeout: Duration::from_millis(50),
        ..plain()
    };
    let handler = |_: Exchange| async {
        let frames = ["a", "b", "c"].map(|text| Frame::data(Bytes::from(text)));
        let slow = Frames { pause: Duration::from_millis(150), ..Frames::<Error>::new(frames) };
        Answer::new(Body::stream(slow))
    };
    with_server(&settings, &Admit::default(), handler, |server| async move {
        let mut sender = client::<Full<Bytes>>(&server).await;
        let request = Request::get("http://a/").body(Full::default()).expect("a request");
        let response = sender.send_request(request).await.expect("an answer");
        assert_eq!(text(response).await, "abc");
    });
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

#[test]
fn a_client_that_takes_little_by_little_gets_all() {
    let settings = Listen {
        blocked_write_timeout: Duration::from_millis(200),
        idle_timeout: Duration::from_millis(50),
        ..plain()
    };
    let handler = |_: Exchange| async { Answer::new(Body::from("twelve bytes")) };
    with_server(&settings, &Admit::default(), handler, |server| async move {
        let mut wire = ask_without_window(&server, 0).await;
        let mut received = Vec::new();
        while received.len() < 12 {
            clock::sleep(Duration::from_millis(60)).await;
            let update = frames::frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 2]);
            wire.send(&update).await.expect("the connection lives");
            received.extend(wire.wait_for(&[DATA]).await.expect("content").payload);
        }
        assert_eq!(received, b"twelve bytes");
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

#[test]
fn a_drain_lets_streams_end_and_says_goaway() {
    let handler = |exchange: Exchange| async move {
        clock::sleep(Duration::from_millis(100)).await;
        echo(exchange).await
    };
    with_server(&plain(), &Admit::default(), handler, |server| async move {
        let mut wire = Wire::connect(server.address).await;
        wire.send(&frames::get(1, "/")).await.expect("written");
        until("it is under way", || server.drain.held() == 2).await;
        server.drain.begin();
        let goaway = wire.wait_for(&[GOAWAY, DATA]).await.expect("a frame");
        assert_eq!((goaway.kind, goaway.error_code()), (GOAWAY, NO_ERROR), "before the answer");
        let answer = wire.wait_for(&[DATA]).await.expect("an answer");
        assert_eq!(answer.payload, b"GET / ");
        // The PING that goes with the GOAWAY stays unanswered: the connection ends all the same.
        while wire.next().await.is_some() {}
        until("it is closed", || server.entrance.counters().open.value() == 0).await;
    });
}

#[test]
fn a_stream_that_is_reset_drops_its_handler() {
    let handler = |_: Exchange| std::future::pending::<Answer>();
    with_server(&plain(), &Admit::default(), handler, |server| async move {
        let mut wire = Wire::connect(server.address).await;
        wire.send(&frames::get(1, "/")).await.expect("written");
        until("it is under way", || server.drain.held() == 2).await;
        wire.send(&frames::frame(RST_STREAM, 0, 1, &[0, 0, 0, 8])).await.expect("written");
        until("it is gone", || server.drain.held() == 1).await;
    });
}

#[test]
fn connect_is_not_served() {
    with_server(&plain(), &Admit::default(), echo, |server| async move {
        let mut sender = client::<Full<Bytes>>(&server).await;
        let request = Request::connect("a:80").body(Full::default()).expect("a request");
        let response = sender.send_request(request).await.expect("an answer");
        assert_eq!(response.status(), StatusCode::NOT_IMPLEMENTED);
        let facts = ErrorKind::NotImplemented.facts();
        assert_eq!(response.headers()["forebay-error"], facts.label);
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
    let settings = Listen { blocked_write_timeout: Duration::from_millis(200), ..plain() };
    let handler = |_: Exchange| async { Answer::new(Body::from("twelve bytes")) };
    with_server(&settings, &Admit::default(), handler, |server| async move {
        let mut wire = ask_without_window(&server, 0).await;
        wire.send(&frames::get(3, "/")).await.expect("written");
        let (mut received, mut given_up) = (Vec::new(), None);
        while received.len() < 12 {
            clock::sleep(Duration::from_millis(60)).await;
            let update = frames::frame(WINDOW_UPDATE, 0, 3, &[0, 0, 0, 2]);
            wire.send(&update).await.expect("the connection lives");
            let frame = wire.wait_for(&[DATA, RST_STREAM]).await.expect("it lives");
            if frame.kind == RST_STREAM {
                given_up = Some((frame.stream, frame.error_code()));
            } else {
                assert_eq!(frame.stream, 3);
                received.extend(frame.payload);
            }
        }
        assert_eq!(received, b"twelve bytes");
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
fn an_answer_before_the_end_of_an_upload_ends_the_upload() {
    let handler = |_: Exchange| async { Answer::new(Body::from("no")) };
    with_server(&plain(), &Admit::default(), handler, |server| async move {
        let mut wire = Wire::connect(server.address).await;
        wire.send(&frames::post(1, "/")).await.expect("written");
        let reset = wire.wait_for(&[RST_STREAM]).await.expect("a reset");
        assert_eq!((reset.stream, reset.error_code()), (1, NO_ERROR));
        // What was on its way does no harm, and its window comes back.
        for _ in 0..100 {
            let content = frames::frame(DATA, 0, 1, &[b'x'; 16_384]);
            wire.send(&content).await.expect("written");
        }
        wire.send(&frames::get(3, "/")).await.expect("written");
        let answer = wire.wait_for(&[DATA, GOAWAY, RST_STREAM]).await.expect("an answer");
        assert_eq!((answer.kind, answer.stream), (DATA, 3));
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
