//! The PROXY protocol on real sockets: who must send a header, who may not, and whose the requests then are.

mod listening;

use std::sync::Arc;
use std::time::Duration;

use forebay_edge::config::admit::Admit;
use forebay_edge::config::listen::{Listen, Listener, Place, Protocol};
use forebay_edge::exchange::{Answer, Body, Exchange};
use forebay_edge::listen::{Entrance, run, self_signed};
use forebay_signals::clock;
use forebay_signals::drain::Drain;
use listening::frames::{self, Wire};
use listening::{Server, listen, listen_tls, read_all, trusting, until, with_server};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

const V1: &[u8] = b"PROXY TCP4 203.0.113.7 198.51.100.1 56324 443\r\n";
const LAST_GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n";

/// Version 2 for `2001:db8::7`, with a TLV behind the addresses.
fn v2() -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x21\x00\x2c".to_vec();
    header.extend([0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]);
    header.extend([0; 16]);
    header.extend([0xdc, 0x04, 0x01, 0xbb]);
    header.extend(b"\x02\x00\x05other");
    header
}

const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00";

/// Whose the request is, by what the rooms behind see.
async fn whose(exchange: Exchange) -> Answer {
    let client = exchange.client;
    let peer = client.peer.map_or("unix".to_owned(), |peer| peer.to_string());
    Answer::new(Body::from(format!("{} by {peer} {}", client.address, client.scheme.as_str())))
}

fn from_balancers(listen: Listen, balancers: &[&str]) -> Listen {
    let proxy_protocol = balancers.iter().map(|b| b.parse().expect("a network")).collect();
    Listen { proxy_protocol, ..listen }
}

async fn connect(server: &Server) -> TcpStream {
    TcpStream::connect(server.address).await.expect("the server listens")
}

async fn said<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, pieces: &[&[u8]]) -> String {
    for piece in pieces {
        // It may be closed on while it still speaks.
        drop(stream.write_all(piece).await);
    }
    read_all(&mut stream).await
}

#[test]
fn both_versions_say_whose_requests_are_before_http1() {
    let settings = from_balancers(listen(Protocol::Plain), &["127.0.0.0/8"]);
    with_server(&settings, &Admit::default(), whose, |server| async move {
        let answer = said(connect(&server).await, &[V1, LAST_GET]).await;
        assert!(answer.ends_with("203.0.113.7 by 203.0.113.7:56324 http"), "{answer}");
        let together = [&v2()[..], LAST_GET].concat();
        let answer = said(connect(&server).await, &[&together]).await;
        assert!(answer.ends_with("2001:db8::7 by [2001:db8::7]:56324 http"), "{answer}");
        let bytes: Vec<&[u8]> = together.chunks(1).collect();
        let answer = said(connect(&server).await, &bytes).await;
        assert!(answer.ends_with("2001:db8::7 by [2001:db8::7]:56324 http"), "{answer}");
        for own in [LOCAL, b"PROXY UNKNOWN\r\n"] {
            let answer = said(connect(&server).await, &[own, LAST_GET]).await;
            assert!(answer.contains("127.0.0.1 by 127.0.0.1:"), "{answer}");
        }
        assert_eq!(server.entrance.counters().unintroduced.value(), 0);
    });
}

#[test]
fn it_stands_before_http2() {
    let settings = from_balancers(listen(Protocol::Plain), &["127.0.0.1"]);
    with_server(&settings, &Admit::default(), whose, |server| async move {
        let mut wire = Wire::connect_after(server.address, V1).await;
        wire.send(&frames::get(1, "/")).await.expect("written");
        let frame = wire.wait_for(&[frames::DATA]).await.expect("an answer");
        assert_eq!(frame.payload, b"203.0.113.7 by 203.0.113.7:56324 http");
    });
}

#[test]
fn it_stands_before_tls_even_in_one_packet_with_the_handshake() {
    let certificate = self_signed(["a.example"]).expect("made");
    let connector = trusting(&[&certificate], rustls::DEFAULT_VERSIONS, &[]);
    let settings = from_balancers(listen_tls(certificate), &["127.0.0.1"]);
    with_server(&settings, &Admit::default(), whose, |server| async move {
        let name = || ServerName::try_from("a.example").expect("a name");
        let mut stream = connect(&server).await;
        stream.write_all(&v2()).await.expect("written");
        let tls = connector.connect(name(), stream).await.expect("a handshake");
        let answer = said(tls, &[LAST_GET]).await;
        assert!(answer.ends_with("2001:db8::7 by [2001:db8::7]:56324 https"), "{answer}");

        // The header and the whole hello at once.
        let (near, mut far) = tokio::io::duplex(64 * 1024);
        let stream = connect(&server).await;
        let relay = async move {
            let mut hello = v2();
            while hello.len() < v2().len() + 5 {
                tokio::io::AsyncReadExt::read_buf(&mut far, &mut hello).await.expect("a hello");
            }
            let mut stream = stream;
            stream.write_all(&hello).await.expect("written");
            drop(tokio::io::copy_bidirectional(&mut stream, &mut far).await);
        };
        let ask = async {
            let tls = connector.connect(name(), near).await.expect("a handshake");
            said(tls, &[LAST_GET]).await
        };
        let (answer, ()) = tokio::join!(ask, relay);
        assert!(answer.ends_with("2001:db8::7 by [2001:db8::7]:56324 https"), "{answer}");
    });
}

#[test]
fn who_must_send_one_and_does_not_is_closed() {
    let settings = from_balancers(listen(Protocol::Plain), &["127.0.0.1"]);
    let settings = Listen { head_timeout: Duration::from_millis(200), ..settings };
    with_server(&settings, &Admit::default(), whose, |server| async move {
        let wrong: [&[u8]; 6] = [
            LAST_GET,
            b"",
            b"PROXY TCP4 203.0.113.7",
            b"PROXY TCP4 203.0.113.7 198.51.100.1 56324 443\n",
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff",
            b"\x16\x03\x01\x02\x00",
        ];
        for begin in wrong {
            assert_eq!(said(connect(&server).await, &[begin]).await, "", "{begin:?}");
        }
        let counters = server.entrance.counters();
        until("all are counted", || counters.unintroduced.value() == wrong.len() as u64).await;
        until("all are gone", || counters.open.value() == 0).await;
    });
}

#[test]
fn nobody_else_may_send_one() {
    let settings = from_balancers(listen(Protocol::Plain), &["192.0.2.0/24", "unix"]);
    with_server(&settings, &Admit::default(), whose, |server| async move {
        for header in [V1, &v2(), LOCAL] {
            let answer = said(connect(&server).await, &[header, LAST_GET]).await;
            assert!(answer.starts_with("HTTP/1.1 400 "), "{header:?}: {answer}");
            assert!(!answer.contains("203.0.113.7"), "{answer}");
        }
        let answer = said(connect(&server).await, &[LAST_GET]).await;
        assert!(answer.contains("127.0.0.1 by 127.0.0.1:"), "{answer}");
    });
}

#[test]
fn caps_count_the_client_and_not_its_balancer() {
    let settings = from_balancers(listen(Protocol::Plain), &["127.0.0.1"]);
    let admit = Admit { max_connections_per_address: 2, ..Admit::default() };
    with_server(&settings, &admit, whose, |server| async move {
        let counters = Arc::clone(server.entrance.counters());
        let mut open = Vec::new();
        for address in ["203.0.113.7", "203.0.113.7", "203.0.113.8"] {
            let mut stream = connect(&server).await;
            let header = format!("PROXY TCP4 {address} 198.51.100.1 1 443\r\n");
            stream.write_all(header.as_bytes()).await.expect("written");
            stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("written");
            listening::read_until(&mut stream, " http").await;
            open.push(stream);
        }
        assert_eq!(said(connect(&server).await, &[V1, LAST_GET]).await, "");
        assert_eq!(counters.refused.value(), 1);
        open.remove(0);
        until("the place is free", || counters.open.value() == 2).await;
        let answer = said(connect(&server).await, &[V1, LAST_GET]).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    });
}

#[test]
fn a_unix_socket_may_be_a_balancers_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("edge.sock");
    let listener = Listener { place: Place::Unix(path.clone()), protocol: Protocol::Plain };
    let settings = Listen { listeners: vec![listener], ..Listen::default() };
    let settings = from_balancers(settings, &["unix"]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime starts").block_on(async {
        let opened = Entrance::open(&settings, &Admit::default(), 1).expect("it opens");
        let drain = Drain::default();
        let core = tokio::spawn(run(0, Arc::new(opened), whose, drain.clone()));
        let test = async {
            let stream = UnixStream::connect(&path).await.expect("it listens");
            let answer = said(stream, &[V1, LAST_GET]).await;
            assert!(answer.ends_with("203.0.113.7 by 203.0.113.7:56324 http"), "{answer}");
            let stream = UnixStream::connect(&path).await.expect("it listens");
            assert_eq!(said(stream, &[LAST_GET]).await, "");
        };
        clock::timeout(Duration::from_secs(20), test).await.expect("in time");
        drain.begin();
        core.await.expect("the core ends");
    });
}
