//! One try: a connection to one server, the request on it, the head of the answer.

use std::error::Error as _;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use forebay_signals::clock;
use h2::Reason;
use http::{HeaderMap, StatusCode};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};

use super::connect::{self, Connected, Home, Offer, Protocol};
use super::content::{Http2Content, Lease};
use super::http1::{Failure, Http1, head};
use super::message::{self, Outgoing};
use super::pool::{Http2, Stream, Task};
use super::server::Server;
use super::upload::Sender;
use super::upstream::Counts;
use super::wire::Wire;
use crate::config::origin::Origin;
use crate::error::{Error, ErrorKind};

/// Window of a stream: what one slow client may make us hold.
const STREAM_WINDOW: u32 = 1 << 20;
/// Window of a connection, for all its streams.
const CONNECTION_WINDOW: u32 = 4 << 20;
/// Pings on HTTP/2, so that a connection that died silently is not used for long.
const PING_EVERY: Duration = Duration::from_secs(20);
/// Time for a ping's answer.
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// How far a try came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// No connection yet: the server has heard nothing of the request.
    Connecting,
    /// Sent on a connection that was used before.
    OnUsed,
    /// Sent on a new connection, or as a stream of its own.
    OnNew,
    /// Something came back, but it is no answer.
    Garbled,
    /// The server said that it did nothing of the request.
    Refused,
}

/// May a connection from the pool be used?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reuse {
    Allowed,
    /// One just turned out to be dead: its neighbours may be too.
    Never,
}

/// A request on its way through the tries. It survives a try that is dropped.
pub(super) struct Attempt {
    /// The request, unless a try has taken the only one there was.
    pub(super) outgoing: Option<Outgoing>,
    /// The server has certainly done nothing of it.
    pub(super) is_unsent: bool,
    pub(super) stage: Stage,
    pub(super) reuse: Reuse,
}

/// Whom a try asks, and for how long.
pub(super) struct Try<'a> {
    pub(super) server: &'a Server,
    pub(super) settings: &'a Origin,
    pub(super) counts: &'a Counts,
    pub(super) began: Instant,
    pub(super) until: Instant,
    /// Another try may follow.
    pub(super) may_follow: bool,
}

/// An answer's head, and where its content comes from.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) fields: HeaderMap,
    pub(super) lease: Lease,
}

enum Line {
    Http1(Box<Http1>),
    Http2(Stream),
}

impl Attempt {
    pub(super) fn new(outgoing: Outgoing) -> Attempt {
        Attempt {
            outgoing: Some(outgoing),
            is_unsent: true,
            stage: Stage::Connecting,
            reuse: Reuse::Allowed,
        }
    }

    /// True if the request can be sent again without harm.
    pub(super) fn may_go_again(&self) -> bool {
        self.outgoing.as_ref().is_some_and(|outgoing| {
            outgoing.may_repeat() || (self.is_unsent && outgoing.is_whole())
        })
    }

    /// Asks a server once.
    pub(super) async fn run(&mut self, to: Try<'_>) -> Result<Reply, Error> {
        self.stage = Stage::Connecting;
        self.is_unsent = true;
        let is_upgrade = self.outgoing.as_ref().is_some_and(Outgoing::is_upgrade);
        let (line, stage) = if let Some(line) = self.used(&to, is_upgrade) {
            to.counts.reused.increment();
            (line, Stage::OnUsed)
        } else {
            let late = (ErrorKind::OriginUnreachable, "no connection in time");
            // Boxed, as HTTP/2 below: they would make the future of every request five times as large.
            Box::pin(within(to.until, late, fresh(&to, is_upgrade))).await?
        };
        to.server.requests.increment();
        self.stage = stage;
        match line {
            Line::Http1(connection) => self.send_http1(connection, to.until).await,
            Line::Http2(stream) => {
                let sender = self.outgoing.as_ref().and_then(Outgoing::sender);
                let sending = Box::pin(self.send_http2(stream, &to));
                answered_within(to.until, sender, sending).await
            }
        }
    }

    fn used(&self, to: &Try<'_>, is_upgrade: bool) -> Option<Line> {
        if self.reuse == Reuse::Never {
            return None;
        }
        if !is_upgrade
            && to.server.may_be_http2()
            && let Some(stream) = to.server.pool.stream()
        {
            return Some(Line::Http2(stream));
        }
        to.server.pool.take(to.began, to.settings.pool_idle_timeout).map(Line::Http1)
    }

    async fn send_http1(
        &mut self,
        mut connection: Box<Http1>,
        until: Instant,
    ) -> Result<Reply, Error> {
        let outgoing = self.outgoing.as_mut().ok_or_else(nothing_to_send)?;
        // Said before the wait: what is dropped within it may have been sent.
        self.is_unsent = false;
        let mut head = match connection.ask(outgoing, until).await {
            Ok(head) => head,
            Err(Failure::Sent(error)) => return Err(error),
            Err(Failure::Unsent(error)) => {
                self.is_unsent = true;
                return Err(error);
            }
            Err(Failure::Garbled(error)) => {
                self.stage = Stage::Garbled;
                return Err(error);
            }
        };
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            let Some(token) = head.upgrade.take().filter(|token| outgoing.asked_for(token)) else {
                self.stage = Stage::Garbled;
                let detail = "a switch to a protocol that was not asked for";
                return Err(Error::new(ErrorKind::OriginProtocol, detail));
            };
            head.fields.insert(http::header::UPGRADE, token);
        }
        let lease = Lease::Http1(connection);
        Ok(Reply { status: head.status, fields: head.fields, lease })
    }

    async fn send_http2(&mut self, mut stream: Stream, to: &Try<'_>) -> Result<Reply, Error> {
        let outgoing = self.outgoing.take().ok_or_else(nothing_to_send)?;
        // The engine takes the request; the copy is most of what a retry costs in advance.
        self.outgoing = if to.may_follow { outgoing.copy() } else { None };
        self.is_unsent = false;
        let (kept, method) = (outgoing.keep(), outgoing.method().clone());
        let request = outgoing.into_http2(to.server.scheme())?;
        let mut failed = match stream.connection.sender.try_send_request(request).await {
            Ok(response) => {
                let (mut parts, incoming) = response.into_parts();
                message::clean(parts.status, &mut parts.headers, &method);
                let lease = Lease::Http2(Http2Content::new(incoming, stream));
                return Ok(Reply { status: parts.status, fields: parts.headers, lease });
            }
            Err(failed) => failed,
        };
        self.stage = Stage::OnNew;
        // The connection is going away: what was not sent goes on another one.
        if let Some(request) = failed.take_message() {
            to.server.pool.retire(&stream.connection);
            self.outgoing = Some(Outgoing::taken_back(request, kept));
            (self.is_unsent, self.stage) = (true, Stage::OnUsed);
        }
        let source = failed.into_error();
        if let Some(refusal) = refusal(&source) {
            if refusal == Refusal::GoneAway {
                to.server.pool.retire(&stream.connection);
            }
            (self.is_unsent, self.stage) = (true, Stage::Refused);
        }
        let detail = "the connection ended before an answer";
        Err(Error::new(ErrorKind::OriginProtocol, detail).because(source))
    }
}

/// How a server says that it did nothing of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    /// RFC 9113 §8.7: this stream was not processed.
    Stream,
    /// RFC 9113 §6.8: it was opened after the last stream that is.
    GoneAway,
}

/// The engine ends with the server's GOAWAY only the streams beyond the last one it names.
fn refusal(source: &hyper::Error) -> Option<Refusal> {
    let error = source.source()?.downcast_ref::<h2::Error>()?;
    if !error.is_remote() {
        None
    } else if error.is_go_away() {
        Some(Refusal::GoneAway)
    } else {
        (error.reason() == Some(Reason::REFUSED_STREAM)).then_some(Refusal::Stream)
    }
}

fn nothing_to_send() -> Error {
    Error::new(ErrorKind::Internal, "a try without a request")
}

/// Waits for an answer until `until`, or as long again from the moment when the client was waited for last.
async fn answered_within<T>(
    until: Instant,
    sender: Option<Arc<Sender>>,
    mut sending: Pin<Box<impl Future<Output = Result<T, Error>>>>,
) -> Result<T, Error> {
    let patience = until.saturating_duration_since(clock::now());
    let mut wait = patience;
    loop {
        if let Ok(done) = clock::timeout(wait, sending.as_mut()).await {
            return done;
        }
        let now = clock::now();
        let since = sender.as_ref().map(|sender| sender.awaited_until().unwrap_or(now));
        wait =
            since.map_or(Duration::ZERO, |since| (since + patience).saturating_duration_since(now));
        if wait.is_zero() {
            return Err(Error::new(ErrorKind::OriginTimeout, "no answer in time"));
        }
    }
}

/// Waits until `until`; `late` says what it means if that is too short.
async fn within<T>(
    until: Instant,
    late: (ErrorKind, &'static str),
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let limit = until.saturating_duration_since(clock::now());
    match clock::timeout(limit, work).await {
        Ok(done) => done,
        Err(_) => Err(Error::new(late.0, late.1)),
    }
}

/// A new connection, or a place on one that somebody else just made.
async fn fresh(to: &Try<'_>, is_upgrade: bool) -> Result<(Line, Stage), Error> {
    let Try { server, settings, counts, .. } = to;
    let unreachable =
        |source| Error::new(ErrorKind::OriginUnreachable, "no connection").because(source);
    let offer = if is_upgrade { Offer::Http1 } else { Offer::AsSet };
    let mut turn = None;
    if server.is_http2() && !is_upgrade {
        // Whoever connects for all of us has no longer than that either.
        let acquired = clock::timeout(settings.connect_timeout, server.connecting.acquire()).await;
        let late = |_| Error::new(ErrorKind::OriginUnreachable, "no connection in time");
        turn = acquired.map_err(late)?.ok();
        if let Some(stream) = server.pool.stream() {
            counts.reused.increment();
            return Ok((Line::Http2(stream), Stage::OnUsed));
        }
    }
    let Connected { wire, protocol, home } =
        connect::connect(server, offer, settings.connect_timeout).await.map_err(unreachable)?;
    counts.opened.increment();
    if !is_upgrade {
        server.settled_on(protocol);
    }
    let line = match protocol {
        Protocol::Http1 => Line::Http1(Box::new(Http1::new(wire, home))),
        Protocol::Http2 => Line::Http2(server.pool.share(http2(wire, home).await?)),
    };
    drop(turn);
    Ok((line, Stage::OnNew))
}

/// Makes a connected socket an HTTP/2 connection.
pub(super) async fn http2(wire: Wire, home: Option<Arc<Home>>) -> Result<Http2, Error> {
    let handshake = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_TIMEOUT)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(u32::try_from(head::MOST_HEAD).unwrap_or(u32::MAX))
        .handshake(TokioIo::new(wire));
    let (sender, connection) = handshake.await.map_err(|source| {
        Error::new(ErrorKind::OriginProtocol, "no HTTP/2 connection").because(source)
    })?;
    let task = tokio::spawn(async move { drop(connection.await) });
    Ok(Http2::new(sender, Task::new(task.abort_handle()), home))
}
