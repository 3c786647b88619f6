//! Requests as an origin gets them and answers as the rooms get them: framing and hop-by-hop fields
//! are this room's business alone.

use std::sync::Arc;

use bytes::Bytes;
use forebay_signals::clock;
use http::header::{
    CONNECTION, CONTENT_LENGTH, DATE, HOST, PROXY_AUTHENTICATE, TE, TRAILER, TRANSFER_ENCODING,
    UPGRADE,
};
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri};
use http_body::Body as _;

use super::http1::line;
use super::upload::{Sender, Upload};
use crate::error::{Error, ErrorKind};
use crate::exchange::{Ask, Body, Hints, OwnLines, field_lines};
use crate::http1::Framing;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
/// Fields of a connection, not of a message (RFC 9110 §7.6.1).
const HOP_BY_HOP: [HeaderName; 7] =
    [CONNECTION, KEEP_ALIVE, PROXY_CONNECTION, TE, TRANSFER_ENCODING, PROXY_AUTHENTICATE, UPGRADE];
/// What must not come in a trailer section (RFC 9110 §6.5.1).
const NOT_IN_TRAILERS: [HeaderName; 7] =
    [CONNECTION, CONTENT_LENGTH, HOST, KEEP_ALIVE, TE, TRAILER, TRANSFER_ENCODING];

/// A request, for as long as it may have to be sent.
pub(super) struct Outgoing {
    method: Method,
    uri: Uri,
    authority: HeaderValue,
    fields: HeaderMap,
    /// Lines of the edge's own, written behind the fields.
    own: OwnLines,
    body: Upload,
    /// The streamed content has gone with a try.
    is_spent: bool,
    upgrade: Option<HeaderValue>,
    hints: Option<Hints>,
}

impl Outgoing {
    /// Takes what the edge asks; `host` stands in place of the client's.
    pub(super) fn new(ask: Ask, host: Option<&HeaderValue>) -> Result<Outgoing, Error> {
        if ask.method == Method::CONNECT {
            return Err(Error::new(ErrorKind::NotImplemented, "CONNECT is not passed on"));
        }
        let authority = match host {
            Some(host) => host.clone(),
            None => HeaderValue::from_maybe_shared(Bytes::from(ask.authority)).map_err(|_| {
                Error::new(ErrorKind::BadMessage, "the authority is no field value")
            })?,
        };
        let body = Upload::new(ask.body);
        let (method, uri, fields, upgrade) = (ask.method, ask.uri, ask.fields, ask.upgrade);
        let (own, hints) = (ask.own, ask.hints);
        Ok(Outgoing { method, uri, authority, fields, own, body, is_spent: false, upgrade, hints })
    }

    /// True if it may be sent twice: the method says so (RFC 9110 §9.2.2) and all of its content is
    /// at hand.
    pub(super) fn may_repeat(&self) -> bool {
        self.method.is_idempotent() && self.upgrade.is_none() && self.is_whole()
    }

    /// True if all of it can be sent once more.
    pub(super) fn is_whole(&self) -> bool {
        !self.is_spent
    }

    /// The same again, if all of its content is at hand.
    pub(super) fn copy(&self) -> Option<Outgoing> {
        let body = match &self.body.body {
            Body::Empty => Body::Empty,
            Body::Whole(bytes) => Body::Whole(bytes.clone()),
            Body::Stream(stream) if stream.is_end_stream() => Body::Empty,
            Body::Stream(_) => return None,
        };
        Some(Outgoing {
            method: self.method.clone(),
            uri: self.uri.clone(),
            authority: self.authority.clone(),
            fields: self.fields.clone(),
            own: self.own.clone(),
            body: Upload::new(body),
            is_spent: false,
            upgrade: self.upgrade.clone(),
            hints: self.hints.clone(),
        })
    }

    pub(super) fn is_upgrade(&self) -> bool {
        self.upgrade.is_some()
    }

    /// True if this is one of the protocols that a switch to was asked for (RFC 9110 §7.8).
    pub(super) fn asked_for(&self, token: &HeaderValue) -> bool {
        let asked = self.upgrade.as_ref().map_or(&b""[..], HeaderValue::as_bytes);
        let mut asked = asked.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        !token.is_empty() && asked.any(|asked| asked.eq_ignore_ascii_case(token.as_bytes()))
    }

    /// Where what comes before the answer goes.
    pub(super) fn hints(&self) -> Option<&Hints> {
        self.hints.as_ref()
    }

    pub(super) fn method(&self) -> &Method {
        &self.method
    }

    /// Where the content tells why it broke off.
    pub(super) fn sender(&self) -> Option<Arc<Sender>> {
        self.body.sender.clone()
    }

    /// Writes the head in the form of HTTP/1.1 (RFC 9112 §3.2.1) and says where the content ends.
    pub(super) fn write_head(&self, out: &mut Vec<u8>) -> Framing {
        let path = self.uri.path_and_query().map_or("/", PathAndQuery::as_str);
        out.extend_from_slice(self.method.as_str().as_bytes());
        out.push(b' ');
        out.extend_from_slice(path.as_bytes());
        out.extend_from_slice(b" HTTP/1.1\r\n");
        line(out, "host", self.authority.as_bytes());
        for (name, value) in &self.fields {
            if !is_written_anew(name) {
                line(out, name.as_str(), value.as_bytes());
            }
        }
        out.extend_from_slice(self.own.as_bytes());
        if let Some(token) = &self.upgrade {
            out.extend_from_slice(b"connection: upgrade\r\n");
            line(out, "upgrade", token.as_bytes());
        }
        let framing = self.framing();
        match framing {
            Framing::None => {}
            Framing::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
            Framing::Length(length) => {
                line(out, "content-length", itoa::Buffer::new().format(length).as_bytes());
            }
        }
        out.extend_from_slice(b"\r\n");
        framing
    }

    fn framing(&self) -> Framing {
        let length =
            if self.body.is_end_stream() { Some(0) } else { self.body.size_hint().exact() };
        match length {
            None => Framing::Chunked,
            // A length of nothing is said where content is expected (RFC 9110 §8.6).
            Some(0) if !matches!(self.method, Method::POST | Method::PUT | Method::PATCH) => {
                Framing::None
            }
            Some(length) => Framing::Length(length),
        }
    }

    /// Takes a streamed content out of it.
    pub(super) fn stream(&mut self) -> Option<Upload> {
        match &self.body.body {
            Body::Stream(stream) if !stream.is_end_stream() => {
                self.is_spent = true;
                Some(std::mem::replace(&mut self.body, Upload::new(Body::Empty)))
            }
            _ => None,
        }
    }

    /// Takes a streamed content back that nobody has read from.
    pub(super) fn put_back(&mut self, upload: Upload) {
        self.body = upload;
        self.is_spent = false;
    }

    /// Content that is at hand.
    pub(super) fn whole(&self) -> Bytes {
        match &self.body.body {
            Body::Whole(bytes) => bytes.clone(),
            _ => Bytes::new(),
        }
    }

    /// Names of fields that the head announces for the trailer section.
    pub(super) fn announced_trailers(&self) -> Vec<HeaderName> {
        let lines = self.fields.get_all(TRAILER).iter().map(HeaderValue::as_bytes);
        let names = lines.flat_map(|line| line.split(|byte| *byte == b','));
        names
            .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
            .filter(|name| !NOT_IN_TRAILERS.contains(name))
            .collect()
    }

    /// In the form of HTTP/2 (RFC 9113 §8.3.1). It has no Upgrade: a server may always ignore one.
    pub(super) fn into_http2(mut self, scheme: &'static str) -> Result<Request<Upload>, Error> {
        let bad = |_| Error::new(ErrorKind::BadMessage, "the authority does not fit HTTP/2");
        let authority =
            Authority::from_maybe_shared(Bytes::copy_from_slice(self.authority.as_bytes()))
                .map_err(bad)?;
        let path = self.uri.path_and_query().map_or("/", |path| path.as_str());
        let uri = Uri::builder().scheme(scheme).authority(authority).path_and_query(path).build();
        let uri = uri.map_err(|_| Error::new(ErrorKind::BadMessage, "the target is no URI"))?;
        for (name, value) in field_lines(&std::mem::take(&mut self.own).into()) {
            self.fields.append(name, value);
        }
        for name in [CONTENT_LENGTH, TRANSFER_ENCODING] {
            self.fields.remove(name);
        }
        // We take trailers (RFC 9110 §10.1.4); gRPC servers insist on hearing it.
        self.fields.insert(TE, HeaderValue::from_static("trailers"));
        Ok(request(self.method, uri, self.fields, self.body))
    }

    /// Takes back a request that was never sent.
    pub(super) fn taken_back(request: Request<Upload>, of: Kept) -> Outgoing {
        let (parts, body) = request.into_parts();
        let mut fields = parts.headers;
        fields.remove(TE);
        let path = parts.uri.into_parts().path_and_query;
        let uri = path.map_or_else(|| Uri::from_static("/"), Uri::from);
        let Kept { authority, upgrade, hints } = of;
        Outgoing {
            method: parts.method,
            uri,
            authority,
            fields,
            own: OwnLines::default(),
            body,
            is_spent: false,
            upgrade,
            hints,
        }
    }

    /// What [`Outgoing::taken_back`] cannot see in the request.
    pub(super) fn keep(&self) -> Kept {
        let (authority, upgrade) = (self.authority.clone(), self.upgrade.clone());
        Kept { authority, upgrade, hints: self.hints.clone() }
    }
}

/// Parts of a request that its protocol writes in its own way.
pub(super) struct Kept {
    authority: HeaderValue,
    upgrade: Option<HeaderValue>,
    hints: Option<Hints>,
}

fn request(method: Method, uri: Uri, fields: HeaderMap, body: Upload) -> Request<Upload> {
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    *request.headers_mut() = fields;
    request
}

/// Leaves of an HTTP/2 answer's fields what is for the client.
pub(super) fn clean(status: StatusCode, fields: &mut HeaderMap, method: &Method) {
    remove_hop_by_hop(fields);
    // Without content it is all that tells the length; with content the content itself does.
    if !(*method == Method::HEAD || status == StatusCode::NOT_MODIFIED) {
        fields.remove(CONTENT_LENGTH);
    }
}

/// RFC 9110 §6.6.1: a recipient that passes an answer on adds the date it lacks.
pub(super) fn date(fields: &mut HeaderMap) {
    if !fields.contains_key(DATE)
        && let Ok(date) = HeaderValue::try_from(httpdate::fmt_http_date(clock::wall()))
    {
        fields.insert(DATE, date);
    }
}

/// Framing and what belongs to a connection is said by us alone.
fn is_written_anew(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "host"
            | "connection"
            | "content-length"
            | "transfer-encoding"
            | "upgrade"
            | "keep-alive"
            | "proxy-connection"
    )
}

fn remove_hop_by_hop(fields: &mut HeaderMap) {
    let named: Vec<HeaderName> = fields
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .filter_map(|token| HeaderName::from_bytes(token.trim_ascii()).ok())
        .collect();
    for name in named {
        fields.remove(name);
    }
    for name in HOP_BY_HOP {
        fields.remove(name);
    }
}

/// Leaves what may stand in a trailer section.
pub(super) fn clean_trailers(fields: &mut HeaderMap) {
    for name in NOT_IN_TRAILERS {
        fields.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let line = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        let mut map = HeaderMap::new();
        for (name, value) in lines.iter().map(line) {
            map.append(name, value);
        }
        map
    }

    #[test]
    fn hop_by_hop_fields_and_those_that_connection_names_are_removed() {
        let mut map = fields(&[
            ("connection", "close, X-Secret"),
            ("connection", "x-other"),
            ("x-secret", "1"),
            ("x-other", "1"),
            ("keep-alive", "timeout=5"),
            ("upgrade", "h2c"),
            ("content-length", "3"),
            ("etag", "\"a\""),
        ]);
        clean(StatusCode::OK, &mut map, &Method::GET);
        date(&mut map);
        let left: Vec<_> = map.keys().map(HeaderName::as_str).collect();
        assert_eq!(left, ["etag", "date"]);
    }

    #[test]
    fn a_head_is_written_with_framing_of_ours_alone() {
        let body = Body::from("hello");
        let ask = Ask {
            fields: fields(&[
                ("content-length", "99"),
                ("transfer-encoding", "chunked"),
                ("host", "other"),
                ("connection", "close"),
                ("x-mine", "kept"),
            ]),
            body,
            ..Ask::new(Method::POST, Uri::from_static("/a?b"), "shop.example")
        };
        let outgoing = Outgoing::new(ask, None).expect("lawful");
        let mut head = Vec::new();
        assert_eq!(outgoing.write_head(&mut head), Framing::Length(5));
        let expected =
            "POST /a?b HTTP/1.1\r\nhost: shop.example\r\nx-mine: kept\r\ncontent-length: 5\r\n\r\n";
        assert_eq!(String::from_utf8_lossy(&head), expected);
    }
}
