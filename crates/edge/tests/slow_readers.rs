//! Clients that read slowly, or not at all, on real sockets whose buffers the kernel manages.

mod listening;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use forebay_edge::config::admit::Admit;
use forebay_edge::config::listen::{Certificate, Listen, Protocol};
use forebay_edge::exchange::{Answer, Body, Exchange, Seat, Twin};
use forebay_edge::listen::self_signed;
use forebay_signals::clock;
use listening::frames::{self, PREFACE, SETTINGS, WINDOW_UPDATE};
use listening::{Server, listen, listen_tls, trusting, until, with_server};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio_rustls::TlsConnector;

/// Longer than all buffers between server and client together.
const LENGTH: usize = 16_000_000;
/// Time without progress after which a client is closed on.
const LIMIT: Duration = Duration::from_millis(800);
/// A slow client reads so much at once, so often: a third of the kernel's buffer, which is what the
/// kernel waits for before it says that there is room, takes it far longer than the limit.
const LITTLE: usize = 2_048;
const OFTEN: Duration = Duration::from_millis(40);

trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Io for S {}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    Http1,
    Http2,
}

/// Content that is copied to every client.
async fn large(_: Exchange) -> Answer {
    Answer::new(Body::from(Bytes::from(vec![b'x'; LENGTH])))
}

/// Content that the kernel sends to those who ask in clear and by HTTP/1.
async fn large_with_twin(_: Exchange) -> Answer {
    let content = Bytes::from(vec![b'x'; LENGTH]);
    let seat = Seat::take(&Arc::default(), 1).expect("it is free");
    let twin = Arc::new(Twin::write(content.clone(), seat).expect("Linux has memory files"));
    let mut answer = Answer::new(Body::from(content));
    answer.twin = twin.lend();
    answer
}

/// Connects with small buffers, and asks.
async fn ask(server: &Server, certificate: Option<&Certificate>, version: Version) -> Box<dyn Io> {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(8 * 1024).expect("it is small");
    let socket = socket.connect(server.address).await.expect("the server listens");
    let mut io: Box<dyn Io> = match certificate {
        None => Box::new(socket),
        Some(certificate) => {
            let name = ServerName::try_from("a.example").expect("a name");
            let connector = connector(certificate, version);
            Box::new(connector.connect(name, socket).await.expect("trusted"))
        }
    };
    let asked = match version {
        Version::Http1 => b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n".to_vec(),
        Version::Http2 => [
            PREFACE,
            &frames::frame(SETTINGS, 0, 0, &[0, 4, 0x7f, 0, 0, 0]),
            &frames::frame(WINDOW_UPDATE, 0, 0, &[0x70, 0, 0, 0]),
            &frames::get(1, "/"),
        ]
        .concat(),
    };
    io.write_all(&asked).await.expect("written");
    io.flush().await.expect("written");
    io
}

fn connector(certificate: &Certificate, version: Version) -> TlsConnector {
    let protocols: &[&str] = match version {
        Version::Http1 => &[],
        Version::Http2 => &["h2"],
    };
    trusting(&[certificate], rustls::DEFAULT_VERSIONS, protocols)
}

/// Runs `test` for both protocols, with and without TLS, and with a twin.
fn each_way<F: Future<Output = ()>>(test: impl Fn(Server, Box<dyn Io>) -> F) {
    let certificate = self_signed(["a.example"]).expect("made");
    for is_secret in [false, true] {
        for version in [Version::Http1, Version::Http2] {
            let settings =
                if is_secret { listen_tls(certificate.clone()) } else { listen(Protocol::Plain) };
            let settings = Listen { blocked_write_timeout: LIMIT, ..settings };
            let certificate = is_secret.then_some(&certificate);
            let test = async |server: Server| {
                let io = ask(&server, certificate, version).await;
                test(server, io).await;
            };
            with_server(&settings, &Admit::default(), large, test);
            if !is_secret && version == Version::Http1 {
                with_server(&settings, &Admit::default(), large_with_twin, test);
            }
        }
    }
}

#[test]
fn who_reads_slowly_gets_all() {
    each_way(|_, mut io| async move {
        let (mut received, mut buffer) = (0, vec![0; LITTLE]);
        let end = clock::now() + 3 * LIMIT;
        while clock::now() < end {
            clock::sleep(OFTEN).await;
            let read = io.read(&mut buffer).await.expect("it is still there");
            assert!(read > 0, "closed after {received} bytes");
            received += read;
        }
        let slowly = received;
        buffer.resize(64 * 1024, 0);
        while received < LENGTH {
            let read = io.read(&mut buffer).await.expect("it is still there");
            assert!(read > 0, "closed after {received} bytes, {slowly} of them slowly");
            received += read;
        }
    });
}

#[test]
fn who_reads_nothing_is_closed_on() {
    each_way(|server, io| async move {
        let counters = server.entrance.counters();
        until("it is there", || counters.accepted.value() == 1).await;
        until("it is closed", || counters.open.value() == 0).await;
        drop(io);
    });
}
