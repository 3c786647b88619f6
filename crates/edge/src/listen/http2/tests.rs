use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{self, Poll};
use std::time::Duration;

use bytes::BytesMut;
use forebay_signals::clock;
use forebay_signals::drain::Drain;
use http_body_util::{BodyExt, Collected};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};

use super::*;
use crate::config::admit::Admit;
use crate::config::listen::Listen;
use crate::exchange::{Answer, Body, Client, Exchange, Scheme};
use crate::listen::detect::PREFACE;
use crate::listen::io::Socket;
use crate::listen::settings::Settings;

/// A stream that counts writes.
struct Counting {
    inner: DuplexStream,
    writes: Arc<AtomicUsize>,
}

impl AsyncRead for Counting {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut task::Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl AsyncWrite for Counting {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut task::Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.writes.fetch_add(1, Relaxed);
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut task::Context<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut task::Context<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

/// Preface, SETTINGS and `requests` requests without Huffman.
fn requests(requests: u8) -> Vec<u8> {
    let mut bytes = [PREFACE, &[0, 0, 0, 4, 0, 0, 0, 0, 0]].concat();
    for n in 0..requests {
        let fields: &[u8] = b"\x82\x86\x84\x01\x01a"; // GET, http, /, :authority a
        let length = u8::try_from(fields.len()).expect("short");
        bytes.extend([0, 0, length, 1, 5, 0, 0, 0, 2 * n + 1]);
        bytes.extend_from_slice(fields);
    }
    bytes
}

#[test]
fn answers_that_are_ready_leave_in_one_write() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime starts").block_on(async {
        let (mut client, inner) = tokio::io::duplex(1 << 20);
        let writes = Arc::new(AtomicUsize::new(0));
        let stream = Counting { inner, writes: Arc::clone(&writes) };
        let handler = |_: Exchange| async { Answer::new(Body::from("y".repeat(1_000))) };
        let asker = Client {
            peer: None,
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            scheme: Scheme::Http,
            server_name: None,
        };
        let settings = Arc::new(Settings::new(&Listen::default(), &Admit::default()));
        let drain = Drain::default();
        client.write_all(&requests(20)).await.expect("room");
        let input = BytesMut::new();
        let socket = Socket::new(stream, input);
        let counters = Arc::default();
        let serving = serve(socket, Context { client: asker, settings, counters, handler, drain });
        let receiving = async {
            let (mut found, mut buffer) = (0, [0; 4096]);
            while found < 20_000 {
                let read = client.read(&mut buffer).await.expect("open");
                found += memchr::memchr_iter(b'y', &buffer[..read]).count();
            }
            let writes = writes.load(Relaxed);
            assert!(writes <= 3, "{writes} writes for 20 answers");
            drop(client);
        };
        let both = Box::pin(async { tokio::join!(serving, receiving) });
        let (end, ()) = clock::timeout(Duration::from_secs(10), both).await.expect("in time");
        assert_eq!(end, End::Closed);
    });
}

fn session<H: crate::listen::Handler>(handler: H) -> Session<H> {
    let asker = Client {
        peer: None,
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        scheme: Scheme::Http,
        server_name: None,
    };
    Session::open(asker, &Listen::default(), &Admit::default(), handler)
}

#[test]
fn the_end_of_content_is_told_though_the_output_fills_with_it() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("a runtime starts");
    let _timers = runtime.enter();
    let mut session = session(|exchange: Exchange| async {
        let content = exchange.body.collect().await.map(Collected::to_bytes);
        Answer::new(Body::from(content.unwrap_or_default()))
    });
    let post = b"\x83\x86\x84\x01\x01a"; // POST, http, /, :authority a
    let mut begin = requests(0);
    begin.extend([0, 0, 6, 1, 4, 0, 0, 0, 1]);
    begin.extend_from_slice(post);
    session.exchange(&begin).expect("valid");
    // One byte short of full, and one of a grant that goes into it.
    session.streams.output.bytes().resize(64 * 1024 - 1, 0);
    session.streams.credit = CONNECTION_WINDOW as usize / 2 - 1;
    // Padding of no bytes, then the end.
    session.receive(&[0, 0, 1, 0, 9, 0, 0, 0, 1, 0]).expect("valid");
    assert!(session.streams.output.is_full());
    assert!(session.streams.open.iter().all(|stream| stream.has_ended));
    session.streams.output.bytes().clear();
    let answer = session.exchange(&[]).expect("valid");
    assert_eq!(answer.get(3), Some(&1), "HEADERS: {answer:?}");
}
