//! Clients that send slowly: a server's time stands still meanwhile, and begins when all has been sent.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use forebay_edge::config::origin::{Address, Server, Speaks};
use forebay_signals::clock;
use http::Method;
use http_body::Frame;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;

use super::support::{Raw, ask, fetch_text, origins, pipe, run, settings};

const HELLO: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
/// What a try may take, and all of them: less than the client takes for one pause.
const PATIENCE: Duration = Duration::from_millis(1500);
/// Pauses of the client, one longer than that and one not: whoever counts any part of either against the
/// server gives up before it answers.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_millis(1900)];
/// Time of the server when it has everything.
const ANSWER_AFTER: Duration = Duration::from_millis(900);

/// Uploads with pauses and expects the answer, and nothing held against the server.
async fn upload_slowly(server: Server) {
    let mut settings = settings([server]);
    (settings.try_timeout, settings.total_timeout) = (PATIENCE, PATIENCE);
    let (_origins, upstream) = origins(settings);
    let (feed, body) = pipe();
    let fetch = tokio::spawn({
        let upstream = Arc::clone(&upstream);
        async move { fetch_text(&upstream, ask(Method::POST, "/", body)).await }
    });
    for pause in PAUSES {
        feed.send(Ok(Frame::data(Bytes::from_static(b"part")))).await.expect("room");
        clock::sleep(pause).await;
    }
    drop(feed);
    assert_eq!(fetch.await.expect("no panic"), "hello");
    let view = upstream.view();
    assert_eq!((view.servers[0].is_healthy, view.servers[0].failures), (true, 0));
}

#[test]
fn a_slow_upload_is_not_the_servers_failure() {
    run(async {
        let raw = Raw::start(|mut peer| async move {
            peer.head().await;
            peer.until("0\r\n\r\n").await;
            clock::sleep(ANSWER_AFTER).await;
            peer.write(HELLO).await;
        })
        .await;
        upload_slowly(raw.server()).await;
    });
}

#[test]
fn a_slow_upload_over_http2_is_not_the_servers_failure() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.expect("a client");
            let answer = |request: http::Request<hyper::body::Incoming>| async {
                let content = request.into_body().collect().await.expect("whole").to_bytes();
                assert_eq!(content, "partpart");
                clock::sleep(ANSWER_AFTER).await;
                Ok::<_, Infallible>(http::Response::new(Full::new(Bytes::from("hello"))))
            };
            let serve = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            let service = hyper::service::service_fn(answer);
            serve.serve_connection(TokioIo::new(stream), service).await.ok();
        });
        let mut server = Server::plain(Address::Tcp("127.0.0.1".into(), port));
        server.speaks = Speaks::Http2;
        upload_slowly(server).await;
    });
}
