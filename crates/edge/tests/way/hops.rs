//! What is said to one hop, and what is said to the end.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{always, request, with_world};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

#[test]
fn an_options_goes_as_far_as_it_says() {
    with_world(
        always(OK),
        |_| {},
        |world| async move {
            let text = world.ask(&request("OPTIONS", "/a", "Max-Forwards: 0\r\n")).await;
            assert!(text.starts_with("HTTP/1.1 204 "), "{text}");
            assert_eq!(world.asked(), 0);
            world.ask(&request("OPTIONS", "/a", "Max-Forwards: 7\r\n")).await;
            assert!(world.last_head().contains("max-forwards: 6\r\n"), "{}", world.last_head());
            world.ask(&request("OPTIONS", "/a", "Max-Forwards: -1\r\n")).await;
            assert!(world.last_head().contains("max-forwards: -1\r\n"), "{}", world.last_head());
            world.ask(&request("POST", "/a", "Max-Forwards: 0\r\nContent-Length: 0\r\n")).await;
            assert_eq!(world.asked(), 3, "it speaks of OPTIONS and TRACE alone");
        },
    );
}

#[test]
fn one_of_several_protocols_is_switched_to() {
    let switches = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n\
                    Upgrade: websocket\r\n\r\n";
    with_world(
        always(switches),
        |_| {},
        |world| async move {
            let mut stream =
                TcpStream::connect(("127.0.0.1", world.port)).await.expect("it listens");
            let ask = "GET /a HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: foo, WebSocket\r\n\r\n";
            stream.write_all(ask.as_bytes()).await.expect("written");
            let mut seen = Vec::new();
            while !seen.ends_with(b"\r\n\r\n") {
                assert_ne!(stream.read_buf(&mut seen).await.expect("readable"), 0, "it ended");
            }
            let text = String::from_utf8_lossy(&seen);
            assert!(
                text.starts_with("HTTP/1.1 101 ") && text.contains("upgrade: websocket"),
                "{text}"
            );
            assert!(
                world.last_head().contains("upgrade: foo, WebSocket\r\n"),
                "{}",
                world.last_head()
            );
        },
    );
}

#[test]
fn trailers_that_are_announced_reach_the_origin() {
    with_world(
        always(OK),
        |_| {},
        |world| async move {
            let head = request("POST", "/a", "Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n");
            let text = world
                .ask(&format!("{head}5\r\nhello\r\n0\r\nX-Sum: 1\r\nX-Other: 2\r\n\r\n"))
                .await;
            assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
            let message = world.last_head();
            assert!(message.contains("trailer: X-Sum\r\n"), "{message}");
            assert!(message.ends_with("0\r\nx-sum: 1\r\n\r\n"), "{message}");
            world.ask(&request("GET", "/a", "Trailer: X-Sum\r\n")).await;
            assert!(!world.last_head().contains("trailer"), "{}", world.last_head());
        },
    );
}
