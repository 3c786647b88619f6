//! HTTP/2 servers that say that they did nothing of a request.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use forebay_edge::config::origin::{Address, Server, Speaks};
use h2::Reason;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::support::{ask, fetch_text, one, origins, pipe, post, run, settings};

/// A server that resets its first `refusals` requests with `reason` and answers the rest.
async fn resetting(reason: Reason, refusals: usize) -> (Server, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let server = http2(&listener);
    let seen = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, reason, refusals, Arc::clone(&count)));
        }
    });
    (server, seen)
}

fn http2(listener: &TcpListener) -> Server {
    let port = listener.local_addr().expect("bound").port();
    let mut server = Server::plain(Address::Tcp("127.0.0.1".into(), port));
    server.speaks = Speaks::Http2;
    server
}

async fn serve(stream: TcpStream, reason: Reason, refusals: usize, seen: Arc<AtomicUsize>) {
    let mut connection = h2::server::handshake(stream).await.expect("HTTP/2");
    while let Some(Ok((_request, mut respond))) = connection.accept().await {
        if seen.fetch_add(1, Ordering::Relaxed) < refusals {
            respond.send_reset(reason);
        } else {
            let mut stream = respond.send_response(http::Response::new(()), false).expect("open");
            stream.send_data(Bytes::from_static(b"done"), true).expect("open");
        }
    }
}

#[test]
fn a_refused_stream_is_sent_again_whatever_its_method() {
    run(async {
        let (server, seen) = resetting(Reason::REFUSED_STREAM, 1).await;
        let (_origins, upstream) = one(server);
        assert_eq!(fetch_text(&upstream, post("order")).await, "done");
        let view = upstream.view();
        assert_eq!((seen.load(Ordering::Relaxed), view.retries), (2, 1));
        assert_eq!(view.servers[0].failures, 0, "a server may refuse");
    });
}

#[test]
fn refused_streams_are_sent_again_within_the_tries_only() {
    run(async {
        let (server, seen) = resetting(Reason::REFUSED_STREAM, usize::MAX).await;
        let mut settings = settings([server]);
        settings.max_tries = 3;
        let (_origins, upstream) = origins(settings);
        upstream.fetch(post("order")).await.expect_err("refused for good");
        assert_eq!(seen.load(Ordering::Relaxed), 3);
    });
}

#[test]
fn another_reset_may_come_after_the_work_and_is_not_sent_again() {
    run(async {
        let (server, seen) = resetting(Reason::INTERNAL_ERROR, 1).await;
        let (_origins, upstream) = one(server);
        upstream.fetch(post("order")).await.expect_err("it may have been processed");
        assert_eq!(seen.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn content_that_is_gone_is_not_sent_again() {
    run(async {
        let (server, seen) = resetting(Reason::REFUSED_STREAM, 1).await;
        let (_origins, upstream) = one(server);
        let (_feed, body) = pipe();
        upstream.fetch(ask(http::Method::POST, "/", body)).await.expect_err("nothing to send");
        assert_eq!(seen.load(Ordering::Relaxed), 1);
    });
}

/// Frames of RFC 9113: empty SETTINGS, and GOAWAY that names no stream as processed.
const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
const GOAWAY: [u8; 17] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const HEADERS: u8 = 1;

/// Takes one request and goes away before it.
async fn goes_away(mut stream: TcpStream) {
    let mut preface = [0; 24];
    stream.read_exact(&mut preface).await.expect("a preface");
    stream.write_all(&SETTINGS).await.expect("open");
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.expect("a frame");
        let length = usize::from(head[1]) << 8 | usize::from(head[2]);
        let mut rest = vec![0; length];
        stream.read_exact(&mut rest).await.expect("a whole frame");
        if head[3] == HEADERS {
            stream.write_all(&GOAWAY).await.expect("open");
            // It stays open: the answer to a stream that it took might still come.
            stream.read_to_end(&mut rest).await.ok();
            return;
        }
    }
}

#[test]
fn a_request_behind_the_last_stream_of_a_goaway_goes_on_another_connection() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let server = http2(&listener);
        tokio::spawn(async move {
            let (first, _) = listener.accept().await.expect("a client");
            tokio::spawn(goes_away(first));
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Reason::NO_ERROR, 0, Arc::default()));
            }
        });
        let (_origins, upstream) = one(server);
        assert_eq!(fetch_text(&upstream, post("order")).await, "done");
        let view = upstream.view();
        assert_eq!((view.retries, view.connections_opened), (1, 2));
        assert_eq!(view.servers[0].failures, 0);
    });
}
