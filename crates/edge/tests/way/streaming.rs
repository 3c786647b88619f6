//! Answers that stream through the whole edge: events arrive one by one, and a client that reads slowly
//! stops the origin.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use forebay_edge::config::Config;
use forebay_edge::config::origin::{Address, Origin, Server};
use forebay_signals::clock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;

use super::support::{always, request, with_world};

/// An origin of the test's own, in place of the one that the world brings.
struct Own {
    listener: std::net::TcpListener,
    address: SocketAddr,
}

impl Own {
    fn bind() -> Own {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a socket of ours");
        let address = listener.local_addr().expect("bound");
        Own { listener, address }
    }

    fn of_world(&self) -> impl FnOnce(&mut Config) + use<> {
        let server = Server::plain(Address::Tcp("127.0.0.1".into(), self.address.port()));
        move |config| config.origins = vec![Arc::new(Origin::new("app", vec![server]))]
    }

    fn listen(self) -> TcpListener {
        TcpListener::from_std(self.listener).expect("within a runtime")
    }
}

/// The next request of a connection is read to the end of its head.
async fn accept(listener: &TcpListener) -> TcpStream {
    let (mut stream, _) = listener.accept().await.expect("the edge connects");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        assert!(stream.read_buf(&mut head).await.expect("readable") > 0, "it closed: {head:?}");
    }
    stream
}

async fn connect(port: u16, message: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(CLIENT_HOLDS).expect("a buffer of this size");
    let edge = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    let mut stream = socket.connect(edge).await.expect("the edge listens");
    stream.write_all(message.as_bytes()).await.expect("written");
    stream
}

/// Reads until `end` has come.
async fn until(stream: &mut TcpStream, seen: &mut Vec<u8>, end: &str) {
    while !String::from_utf8_lossy(seen).contains(end) {
        let count = stream.read_buf(seen).await.expect("readable");
        assert!(count > 0, "it ended before {end:?}: {}", String::from_utf8_lossy(seen));
    }
}

#[test]
fn events_reach_the_client_one_by_one() {
    let own = Own::bind();
    with_world(always(""), own.of_world(), |world| async move {
        let listener = own.listen();
        let (tell, mut told) = mpsc::channel::<&'static str>(1);
        let origin = tokio::spawn(async move {
            let mut stream = accept(&listener).await;
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
                        Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n";
            stream.write_all(head.as_bytes()).await.expect("written");
            while let Some(event) = told.recv().await {
                let chunk = format!("{:x}\r\n{event}\r\n", event.len());
                stream.write_all(chunk.as_bytes()).await.expect("written");
            }
            stream.write_all(b"0\r\n\r\n").await.expect("written");
        });
        let accepts = "Accept: text/event-stream\r\nAccept-Encoding: gzip, br, zstd\r\n";
        let mut client = connect(world.port, &request("GET", "/events", accepts)).await;
        let mut seen = Vec::new();
        // The head comes before any event does.
        until(&mut client, &mut seen, "\r\n\r\n").await;
        for event in ["data: one\n\n", "data: two\n\n", "data: three\n\n"] {
            // The next one is not sent before this one is here: nothing may be held back.
            tell.send(event).await.expect("the origin waits");
            until(&mut client, &mut seen, event).await;
        }
        drop(tell);
        client.read_to_end(&mut seen).await.expect("an end");
        assert!(seen.ends_with(b"0\r\n\r\n"), "{}", String::from_utf8_lossy(&seen));
        origin.await.expect("no panic");
    });
}

/// What the client's socket takes; the kernel lets others grow to more than all else here.
const CLIENT_HOLDS: u32 = 256 << 10;
/// What sockets and the edge hold between them at most: 32 MiB that wait to be received by the edge, twice 4 MiB
/// to be sent, and what is on its way inside. The answer is several times as large.
const HELD: usize = 48 << 20;
const WHOLE: usize = 160 << 20;

/// Bytes repeat after this many, which is no size of any buffer.
const PERIOD: usize = 251;

/// So many bytes of the answer, beginning at this place.
fn content(place: usize, count: usize) -> Vec<u8> {
    let begin = place % PERIOD;
    let period: Vec<u8> = (0..=250).collect();
    period.repeat((begin + count) / PERIOD + 1)[begin..begin + count].to_vec()
}

/// Writes the answer; counts what the edge has taken.
async fn send_whole(
    mut stream: TcpStream,
    framing: &str,
    sent: &AtomicUsize,
) -> std::io::Result<()> {
    let head = format!("HTTP/1.1 200 OK\r\nCache-Control: no-store\r\n{framing}\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    let piece = content(0, PERIOD * 256);
    let is_chunked = framing.starts_with("Transfer");
    while sent.load(Ordering::SeqCst) < WHOLE {
        let left = WHOLE - sent.load(Ordering::SeqCst);
        let part = &piece[..piece.len().min(left)];
        if is_chunked {
            stream.write_all(format!("{:x}\r\n", part.len()).as_bytes()).await?;
        }
        stream.write_all(part).await?;
        if is_chunked {
            stream.write_all(b"\r\n").await?;
        }
        sent.fetch_add(part.len(), Ordering::SeqCst);
    }
    if is_chunked { stream.write_all(b"0\r\n\r\n").await } else { Ok(()) }
}

/// Waits until nothing more is taken for a while.
async fn standstill(sent: &AtomicUsize) -> usize {
    let mut before = 0;
    loop {
        clock::sleep(Duration::from_millis(250)).await;
        let now = sent.load(Ordering::SeqCst);
        if now > 0 && now == before {
            return now;
        }
        before = now;
    }
}

fn a_client_that_does_not_read_stops_the_origin(message: String, framing: String) {
    let own = Own::bind();
    with_world(always(""), own.of_world(), |world| async move {
        let listener = own.listen();
        let sent = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&sent);
        let origin = tokio::spawn(async move {
            let stream = accept(&listener).await;
            send_whole(stream, &framing, &counted).await.expect("the edge reads on");
        });
        // HTTP/1.0: content ends with the connection, whatever the framing behind the edge.
        let message = message.replace("HTTP/1.1", "HTTP/1.0");
        let mut client = connect(world.port, &message).await;
        let taken = standstill(&sent).await;
        assert!(taken < HELD, "the edge took {taken} bytes for a client that reads nothing");
        let mut seen = Vec::new();
        until(&mut client, &mut seen, "\r\n\r\n").await;
        let head = String::from_utf8_lossy(&seen).split("\r\n\r\n").next().map_or(0, str::len) + 4;
        let mut place = seen.len() - head;
        assert!(seen[head..] == content(0, place));
        // Having read a part, it stops once more: so does the origin.
        let mut piece = vec![0; 1 << 20];
        let mut read = async |until: usize, place: &mut usize| {
            while *place < until {
                let count = client.read(&mut piece).await.expect("readable");
                assert!(count > 0, "it ended after {place} bytes");
                assert!(piece[..count] == content(*place, count), "wrong behind {place}");
                *place += count;
            }
        };
        read(HELD, &mut place).await;
        let taken = standstill(&sent).await;
        assert!(taken < place + HELD, "{taken} bytes for a client that has read {place}");
        assert!(taken < WHOLE);
        read(WHOLE, &mut place).await;
        assert_eq!(place, WHOLE);
        origin.await.expect("no panic");
    });
}

#[test]
fn a_client_that_does_not_read_stops_the_origin_of_a_pass() {
    let post = request("POST", "/a", "Content-Length: 0\r\n");
    a_client_that_does_not_read_stops_the_origin(post, format!("Content-Length: {WHOLE}"));
}

#[test]
fn a_client_that_does_not_read_stops_the_origin_of_a_fill() {
    let get = request("GET", "/a", "");
    a_client_that_does_not_read_stops_the_origin(get, "Transfer-Encoding: chunked".into());
}
