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
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};

use super::*;
use crate::config::admit::Admit;
use crate::config::listen::Listen;
use crate::exchange::{Answer, Body, Client, Exchange, Scheme};
use crate::listen::detect::PREFACE;
use crate::listen::http1::Socket;
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
        let socket = Socket { io: stream, input, progress: None };
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
