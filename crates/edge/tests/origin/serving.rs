//! Origins that behave: connections used again, protocols, streaming, limits, reloads.

use std::sync::Arc;
use std::time::Duration;

use super::support::{
    Raw, ask, fetch_text, get, one, origins, pipe, read_head, run, settings, text, until,
};
use bytes::Bytes;
use forebay_edge::ErrorKind;
use forebay_edge::config::origin::{Address, Origin, Probe, Server};
use forebay_edge::exchange::Body;
use forebay_edge::origin::{BadOrigin, Origins};
use forebay_signals::clock;
use forebay_signals::drain::Drain;
use http::{HeaderValue, Method, StatusCode};
use http_body::Frame;
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

const HELLO: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

#[test]
fn a_connection_is_used_again_after_its_answer_was_read() {
    run(async {
        let raw = Raw::start(|mut peer| async move {
            while let Some(head) = peer.head().await {
                let answer = if head.starts_with("GET /chunked") {
                    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
                } else if head.starts_with("GET /none") {
                    "HTTP/1.1 204 No Content\r\n\r\n"
                } else {
                    HELLO
                };
                peer.write(answer).await;
            }
        })
        .await;
        let (_origins, upstream) = one(raw.server());
        for (path, expected) in
            [("/", "hello"), ("/chunked", "hello"), ("/none", ""), ("/", "hello")]
        {
            assert_eq!(fetch_text(&upstream, get(path)).await, expected, "{path}");
        }
        assert_eq!(raw.connections(), 1);
        let view = upstream.view();
        assert_eq!((view.connections_opened, view.connections_reused), (1, 3));
        assert_eq!((view.in_flight, view.servers[0].in_flight), (0, 0));
    });
}

#[test]
fn an_answer_that_is_left_closes_its_connection_and_is_no_longer_in_flight() {
    run(async {
        let raw = Raw::start(|mut peer| async move {
            while peer.head().await.is_some() {
                peer.write("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf.").await;
            }
        })
        .await;
        let (_origins, upstream) = one(raw.server());
        let answer = upstream.fetch(get("/")).await.expect("an answer");
        assert_eq!(upstream.view().in_flight, 1, "content is still to come");
        drop(answer);
        assert_eq!(upstream.view().in_flight, 0);
        drop(upstream.fetch(get("/")).await.expect("an answer"));
        assert_eq!(raw.connections(), 2);
    });
}

#[test]
fn a_request_is_written_with_framing_and_host_of_ours() {
    run(async {
        let raw = Raw::answering(HELLO).await;
        let (_origins, upstream) = one(raw.server());
        let mut with_length = get("/a?b=c");
        with_length.fields.insert("content-length", HeaderValue::from_static("99"));
        with_length.fields.insert("x-mine", HeaderValue::from_static("kept"));
        fetch_text(&upstream, with_length).await;
        fetch_text(&upstream, ask(Method::POST, "/", Body::Empty)).await;
        let heads = raw.heads();
        assert!(heads[0].starts_with("GET /a?b=c HTTP/1.1\r\n"), "{heads:?}");
        assert!(heads[0].contains("host: shop.example\r\n") && heads[0].contains("x-mine: kept"));
        assert!(!heads[0].contains("content-length"), "a GET without content: {heads:?}");
        assert!(heads[1].contains("content-length: 0\r\n"), "{heads:?}");

        let mut other = settings([raw.server()]);
        other.host = Some("inside.example".into());
        let (_origins, upstream) = origins(other);
        fetch_text(&upstream, get("/")).await;
        assert!(raw.heads()[2].contains("host: inside.example\r\n"));
    });
}

#[test]
fn content_of_a_get_is_sent_chunked_when_its_length_is_unknown() {
    run(async {
        let raw = Raw::start(|mut peer| async move {
            let head = peer.head().await.expect("a request");
            assert!(head.contains("transfer-encoding: chunked"), "{head}");
            let mut content = [0; 10];
            peer.stream.read_exact(&mut content).await.expect("content");
            assert_eq!(&content, b"2\r\nhi\r\n0\r\n");
            peer.write(HELLO).await;
        })
        .await;
        let (_origins, upstream) = one(raw.server());
        let (feed, body) = pipe();
        feed.send(Ok(Frame::data(Bytes::from_static(b"hi")))).await.expect("room");
        drop(feed);
        assert_eq!(fetch_text(&upstream, ask(Method::GET, "/", body)).await, "hello");
    });
}

#[test]
fn answers_stream_while_they_are_written_and_keep_their_trailers() {
    run(async {
        let (go, mut gate) = tokio::sync::mpsc::channel::<()>(1);
        let (peers, mut connected) = tokio::sync::mpsc::channel(1);
        let raw = Raw::start(move |mut peer| {
            let peers = peers.clone();
            async move {
                peer.head().await;
                peer.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n3\r\none\r\n").await;
                peers.send(peer).await.ok();
            }
        })
        .await;
        tokio::spawn(async move {
            let mut peer = connected.recv().await.expect("a connection");
            gate.recv().await;
            peer.write("3\r\ntwo\r\n0\r\nx-sum: 6\r\ncontent-length: 9\r\n\r\n").await;
            peer.rest().await;
        });
        let (_origins, upstream) = one(raw.server());
        let mut answer = upstream.fetch(get("/")).await.expect("an answer");
        let first = answer.body.frame().await.expect("a frame").expect("data");
        assert_eq!(first.into_data().expect("data"), "one");
        go.send(()).await.expect("the origin waits");
        let rest = answer.body.collect().await.expect("whole");
        let trailers = rest.trailers().cloned().expect("trailers");
        assert_eq!(rest.to_bytes(), "two");
        assert_eq!(trailers["x-sum"], "6");
        assert!(!trailers.contains_key("content-length"));
        until(|| upstream.view().servers[0].idle_connections == 1).await;
    });
}

#[test]
fn an_answer_may_come_before_the_request_is_whole() {
    run(async {
        let raw = Raw::start(|mut peer| async move {
            peer.head().await;
            peer.write("HTTP/1.1 413 Content Too Large\r\ncontent-length: 2\r\n\r\nno").await;
            peer.rest().await;
        })
        .await;
        let (_origins, upstream) = one(raw.server());
        let (feed, body) = pipe();
        let answer = upstream.fetch(ask(Method::POST, "/", body)).await.expect("an answer");
        assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(text(answer).await, "no");
        feed.closed().await;
        assert_eq!(upstream.view().servers[0].idle_connections, 0, "half a request was sent on it");
    });
}

#[test]
fn an_upgrade_becomes_a_tunnel() {
    run(async {
        let raw = Raw::start(|mut peer| async move {
            let head = peer.head().await.expect("a request");
            assert!(head.contains("connection: upgrade\r\n") && head.contains("upgrade: websocket"));
            peer.write("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: WebSocket\r\nsec-websocket-accept: x\r\n\r\nhi").await;
            let mut word = [0; 4];
            peer.stream.read_exact(&mut word).await.expect("tunnelled");
            peer.stream.write_all(&word).await.expect("tunnelled");
        })
        .await;
        let (_origins, upstream) = one(raw.server());
        let mut wish = get("/cable");
        wish.upgrade = Some(HeaderValue::from_static("websocket"));
        let answer = upstream.fetch(wish).await.expect("an answer");
        assert_eq!(answer.status, StatusCode::SWITCHING_PROTOCOLS);
        assert_eq!(answer.fields["upgrade"], "WebSocket");
        assert_eq!(answer.fields["sec-websocket-accept"], "x");
        assert_eq!(upstream.view().in_flight, 0, "a tunnel is not a request in flight");
        let mut tunnel = answer.upgrade.expect("a tunnel");
        tunnel.write_all(b"ping").await.expect("open");
        let mut echo = [0; 6];
        tunnel.read_exact(&mut echo).await.expect("open");
        assert_eq!(&echo, b"hiping");
    });
}

#[test]
fn a_switch_that_nobody_asked_for_is_refused() {
    run(async {
        let raw = Raw::answering(
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n",
        )
        .await;
        let (_origins, upstream) = one(raw.server());
        let error = upstream.fetch(get("/")).await.expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::OriginProtocol);
    });
}

#[test]
fn a_unix_socket_is_an_origin_too() {
    run(async {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("app.sock");
        let listener = UnixListener::bind(&path).expect("a socket");
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a client");
            read_head(&mut stream).await.expect("a request");
            stream.write_all(HELLO.as_bytes()).await.expect("open");
        });
        let (_origins, upstream) = one(Server::plain(Address::Unix(path)));
        assert_eq!(fetch_text(&upstream, get("/")).await, "hello");
    });
}

#[test]
fn more_than_the_limit_in_flight_is_refused_at_once() {
    run(async {
        let raw = Raw::answering("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhel").await;
        let mut limited = settings([raw.server()]);
        limited.max_in_flight = 1;
        let (_origins, upstream) = origins(limited);
        let held = upstream.fetch(get("/")).await.expect("an answer");
        assert!(upstream.is_saturated());
        let error = upstream.fetch(get("/")).await.expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Saturated);
        drop(held);
        assert!(!upstream.is_saturated());
        upstream.fetch(get("/")).await.expect("room again");
    });
}

#[test]
fn a_reload_keeps_connections_and_counts_of_servers_that_stay() {
    run(async {
        let (stays, goes) = (Raw::answering(HELLO).await, Raw::answering(HELLO).await);
        let before = Arc::new(settings([stays.server(), goes.server()]));
        let old = Origins::new(&[before], None, &super::support::journal()).expect("good");
        let upstream = old.find("app").expect("there");
        until_used(&upstream, &[&stays, &goes]).await;
        let mut after = settings([stays.server()]);
        after.servers[0].weight = 7;
        let new =
            Origins::new(&[Arc::new(after)], Some(&old), &super::support::journal()).expect("good");
        let upstream = new.find("app").expect("there");
        drop(old);
        let requests = upstream.view().requests;
        let connections = stays.connections();
        assert_eq!(fetch_text(&upstream, get("/after")).await, "hello");
        assert_eq!(stays.connections(), connections, "no new connection");
        assert_eq!(upstream.view().requests, requests + 1);
    });
}

async fn until_used(upstream: &Arc<forebay_edge::origin::Upstream>, servers: &[&Raw]) {
    while servers.iter().any(|raw| raw.connections() == 0) {
        fetch_text(upstream, get("/")).await;
    }
}

#[test]
fn a_name_must_resolve_at_the_start_and_is_kept_when_it_goes_away() {
    run(async {
        let bad = Server::plain(Address::Tcp("no-such-host.invalid".into(), 80));
        let (origins, upstream) = one(bad);
        let error = origins.resolve_now().await.expect_err("it does not exist");
        assert!(
            matches!(&error, BadOrigin::Unresolved { server, .. } if server == "no-such-host.invalid:80")
        );
        let error = upstream.fetch(get("/")).await.expect_err("nor later");
        assert_eq!(error.kind(), ErrorKind::OriginUnreachable);

        let raw = Raw::answering(HELLO).await;
        let (origins, upstream) =
            one(Server::plain(Address::Tcp("localhost".into(), raw.address.port())));
        origins.resolve_now().await.expect("localhost is known everywhere");
        assert_eq!(
            fetch_text(&upstream, get("/")).await,
            "hello",
            "::1 refuses, 127.0.0.1 answers"
        );
        assert!(!upstream.view().servers[0].resolved.is_empty());
    });
}

#[test]
fn unused_connections_are_closed_after_their_time() {
    run(async {
        let raw = Raw::answering(HELLO).await;
        let mut short = settings([raw.server()]);
        short.pool_idle_timeout = Duration::from_millis(30);
        let (origins, upstream) = origins(short);
        origins.spawn_probes(&Drain::default());
        fetch_text(&upstream, get("/")).await;
        assert_eq!(upstream.view().servers[0].idle_connections, 1);
        until(|| upstream.view().servers[0].idle_connections == 0).await;
    });
}

#[test]
fn probes_take_a_sick_server_out_and_bring_it_back() {
    run(async {
        let is_sick = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let says = Arc::clone(&is_sick);
        let raw = Raw::start(move |mut peer| {
            let says = Arc::clone(&says);
            async move {
                while let Some(head) = peer.head().await {
                    let sick = says.load(std::sync::atomic::Ordering::Relaxed);
                    if sick && head.starts_with("GET /up") {
                        peer.write("HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n").await;
                    } else {
                        peer.write(HELLO).await;
                    }
                }
            }
        })
        .await;
        let other = Raw::answering("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nother").await;
        let mut probed: Origin = settings([raw.server(), other.server()]);
        probed.servers[1].group = 1;
        probed.probe = Some(Probe {
            path: "/up".into(),
            interval: Duration::from_millis(10),
            timeout: Duration::from_secs(5),
            rises_after: 2,
            falls_after: 2,
        });
        let (origins, upstream) = origins(probed);
        origins.spawn_probes(&Drain::default());
        assert_eq!(fetch_text(&upstream, get("/")).await, "hello");
        is_sick.store(true, std::sync::atomic::Ordering::Relaxed);
        until(|| !upstream.view().servers[0].is_healthy).await;
        assert_eq!(fetch_text(&upstream, get("/")).await, "other", "the second group takes over");
        is_sick.store(false, std::sync::atomic::Ordering::Relaxed);
        until(|| upstream.view().servers[0].is_healthy).await;
        assert_eq!(fetch_text(&upstream, get("/")).await, "hello");
        let began = clock::now();
        origins.retire();
        assert!(clock::now() - began < Duration::from_secs(1), "retiring does not wait");
    });
}
