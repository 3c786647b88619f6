//! One accepted connection: handshake or detection, then its protocol to the end.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::pin::pin;
use std::sync::Arc;

use bytes::BytesMut;
use forebay_signals::clock;
use forebay_signals::drain::Drain;
use rustls::ServerConfig;
use tokio::io::AsyncWriteExt;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::detect::{Version, detect};
use super::entrance::Entrance;
use super::io::{SendFile, Socket, Stream, caught, caught_future};
use super::progress::Counting;
use super::settings::Settings;
use super::tls::{ALPN_ACME, ALPN_H2};
use super::{Coming, Counters, Handler, Reply, http1, http2, tunnel};
use crate::config::listen::Protocol;
use crate::error::{Error, ErrorKind};
use crate::exchange::{Answer, Client, Exchange, Scheme, Upgraded};

/// Plain bytes that TLS may encrypt ahead of the socket: a whole answer of common size leaves in one
/// system call.
const TLS_BUFFER_BYTES: usize = 128 * 1024;

/// What a connection needs from the process and its core.
#[derive(Debug)]
pub(super) struct Context<H> {
    pub(super) entrance: Arc<Entrance>,
    pub(super) handler: Guarded<H>,
    pub(super) drain: Drain,
}

/// Serves one connection, from which `input` was read before; a panic in it is counted and ends nothing
/// else.
pub(super) async fn connection<S: Stream + AsFd, H: Handler>(
    io: S,
    input: BytesMut,
    peer: Option<SocketAddr>,
    protocol: Protocol,
    context: Arc<Context<H>>,
) {
    let session = Session {
        settings: context.entrance.settings(),
        counters: Arc::clone(context.entrance.counters()),
        handler: context.handler.clone(),
        drain: context.drain.clone(),
        client: client(peer),
    };
    let counters = Arc::clone(&session.counters);
    let served = pin!(async {
        match protocol {
            Protocol::Plain => session.plain(io, input).await,
            Protocol::Tls => session.tls(io, input, context).await,
        }
    });
    if caught_future(served).await.is_err() {
        counters.panics.increment();
    }
}

fn client(peer: Option<SocketAddr>) -> Client {
    // A Unix socket has no address; who connects there is on this machine.
    let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
    Client {
        peer,
        address: peer.map_or(local, |peer| peer.ip().to_canonical()),
        scheme: Scheme::Http,
        server_name: None,
    }
}

/// The stages of a connection. Each that is large is boxed: a task is as large as its largest stage,
/// and an idle connection must not pay for a handshake or a tunnel.
struct Session<H> {
    settings: Arc<Settings>,
    counters: Arc<Counters>,
    handler: Guarded<H>,
    drain: Drain,
    client: Client,
}

impl<H: Handler> Session<H> {
    async fn plain<S: Stream + AsFd>(self, io: S, input: BytesMut) {
        let mut io = Counting::new(io, input);
        let progress = Some(io.progress());
        let limit = self.settings.http1.head_timeout;
        // Silence is closed without a word.
        let Ok(Ok((version, input))) = clock::timeout(limit, detect(&mut io)).await else {
            return;
        };
        match version {
            Version::Http1 => {
                let send_file: Option<SendFile<Counting<S>>> = Some(Counting::send_file);
                Box::pin(self.http1(Socket { io, input, progress, send_file })).await;
            }
            Version::Http2 => {
                let socket = Socket { io, input, progress, send_file: None };
                Box::pin(self.http2(socket)).await;
            }
        }
    }

    async fn tls<S: Stream + AsFd>(mut self, io: S, input: BytesMut, context: Arc<Context<H>>) {
        let config = context.entrance.certificates().server_config();
        drop(context);
        let io = Counting::new(io, input);
        let progress = io.progress();
        let Some(mut io) = Box::pin(self.handshake(io, config)).await else {
            self.counters.handshake_failures.increment();
            return;
        };
        let (_, tls) = io.get_mut();
        tls.set_buffer_limit(Some(TLS_BUFFER_BYTES));
        let is_http2 = tls.alpn_protocol() == Some(ALPN_H2);
        if tls.alpn_protocol() == Some(ALPN_ACME) {
            // RFC 8737 §3: the handshake was all. Whether the other side waits for the end is its own affair.
            let limit = self.settings.http1.head_timeout;
            drop(clock::timeout(limit, Box::pin(io.shutdown())).await);
            return;
        }
        self.client.scheme = Scheme::Https;
        self.client.server_name = tls.server_name().map(|name| name.to_ascii_lowercase().into());
        // What TLS encrypts it has to see.
        let (input, progress) = (BytesMut::new(), Some(progress));
        let socket = Socket { io, input, progress, send_file: None };
        if is_http2 {
            Box::pin(self.http2(socket)).await;
        } else {
            Box::pin(self.http1(socket)).await;
        }
    }

    async fn handshake<S: Stream>(&self, io: S, config: Arc<ServerConfig>) -> Option<TlsStream<S>> {
        let acceptor = TlsAcceptor::from(config);
        let limit = self.settings.http1.head_timeout;
        match clock::timeout(limit, acceptor.accept(io)).await {
            Ok(Ok(io)) => Some(io),
            Ok(Err(error)) => {
                tracing::debug!(error = %error, "TLS handshake failed");
                None
            }
            Err(_) => {
                tracing::debug!("TLS handshake not complete in time");
                None
            }
        }
    }

    async fn http1<S: Stream>(self, socket: Socket<S>) {
        let Session { settings, counters, handler, drain, client } = self;
        let http1 = Arc::clone(&settings.http1);
        match http1::serve(socket, client, http1, handler, drain.clone()).await {
            Ok(http1::End::Upgraded(io, input, origin)) => {
                counters.upgraded.increment();
                Box::pin(upgraded(io, input, origin, &settings, &drain)).await;
            }
            Ok(http1::End::Refused(_)) => counters.protocol_errors.increment(),
            // Errors of the socket: the client is gone.
            Ok(http1::End::Closed) | Err(_) => {}
        }
    }

    async fn http2<S: Stream>(self, socket: Socket<S>) {
        let Session { settings, counters, handler, drain, client } = self;
        let counted = Arc::clone(&counters);
        let context = http2::Context { client, settings, counters, handler, drain };
        match http2::serve(socket, context).await {
            http2::End::Closed => {}
            http2::End::Protocol(code) => {
                counted.protocol_errors.increment();
                tracing::debug!(code = code.0, "HTTP/2 connection broke the protocol");
            }
            http2::End::Flood => {
                counted.floods.increment();
                tracing::debug!("HTTP/2 connection was a flood");
            }
            http2::End::Stalled => {
                counted.stalled.increment();
                tracing::debug!("HTTP/2 client took nothing for too long");
            }
        }
    }
}

async fn upgraded<S: Stream>(
    io: S,
    input: BytesMut,
    origin: Upgraded,
    settings: &Settings,
    drain: &Drain,
) {
    let limits =
        tunnel::Limits { idle: settings.upgraded_idle_timeout, drain: settings.drain_timeout };
    // Whatever ends it, both sides are closed now.
    drop(tunnel::run(io, input, origin, limits, drain).await);
}

/// A handler whose panics become answers.
#[derive(Debug, Clone)]
pub(super) struct Guarded<H> {
    pub(super) handler: H,
    pub(super) counters: Arc<Counters>,
}

impl<H: Handler> Handler for Guarded<H> {
    fn call(&self, exchange: Exchange) -> Reply {
        match caught(|| self.handler.call(exchange)) {
            Ok(Reply::Now(answer)) => Reply::Now(answer),
            Ok(Reply::Later(Coming { mut answer, hints })) => {
                let counters = Arc::clone(&self.counters);
                let answer = async move {
                    let answer = caught_future(answer.as_mut()).await;
                    answer.unwrap_or_else(|_| panicked(&counters))
                };
                Reply::Later(Coming::new(answer, hints))
            }
            Err(_) => Reply::Now(panicked(&self.counters)),
        }
    }

    fn refuse(&self, exchange: Exchange, error: Error) -> Answer {
        caught(|| self.handler.refuse(exchange, error)).unwrap_or_else(|_| panicked(&self.counters))
    }
}

fn panicked(counters: &Counters) -> Answer {
    counters.panics.increment();
    tracing::error!("panic while a request was handled");
    Answer::from(&Error::new(ErrorKind::Internal, "panic while a request was handled"))
}
