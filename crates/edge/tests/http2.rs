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
use http::header::ETAG;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version};
use http_body::{Body as HttpBody, Frame};
use http_body_util::{BodyExt, Collected, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use listening::frames::{self, DATA, GOAWAY, HEADERS, NO_ERROR, RST_STREAM, SETTINGS, Wire};
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
fn a_long_request_takes_nothing_from_the_time_between_requests() {
    let settings = Listen { idle_timeout: Duration::from_millis(300), ..plain() };
    let handler = |_: Exchange| async {
        clock::sleep(Duration::from_millis(500)).await;
        Answer::new("late")
    };
    with_server(&settings, &Admit::default(), handler, |server| async move {
        let began = clock::now();
        let mut wire = Wire::connect(server.address).await;
        wire.send(&frames::get(1, "/")).await.expect("written");
        wire.wait_for(&[GOAWAY]).await.expect("a GOAWAY");
        let took = clock::now() - began;
        assert!(took >= Duration::from_millis(800), "{took:?}");
    });
}

#[test]
fn trailers_tell_of_a_smaller_table_if_nothing_did_before() {
    let handler = |_: Exchange| async {
        let trailers = HeaderMap::from_iter([(ETAG, HeaderValue::from_static("7"))]);
        let frames = [Frame::data(Bytes::from("content")), Frame::trailers(trailers)];
        Answer::new(Body::stream(Frames::<Error>::new(frames)))
    };
    with_server(&plain(), &Admit::default(), handler, |server| async move {
        let mut wire = Wire::connect(server.address).await;
        wire.send(&frames::frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0])).await.expect("written");
        wire.send(&frames::get(1, "/")).await.expect("written");
        wire.wait_for(&[HEADERS]).await.expect("an answer");
        let smaller = frames::frame(SETTINGS, 0, 0, &[0, 1, 0, 0, 0, 0, 0, 4, 0, 0, 0, 9]);
        wire.send(&smaller).await.expect("written");
        let trailers = wire.wait_for(&[HEADERS]).await.expect("trailers");
        assert_eq!(trailers.payload.first(), Some(&0x20), "RFC 7541 §4.2: {trailers:?}");
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
