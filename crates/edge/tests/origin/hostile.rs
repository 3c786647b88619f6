//! Origins that lie about where a message ends: nothing of one answer ever becomes another's.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use forebay_edge::ErrorKind;
use forebay_edge::error::Error;
use forebay_edge::exchange::Body;
use http::{Method, StatusCode};
use http_body::Frame;
use http_body_util::BodyExt;
use tokio::io::AsyncWriteExt;

use super::support::{
    Raw, ask, fetch_text, get, one, origins, pipe, post, run, settings, text, until,
};

const HELLO: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

/// Answers with `first` on its first connection and with `hello` on all others.
async fn lies_once(first: &'static str) -> Raw {
    Raw::start(move |mut peer| async move {
        let number = peer.number;
        while peer.head().await.is_some() {
            peer.write(if number == 0 { first } else { HELLO }).await;
        }
    })
    .await
}

#[test]
fn what_no_head_may_hold_is_refused_and_its_connection_closed() {
    let many =
        Box::leak(format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: 1\r\n".repeat(200)).into_boxed_str());
    let interim =
        Box::leak(format!("{}{HELLO}", "HTTP/1.1 100 C\r\n\r\n".repeat(40)).into_boxed_str());
    for head in [
        "HTTP/1.1 200 OK\ncontent-length: 5\n\nhello",
        "HTTP/1.1 200 OK\r\nx: a\n\r\nhello",
        "HTTP/1.1 200 OK\r\nx: a\0b\r\ncontent-length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\ncontent-length : 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n folded\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nCONTENT-LENGTH: 4\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: identity\r\ncontent-length: 5\r\n\r\nhello",
        "\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
        "SSH-2.0-OpenSSH_9.2",
        many,
        interim,
    ] {
        run(async move {
            let raw = lies_once(head).await;
            let (_origins, upstream) = one(raw.server());
            let error = upstream.fetch(post("x")).await.expect_err("no usable answer");
            assert_eq!(error.kind(), ErrorKind::OriginProtocol, "{head:?}: {error:?}");
            assert_eq!(upstream.view().servers[0].idle_connections, 0, "{head:?}");
            assert_eq!(fetch_text(&upstream, get("/")).await, "hello", "{head:?}");
            assert_eq!(raw.connections(), 2, "{head:?}");
        });
    }
}

#[test]
fn a_byte_more_than_the_answer_spoils_the_connection() {
    for (answer, content) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nhello", "hell"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\nhello", ""),
        ("HTTP/1.1 204 No Content\r\n\r\nhello", ""),
        ("HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n", ""),
        ("HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\nhello", ""),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n0\r\n\r\nllo", "he"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello", "hello"),
        ("HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nhello", "hello"),
    ] {
        run(async move {
            let raw = lies_once(answer).await;
            let (_origins, upstream) = one(raw.server());
            assert_eq!(fetch_text(&upstream, get("/")).await, content, "{answer:?}");
            assert_eq!(upstream.view().servers[0].idle_connections, 0, "{answer:?}");
            assert_eq!(fetch_text(&upstream, get("/")).await, "hello", "{answer:?}");
            assert_eq!(raw.connections(), 2, "{answer:?}");
        });
    }
}

#[test]
fn the_answer_to_a_head_has_no_content_whatever_it_announces() {
    run(async {
        let raw = lies_once("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n").await;
        let (_origins, upstream) = one(raw.server());
        for _ in 0..2 {
            let answer = upstream.fetch(ask(Method::HEAD, "/", Body::Empty)).await.expect("a head");
            assert_eq!(answer.fields["content-length"], "5");
            assert_eq!(text(answer).await, "");
        }
        assert_eq!(raw.connections(), 1);
    });
}

#[test]
fn chunks_that_are_none_end_the_answer_with_an_error() {
    for chunks in [
        "5\nhello",
        "5\r\nhello0\r\n\r\n",
        "-5\r\nhello",
        "5 \r\nhello",
        "fffffffffffffffff\r\nx",
        "0\r\nbad\r\n\r\n",
    ] {
        run(async move {
            let raw = Raw::start(move |mut peer| async move {
                peer.head().await;
                peer.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
                peer.write(chunks).await;
                peer.rest().await;
            })
            .await;
            let (_origins, upstream) = one(raw.server());
            let answer = upstream.fetch(get("/")).await.expect("a head");
            let error = answer.body.collect().await.expect_err("no end");
            assert_eq!(error.kind(), ErrorKind::OriginProtocol, "{chunks:?}");
            let view = upstream.view();
            assert_eq!((view.in_flight, view.servers[0].idle_connections), (0, 0), "{chunks:?}");
        });
    }
}

#[test]
fn content_without_framing_ends_with_the_connection() {
    run(async {
        let raw = Raw::start(|mut peer| async move {
            peer.head().await;
            peer.write("HTTP/1.1 200 OK\r\n\r\nall ").await;
            peer.write("of it").await;
            // Half of the connection is enough.
            peer.stream.shutdown().await.ok();
            peer.rest().await;
        })
        .await;
        let (_origins, upstream) = one(raw.server());
        assert_eq!(fetch_text(&upstream, get("/")).await, "all of it");
        assert_eq!(upstream.view().servers[0].idle_connections, 0);
    });
}

#[test]
fn a_server_that_ends_its_half_without_an_answer_is_not_waited_for() {
    run(async {
        let raw = Raw::start(|mut peer| async move {
            peer.head().await;
            peer.write("HTTP/1.1 200 OK\r\ncontent-le").await;
            peer.stream.shutdown().await.ok();
            peer.rest().await;
        })
        .await;
        let (_origins, upstream) = one(raw.server());
        let error = upstream.fetch(post("x")).await.expect_err("no answer");
        assert_eq!(error.kind(), ErrorKind::OriginProtocol);
    });
}

#[test]
fn a_head_that_trickles_is_cut_off_by_the_deadline_of_the_try() {
    run(async {
        let raw = Raw::start(|mut peer| async move {
            peer.head().await;
            peer.write("HTTP/1.1 200 OK\r\n").await;
            for _ in 0..10_000 {
                peer.write("x: y\r\n").await;
                forebay_signals::clock::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
        let mut short = settings([raw.server()]);
        (short.max_tries, short.try_timeout) = (1, Duration::from_millis(60));
        let (_origins, upstream) = origins(short);
        // A longer wait before must not lend its time to this one.
        for _ in 0..2 {
            let error = upstream.fetch(get("/")).await.expect_err("no answer in time");
            assert_eq!(error.kind(), ErrorKind::OriginTimeout);
        }
    });
}

#[test]
fn a_large_answer_arrives_whole_and_its_connection_goes_on() {
    run(async {
        let content: &'static str =
            Box::leak("0123456789abcdef".repeat(64 * 1024).into_boxed_str());
        let raw = Raw::start(move |mut peer| async move {
            while peer.head().await.is_some() {
                peer.write(&format!(
                    "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n",
                    content.len()
                ))
                .await;
                peer.write(content).await;
            }
        })
        .await;
        let (_origins, upstream) = one(raw.server());
        for _ in 0..3 {
            assert!(fetch_text(&upstream, get("/")).await == content);
        }
        assert_eq!(raw.connections(), 1);
    });
}

#[test]
fn a_request_goes_on_while_its_answer_is_read() {
    run(async {
        let raw = Raw::start(|mut peer| async move {
            peer.head().await;
            peer.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
            let mut got = Vec::new();
            while !got.ends_with(b"0\r\n\r\n") {
                let mut byte = [0];
                tokio::io::AsyncReadExt::read_exact(&mut peer.stream, &mut byte)
                    .await
                    .expect("content");
                got.push(byte[0]);
                peer.stream.write_all(b"1\r\n.\r\n").await.expect("open");
            }
            peer.write("0\r\n\r\n").await;
            peer.rest().await;
        })
        .await;
        let (_origins, upstream) = one(raw.server());
        let (feed, body) = pipe();
        let mut answer = upstream.fetch(ask(Method::POST, "/", body)).await.expect("a head");
        feed.send(Ok(Frame::data(Bytes::from_static(b"ping")))).await.expect("room");
        let first = answer.body.frame().await.expect("a frame").expect("data");
        assert_eq!(first.into_data().expect("data"), ".");
        drop(feed);
        let rest = answer.body.collect().await.expect("whole").to_bytes();
        assert_eq!(rest.len() + 1, "4\r\nping\r\n0\r\n\r\n".len());
        assert_eq!(upstream.view().servers[0].idle_connections, 1, "both messages ended well");
    });
}

#[test]
fn a_request_that_breaks_off_behind_its_answers_head_is_the_clients_fault() {
    run(async {
        let raw = Raw::start(|mut peer| async move {
            peer.head().await;
            peer.write("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf.").await;
            peer.rest().await;
        })
        .await;
        let (_origins, upstream) = one(raw.server());
        let (feed, body) = pipe();
        let answer = upstream.fetch(ask(Method::POST, "/", body)).await.expect("a head");
        feed.send(Err(Error::new(ErrorKind::ClientGone, "left"))).await.expect("room");
        let error = answer.body.collect().await.expect_err("broken");
        assert_eq!(error.kind(), ErrorKind::ClientGone);
        let view = upstream.view();
        assert_eq!((view.servers[0].failures, view.servers[0].idle_connections), (0, 0));
    });
}

#[test]
fn an_early_answer_without_content_ends_the_upload() {
    run(async {
        let raw = Raw::start(|mut peer| async move {
            peer.head().await;
            peer.write("HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n").await;
            peer.rest().await;
        })
        .await;
        let (_origins, upstream) = one(raw.server());
        let (feed, body) = pipe();
        let answer = upstream.fetch(ask(Method::POST, "/", body)).await.expect("an answer");
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        feed.closed().await;
        assert_eq!(upstream.view().servers[0].idle_connections, 0);
    });
}

#[test]
fn a_slow_reader_of_the_request_slows_the_client() {
    run(async {
        let raw = Raw::start(|mut peer| async move {
            peer.head().await;
            forebay_signals::clock::sleep(Duration::from_secs(60)).await;
        })
        .await;
        let (_origins, upstream) = one(raw.server());
        let (feed, body) = pipe();
        let fetch = tokio::spawn({
            let upstream = Arc::clone(&upstream);
            async move { upstream.fetch(ask(Method::POST, "/", body)).await.map(drop) }
        });
        let piece = Bytes::from(vec![b'x'; 1 << 20]);
        let mut sent = 0;
        let push = async {
            while feed.send(Ok(Frame::data(piece.clone()))).await.is_ok() {
                sent += 1;
            }
        };
        forebay_signals::clock::timeout(Duration::from_millis(300), push)
            .await
            .expect_err("it waits");
        assert!(sent < 40, "the sockets hold a few: {sent}");
        fetch.abort();
        until(|| upstream.view().in_flight == 0).await;
    });
}
