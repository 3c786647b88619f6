//! What the admin listener answers.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use forebay_edge::act;
use forebay_edge::edge::Edge;
use forebay_edge::exchange::{Answer, Exchange, host_of};
use forebay_edge::view::{self, By, What};
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, StatusCode};
use http_body_util::{BodyExt, Limited};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::server::{Reach, Serving};
use crate::jobs::beside::{self, Beside};
use crate::reload::Reloader;

/// Largest question.
const MOST_BYTES: usize = 64 * 1024;

/// What the admin listener may use.
pub(crate) struct Desk {
    /// The engine.
    pub(crate) edge: Arc<Edge>,
    /// The worker beside it.
    pub(crate) beside: Arc<Beside>,
    /// Puts changed settings in force.
    pub(crate) reloader: Reloader,
    /// The listener in force.
    pub(crate) serving: Mutex<Option<Serving>>,
    /// The wrapped application does not answer yet, and no client is served.
    pub(crate) is_starting: AtomicBool,
}

/// Everything, as `forebay status` shows it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Status {
    /// The edge.
    #[serde(flatten)]
    pub(crate) edge: view::Status,
    /// The worker beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) jobs: Option<beside::View>,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Purge {
    urls: Vec<String>,
    prefixes: Vec<String>,
    hosts: Vec<String>,
    tags: Vec<String>,
    everything: bool,
    soft: bool,
    dry_run: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Maintenance {
    on: bool,
    #[serde(default)]
    route: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mark {
    what: String,
    #[serde(default = "operator")]
    who: String,
}

fn operator() -> String {
    "operator".into()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Why {
    url: String,
    #[serde(default)]
    fields: Vec<(String, String)>,
    #[serde(default)]
    from: Option<IpAddr>,
}

/// Answers one question.
pub(crate) async fn answer(desk: Arc<Desk>, reach: Reach, exchange: Exchange) -> Answer {
    let mut answer = match route(&desk, reach, exchange).await {
        Ok(answer) | Err(answer) => answer,
    };
    answer.fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

async fn route(desk: &Arc<Desk>, reach: Reach, exchange: Exchange) -> Result<Answer, Answer> {
    let path = exchange.head.uri.path().to_owned();
    let is_read = matches!(exchange.head.method, Method::GET | Method::HEAD);
    // Whoever made it public wants it scraped, by whatever name; to act still takes an address.
    let is_open = is_read && reach == Reach::Everybody;
    if !is_open && !is_local_name(host_of(&exchange.head.authority)) {
        return Err(refuse(StatusCode::MISDIRECTED_REQUEST, "ask by address or as localhost"));
    }
    match path.as_str() {
        "/healthz" | "/readyz" | "/metrics" | "/status" | "/journal" | "/top/routes"
        | "/top/keys" | "/top/clients"
            if !is_read =>
        {
            Err(method(HeaderValue::from_static("GET, HEAD")))
        }
        "/healthz" => Ok(text("ok\n")),
        "/readyz" if desk.is_starting.load(Ordering::Acquire) => {
            Ok(text("starting\n").with_status(StatusCode::SERVICE_UNAVAILABLE))
        }
        "/readyz" => match view::readiness(&desk.edge) {
            Ok(()) => Ok(text("ready\n")),
            Err(why) => Ok(text(format!("{why}\n")).with_status(StatusCode::SERVICE_UNAVAILABLE)),
        },
        "/metrics" => {
            let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
            Ok(text(view::metrics(&desk.edge)).with(CONTENT_TYPE, kind))
        }
        "/status" => {
            let (edge, jobs) = (view::status(&desk.edge), desk.beside.view());
            Ok(data(&Status { edge, jobs }))
        }
        "/top/routes" => top(desk, What::Routes, exchange.head.uri.query()).map_err(unfit),
        "/top/keys" => top(desk, What::Keys, exchange.head.uri.query()).map_err(unfit),
        "/top/clients" => top(desk, What::Clients, exchange.head.uri.query()).map_err(unfit),
        "/journal" => Ok(data(&desk.edge.journal.newest(100))),
        "/reload" | "/mark" | "/maintenance" | "/cache/purge" | "/cache/why"
            if exchange.head.method != Method::POST =>
        {
            Err(method(HeaderValue::from_static("POST")))
        }
        "/reload" => {
            question::<serde_json::Value>(exchange).await?;
            let said = desk.reloader.reload(desk).await;
            said.map(|said| data(&json!({ "said": said }))).map_err(unfit)
        }
        "/mark" => {
            let Mark { what, who } = question(exchange).await?;
            act::mark(&desk.edge, &who, &what).map(|entry| data(&entry)).map_err(unfit)
        }
        "/cache/purge" => purge(desk, question(exchange).await?).await,
        "/maintenance" => {
            let asked: Maintenance = question(exchange).await?;
            act::maintenance(&desk.edge, asked.route.as_deref(), asked.on)
                .map(|()| data(&json!({ "closed": view::status(&desk.edge).maintenance })))
                .map_err(unfit)
        }
        "/cache/why" => {
            let asked: Why = question(exchange).await?;
            act::why(&desk.edge, &asked.url, &asked.fields, asked.from)
                .map(|why| data(&why))
                .map_err(unfit)
        }
        _ => Err(refuse(StatusCode::NOT_FOUND, "no such page; see `forebay status --help`")),
    }
}

/// Rows of `/top/…` where the question does not say how many.
const TOP_ROWS: usize = 20;

/// `by=requests|bytes|misses` and `rows=N`.
fn top(desk: &Desk, what: What, query: Option<&str>) -> Result<Answer, &'static str> {
    let (mut by, mut rows) = (By::Requests, TOP_ROWS);
    for part in query.unwrap_or_default().split('&').filter(|part| !part.is_empty()) {
        match part {
            "by=requests" => by = By::Requests,
            "by=bytes" => by = By::Bytes,
            "by=misses" => by = By::Misses,
            part => {
                let number = part.strip_prefix("rows=").and_then(|rows| rows.parse().ok());
                rows = number
                    .ok_or("ask with `by=requests`, `by=bytes` or `by=misses`, and `rows=N`")?;
            }
        }
    }
    Ok(data(&view::top(&desk.edge, what, by, rows)))
}

/// The question is understood and asks for what cannot be.
fn unfit(why: impl AsRef<str>) -> Answer {
    refuse(StatusCode::UNPROCESSABLE_ENTITY, why.as_ref())
}

async fn purge(desk: &Desk, asked: Purge) -> Result<Answer, Answer> {
    let mode = if asked.dry_run { act::Mode::Count } else { act::Mode::Do };
    let effect = if asked.soft { act::Effect::Stale } else { act::Effect::Gone };
    let Purge { urls, prefixes, hosts, tags, everything, .. } = asked;
    let wish = act::Wish { urls, prefixes, hosts, tags, everything };
    let purged = act::purge_aside(&desk.edge, wish, effect, mode, operator()).await;
    let purged = purged.map_err(|error| {
        let status = match error {
            act::PurgeError::Wish(_) => StatusCode::UNPROCESSABLE_ENTITY,
            act::PurgeError::Busy => StatusCode::SERVICE_UNAVAILABLE,
            act::PurgeError::Lost => StatusCode::INTERNAL_SERVER_ERROR,
        };
        refuse(status, &error.to_string())
    })?;
    Ok(data(&json!({ "purged": purged, "dry_run": asked.dry_run, "soft": asked.soft })))
}

async fn question<T: serde::de::DeserializeOwned>(exchange: Exchange) -> Result<T, Answer> {
    let kind = exchange.head.fields.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    if kind != Some(b"application/json") {
        let why = "a POST needs `content-type: application/json`";
        return Err(refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, why));
    }
    let content = Limited::new(exchange.body, MOST_BYTES).collect().await;
    let content =
        content.map_err(|_| refuse(StatusCode::BAD_REQUEST, "the content did not arrive"))?;
    serde_json::from_slice(&content.to_bytes())
        .map_err(|error| refuse(StatusCode::BAD_REQUEST, &format!("cannot read the JSON: {error}")))
}

/// A page that found out the address by a name of its own (DNS rebinding) gets nothing.
fn is_local_name(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.is_empty() || host == "localhost" || bare.parse::<IpAddr>().is_ok()
}

fn method(allowed: HeaderValue) -> Answer {
    refuse(StatusCode::METHOD_NOT_ALLOWED, "another method").with(ALLOW, allowed)
}

fn refuse(status: StatusCode, why: &str) -> Answer {
    data(&json!({ "error": why })).with_status(status)
}

fn text(text: impl Into<String>) -> Answer {
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    Answer::new(text.into()).with(CONTENT_TYPE, kind)
}

fn data(value: &impl Serialize) -> Answer {
    let text = serde_json::to_vec(value).unwrap_or_default();
    Answer::new(Bytes::from(text)).with(CONTENT_TYPE, HeaderValue::from_static("application/json"))
}
