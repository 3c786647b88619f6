//! HTTP towards an authority: HTTP/1.1 over TLS, one connection for as long as the authority keeps it.

use std::error::Error as StdError;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use forebay_signals::clock;
use http::header::{CONTENT_TYPE, HOST, HeaderValue, RETRY_AFTER, USER_AGENT};
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::timing::LONGEST_TOLD;
use crate::exchange::retry_after;
use crate::origin::{self, BadOrigin};

/// Time of one request, connecting included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Time for one address of the authority.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Most bytes of an answer: a chain of certificates has some thousand.
const MOST_BYTES: usize = 1 << 20;
const OUR_NAME: &str = concat!("forebay/", env!("CARGO_PKG_VERSION"));

type BoxedError = Box<dyn StdError + Send + Sync>;

/// One client; clones share their connection.
#[derive(Clone)]
pub(super) struct Client(Arc<Shared>);

struct Shared {
    tls: TlsConnector,
    kept: Mutex<Option<Kept>>,
    told: Mutex<Option<Duration>>,
}

struct Kept {
    authority: String,
    sender: SendRequest<Full<Bytes>>,
}

impl Client {
    /// One that trusts these authorities, or those of the system.
    pub(super) fn new(authorities: Option<&Path>) -> Result<Client, BadOrigin> {
        let tls = origin::connector(&origin::roots(authorities)?, &[b"http/1.1"])?;
        Ok(Client(Arc::new(Shared { tls, kept: Mutex::default(), told: Mutex::default() })))
    }

    /// For how long the authority's last refusal wants to be left alone.
    pub(super) fn told(&self) -> Option<Duration> {
        *lock(&self.0.told)
    }

    /// For `instant-acme`.
    pub(super) fn boxed(&self) -> Box<dyn HttpClient> {
        Box::new(self.clone())
    }
}

impl HttpClient for Client {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let shared = Arc::clone(&self.0);
        Box::pin(async move {
            let asked = clock::timeout(REQUEST_TIMEOUT, shared.ask(request)).await;
            let late = || io::Error::new(io::ErrorKind::TimedOut, "no answer in time").into();
            asked.unwrap_or_else(|_| Err(late())).map_err(Error::Other)
        })
    }
}

impl Shared {
    async fn ask(&self, request: Request<BodyWrapper<Bytes>>) -> Result<BytesResponse, BoxedError> {
        let (mut parts, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let authority = parts.uri.authority().ok_or("an address without a host")?.clone();
        if parts.uri.scheme_str() != Some("https") {
            return Err(format!("`{}` is no HTTPS address", parts.uri).into());
        }
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        parts.uri = path.parse::<Uri>()?;
        parts.headers.insert(HOST, HeaderValue::try_from(authority.as_str())?);
        let library = parts.headers.get(USER_AGENT).and_then(|name| name.to_str().ok());
        let name = format!("{OUR_NAME} {}", library.unwrap_or_default());
        parts.headers.insert(USER_AGENT, HeaderValue::try_from(name)?);
        let mut sender = match self.kept(authority.as_str()).await {
            Some(sender) => sender,
            None => self.connect(authority.host(), authority.port_u16().unwrap_or(443)).await?,
        };
        let answer = sender.send_request(Request::from_parts(parts, Full::new(body))).await?;
        let (mut parts, body) = answer.into_parts();
        let body = Limited::new(body, MOST_BYTES).collect().await?.to_bytes();
        *lock(&self.kept) = Some(Kept { authority: authority.to_string(), sender });
        if parts.status.is_client_error() || parts.status.is_server_error() {
            *lock(&self.told) = retry_after(&parts.headers);
            // RFC 8555 §6.7: what is no problem document comes from something that stands before it.
            let kind = parts.headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
            if !kind.starts_with(b"application/problem+json") {
                return Err(format!("`{authority}` answered {}", parts.status).into());
            }
        }
        // The library adds it to the time of now, and would panic on a number of any size.
        if let Some(told) = retry_after(&parts.headers).filter(|told| *told > LONGEST_TOLD) {
            let most = told.min(LONGEST_TOLD).as_secs();
            parts.headers.insert(RETRY_AFTER, HeaderValue::from(most));
        }
        Ok(BytesResponse::from(Response::from_parts(parts, Full::new(body))))
    }

    /// The connection of the request before, if it leads there and is still open.
    async fn kept(&self, authority: &str) -> Option<SendRequest<Full<Bytes>>> {
        let kept = lock(&self.kept).take()?;
        let mut sender = kept.sender;
        (kept.authority == authority && sender.ready().await.is_ok()).then_some(sender)
    }

    async fn connect(&self, host: &str, port: u16) -> Result<SendRequest<Full<Bytes>>, BoxedError> {
        let bare = host.trim_matches(['[', ']']);
        let name = ServerName::try_from(bare.to_owned())?;
        let found = tokio::net::lookup_host((bare, port)).await;
        let found: Vec<SocketAddr> = found.map_err(|error| with(host, &error))?.collect();
        let mut failure: BoxedError = format!("`{host}` has no address").into();
        for address in found {
            match clock::timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    let stream = self.tls.connect(name.clone(), stream).await;
                    let stream = stream.map_err(|error| with(host, &error))?;
                    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
                    // It ends with the sender, or when the authority closes.
                    drop(tokio::spawn(connection));
                    return Ok(sender);
                }
                Ok(Err(error)) => failure = with(&address.to_string(), &error),
                Err(_) => failure = format!("`{address}` does not answer").into(),
            }
        }
        Err(failure)
    }
}

fn with(whom: &str, error: &io::Error) -> BoxedError {
    format!("`{whom}`: {error}").into()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
