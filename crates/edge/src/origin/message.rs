//! Requests as an origin gets them and answers as the rooms get them: framing and hop-by-hop fields
//! are this room's business alone.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use forebay_signals::clock;
use http::header::{
    CONNECTION, CONTENT_LENGTH, DATE, HOST, PROXY_AUTHENTICATE, TE, TRAILER, TRANSFER_ENCODING,
    UPGRADE,
};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri};
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::error::{Error, ErrorKind};
use crate::exchange::{Ask, Body};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
/// Fields of a connection, not of a message (RFC 9110 §7.6.1).
const HOP_BY_HOP: [HeaderName; 6] =
    [CONNECTION, KEEP_ALIVE, PROXY_CONNECTION, TE, TRANSFER_ENCODING, PROXY_AUTHENTICATE];
/// What must not come in a trailer section (RFC 9110 §6.5.1).
const NOT_IN_TRAILERS: [HeaderName; 7] =
    [CONNECTION, CONTENT_LENGTH, HOST, KEEP_ALIVE, TE, TRAILER, TRANSFER_ENCODING];

/// A request that is not sent yet.
pub(super) struct Outgoing {
    method: Method,
    uri: Uri,
    authority: HeaderValue,
    fields: HeaderMap,
    body: Upload,
    upgrade: Option<HeaderValue>,
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
        let mut fields = ask.fields;
        // Framing is written anew from the content itself.
        fields.remove(CONTENT_LENGTH);
        fields.remove(TRANSFER_ENCODING);
        let body = Upload::new(ask.body);
        let (method, uri, upgrade) = (ask.method, ask.uri, ask.upgrade);
        Ok(Outgoing { method, uri, authority, fields, body, upgrade })
    }

    /// The same again, if it may be sent twice: the method says so (RFC 9110 §9.2.2) and all of its
    /// content is at hand.
    pub(super) fn copy(&self) -> Option<Outgoing> {
        if !self.method.is_idempotent() || self.upgrade.is_some() {
            return None;
        }
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
            body: Upload::new(body),
            upgrade: None,
        })
    }

    pub(super) fn is_upgrade(&self) -> bool {
        self.upgrade.is_some()
    }

    pub(super) fn upgrade(&self) -> Option<&HeaderValue> {
        self.upgrade.as_ref()
    }

    pub(super) fn method(&self) -> &Method {
        &self.method
    }

    /// Where the content tells why it broke off.
    pub(super) fn breach(&self) -> Option<Breach> {
        self.body.breach.clone()
    }

    /// In the form of HTTP/1.1 (RFC 9112 §3.2.1).
    pub(super) fn into_http1(mut self) -> Request<Upload> {
        self.fields.insert(HOST, self.authority);
        if let Some(token) = self.upgrade {
            self.fields.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            self.fields.insert(UPGRADE, token);
        }
        // The engine would leave a GET's streamed content out, and a POST's missing content unsaid.
        match self.body.size_hint().exact() {
            None => {
                self.fields.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
            }
            Some(0) if matches!(self.method, Method::POST | Method::PUT | Method::PATCH) => {
                self.fields.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
            }
            Some(_) => {}
        }
        request(self.method, self.uri, self.fields, self.body)
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
        // We take trailers (RFC 9110 §10.1.4); gRPC servers insist on hearing it.
        self.fields.insert(TE, HeaderValue::from_static("trailers"));
        Ok(request(self.method, uri, self.fields, self.body))
    }

    /// Takes back a request that was never sent.
    pub(super) fn taken_back(request: Request<Upload>, of: Kept) -> Outgoing {
        let (parts, body) = request.into_parts();
        let mut fields = parts.headers;
        for name in [HOST, CONNECTION, UPGRADE, TRANSFER_ENCODING, CONTENT_LENGTH, TE] {
            fields.remove(name);
        }
        let path = parts.uri.into_parts().path_and_query;
        let uri = path.map_or_else(|| Uri::from_static("/"), Uri::from);
        let Kept { authority, upgrade } = of;
        Outgoing { method: parts.method, uri, authority, fields, body, upgrade }
    }

    /// What [`Outgoing::taken_back`] cannot see in the request.
    pub(super) fn keep(&self) -> Kept {
        Kept { authority: self.authority.clone(), upgrade: self.upgrade.clone() }
    }
}

/// Parts of a request that its protocol writes in its own way.
pub(super) struct Kept {
    authority: HeaderValue,
    upgrade: Option<HeaderValue>,
}

fn request(method: Method, uri: Uri, fields: HeaderMap, body: Upload) -> Request<Upload> {
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    *request.headers_mut() = fields;
    request
}

/// Why a request's content broke off.
pub(super) type Breach = Arc<OnceLock<(ErrorKind, &'static str)>>;

/// A request's content; a streamed one says afterwards whether it was the client who broke it off.
pub(super) struct Upload {
    body: Body,
    breach: Option<Breach>,
}

impl Upload {
    fn new(body: Body) -> Upload {
        let breach = matches!(body, Body::Stream(_)).then(Breach::default);
        Upload { body, breach }
    }

    /// No content.
    pub(super) fn empty() -> Upload {
        Upload { body: Body::Empty, breach: None }
    }
}

impl HttpBody for Upload {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let (Some(Err(error)), Some(breach)) = (&frame, &self.breach) {
            breach.get_or_init(|| (error.kind(), error.detail()));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// What an answer must be an answer to.
pub(super) struct Asked {
    pub(super) is_head: bool,
    pub(super) upgrade: Option<HeaderValue>,
}

/// Checks an answer's framing and leaves the fields that are for the client.
pub(super) fn clean(
    status: StatusCode,
    fields: &mut HeaderMap,
    asked: &Asked,
) -> Result<(), Error> {
    let bad = |detail| Err(Error::new(ErrorKind::OriginProtocol, detail));
    if let Some(coding) = fields.get(TRANSFER_ENCODING) {
        // Anything but this is content that we cannot tell the end or the coding of (RFC 9112 §6.3).
        if !coding.as_bytes().eq_ignore_ascii_case(b"chunked")
            || fields.get_all(TRANSFER_ENCODING).iter().count() > 1
        {
            return bad("a transfer coding other than chunked");
        }
        if fields.contains_key(CONTENT_LENGTH) {
            return bad("both a content length and a transfer coding");
        }
    }
    if status == StatusCode::SWITCHING_PROTOCOLS {
        let token = fields.get(UPGRADE).map(HeaderValue::as_bytes);
        let wanted = asked.upgrade.as_ref().map(HeaderValue::as_bytes);
        let is_wanted =
            token.zip(wanted).is_some_and(|(got, asked)| got.eq_ignore_ascii_case(asked));
        if !is_wanted {
            return bad("a switch to a protocol that was not asked for");
        }
    }
    remove_hop_by_hop(fields);
    if status != StatusCode::SWITCHING_PROTOCOLS {
        fields.remove(UPGRADE);
    }
    // Without content it is all that tells the length; with content the content itself does.
    if !(asked.is_head || status == StatusCode::NOT_MODIFIED) {
        fields.remove(CONTENT_LENGTH);
    }
    if !fields.contains_key(DATE) {
        // RFC 9110 §6.6.1: a recipient that passes the answer on adds it.
        if let Ok(date) = HeaderValue::try_from(httpdate::fmt_http_date(clock::wall())) {
            fields.insert(DATE, date);
        }
    }
    Ok(())
}

fn remove_hop_by_hop(fields: &mut HeaderMap) {
    let named: Vec<HeaderName> = fields
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .filter_map(|token| HeaderName::from_bytes(token.trim_ascii()).ok())
        .filter(|name| *name != UPGRADE)
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

    fn cleaned(lines: &[(&'static str, &'static str)]) -> Result<HeaderMap, Error> {
        let mut map = fields(lines);
        clean(StatusCode::OK, &mut map, &Asked { is_head: false, upgrade: None }).map(|()| map)
    }

    #[test]
    fn hop_by_hop_fields_and_those_that_connection_names_are_removed() {
        let map = cleaned(&[
            ("connection", "close, X-Secret"),
            ("connection", "x-other"),
            ("x-secret", "1"),
            ("x-other", "1"),
            ("keep-alive", "timeout=5"),
            ("upgrade", "h2c"),
            ("content-length", "3"),
            ("etag", "\"a\""),
        ])
        .expect("it is fine");
        let left: Vec<_> = map.keys().map(HeaderName::as_str).collect();
        assert_eq!(left, ["etag", "date"]);
    }

    #[test]
    fn ambiguous_framing_is_refused() {
        assert!(cleaned(&[("transfer-encoding", "chunked")]).is_ok());
        assert!(cleaned(&[("transfer-encoding", "gzip, chunked")]).is_err());
        assert!(
            cleaned(&[("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")]).is_err()
        );
        assert!(cleaned(&[("transfer-encoding", "chunked"), ("content-length", "3")]).is_err());
    }
}
