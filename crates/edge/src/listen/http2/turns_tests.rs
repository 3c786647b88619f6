//! Who goes on when: streams of a connection among each other, and a connection among others.

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{self, Poll, Wake, Waker};

use bytes::{Bytes, BytesMut};
use forebay_signals::drain::Drain;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connection::{MOST_ROUNDS, READ_BYTES};
use super::output::MOST_GATHERED;
use super::*;
use crate::config::admit::Admit;
use crate::config::listen::Listen;
use crate::exchange::{Answer, Body, Client, Exchange, Scheme};
use crate::listen::Handler;
use crate::listen::detect::PREFACE;
use crate::listen::io::Socket;
use crate::listen::settings::Settings;

/// Beyond this a connection has not stopped by itself.
const TOO_MUCH: usize = 64 * 1024 * 1024;
/// As large as windows can be.
const WIDEST: [u8; 4] = [0x7f, 0, 0, 0];

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    super::frame::write(&mut bytes, kind, flags, stream, payload);
    bytes
}

/// GET, http, /, `:authority` a.
fn get(stream: u32) -> Vec<u8> {
    frame(1, 5, stream, b"\x82\x86\x84\x01\x01a")
}

fn client() -> Client {
    let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
    Client { peer: None, address, scheme: Scheme::Http, server_name: None }
}

fn with_timers(test: impl FnOnce()) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("a runtime starts");
    let _timers = runtime.enter();
    test();
}

/// The streams whose content this is, frame by frame.
fn contents(mut bytes: &[u8]) -> Vec<u32> {
    let mut streams = Vec::new();
    while let [a, b, c, kind, _, s0, s1, s2, s3, rest @ ..] = bytes {
        if *kind == 0 {
            streams.push(u32::from_be_bytes([*s0, *s1, *s2, *s3]));
        }
        bytes = &rest[u32::from_be_bytes([0, *a, *b, *c]) as usize..];
    }
    streams
}

#[test]
fn streams_of_equal_urgency_share_what_the_window_lets_pass() {
    with_timers(|| {
        let handler = |_: Exchange| async { Answer::new(Body::from("x".repeat(1_000_000))) };
        let mut session = Session::open(client(), &Listen::default(), &Admit::default(), handler);
        let settings = frame(4, 0, 0, &[&[0, 4][..], &WIDEST].concat());
        let begin = [PREFACE, &settings, &get(1), &get(3), &get(5)].concat();
        // 65,535 bytes: four frames.
        let order = contents(&session.exchange(&begin).expect("valid"));
        assert_eq!(order, [1, 3, 5, 1]);
        // One that comes later waits for its turn, and not for the end of the others.
        let frames = u32::try_from(7 * frame::MAX_PAYLOAD).expect("small").to_be_bytes();
        let more = [get(7), frame(8, 0, 0, &frames)].concat();
        let order = contents(&session.exchange(&more).expect("valid"));
        assert_eq!(order, [3, 5, 7, 1, 3, 5, 7]);
    });
}

/// A client that has always sent more, or always takes more; what it was asked is counted.
struct Tireless {
    /// What comes once.
    begin: Vec<u8>,
    /// The next request that comes, if they come without end.
    next: Option<u32>,
    bytes: Arc<AtomicUsize>,
}

impl Tireless {
    fn count(&self, bytes: usize) -> io::Result<()> {
        let before = self.bytes.fetch_add(bytes, Relaxed);
        if before > TOO_MUCH { Err(io::ErrorKind::Other.into()) } else { Ok(()) }
    }
}

impl AsyncRead for Tireless {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut task::Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.begin.is_empty() {
            buffer.put_slice(&std::mem::take(&mut self.begin));
            return Poll::Ready(Ok(()));
        }
        let Some(next) = &mut self.next else { return Poll::Pending };
        let request = get(*next);
        *next += 2;
        self.count(request.len())?;
        buffer.put_slice(&request);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tireless {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut task::Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.count(bytes.len())?;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut task::Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut task::Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Woken>) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// In each of many turns the connection does something, not too much, and asks for the next.
fn takes_turns<H: Handler>(begin: Vec<u8>, next: Option<u32>, handler: H) {
    with_timers(|| {
        let bytes = Arc::default();
        let stream = Tireless { begin, next, bytes: Arc::clone(&bytes) };
        let settings = Arc::new(Settings::new(&Listen::default(), &Admit::default()));
        let (counters, drain) = (Arc::default(), Drain::default());
        let context = Context { client: client(), settings, counters, handler, drain };
        let mut serving = pin!(serve(Socket::new(stream, BytesMut::new()), context));
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        for turn in 1..=20 {
            let polled = serving.as_mut().poll(&mut task::Context::from_waker(&waker));
            assert!(polled.is_pending(), "{polled:?} in turn {turn}");
            assert_eq!(woken.0.swap(0, Relaxed), 1, "it asks for another turn, in turn {turn}");
            let bytes = bytes.swap(0, Relaxed);
            let most = MOST_ROUNDS as usize * (MOST_GATHERED + READ_BYTES);
            assert!((1..=most).contains(&bytes), "{bytes} bytes in turn {turn}");
        }
    });
}

#[test]
fn a_connection_that_can_always_send_lets_others_have_their_turn() {
    let settings = frame(4, 0, 0, &[&[0, 4][..], &WIDEST].concat());
    let begin = [PREFACE, &settings, &frame(8, 0, 0, &WIDEST), &get(1)].concat();
    let content = Bytes::from(vec![0; TOO_MUCH * 2]);
    takes_turns(begin, None, move |_: Exchange| {
        let content = content.clone();
        async move { Answer::new(Body::from(content)) }
    });
}

#[test]
fn a_connection_that_always_has_requests_lets_others_have_their_turn() {
    let begin = [PREFACE, &frame(4, 0, 0, &[])].concat();
    takes_turns(begin, Some(1), |_: Exchange| async { Answer::new(Body::Empty) });
}
