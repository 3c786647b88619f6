//! Sends spans and metrics to collectors by OTLP/HTTP, as Protocol Buffers.
//!
//! The client is the one that asks origins: its deadlines, TLS and connections hold here too. What a collector
//! refuses for now (429, 502, 503, 504, no connection) is sent again, later and later; what it refuses for good, or
//! for too long, is dropped and counted.

use std::io::Write;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use forebay_signals::clock;
use forebay_signals::drain::Drain;
use forebay_signals::journal::Journal;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, USER_AGENT};
use http::{HeaderMap, Method, Uri};
use http_body_util::{BodyExt, Limited};
use tokio::sync::mpsc::Receiver;

use super::{Sent, message};
use crate::config::origin::{Address, Origin, Server, Speaks, Tls};
use crate::config::otlp::{Collector, Metrics, Otlp, Traces};
use crate::edge::Edge;
use crate::error::with_causes;
use crate::exchange::{Answer, Ask, Body, retry_after};
use crate::origin::{BadOrigin, Origins, Upstream};
use crate::view;

/// Times that something is sent.
const MOST_TRIES: u32 = 5;
/// Pause before the second; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Longest pause, whatever the collector asks for.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Time for all that is left when the process goes.
const LAST_PATIENCE: Duration = Duration::from_secs(3);
/// What is read of an answer.
const MOST_ANSWER_BYTES: usize = 64 * 1024;

const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");
const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("OTel-OTLP-Exporter-forebay/", env!("CARGO_PKG_VERSION")));

/// One collector of one kind of thing.
#[derive(Debug)]
pub(super) struct Exporter {
    what: &'static str,
    settings: Collector,
    upstream: Arc<Upstream>,
    journal: Arc<Journal>,
    is_heard: bool,
}

/// Why something was not taken.
#[derive(Debug)]
enum Untaken {
    /// It may be later.
    ForNow { why: String, after: Option<Duration> },
    /// It never will be.
    ForGood(String),
}

impl Exporter {
    fn new(
        what: &'static str,
        settings: &Collector,
        journal: &Arc<Journal>,
    ) -> Result<Exporter, BadOrigin> {
        let authorities = settings.authorities.clone();
        let server = Server {
            tls: settings.is_tls.then_some(Tls { server_name: None, authorities }),
            speaks: Speaks::Http1,
            ..Server::plain(Address::Tcp(settings.host.clone(), settings.port))
        };
        let origin = Origin {
            connect_timeout: settings.timeout,
            try_timeout: settings.timeout,
            total_timeout: settings.timeout,
            content_idle_timeout: settings.timeout,
            // What is sent again, and when, is for us to say.
            throttle_factor: None,
            breaker_failures: u32::MAX,
            ..Origin::new(what, vec![server])
        };
        let unheard = Arc::<Journal>::default();
        let origins = Origins::new(&[Arc::new(origin)], None, &unheard)?;
        let upstream = origins.find(what).ok_or_else(|| BadOrigin::NoServer(what.into()))?;
        let (settings, journal) = (settings.clone(), Arc::clone(journal));
        Ok(Exporter { what, settings, upstream, journal, is_heard: true })
    }

    /// Sends one message until it is taken or given up; there is no other try once `gone` has begun.
    async fn deliver(&mut self, message: Vec<u8>, count: u64, sent: &Sent, gone: &Drain) {
        let content = self.packed(message);
        let mut pause = FIRST_PAUSE;
        for nth in 1..=MOST_TRIES {
            let (why, after) = match self.post(content.clone()).await {
                Ok(()) => {
                    self.hear();
                    return sent.sent.add(count);
                }
                Err(Untaken::ForGood(why)) => {
                    self.miss(&why);
                    break;
                }
                Err(Untaken::ForNow { why, after }) => (why, after),
            };
            self.miss(&why);
            if nth == MOST_TRIES || gone.has_begun() {
                break;
            }
            // Spread, so that a thousand of us do not come back at once.
            let spread = pause.mul_f64(0.5 + crate::hashing::unit(spread()));
            let wait = after.map_or(spread, |after| after.max(spread)).min(LONGEST_PAUSE);
            tokio::select! {
                () = clock::sleep(wait) => {}
                () = gone.begun() => {}
            }
            pause *= 2;
        }
        sent.dropped.add(count);
    }

    async fn post(&self, content: Bytes) -> Result<(), Untaken> {
        let Collector { host, port, path, timeout, .. } = &self.settings;
        let for_now = |why: String| Untaken::ForNow { why, after: None };
        // A name is looked up when there is something to send: a collector may come later than we.
        let known = clock::timeout(*timeout, self.upstream.resolve_now()).await;
        known
            .map_err(|_| for_now("its name is not found in time".into()))?
            .map_err(|error| for_now(with_causes(&error)))?;
        let uri: Uri = path.parse().map_err(|_| Untaken::ForGood("its path is no path".into()))?;
        let mut fields = HeaderMap::new();
        for (name, value) in &self.settings.fields.0 {
            fields.append(name.clone(), value.clone());
        }
        fields.insert(CONTENT_TYPE, PROTOBUF);
        fields.insert(USER_AGENT, AGENT);
        if self.settings.is_gzipped {
            fields.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        let ask = Ask {
            fields,
            body: Body::from(content),
            ..Ask::new(Method::POST, uri, format!("{host}:{port}"))
        };
        let answer =
            self.upstream.fetch(ask).await.map_err(|error| for_now(with_causes(&error)))?;
        let status = answer.status;
        match status.as_u16() {
            200..=299 => self.read(answer).await,
            429 | 502 | 503 | 504 => {
                let after = retry_after(&answer.fields);
                Err(Untaken::ForNow { why: format!("it answers {status}"), after })
            }
            _ => Err(Untaken::ForGood(format!("it answers {status}"))),
        }
    }

    /// An answer that takes the message may still refuse a part of it.
    async fn read(&self, answer: Answer) -> Result<(), Untaken> {
        let content = Limited::new(answer.body, MOST_ANSWER_BYTES).collect();
        // It was taken, whatever else the answer says.
        if let Ok(Ok(content)) = clock::timeout(self.settings.timeout, content).await
            && !content.to_bytes().is_empty()
        {
            tracing::debug!(what = self.what, "the collector took a part, or has a word to say");
        }
        Ok(())
    }

    fn packed(&self, message: Vec<u8>) -> Bytes {
        if !self.settings.is_gzipped {
            return message.into();
        }
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        let packed = encoder.write_all(&message).and_then(|()| encoder.finish());
        packed.unwrap_or_default().into()
    }

    /// One line in the journal when nothing is taken any more …
    fn miss(&mut self, why: &str) {
        if std::mem::replace(&mut self.is_heard, false) {
            let Collector { host, port, .. } = &self.settings;
            let what = format!("{} are not taken by `{host}:{port}`: {why}", self.what);
            self.journal.write("telemetry", what);
        }
    }

    /// … and one when it is again.
    fn hear(&mut self) {
        if !std::mem::replace(&mut self.is_heard, true) {
            self.journal.write("telemetry", format!("{} are taken again", self.what));
        }
    }
}

/// Checks that what sends can be put together: authorities are read, for one.
pub(super) fn check(otlp: &Otlp) -> Result<(), BadOrigin> {
    let journal = Arc::default();
    let traces = otlp.traces.as_ref().map(|it| ("spans", &it.collector));
    let metrics = otlp.metrics.as_ref().map(|it| ("metrics", &it.collector));
    let mut all = traces.into_iter().chain(metrics);
    all.try_for_each(|(what, settings)| Exporter::new(what, settings, &journal).map(drop))
}

/// What sends traces.
pub(super) struct TraceExport {
    exporter: Exporter,
    settings: Traces,
    envelope: message::Envelope,
    spans: Receiver<Vec<u8>>,
}

/// What sends metrics.
pub(super) struct MetricExport {
    exporter: Exporter,
    settings: Metrics,
    envelope: message::Envelope,
}

/// Puts together what sends, as far as the settings ask for it.
pub(super) fn exports(
    edge: &Edge,
    otlp: &Otlp,
) -> Result<(Option<TraceExport>, Option<MetricExport>), BadOrigin> {
    let envelope = message::Envelope::new(&otlp.resource);
    let spans = edge.telemetry.tracer.as_ref().and_then(|tracer| tracer.spans());
    let traces = match (&otlp.traces, spans) {
        (Some(settings), Some(spans)) => Some(TraceExport {
            exporter: Exporter::new("spans", &settings.collector, &edge.journal)?,
            settings: settings.clone(),
            envelope: envelope.clone(),
            spans,
        }),
        _ => None,
    };
    let metrics = match &otlp.metrics {
        Some(settings) => Some(MetricExport {
            exporter: Exporter::new("metrics", &settings.collector, &edge.journal)?,
            settings: settings.clone(),
            envelope,
        }),
        None => None,
    };
    Ok((traces, metrics))
}

impl TraceExport {
    /// Sends spans until `gone`, and what is left then.
    pub(super) async fn run(mut self, edge: Arc<Edge>, gone: Drain) {
        let sent = &edge.telemetry.spans;
        let mut last_moment = pin!(last_moment(&gone));
        let mut is_over = false;
        loop {
            let is_last = gone.has_begun();
            let batch = if is_last { self.at_hand() } else { self.batch(&gone).await };
            let count = batch.len() as u64;
            if count == 0 && is_last {
                return;
            }
            if !is_over {
                tokio::select! {
                    () = self.deliver(batch, sent, &gone) => continue,
                    () = &mut last_moment => is_over = true,
                }
            }
            sent.dropped.add(count);
        }
    }

    /// As many spans as go together, or those that came until the first has waited long enough.
    async fn batch(&mut self, gone: &Drain) -> Vec<Vec<u8>> {
        let mut batch = Vec::new();
        let mut until: Option<Instant> = None;
        while batch.len() < self.settings.most_together {
            let late = async {
                match until {
                    Some(until) => clock::sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                span = self.spans.recv() => match span {
                    Some(span) => batch.push(span),
                    None => break,
                },
                () = late => break,
                () = gone.begun() => break,
            }
            until.get_or_insert_with(|| clock::now() + self.settings.delay);
        }
        batch
    }

    /// What waits.
    fn at_hand(&mut self) -> Vec<Vec<u8>> {
        let most = self.settings.most_together;
        std::iter::from_fn(|| self.spans.try_recv().ok()).take(most).collect()
    }

    async fn deliver(&mut self, batch: Vec<Vec<u8>>, sent: &Sent, gone: &Drain) {
        if batch.is_empty() {
            return;
        }
        let message = self.envelope.spans(&batch);
        self.exporter.deliver(message, batch.len() as u64, sent, gone).await;
    }
}

impl MetricExport {
    /// Sends metrics until `gone`, and once more then.
    pub(super) async fn run(mut self, edge: Arc<Edge>, gone: Drain) {
        let began = clock::wall()
            .checked_sub(clock::now().saturating_duration_since(edge.started))
            .unwrap_or_else(clock::wall);
        let mut last_moment = pin!(last_moment(&gone));
        loop {
            tokio::select! {
                () = clock::sleep(self.settings.interval) => {}
                () = gone.begun() => {}
            }
            let is_last = gone.has_begun();
            let (message, points) =
                self.envelope.metrics(&view::families(&edge), began, clock::wall());
            let sent = &edge.telemetry.metrics;
            tokio::select! {
                () = self.exporter.deliver(message, points, sent, &gone) => {}
                () = &mut last_moment => {
                    sent.dropped.add(points);
                    return;
                }
            }
            if is_last {
                return;
            }
        }
    }
}

/// Comes some time after `gone` has begun: nothing is sent from then on.
async fn last_moment(gone: &Drain) {
    gone.begun().await;
    clock::sleep(LAST_PATIENCE).await;
}

/// A number that differs from process to process.
fn spread() -> u64 {
    let id = crate::identity::new_id();
    u64::from_be_bytes(crate::identity::number(&id))
}
