//! Spans, with the names of the semantic conventions of HTTP (1.23, stable).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use forebay_signals::clock;
use http::header::USER_AGENT;
use http::{Method, StatusCode, Uri, Version};

use super::Tracer;
use super::wire::Message;
use crate::error::Error;
use crate::exchange::{Exchange, Scheme, host_of};
use crate::identity::{self, Parent};

/// Fields of `Span`.
pub(super) const TRACE_ID: u32 = 1;
pub(super) const SPAN_ID: u32 = 2;
pub(super) const PARENT_ID: u32 = 4;
pub(super) const NAME: u32 = 5;
pub(super) const KIND: u32 = 6;
pub(super) const START: u32 = 7;
pub(super) const END: u32 = 8;
const ATTRIBUTE: u32 = 9;
const LINK: u32 = 13;
const STATUS: u32 = 15;
pub(super) const FLAGS: u32 = 16;

const SERVER: u64 = 2;
const CLIENT: u64 = 3;
/// `Status.code` of what failed.
const FAILED: u64 = 2;
/// Sampled; whether the parent is elsewhere is known …
pub(super) const KNOWN: u32 = 0x101;
/// … and it is.
pub(super) const REMOTE: u32 = 0x200;

/// Longest text of an attribute: a queue of spans is bounded in bytes too.
const MOST_TEXT_BYTES: usize = 1_024;
/// Parameters whose values are credentials, by the conventions.
const SECRETS: [&str; 4] = ["AWSAccessKeyId", "Signature", "sig", "X-Goog-Signature"];

/// Where a span stands: its trace, and its own id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SpanContext {
    trace: [u8; 16],
    span: [u8; 8],
}

/// A request that is over.
pub struct Over<'a> {
    /// The request.
    pub exchange: &'a Exchange,
    /// Name of its route.
    pub route: &'a str,
    /// Status of its answer.
    pub status: u16,
    /// What the cache did.
    pub outcome: &'static str,
    /// Bytes of content that the client took.
    pub bytes: u64,
    /// How long it took.
    pub total: Duration,
    /// False if the answer broke off.
    pub is_whole: bool,
    /// The question of another request that this one waited for.
    pub awaited: Option<SpanContext>,
}

impl Tracer {
    /// The span of a request.
    pub fn server(&self, over: &Over<'_>) {
        let Some(place) = self.place() else { return };
        let Over { exchange, route, status, outcome, bytes, total, is_whole, awaited } = *over;
        let (head, client) = (&exchange.head, &exchange.client);
        let parent = Parent::of(&head.fields);
        let id = identity::number(&exchange.id);
        let trace = parent.as_ref().map_or(id, |parent| parent.trace);
        let mut span = Message::default();
        span.bytes(TRACE_ID, &trace);
        span.bytes(SPAN_ID, &own_span(&id));
        if let Some(parent) = &parent {
            span.bytes(PARENT_ID, &parent.span);
        }
        let method = method(&head.method);
        span.bytes(NAME, format!("{method} {route}").as_bytes());
        span.number(KIND, SERVER);
        let end = clock::wall();
        span.fixed64(START, nanos(end.checked_sub(total).unwrap_or(end)));
        span.fixed64(END, nanos(end));
        write_method(&mut span, &head.method);
        text(&mut span, "url.scheme", client.scheme.as_str());
        write_target(&mut span, &head.uri);
        write_authority(&mut span, &head.authority, client.scheme);
        text(&mut span, "client.address", &client.address.to_string());
        if let Some(peer) = client.peer {
            write_peer(&mut span, peer);
        }
        text(&mut span, "network.protocol.version", version(head.version));
        if let Some(agent) = head.fields.get(USER_AGENT) {
            text(&mut span, "user_agent.original", &String::from_utf8_lossy(agent.as_bytes()));
        }
        span.number_attribute(ATTRIBUTE, "http.response.status_code", u64::from(status));
        text(&mut span, "forebay.route", route);
        text(&mut span, "forebay.cache", outcome);
        span.number_attribute(ATTRIBUTE, "forebay.bytes", bytes);
        text(&mut span, "forebay.request_id", &String::from_utf8_lossy(&exchange.id));
        for (room, spent) in exchange.stamps.spans() {
            let us = u64::try_from(spent.as_micros()).unwrap_or(u64::MAX);
            span.number_attribute(ATTRIBUTE, &format!("forebay.{}_us", room.name()), us);
        }
        if let Some(awaited) = awaited {
            write_link(&mut span, awaited);
        }
        // What the client did wrong, or that it left, is no failure of ours.
        if status >= 500 {
            write_failure(&mut span, &status.to_string());
        } else if !is_whole && status < 400 {
            write_failure(&mut span, "broke_off");
        }
        span.fixed32(FLAGS, if parent.is_some() { KNOWN | REMOTE } else { KNOWN });
        place.send(span.finish());
    }
}

/// A question to an origin, from where it is asked to the head of the answer. Whoever drops it before that is
/// told of as one who left.
pub struct Asking {
    tracer: Arc<Tracer>,
    own: SpanContext,
    parent: [u8; 8],
    began: Option<(Instant, SystemTime)>,
    method: Method,
    url: String,
    origin: String,
    /// Whom it was asked of last: host and port, or the path of a socket.
    server: String,
    scheme: Scheme,
    tries: u32,
    status: Option<StatusCode>,
    error: Option<&'static str>,
}

impl Asking {
    /// Of a request whose trace goes on with this `traceparent`.
    pub fn new(tracer: &Arc<Tracer>, exchange: &Exchange, traceparent: &[u8; 55]) -> Asking {
        let ours = Parent::read(traceparent);
        Asking {
            tracer: Arc::clone(tracer),
            own: ours.map(|it| SpanContext { trace: it.trace, span: it.span }).unwrap_or_default(),
            parent: own_span(&identity::number(&exchange.id)),
            began: None,
            method: Method::GET,
            url: String::new(),
            origin: String::new(),
            server: String::new(),
            scheme: Scheme::Http,
            tries: 0,
            status: None,
            error: Some("left"),
        }
    }

    /// Where its span stands, for those who wait for the same answer.
    pub fn context(&self) -> SpanContext {
        self.own
    }

    /// It begins.
    pub fn begin(&mut self, method: &Method, target: &Uri, origin: &str) {
        self.began = Some((clock::now(), clock::wall()));
        self.method = method.clone();
        self.url = redacted(target);
        origin.clone_into(&mut self.origin);
    }

    /// This server is asked.
    pub fn tries(&mut self, scheme: &str, server: &str) {
        self.tries += 1;
        self.scheme = if scheme == "https" { Scheme::Https } else { Scheme::Http };
        server.clone_into(&mut self.server);
    }

    /// The head of the answer is there, or it is known that there will be none.
    pub fn end(mut self, status: Result<StatusCode, &Error>) {
        self.status = status.ok();
        self.error = status.err().map(|error| error.facts().label);
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        let Some((began, wall)) = self.began else { return };
        let Some(place) = self.tracer.place() else { return };
        let mut span = Message::default();
        span.bytes(TRACE_ID, &self.own.trace);
        span.bytes(SPAN_ID, &self.own.span);
        span.bytes(PARENT_ID, &self.parent);
        span.bytes(NAME, format!("{} {}", method(&self.method), self.origin).as_bytes());
        span.number(KIND, CLIENT);
        span.fixed64(START, nanos(wall));
        span.fixed64(END, nanos(wall + clock::now().saturating_duration_since(began)));
        write_method(&mut span, &self.method);
        write_authority(&mut span, &self.server, self.scheme);
        // A socket of files has no place in a URL.
        let host = if self.server.starts_with('/') { "localhost" } else { &self.server };
        text(&mut span, "url.full", &format!("{}://{host}{}", self.scheme.as_str(), self.url));
        text(&mut span, "forebay.origin", &self.origin);
        if self.tries > 1 {
            let again = u64::from(self.tries - 1);
            span.number_attribute(ATTRIBUTE, "http.request.resend_count", again);
        }
        if let Some(status) = self.status {
            let status = u64::from(status.as_u16());
            span.number_attribute(ATTRIBUTE, "http.response.status_code", status);
        }
        let failed = self.status.filter(|status| status.as_u16() >= 400);
        let failed = failed.map(|status| status.as_str().to_owned());
        if let Some(why) = failed.or_else(|| self.error.map(str::to_owned)) {
            write_failure(&mut span, &why);
        }
        span.fixed32(FLAGS, KNOWN);
        place.send(span.finish());
    }
}

impl std::fmt::Debug for Asking {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Asking({})", self.origin)
    }
}

/// The span of a request is named after its id, so that nothing has to be kept for it.
fn own_span(id: &[u8; 16]) -> [u8; 8] {
    id.last_chunk().copied().unwrap_or_default()
}

fn write_method(span: &mut Message, asked: &Method) {
    let known = method(asked);
    text(span, "http.request.method", if known == "HTTP" { "_OTHER" } else { known });
    if known == "HTTP" {
        text(span, "http.request.method_original", asked.as_str());
    }
}

/// Methods that are known; of others a client could make as many names as it likes.
fn method(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] =
        ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("HTTP")
}

fn write_target(span: &mut Message, uri: &Uri) {
    text(span, "url.path", uri.path());
    if let Some(query) = uri.query() {
        text(span, "url.query", &without_secrets(query));
    }
}

fn write_authority(span: &mut Message, authority: &str, scheme: Scheme) {
    let host = host_of(authority);
    text(span, "server.address", host.trim_start_matches('[').trim_end_matches(']'));
    let usual = if scheme == Scheme::Https { 443 } else { 80 };
    let port = authority.get(host.len()..).and_then(|rest| rest.strip_prefix(':'));
    let port = port.map_or(Some(usual), |port| port.parse().ok());
    if let (Some(port), false) = (port, authority.starts_with('/')) {
        span.number_attribute(ATTRIBUTE, "server.port", port);
    }
}

fn write_peer(span: &mut Message, peer: SocketAddr) {
    text(span, "network.peer.address", &peer.ip().to_canonical().to_string());
    span.number_attribute(ATTRIBUTE, "network.peer.port", u64::from(peer.port()));
}

/// Both spans are ours, and sampled.
fn write_link(span: &mut Message, to: SpanContext) {
    let mut link = Message::default();
    link.bytes(1, &to.trace);
    link.bytes(2, &to.span);
    link.fixed32(6, KNOWN);
    span.message(LINK, &link);
}

pub(super) fn write_failure(span: &mut Message, why: &str) {
    text(span, "error.type", why);
    let mut status = Message::default();
    status.number(3, FAILED);
    span.message(STATUS, &status);
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "2",
        Version::HTTP_10 => "1.0",
        _ => "1.1",
    }
}

/// Cut to a length that a queue can bear.
pub(super) fn text(span: &mut Message, name: &str, value: &str) {
    let mut end = value.len().min(MOST_TEXT_BYTES);
    while !value.is_char_boundary(end) {
        end -= 1;
    }
    span.text_attribute(ATTRIBUTE, name, value.get(..end).unwrap_or_default());
}

fn redacted(uri: &Uri) -> String {
    match uri.query() {
        Some(query) => format!("{}?{}", uri.path(), without_secrets(query)),
        None => uri.path().to_owned(),
    }
}

pub(super) fn without_secrets(query: &str) -> String {
    let kept = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, _)) if SECRETS.contains(&name) => format!("{name}=REDACTED"),
        _ => pair.to_owned(),
    });
    kept.collect::<Vec<_>>().join("&")
}

/// A moment as OTLP has it.
pub(crate) fn nanos(at: SystemTime) -> u64 {
    u64::try_from(at.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos()).unwrap_or(u64::MAX)
}
