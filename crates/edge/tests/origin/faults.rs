//! Origins that misbehave: a proper error, nothing used again, retries only where they are safe.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use forebay_edge::ErrorKind;
use forebay_edge::config::origin::{Balance, Origin};
use forebay_edge::error::Error;
use forebay_edge::exchange::{Answer, Ask, Body};
use forebay_edge::origin::Upstream;
use http::{Method, StatusCode};
use http_body::Frame;
use http_body_util::BodyExt;

use super::support::{
    Raw, ask, fetch_text, get, one, origins, pipe, post, run, settings, text, until,
};

const HELLO: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

/// Settings with one try only: what one fault does.
fn once(raw: &Raw) -> Origin {
    let mut settings = settings([raw.server()]);
    settings.max_tries = 1;
    settings
}

async fn error_of(upstream: &Arc<Upstream>, ask: Ask) -> Error {
    upstream.fetch(ask).await.expect_err("no usable answer")
}

/// Content up to where it breaks off, and the error.
async fn broken(answer: Answer) -> (Vec<u8>, Error) {
    let mut body = answer.body;
    let mut content = Vec::new();
    loop {
        match body.frame().await.expect("an error comes before the end") {
            Ok(frame) => content.extend(frame.into_data().expect("data")),
            Err(error) => return (content, error),
        }
    }
}

#[test]
fn heads_that_are_no_heads_are_errors_of_the_protocol() {
    for head in [
        "garbage\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\n folded: x\r\n\r\n",
        "HTTP/3.0 200 OK\r\n\r\n",
        "HTTP/1.1 99999 OK\r\n\r\n",
    ] {
        run(async move {
            let raw = Raw::answering(head).await;
            let (_origins, upstream) = origins(once(&raw));
            let error = error_of(&upstream, get("/")).await;
            assert_eq!(error.kind(), ErrorKind::OriginProtocol, "{head:?}: {error:?}");
            assert_eq!(upstream.view().in_flight, 0);
            assert_eq!(upstream.view().servers[0].idle_connections, 0, "{head:?}");
        });
    }
}

#[test]
fn endless_heads_and_interim_answers_end_in_bounded_memory() {
    for (first, again) in [
        ("HTTP/1.1 200 OK\r\n", "x-more: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n"),
        ("HTTP/1.1 200 OK\r\nx-long: ", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
        ("", "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"),
        ("", "HTTP/1.1 100 Continue\r\n\r\n"),
    ] {
        run(async move {
            let raw = Raw::start(move |mut peer| async move {
                peer.head().await;
                peer.write(first).await;
                let block = again.repeat(100);
                while tokio::io::AsyncWriteExt::write_all(&mut peer.stream, block.as_bytes())
                    .await
                    .is_ok()
                {}
            })
            .await;
            let (_origins, upstream) = origins(once(&raw));
            let error = error_of(&upstream, get("/")).await;
            assert_eq!(error.kind(), ErrorKind::OriginProtocol, "{again:?}: {error:?}");
        });
    }
}

#[test]
fn one_interim_answer_is_no_fault() {
    run(async {
        let raw = Raw::answering(
            "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        )
        .await;
        let (_origins, upstream) = one(raw.server());
        assert_eq!(fetch_text(&upstream, get("/")).await, "ok");
    });
}

#[test]
fn content_that_ends_early_is_an_error_and_not_an_end() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n",
    ] {
        run(async move {
            let raw = Raw::start(move |mut peer| async move {
                peer.head().await;
                peer.write(answer).await;
            })
            .await;
            let (_origins, upstream) = origins(once(&raw));
            let answer = upstream.fetch(get("/")).await.expect("a head");
            let (content, error) = broken(answer).await;
            assert_eq!(content, b"hello");
            assert_eq!(error.kind(), ErrorKind::OriginProtocol);
            let view = upstream.view();
            assert_eq!((view.in_flight, view.servers[0].idle_connections), (0, 0));
            assert_eq!(view.servers[0].failures, 1);
        });
    }
}

#[test]
fn what_follows_an_answer_is_never_taken_for_the_next() {
    run(async {
        let raw = Raw::start(|mut peer| async move {
            while peer.head().await.is_some() {
                peer.write(HELLO).await;
                peer.write("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison").await;
            }
        })
        .await;
        let (_origins, upstream) = one(raw.server());
        for _ in 0..5 {
            assert_eq!(fetch_text(&upstream, get("/")).await, "hello");
            // The surplus lies in the socket before the next request is made.
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
        }
        assert_eq!(raw.connections(), 5, "each connection is spoilt");
    });
}

#[test]
fn a_reset_within_content_is_an_error() {
    run(async {
        let raw = Raw::start(|mut peer| async move {
            peer.head().await;
            peer.write("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello").await;
            peer.reset();
        })
        .await;
        let (_origins, upstream) = one(raw.server());
        let outcome = match upstream.fetch(get("/")).await {
            Ok(answer) => broken(answer).await.1,
            // The reset may overtake the head.
            Err(error) => error,
        };
        assert_eq!(outcome.kind(), ErrorKind::OriginProtocol);
    });
}

#[test]
fn silence_before_the_head_and_within_content_has_its_limit() {
    run(async {
        let raw = Raw::start(|mut peer| async move {
            if peer.head().await.is_some_and(|head| head.starts_with("GET /content")) {
                peer.write("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello").await;
            }
            peer.rest().await;
        })
        .await;
        let mut short = once(&raw);
        short.try_timeout = Duration::from_millis(50);
        short.content_idle_timeout = Duration::from_millis(50);
        let (_origins, upstream) = origins(short);
        let error = error_of(&upstream, get("/")).await;
        assert_eq!(error.kind(), ErrorKind::OriginTimeout);
        let answer = upstream.fetch(get("/content")).await.expect("a head");
        let (content, error) = broken(answer).await;
        assert_eq!((content.as_slice(), error.kind()), (&b"hello"[..], ErrorKind::OriginTimeout));
    });
}

#[test]
fn a_try_that_takes_too_long_goes_on_elsewhere_within_the_total() {
    run(async {
        let silent = Raw::start(|mut peer| async move {
            peer.rest().await;
        })
        .await;
        let other = Raw::answering(HELLO).await;
        let mut short = settings([silent.server(), other.server()]);
        short.balance = Balance::RoundRobin;
        short.try_timeout = Duration::from_millis(50);
        let (_origins, upstream) = origins(short);
        assert_eq!(fetch_text(&upstream, get("/")).await, "hello");
        assert_eq!((silent.connections(), other.connections()), (1, 1));

        let mut short = settings([silent.server()]);
        short.total_timeout = Duration::from_millis(50);
        let (_origins, upstream) = origins(short);
        let began = forebay_signals::clock::now();
        let error = error_of(&upstream, get("/")).await;
        assert_eq!(error.kind(), ErrorKind::OriginTimeout);
        let took = forebay_signals::clock::now() - began;
        assert!(took < Duration::from_secs(4), "the try alone might last 5 s: {took:?}");
    });
}

/// Resets its first connection after reading a request, answers on the others.
async fn resets_first() -> Raw {
    Raw::start(|mut peer| async move {
        let number = peer.number;
        while peer.head().await.is_some() {
            if number == 0 {
                return peer.reset();
            }
            peer.write(HELLO).await;
        }
    })
    .await
}

#[test]
fn a_get_is_sent_again_and_a_post_is_not() {
    run(async {
        let raw = resets_first().await;
        let (_origins, upstream) = one(raw.server());
        assert_eq!(fetch_text(&upstream, get("/")).await, "hello");
        assert_eq!(upstream.view().retries, 1);

        let raw = resets_first().await;
        let (_origins, upstream) = one(raw.server());
        error_of(&upstream, post("order")).await;
        assert_eq!(raw.heads().len(), 1, "it was sent once");

        let raw = resets_first().await;
        let (_origins, upstream) = one(raw.server());
        let put = ask(Method::PUT, "/", Body::from("same again"));
        assert_eq!(fetch_text(&upstream, put).await, "hello", "its content is at hand");

        let raw = resets_first().await;
        let (_origins, upstream) = one(raw.server());
        let (feed, body) = pipe();
        feed.send(Ok(Frame::data(Bytes::from_static(b"x")))).await.expect("room");
        error_of(&upstream, ask(Method::PUT, "/", body)).await;
        assert_eq!(raw.heads().len(), 1, "its content is gone");
    });
}

#[test]
fn a_connection_that_closed_while_unused_costs_nothing() {
    run(async {
        let raw = Raw::start(|mut peer| async move {
            peer.head().await;
            peer.write(HELLO).await;
        })
        .await;
        let (_origins, upstream) = one(raw.server());
        for _ in 0..8 {
            assert_eq!(fetch_text(&upstream, get("/")).await, "hello");
        }
        let view = upstream.view();
        assert!(view.servers[0].is_healthy);
        assert_eq!(view.servers[0].failures, 0, "closing an unused connection is a server's right");
    });
}

#[test]
fn a_post_that_was_never_sent_is_sent_on_another_connection() {
    run(async {
        let (closed, mut is_closed) = tokio::sync::mpsc::channel(8);
        let raw = Raw::start(move |mut peer| {
            let closed = closed.clone();
            async move {
                peer.head().await;
                peer.write(HELLO).await;
                drop(peer);
                closed.send(()).await.ok();
            }
        })
        .await;
        let (_origins, upstream) = one(raw.server());
        for _ in 0..5 {
            assert_eq!(fetch_text(&upstream, post("order")).await, "hello");
            is_closed.recv().await.expect("it closes");
            // The closing has reached our side of the loopback by now; the connection's task sees it.
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
        }
        assert_eq!(raw.heads().len(), 5);
    });
}

#[test]
fn retries_stay_within_their_budget() {
    run(async {
        let raw = Raw::start(|mut peer| async move {
            peer.head().await;
            peer.reset();
        })
        .await;
        let mut doomed = settings([raw.server()]);
        doomed.breaker_failures = u32::MAX;
        let (_origins, upstream) = origins(doomed);
        for _ in 0..100 {
            error_of(&upstream, get("/")).await;
        }
        let sent = raw.heads().len();
        assert!((100..=120).contains(&sent), "100 requests, 10 saved, 10 %: {sent} sent");
        assert!(upstream.view().retries_refused > 0);
    });
}

#[test]
fn a_group_is_left_when_its_servers_cannot_be_reached() {
    run(async {
        let gone = Raw::start(|_| async {}).await;
        let dead = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let mut primary = gone.server();
        primary.address = forebay_edge::config::origin::Address::Tcp(
            "127.0.0.1".into(),
            dead.local_addr().expect("bound").port(),
        );
        drop(dead);
        let second = Raw::answering(HELLO).await;
        let mut standby = second.server();
        standby.group = 1;
        let (_origins, upstream) = origins(settings([primary, standby]));
        for _ in 0..20 {
            assert_eq!(fetch_text(&upstream, post("any method")).await, "hello");
        }
        let view = upstream.view();
        assert!(!view.servers[0].is_healthy, "its breaker is open: {view:?}");
        assert_eq!(view.retries, 5, "then it is no longer tried: {view:?}");
    });
}

#[test]
fn a_listed_status_moves_to_the_next_group_where_that_is_safe() {
    run(async {
        let busy = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\nbusy";
        let (primary, second) = (Raw::answering(busy).await, Raw::answering(HELLO).await);
        let mut standby = second.server();
        standby.group = 1;
        let mut settings = settings([primary.server(), standby]);
        settings.failover_statuses = vec![StatusCode::SERVICE_UNAVAILABLE];
        let (_origins, upstream) = origins(settings);
        assert_eq!(fetch_text(&upstream, get("/")).await, "hello");
        let refused = upstream.fetch(post("order")).await.expect("an answer");
        assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE, "a POST is not repeated");
        assert_eq!(text(refused).await, "busy");
    });
}

#[test]
fn a_breaker_opens_lets_one_through_and_closes() {
    run(async {
        let raw = Raw::start(|mut peer| async move {
            if peer.head().await.is_some_and(|head| head.starts_with("GET /bad")) {
                return peer.reset();
            }
            peer.write(HELLO).await;
            peer.rest().await;
        })
        .await;
        let mut settings = once(&raw);
        settings.breaker_failures = 3;
        settings.breaker_open_for = Duration::from_millis(50);
        let (_origins, upstream) = origins(settings);
        for _ in 0..3 {
            assert_eq!(error_of(&upstream, get("/bad")).await.kind(), ErrorKind::OriginProtocol);
        }
        assert_eq!(upstream.view().servers[0].breaker, "open");
        let error = error_of(&upstream, get("/good")).await;
        assert_eq!(error.kind(), ErrorKind::OriginUnavailable);
        assert_eq!(raw.heads().len(), 3, "nothing was asked");
        assert!(upstream.view().servers[0].last_error.is_some());
        until(|| upstream.view().servers[0].breaker == "half-open").await;
        assert_eq!(fetch_text(&upstream, get("/good")).await, "hello");
        assert_eq!(upstream.view().servers[0].breaker, "closed");
    });
}

#[test]
fn round_robin_and_weights_share_the_load() {
    run(async {
        let (one, two) = (Raw::answering(HELLO).await, Raw::answering(HELLO).await);
        let mut settings = settings([one.server(), two.server()]);
        settings.balance = Balance::RoundRobin;
        settings.servers[0].weight = 3;
        let (_origins, upstream) = origins(settings);
        for _ in 0..40 {
            fetch_text(&upstream, get("/")).await;
        }
        assert_eq!((one.heads().len(), two.heads().len()), (30, 10));
    });
}

#[test]
fn an_upload_that_breaks_off_resets_the_origin_before_the_message_is_whole() {
    run(async {
        let (seen, mut was_seen) = tokio::sync::mpsc::channel(1);
        let raw = Raw::start(move |mut peer| {
            let seen = seen.clone();
            async move {
                peer.head().await;
                seen.send(peer.rest().await).await.ok();
            }
        })
        .await;
        let (_origins, upstream) = one(raw.server());
        let (feed, body) = pipe();
        let fetch = tokio::spawn({
            let upstream = Arc::clone(&upstream);
            async move { upstream.fetch(ask(Method::POST, "/", body)).await }
        });
        feed.send(Ok(Frame::data(Bytes::from_static(b"half")))).await.expect("room");
        until(|| raw.heads().len() == 1).await;
        feed.send(Err(Error::new(ErrorKind::BadMessage, "bad chunk"))).await.expect("room");
        let error = fetch.await.expect("no panic").expect_err("the client broke it");
        assert_eq!((error.kind(), error.detail()), (ErrorKind::BadMessage, "bad chunk"));
        let content = was_seen.recv().await.expect("the origin read to the end");
        assert!(!content.contains("0\r\n\r\n"), "never completed: {content:?}");
        let view = upstream.view();
        assert_eq!((view.servers[0].idle_connections, view.servers[0].failures), (0, 0));
    });
}

#[test]
fn a_client_that_leaves_takes_its_request_with_it() {
    run(async {
        let (gone, mut is_gone) = tokio::sync::mpsc::channel(1);
        let raw = Raw::start(move |mut peer| {
            let gone = gone.clone();
            async move {
                peer.head().await;
                peer.rest().await;
                gone.send(()).await.ok();
            }
        })
        .await;
        let (_origins, upstream) = one(raw.server());
        let fetch = tokio::spawn({
            let upstream = Arc::clone(&upstream);
            async move { upstream.fetch(get("/")).await }
        });
        until(|| raw.heads().len() == 1).await;
        fetch.abort();
        is_gone.recv().await.expect("the origin sees it");
        assert_eq!(upstream.view().in_flight, 0);
    });
}
