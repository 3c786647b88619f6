//! One try: a connection to one server, the request on it, the head of the answer.

use std::time::Duration;

use forebay_signals::clock;
use http::Response;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};

use super::connect::{self, Offer, Protocol};
use super::content::Lease;
use super::message::Outgoing;
use super::pool::{Http1, Http2, Stream, Task};
use super::server::Server;
use super::upstream::Counts;
use super::wire::Wire;
use crate::config::origin::Origin;
use crate::error::{Error, ErrorKind};

/// Largest head of an answer, and the read buffer of a connection.
const HEAD_BYTES: usize = 64 * 1024;
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
}

/// May a connection from the pool be used?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reuse {
    Allowed,
    /// One just turned out to be dead: its neighbours may be too.
    Never,
}

/// A request on its way through the tries. It survives a try that is dropped at its deadline.
pub(super) struct Attempt {
    /// The request, unless it was sent.
    pub(super) outgoing: Option<Outgoing>,
    pub(super) stage: Stage,
    pub(super) reuse: Reuse,
}

enum Line {
    Http1(Http1),
    Http2(Stream),
}

impl Attempt {
    pub(super) fn new(outgoing: Outgoing) -> Attempt {
        Attempt { outgoing: Some(outgoing), stage: Stage::Connecting, reuse: Reuse::Allowed }
    }

    /// Asks `server` once. A request that was certainly not sent is in `outgoing` afterwards.
    pub(super) async fn run(
        &mut self,
        server: &Server,
        settings: &Origin,
        counts: &Counts,
    ) -> Result<(Response<Incoming>, Lease), Error> {
        self.stage = Stage::Connecting;
        let is_upgrade = self.outgoing.as_ref().is_some_and(Outgoing::is_upgrade);
        let (line, stage) = match self.used(server, settings, is_upgrade) {
            Some(line) => {
                counts.reused.increment();
                (line, Stage::OnUsed)
            }
            None => fresh(server, settings, counts, is_upgrade).await?,
        };
        let Some(outgoing) = self.outgoing.take() else {
            return Err(Error::new(ErrorKind::Internal, "a try without a request"));
        };
        server.requests.increment();
        self.stage = stage;
        match line {
            Line::Http1(connection) => self.send_http1(connection, outgoing).await,
            Line::Http2(stream) => self.send_http2(stream, outgoing, server).await,
        }
    }

    fn used(&self, server: &Server, settings: &Origin, is_upgrade: bool) -> Option<Line> {
        if self.reuse == Reuse::Never {
            return None;
        }
        if !is_upgrade
            && server.may_be_http2()
            && let Some(stream) = server.pool.stream()
        {
            return Some(Line::Http2(stream));
        }
        server.pool.take(clock::now(), settings.pool_idle_timeout).map(Line::Http1)
    }

    async fn send_http1(
        &mut self,
        mut connection: Http1,
        outgoing: Outgoing,
    ) -> Result<(Response<Incoming>, Lease), Error> {
        let kept = outgoing.keep();
        connection.allowance.limit();
        match connection.sender.try_send_request(outgoing.into_http1()).await {
            Ok(response) => {
                connection.allowance.lift();
                Ok((response, Lease::Http1(connection)))
            }
            Err(mut failed) => {
                let unsent = failed.take_message();
                self.outgoing = unsent.map(|request| Outgoing::taken_back(request, kept));
                let source = failed.into_error();
                if source.is_parse() {
                    self.stage = Stage::Garbled;
                }
                Err(no_answer(source))
            }
        }
    }

    async fn send_http2(
        &mut self,
        mut stream: Stream,
        outgoing: Outgoing,
        server: &Server,
    ) -> Result<(Response<Incoming>, Lease), Error> {
        let kept = outgoing.keep();
        let request = outgoing.into_http2(server.scheme())?;
        match stream.connection.sender.try_send_request(request).await {
            Ok(response) => Ok((response, Lease::Http2(stream))),
            Err(mut failed) => {
                // The connection is going away: what was not sent goes on another one.
                if let Some(request) = failed.take_message() {
                    server.pool.retire(&stream.connection);
                    self.outgoing = Some(Outgoing::taken_back(request, kept));
                } else {
                    self.stage = Stage::OnNew;
                }
                Err(no_answer(failed.into_error()))
            }
        }
    }
}

/// A new connection, or a place on one that somebody else just made.
async fn fresh(
    server: &Server,
    settings: &Origin,
    counts: &Counts,
    is_upgrade: bool,
) -> Result<(Line, Stage), Error> {
    let unreachable =
        |source| Error::new(ErrorKind::OriginUnreachable, "no connection").because(source);
    let offer = if is_upgrade { Offer::Http1 } else { Offer::AsSet };
    let mut turn = None;
    if server.is_http2() && !is_upgrade {
        turn = server.connecting.acquire().await.ok();
        if let Some(stream) = server.pool.stream() {
            counts.reused.increment();
            return Ok((Line::Http2(stream), Stage::OnUsed));
        }
    }
    let (wire, protocol) =
        connect::connect(server, offer, settings.connect_timeout).await.map_err(unreachable)?;
    counts.opened.increment();
    if !is_upgrade {
        server.settled_on(protocol);
    }
    let line = match protocol {
        Protocol::Http1 => Line::Http1(http1(wire).await?),
        Protocol::Http2 => Line::Http2(server.pool.share(http2(wire).await?)),
    };
    drop(turn);
    Ok((line, Stage::OnNew))
}

/// Makes a connected socket an HTTP/1 connection. Its bytes are moved by a task on this core.
pub(super) async fn http1(wire: Wire) -> Result<Http1, Error> {
    let allowance = wire.allowance.clone();
    allowance.limit();
    let handshake = http1::Builder::new().max_buf_size(HEAD_BYTES).handshake(TokioIo::new(wire));
    let (sender, connection) = handshake.await.map_err(no_answer)?;
    // Its errors reach whoever waits for an answer; an idle connection may end as it likes.
    let task = tokio::spawn(async move { drop(connection.with_upgrades().await) });
    Ok(Http1 { sender, allowance, task: Task::new(task.abort_handle()) })
}

/// Makes a connected socket an HTTP/2 connection.
pub(super) async fn http2(wire: Wire) -> Result<Http2, Error> {
    wire.allowance.lift();
    let handshake = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_TIMEOUT)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(u32::try_from(HEAD_BYTES).unwrap_or(u32::MAX))
        .handshake(TokioIo::new(wire));
    let (sender, connection) = handshake.await.map_err(no_answer)?;
    let task = tokio::spawn(async move { drop(connection.await) });
    Ok(Http2::new(sender, Task::new(task.abort_handle())))
}

fn no_answer(source: hyper::Error) -> Error {
    let detail = if source.is_parse_too_large() {
        "the answer's head is too large"
    } else if source.is_parse() {
        "the answer is not HTTP"
    } else {
        "the connection ended before an answer"
    };
    Error::new(ErrorKind::OriginProtocol, detail).because(source)
}
