//! A job is delivered by `POST` to the application, and its answer decides.
//!
//! The content is the payload, byte for byte. `webhook-id` and `Idempotency-Key` are the job's id, the same
//! each time: an application that keeps them runs nothing twice. `webhook-signature` is made as Standard
//! Webhooks says.
//!
//! | answer | the job |
//! |---|---|
//! | 2xx | is done |
//! | 408, 425, 429, 5xx | failed; tried again after `Retry-After`, or as it says itself |
//! | anything else, redirects too | failed; tried again as it says itself |
//! | none within the deadline | failed; tried again as it says itself |
//! | `Forebay-Job: discard`, `kill`, `snooze=SECONDS` with any status but 2xx | is forgotten, is dead, is run later |

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use forebay_signals::clock;
use http::header::{CONTENT_TYPE, HOST, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::Secret;
use crate::job::Job;
use crate::retry::{Failure, Verdict};
use crate::run::{Handler, Performing, Run};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const JOB: HeaderName = HeaderName::from_static("forebay-job");
const CLASS: HeaderName = HeaderName::from_static("forebay-job-class");
const QUEUE: HeaderName = HeaderName::from_static("forebay-job-queue");
const ATTEMPT: HeaderName = HeaderName::from_static("forebay-job-attempt");
const DEADLINE: HeaderName = HeaderName::from_static("forebay-job-deadline");

/// Time to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Of an answer that tells of a failure, so much is kept as its message, and line by line as its backtrace if
/// the job wants one; the rest is read away.
const MESSAGE_BYTES: usize = 2_048;
/// Longest answer that is read: what goes on is cut, and the connection with it.
const MOST_BYTES: usize = 1 << 20;
/// Connections that wait for the next job.
const KEPT: usize = 64;
/// Longest time that an application may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(7 * 86_400);
const OUR_NAME: &str = concat!("forebay/", env!("CARGO_PKG_VERSION"));

type BoxedError = Box<dyn std::error::Error + Send + Sync>;
type Sender = SendRequest<Full<Bytes>>;

/// Where jobs are delivered.
///
/// ```
/// use std::time::Duration;
/// use forebay_jobs::deliver::{Secret, http::Settings, trust};
/// use http::{HeaderMap, Uri};
/// let settings = Settings {
///     url: Uri::from_static("https://app.example/jobs"),
///     secret: Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").ok(),
///     deadline: Duration::from_secs(30),
///     fields: HeaderMap::new(),
///     tls: trust(None).ok(),
/// };
/// ```
#[derive(Debug, Clone)]
pub struct Settings {
    /// `http://127.0.0.1:3000/jobs`.
    pub url: Uri,
    /// What signs each delivery.
    pub secret: Option<Secret>,
    /// How long one delivery may take.
    pub deadline: Duration,
    /// Fields that go with each delivery, such as `authorization`; those that we set ourselves win.
    pub fields: HeaderMap,
    /// What a server with `https` is checked against, see [`trust`](super::trust); without it only `http` is
    /// spoken.
    pub tls: Option<Arc<rustls::ClientConfig>>,
}

/// An address to which nothing can be delivered.
///
/// ```
/// use std::time::Duration;
/// use forebay_jobs::deliver::http::{Deliveries, Settings};
/// # use http::{HeaderMap, Uri};
/// let url = Uri::from_static("/jobs");
/// let deadline = Duration::from_secs(30);
/// let settings = Settings { url, deadline, secret: None, fields: HeaderMap::new(), tls: None };
/// let error = Deliveries::new(settings).err().unwrap();
/// assert_eq!(error.to_string(), "`/jobs` is no address such as `http://127.0.0.1:3000/jobs`");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no address such as `http://127.0.0.1:3000/jobs`")]
pub struct BadUrl(String);

/// Delivers jobs; the handler for whatever class comes.
///
/// ```
/// use std::time::Duration;
/// use forebay_jobs::deliver::http::{Deliveries, Settings};
/// # use http::{HeaderMap, Uri};
/// let url = Uri::from_static("http://127.0.0.1:3000/jobs");
/// let deadline = Duration::from_secs(30);
/// let settings = Settings { url, deadline, secret: None, fields: HeaderMap::new(), tls: None };
/// # let store = std::sync::Arc::new(forebay_jobs::store::memory::Memory::default());
/// use forebay_jobs::worker::Worker;
/// let worker = Worker::builder(store).otherwise(Deliveries::new(settings)?).build();
/// # Ok::<(), forebay_jobs::deliver::http::BadUrl>(())
/// ```
pub struct Deliveries {
    settings: Settings,
    authority: Authority,
    kept: Mutex<Vec<Sender>>,
}

#[derive(Debug)]
struct Authority {
    host: String,
    port: u16,
    /// As it stands in `Host`.
    named: HeaderValue,
    name: Option<ServerName<'static>>,
}

impl Deliveries {
    /// To this address.
    ///
    /// ```
    /// use std::time::Duration;
    /// use forebay_jobs::deliver::http::{Deliveries, Settings};
    /// # use http::{HeaderMap, Uri};
    /// let url = Uri::from_static("https://app.example/jobs");
    /// let deadline = Duration::from_secs(30);
    /// let settings = Settings { url, deadline, secret: None, fields: HeaderMap::new(), tls: None };
    /// assert!(Deliveries::new(settings.clone()).is_err()); // `https` and nothing to check it against
    /// let url = Uri::from_static("http://app.internal/jobs");
    /// assert!(Deliveries::new(Settings { url, ..settings }).is_ok());
    /// ```
    ///
    /// # Errors
    /// Nothing can be delivered there.
    pub fn new(settings: Settings) -> Result<Deliveries, BadUrl> {
        let bad = || BadUrl(settings.url.to_string());
        let authority = settings.url.authority().ok_or_else(bad)?;
        // A password in it would be sent as part of `Host`; there is a field for that.
        if authority.as_str().contains('@') {
            return Err(bad());
        }
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let (port, name) = match settings.url.scheme_str() {
            Some("http") => (80, None),
            Some("https") if settings.tls.is_some() => {
                (443, Some(ServerName::try_from(host.clone()).map_err(|_| bad())?))
            }
            _ => return Err(bad()),
        };
        let port = authority.port_u16().unwrap_or(port);
        let named = HeaderValue::from_str(authority.as_str()).map_err(|_| bad())?;
        let authority = Authority { host, port, named, name };
        Ok(Deliveries { authority, settings, kept: Mutex::default() })
    }

    async fn deliver(&self, run: &Run) -> Result<(), Failure> {
        let asked = clock::timeout(self.settings.deadline, self.ask(run));
        let Ok(answered) = asked.await else {
            let deadline = self.settings.deadline;
            let message = format!("no answer within `{deadline:?}`");
            return Err(Failure::new("DeadlineExceeded", message));
        };
        let (status, fields, text) =
            answered.map_err(|error| Failure::new("DeliveryError", said(&*error)))?;
        judge(status, &fields, &text)
    }

    async fn ask(&self, run: &Run) -> Result<(StatusCode, HeaderMap, String), BoxedError> {
        // A connection that the application closed meanwhile is no failure of the job, as long as none of
        // the request can have arrived.
        let (mut sender, request) = (self.sender().await?, self.request(run)?);
        let answer = sender.send_request(request).await?;
        let (parts, body) = answer.into_parts();
        let mut text = String::new();
        match Limited::new(body, MOST_BYTES).collect().await {
            Ok(body) => {
                let bytes = body.to_bytes();
                let shown = bytes.get(..MESSAGE_BYTES).unwrap_or(&bytes);
                text.push_str(&String::from_utf8_lossy(shown));
                self.keep(sender);
            }
            // Its status was read: that is what counts.
            Err(error) => tracing::debug!(%error, "the answer to a job broke off"),
        }
        Ok((parts.status, parts.headers, text))
    }

    fn request(&self, run: &Run) -> Result<Request<Full<Bytes>>, BoxedError> {
        let job = run.job();
        let since = clock::wall().duration_since(UNIX_EPOCH).unwrap_or_default();
        let timestamp = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
        let path = self.settings.url.path_and_query().map_or("/", |path| path.as_str());
        let mut request = Request::post(path).body(Full::new(job.bytes().clone()))?;
        let fields = request.headers_mut();
        fields.clone_from(&self.settings.fields);
        fields.insert(HOST, self.authority.named.clone());
        fields.insert(USER_AGENT, HeaderValue::from_static(OUR_NAME));
        fields.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        fields.insert(WEBHOOK_ID, HeaderValue::from_str(job.id())?);
        fields.insert(WEBHOOK_TIMESTAMP, HeaderValue::from(timestamp));
        fields.insert(IDEMPOTENCY_KEY, HeaderValue::from_str(&format!("\"{}\"", job.id()))?);
        fields.insert(CLASS, HeaderValue::from_str(job.class())?);
        fields.insert(QUEUE, HeaderValue::from_str(run.queue())?);
        fields.insert(ATTEMPT, HeaderValue::from(job.failures() + 1));
        fields.insert(DEADLINE, HeaderValue::from(self.settings.deadline.as_secs()));
        if let Some(secret) = &self.settings.secret {
            let signature = secret.sign(job.id(), timestamp, job.bytes());
            fields.insert(WEBHOOK_SIGNATURE, HeaderValue::from_str(&signature)?);
        }
        if let Some(trace) = run.traceparent() {
            fields.insert(TRACEPARENT, HeaderValue::from_str(trace)?);
        }
        Ok(request)
    }

    async fn sender(&self) -> Result<Sender, BoxedError> {
        loop {
            let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(mut sender) = kept else { return self.connect().await };
            if !sender.is_closed() && sender.ready().await.is_ok() {
                return Ok(sender);
            }
        }
    }

    fn keep(&self, sender: Sender) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT && !sender.is_closed() {
            kept.push(sender);
        }
    }

    async fn connect(&self) -> Result<Sender, BoxedError> {
        let Authority { host, port, .. } = &self.authority;
        let found = tokio::net::lookup_host((host.as_str(), *port)).await?;
        let found: Vec<SocketAddr> = found.collect();
        let mut failure: BoxedError = format!("`{host}` has no address").into();
        for address in found {
            match clock::timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return self.speak(stream).await,
                Ok(Err(error)) => {
                    failure = format!("cannot connect to `{address}`: {error}").into();
                }
                Err(_) => failure = format!("`{address}` does not answer").into(),
            }
        }
        Err(failure)
    }

    async fn speak(&self, stream: TcpStream) -> Result<Sender, BoxedError> {
        stream.set_nodelay(true)?;
        let (Some(name), Some(tls)) = (&self.authority.name, &self.settings.tls) else {
            let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
            // It ends with the sender, or when the application closes.
            drop(tokio::spawn(connection));
            return Ok(sender);
        };
        let stream = TlsConnector::from(Arc::clone(tls)).connect(name.clone(), stream).await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        drop(tokio::spawn(connection));
        Ok(sender)
    }
}

impl Handler for Deliveries {
    fn handle<'r>(&'r self, run: &'r Run) -> Performing<'r> {
        Box::pin(self.deliver(run))
    }

    fn deadline(&self, _: &Job) -> Option<Duration> {
        // Ours is the nearer one, and says so in words of its own.
        Some(self.settings.deadline + CONNECT_TIMEOUT)
    }
}

impl std::fmt::Debug for Deliveries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deliveries").field("url", &self.settings.url).finish_non_exhaustive()
    }
}

/// What an answer means for its job.
fn judge(status: StatusCode, fields: &HeaderMap, text: &str) -> Result<(), Failure> {
    if status.is_success() {
        return Ok(());
    }
    let text = text.trim();
    let message = if text.is_empty() {
        format!("the application answered {status}")
    } else {
        format!("the application answered {status}: {text}")
    };
    let mut failure = Failure::new(format!("HTTP {}", status.as_u16()), message);
    failure.backtrace = text.lines().map(str::to_owned).collect();
    let said = fields.get(JOB).and_then(|value| value.to_str().ok()).map(str::trim);
    Err(failure.then(match said {
        Some("discard") => Verdict::Discard,
        Some("kill") => Verdict::Kill,
        Some(said) => match said.strip_prefix("snooze=").and_then(|it| it.parse().ok()) {
            Some(seconds) => Verdict::Snooze(Duration::from_secs(seconds).min(LONGEST_WAIT)),
            None => after(status, fields),
        },
        None => after(status, fields),
    }))
}

fn after(status: StatusCode, fields: &HeaderMap) -> Verdict {
    let may_wait = matches!(status.as_u16(), 408 | 425 | 429 | 500..=599);
    match retry_after(fields).filter(|_| may_wait) {
        Some(wait) => Verdict::RetryAfter(wait.min(LONGEST_WAIT)),
        None => Verdict::Retry,
    }
}

/// Seconds, or a date (RFC 9110 §10.2.3).
fn retry_after(fields: &HeaderMap) -> Option<Duration> {
    let text = fields.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = httpdate::parse_http_date(text).ok()?;
    Some(at.duration_since(clock::wall()).unwrap_or_default())
}

/// An error with all that lies behind it.
fn said(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text = format!("{text}: {error}");
        next = error.source();
    }
    text
}
