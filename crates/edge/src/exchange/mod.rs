//! What travels through the rooms.
//!
//! In: a request that `listen` has read and `admit` has let through. Out: the same exchange with one
//! stamp a room, from which access log and metrics are made, so that they cannot
//! disagree. It holds no socket and never performs I/O by itself.

mod answer;
mod body;
mod chain;
mod cookies;
mod country;
mod encoding;
mod fingerprint;
mod hints;
mod lines;
mod network;
mod priority;
mod retry_after;
mod stamps;
mod twin;
mod upgrade;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, HeaderValue, Method, Uri, Version};

pub use answer::{Answer, FOREBAY_ERROR};
pub use body::{Body, BoxedBody};
pub use chain::Chain;
pub use cookies::{cookie, cookies, take_cookie};
pub use country::{Country, VIEWER};
pub use encoding::Encoding;
pub use fingerprint::is_fingerprinted;
pub use hints::{HintCounts, HintedBy, Hints, MOST_HINT_BYTES, MOST_HINTS};
pub use lines::{OwnLines, field_lines};
pub use network::network;
pub use priority::Priority;
pub use retry_after::retry_after;
pub use stamps::{Room, Stamps};
pub use twin::{Lent, Seat, Twin, TwinSlot, twin_weight};
pub use upgrade::{Stream, Upgraded};

use crate::trace::Asking;

/// `Cache-Control` of what never changes under its name (RFC 8246): a year, which is for ever.
pub const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// Scheme by which the client reached the edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Clear text.
    Http,
    /// TLS ended here, or at a trusted proxy that says so.
    Https,
}

impl Scheme {
    /// `"http"` or `"https"`.
    pub fn as_str(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }
}

/// Who asks. Made by `listen`, corrected by `admit` where a trusted proxy stands before us.
#[derive(Debug, Clone)]
pub struct Client {
    /// The socket's other end, or who it is by the PROXY protocol; `None` on a Unix socket.
    pub peer: Option<SocketAddr>,
    /// Whose request this is: the peer, or what a trusted proxy says (RFC 7239 and X-Forwarded-For).
    pub address: IpAddr,
    /// Scheme towards the client.
    pub scheme: Scheme,
    /// Server name of the TLS handshake, lower case.
    pub server_name: Option<Arc<str>>,
}

/// A request's head as the rooms see it: framing is settled, the authority is known and lower case.
#[derive(Debug, Clone)]
pub struct Head {
    /// Method.
    pub method: Method,
    /// Path and query only; the authority stands apart.
    pub uri: Uri,
    /// `host` or `host:port`, lower case; the same whether it came as Host, :authority or absolute-form.
    pub authority: String,
    /// HTTP version that the client spoke.
    pub version: Version,
    /// End-to-end fields. Hop-by-hop fields (RFC 9110 §7.6.1) and Host are removed.
    pub fields: HeaderMap,
}

/// One request on its way through the rooms.
#[derive(Debug)]
pub struct Exchange {
    /// Request id, 32 lower-case hex digits; also the trace id when none came in.
    pub id: [u8; 32],
    /// Who asks.
    pub client: Client,
    /// What is asked.
    pub head: Head,
    /// Content of the request, streamed.
    pub body: Body,
    /// Upgrade token that the client asks for (`websocket`), if any.
    pub upgrade: Option<http::HeaderValue>,
    /// Time at which each room was done.
    pub stamps: Stamps,
}

impl Exchange {
    /// When the head was complete.
    pub fn began(&self) -> Instant {
        self.stamps.began()
    }

    /// Notes that `room` is done with it.
    pub fn leave(&mut self, room: Room) {
        self.stamps.leave(room);
    }

    /// Host without port, lower case.
    pub fn host(&self) -> &str {
        host_of(&self.head.authority)
    }
}

impl From<&mut Exchange> for Box<Exchange> {
    /// Takes it and leaves an empty one behind: few have to keep it, and only those pay for moving it.
    fn from(exchange: &mut Exchange) -> Box<Exchange> {
        let stamps = Stamps::new(exchange.began());
        let client = Client {
            peer: None,
            address: exchange.client.address,
            scheme: exchange.client.scheme,
            server_name: None,
        };
        let head = Head {
            method: Method::default(),
            uri: Uri::default(),
            authority: String::new(),
            version: exchange.head.version,
            fields: HeaderMap::new(),
        };
        let empty =
            Exchange { id: exchange.id, client, head, body: Body::Empty, upgrade: None, stamps };
        Box::new(std::mem::replace(exchange, empty))
    }
}

/// What the edge asks an origin, framing aside: `origin` puts Host and hop-by-hop fields in itself.
#[derive(Debug)]
pub struct Ask {
    /// Method.
    pub method: Method,
    /// Path and query.
    pub uri: Uri,
    /// Value of Host or `:authority`.
    pub authority: String,
    /// End-to-end fields.
    pub fields: HeaderMap,
    /// What the edge adds behind them: `Forwarded`, `Via`, `traceparent` and the rest.
    pub own: OwnLines,
    /// Content.
    pub body: Body,
    /// Upgrade token to pass on (`websocket`), if any.
    pub upgrade: Option<http::HeaderValue>,
    /// What whoever waits for it has to lose.
    pub priority: Priority,
    /// What its server is found by, if the origin goes by that.
    pub affinity: u64,
    /// Where what comes before the answer goes, if its client has a use for that.
    pub hints: Option<Hints>,
    /// The span that it becomes, if its request is sampled.
    pub span: Option<Box<Asking>>,
}

impl Ask {
    /// A question without fields and content.
    pub fn new(method: Method, uri: Uri, authority: impl Into<String>) -> Ask {
        Ask {
            method,
            uri,
            authority: authority.into(),
            fields: HeaderMap::new(),
            own: OwnLines::default(),
            body: Body::Empty,
            upgrade: None,
            priority: Priority::default(),
            affinity: 0,
            hints: None,
            span: None,
        }
    }

    /// All fields as a map, to change them: `own` is moved into it.
    pub fn fields_mut(&mut self) -> &mut HeaderMap {
        let own: bytes::Bytes = std::mem::take(&mut self.own).into();
        for (name, value) in field_lines(&own) {
            self.fields.append(name, value);
        }
        &mut self.fields
    }
}

/// Host part of an authority: `a:80` gives `a`, `[::1]:80` gives `[::1]`.
pub fn host_of(authority: &str) -> &str {
    // From the end, where a port is short: this is asked several times on each hit.
    let last = authority.bytes().rposition(|byte| matches!(byte, b':' | b']'));
    let colon = last.filter(|at| authority.as_bytes().get(*at) == Some(&b':'));
    colon.and_then(|at| authority.get(..at)).unwrap_or(authority)
}

/// A request for tests of what is made of one: a GET of this URL, from this address.
#[cfg(test)]
pub(crate) fn example(url: &str, from: &str) -> Exchange {
    let url: Uri = url.parse().expect("a URL");
    let target = url.path_and_query().expect("a target").as_str();
    Exchange {
        id: [b'0'; 32],
        client: Client {
            peer: None,
            address: from.parse().expect("an address"),
            scheme: Scheme::Http,
            server_name: None,
        },
        head: Head {
            method: Method::GET,
            uri: target.parse().expect("a target"),
            authority: url.authority().expect("an authority").to_string(),
            version: Version::HTTP_11,
            fields: HeaderMap::new(),
        },
        body: Body::Empty,
        upgrade: None,
        stamps: Stamps::new(forebay_signals::clock::now()),
    }
}

#[cfg(test)]
mod tests {
    use super::host_of;

    #[test]
    fn host_is_cut_at_the_port_only() {
        assert_eq!(host_of("shop.example:8080"), "shop.example");
        assert_eq!(host_of("shop.example"), "shop.example");
        assert_eq!(host_of("[::1]:80"), "[::1]");
        assert_eq!(host_of("[::1]"), "[::1]");
    }
}
