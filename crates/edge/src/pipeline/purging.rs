//! The method `PURGE`: the address itself, what begins with it, or what bears tags.
//!
//! There is no standard; the fields are those of Fastly, Cloudflare and Varnish (`xkey`), so that plug-ins
//! of applications that know one of these find what they expect.

use std::sync::Arc;

use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, ORIGIN};

use crate::cache::tags::{CACHE_TAG, SURROGATE_KEY, separated_by_blanks, separated_by_commas};
use crate::config::purge::Purge;
use crate::edge::Edge;
use crate::error::{Error, ErrorKind};
use crate::exchange::{Answer, Exchange};
use crate::purge::{Effect, Mode, PurgeError, Wish, purge_aside};

const METHOD: &str = "PURGE";
/// Most tags of one request.
const MOST_TAGS: usize = 1_000;
/// Varnish's fields for tags, separated by blanks.
const XKEY_PURGE: HeaderName = HeaderName::from_static("xkey-purge");
const XKEY_SOFTPURGE: HeaderName = HeaderName::from_static("xkey-softpurge");
/// `1` marks as stale what would be removed.
const SOFT: [HeaderName; 2] =
    [HeaderName::from_static("fastly-soft-purge"), HeaderName::from_static("soft-purge")];

/// A purge that somebody asked for who may.
#[derive(Debug)]
pub(super) struct Request {
    wish: Wish,
    effect: Effect,
    who: String,
}

/// The purge that a request asks for; `None` for every other request, and while nobody may purge.
pub(super) fn asked(
    edge: &Edge,
    settings: &Purge,
    exchange: &Exchange,
) -> Option<Result<Box<Request>, Error>> {
    if exchange.head.method.as_str() != METHOD || !settings.is_on() {
        return None;
    }
    let Some(right) = right(settings, exchange) else {
        edge.cache.purges.refused.increment();
        return Some(Err(Error::new(
            ErrorKind::PurgeRefused,
            "neither address nor token allows it",
        )));
    };
    let who = format!("PURGE from {} by {right}", exchange.client.address);
    Some(wish(exchange).map(|(wish, effect)| Box::new(Request { wish, effect, who })))
}

/// Does it. The client may leave meanwhile: it is done all the same.
pub(super) async fn run(edge: &Arc<Edge>, request: Box<Request>) -> Result<Answer, Error> {
    let Request { wish, effect, who } = *request;
    let purged = purge_aside(edge, wish, effect, Mode::Do, who).await.map_err(|error| {
        let (kind, detail) = match error {
            PurgeError::Wish(_) => (ErrorKind::BadMessage, "nothing that can be purged"),
            PurgeError::Busy => (ErrorKind::Saturated, "too many purges at once"),
            PurgeError::Lost => (ErrorKind::Internal, "a purge ended early"),
        };
        Error::new(kind, detail).because(error)
    })?;
    let answer = Answer::new(format!("{{\"purged\":{purged}}}\n"));
    let answer = answer.with(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(answer.with(CACHE_CONTROL, HeaderValue::from_static("no-store")))
}

/// What lets this client purge.
fn right(settings: &Purge, exchange: &Exchange) -> Option<&'static str> {
    let fields = &exchange.head.fields;
    let given = fields.get(AUTHORIZATION).map(HeaderValue::as_bytes).and_then(bearer);
    if let (Some(token), Some(given)) = (&settings.token, given) {
        return token.is(given).then_some("token");
    }
    // A page that somebody inside looks at must not purge with his address: browsers say whose it is.
    let is_of_page = fields.contains_key(ORIGIN);
    let client = &exchange.client;
    let is_allowed = !is_of_page && settings.allows(client.peer.is_some(), client.address);
    is_allowed.then_some("address")
}

/// RFC 6750 §2.1.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_at_checked(b"Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| rest.trim_ascii())
}

fn wish(exchange: &Exchange) -> Result<(Wish, Effect), Error> {
    let fields = &exchange.head.fields;
    let lines = |name: HeaderName| fields.get_all(name).into_iter().map(HeaderValue::as_bytes);
    let keys = [SURROGATE_KEY, XKEY_PURGE, XKEY_SOFTPURGE];
    let mut tags: Vec<&[u8]> = keys
        .into_iter()
        .flat_map(lines)
        .flat_map(separated_by_blanks)
        .take(MOST_TAGS + 1)
        .collect();
    tags.extend(lines(CACHE_TAG).flat_map(separated_by_commas).take(MOST_TAGS + 1));
    if tags.len() > MOST_TAGS {
        return Err(Error::new(ErrorKind::BadMessage, "more than 1,000 tags to purge at once"));
    }
    let is_soft = SOFT.iter().any(|name| fields.get(name).is_some_and(|value| value == "1"))
        || fields.contains_key(XKEY_SOFTPURGE);
    let effect = if is_soft { Effect::Stale } else { Effect::Gone };
    let names = [&SURROGATE_KEY, &CACHE_TAG, &XKEY_PURGE, &XKEY_SOFTPURGE];
    if names.iter().any(|name| fields.contains_key(*name)) {
        // A field that names none is a slip, and not the address.
        let tags = tags.into_iter().map(|tag| String::from_utf8_lossy(tag).into_owned()).collect();
        return Ok((Wish { tags, ..Wish::default() }, effect));
    }
    // A page has one address for whoever purges it, whichever way it is asked for.
    let target = exchange.head.uri.path_and_query().map_or("/", |target| target.as_str());
    let authority = &exchange.head.authority;
    let both =
        |target: &str| ["http", "https"].map(|s| format!("{s}://{authority}{target}")).to_vec();
    let wish = match target.strip_suffix('*') {
        Some(prefix) => Wish { prefixes: both(prefix), ..Wish::default() },
        None => Wish { urls: both(target), ..Wish::default() },
    };
    Ok((wish, effect))
}
