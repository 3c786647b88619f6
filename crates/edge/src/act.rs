//! What others may make the edge do: the acting door. Every act lands in the journal.

use std::net::{IpAddr, SocketAddr};

use http::header::{CACHE_CONTROL, LOCATION};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version};
use serde::{Deserialize, Serialize};

use crate::cache::key::{Stripped, is_forwarded_for_log, stripped};
use crate::cache::lookup::{self, Found};
use crate::cache::rules::{AnswerView, Arrival, Refusal, RequestView, may_store, vary};
use crate::cache::safety;
use crate::cache::store::Pass;
use crate::cache::tags;
use crate::config::policy::Policy;
use crate::config::route::Route;
use crate::edge::{Edge, Prepared, StartError};
use crate::error::{Error, ErrorKind};
use crate::exchange::{Answer, Body, Client, Exchange, Head, Scheme, Stamps, host_of};
use crate::maintenance::Closed;
use crate::part;
pub use crate::purge::{Effect, Mode, PurgeError, Wish, purge, purge_aside};
use forebay_signals::clock;
use forebay_signals::journal::Entry;

/// Puts new settings in force; says which of them wait for a restart.
pub fn reload(edge: &Edge, next: Prepared) -> Result<Vec<String>, StartError> {
    let routes = next.config().routes.len();
    match edge.reload(next) {
        Ok(waiting) => {
            edge.journal.write("operator", format!("settings reloaded, routes: {routes}"));
            Ok(waiting)
        }
        Err(error) => {
            edge.journal.write("operator", format!("reload refused: {error}"));
            Err(error)
        }
    }
}

/// Puts one route or all of them in maintenance, or ends that.
pub fn maintenance(edge: &Edge, route: Option<&str>, is_on: bool) -> Result<(), String> {
    edge.maintenance.act(&edge.snapshot().config, route, is_on)?;
    let what = route.map_or_else(|| "all routes".to_owned(), |route| format!("route `{route}`"));
    let state = if is_on { "begun" } else { "ended" };
    edge.journal.write("operator", format!("maintenance {state}: {what}"));
    Ok(())
}

/// Longest mark, and longest name of who made it.
const MOST_MARK_BYTES: usize = 200;

/// Marks this moment in the journal, as whoever deploys does: what changes from here on may be of that.
pub fn mark(edge: &Edge, who: &str, what: &str) -> Result<Entry, String> {
    let (who, what) = (who.trim(), what.trim());
    for (name, text) in [("a mark", what), ("who made a mark", who)] {
        if text.is_empty() || text.len() > MOST_MARK_BYTES || text.contains(char::is_control) {
            return Err(format!("{name} is one line of 1 to {MOST_MARK_BYTES} bytes"));
        }
    }
    let entry = edge.journal.record(who, format!("mark: {what}"));
    edge.mark.store(Some(std::sync::Arc::new(entry.clone())));
    Ok(entry)
}

/// What the cache makes of a request, and why.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Why {
    /// Name of the route; none matches without.
    pub route: Option<String>,
    /// Name of its policy.
    pub policy: Option<String>,
    /// The primary key; line ends shown as they are.
    pub key: Option<String>,
    /// What is neither keyed nor shown to the origin.
    pub stripped: Vec<String>,
    /// Fields that the origin is shown.
    pub forwarded: Vec<String>,
    /// Fields that the origin is shown for its logs although they are not in the key.
    pub informed: Vec<String>,
    /// `hit`, `stale-while-revalidate`, `validate`, `miss`, `pass`, `refused`; `own` if the route answers
    /// by itself.
    pub decision: String,
    /// The rule that made it.
    pub rule: Option<String>,
    /// The rule in a sentence.
    pub because: String,
    /// Seconds left of what is stored; negative once stale.
    pub ttl_s: Option<i64>,
    /// Age of what is stored.
    pub age_s: Option<u64>,
    /// Every other rule that takes part, in the order of the rooms.
    #[serde(default)]
    pub parts: Vec<String>,
    /// Tags of what is stored.
    #[serde(default)]
    pub tags: Vec<String>,
}

/// Explains what a GET of `url` with these fields would meet that comes from this address, or from this
/// machine, without asking the origin.
pub fn why(
    edge: &Edge,
    url: &str,
    fields: &[(String, String)],
    from: Option<IpAddr>,
) -> Result<Why, String> {
    let (scheme, authority, uri) = split(url)?;
    let mut exchange = exchange(scheme, authority, uri, map_of(fields)?);
    if let Some(from) = from {
        exchange.client.address = from;
        exchange.client.peer = Some(SocketAddr::new(from, 0));
    }
    let snapshot = edge.snapshot();
    let address = exchange.client.address;
    let country = || snapshot.geo.country(address);
    let Some(matched) = snapshot.table.find(&exchange, country) else {
        return Ok(Why::nothing("refused", "no route matches"));
    };
    let whole = &snapshot.sites[matched.index];
    if let Some(answer) = matched.own_answer(&exchange) {
        return Ok(of_its_own(&whole.route, answer));
    }
    if let Some(users) = &whole.users {
        users.let_in(&mut exchange.head.fields);
    }
    let closed = edge.maintenance.stops(&snapshot.config, &whole.route, &exchange);
    let arm = whole.arms.as_deref().map(|all| (all, all.enter(&mut exchange)));
    let site = arm.and_then(|(all, arm)| all.site(arm)).unwrap_or(whole);
    let policy = site.policy();
    let view = RequestView { method: &exchange.head.method, fields: &exchange.head.fields };
    let source = site.key_source(scheme, &exchange.head);
    let mut key = Vec::new();
    site.write_key(source, country, &mut key);
    let mut why = Why::nothing("miss", "nothing is stored under this key");
    why.route = Some(site.route.name.clone());
    let arm = arm.map(|(_, arm)| arm);
    why.parts = part::of((edge, &snapshot), whole, arm, &exchange, country);
    why.policy = policy.map(|policy| policy.name.clone());
    why.key = Some(String::from_utf8_lossy(&key).into_owned());
    why.stripped = stripped(source, policy).iter().map(describe).collect();
    let forwarded = site.shown(&exchange.head.fields);
    let informs = |name: &HeaderName| policy.is_some_and(|p| is_forwarded_for_log(name, p));
    why.informed = forwarded.keys().filter(|n| informs(n)).map(ToString::to_string).collect();
    why.forwarded = forwarded.keys().filter(|n| !informs(n)).map(ToString::to_string).collect();
    if closed == Some(Closed::Wholly) {
        why.decide_closed();
        return Ok(why);
    }
    let of_one = site.is_personal.then_some(Refusal::Identity);
    if let Some(refusal) = safety::must_pass(view, policy).err().or(of_one) {
        if closed.is_some() {
            why.decide_closed();
        } else {
            why.decide("pass", refusal.label(), refusal.explanation());
        }
        return Ok(why);
    }
    if let Some(ambiguity) = safety::ambiguity(&exchange.head.uri, policy) {
        why.decide("refused", ambiguity.label(), "two programs may read this path differently");
        return Ok(why);
    }
    look(edge, &key, view, policy, &mut why);
    if closed.is_some() && !matches!(why.decision.as_str(), "hit" | "stale-while-revalidate") {
        why.decide_closed();
    }
    if why.decision == "miss" {
        why.because = format!("{}; {}", why.because, expected_of(view, policy));
    }
    Ok(why)
}

fn map_of(fields: &[(String, String)]) -> Result<HeaderMap, String> {
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| format!("`{name}` is not a field name"))?;
        let value =
            HeaderValue::from_str(value).map_err(|_| format!("`{value}` is not a field value"))?;
        map.append(name, value);
    }
    Ok(map)
}

/// A route that asks neither the cache nor an origin.
fn of_its_own(route: &Route, answer: Result<Answer, Error>) -> Why {
    let mut why = match answer {
        Ok(answer) => {
            let what = match answer.fields.get(LOCATION) {
                Some(to) => format!("a redirect to `{}`", String::from_utf8_lossy(to.as_bytes())),
                None => "a fixed text".into(),
            };
            let status = answer.status.as_u16();
            let because = format!(
                "the route answers by itself, with {status} and {what}: \
                 neither the cache nor an origin is asked"
            );
            Why::nothing("own", &because)
        }
        Err(error) => Why::nothing("refused", error.detail()),
    };
    why.route = Some(route.name.clone());
    why
}

/// What can be said of an answer that has not come yet.
fn expected_of(request: RequestView<'_>, policy: Option<&Policy>) -> String {
    // An answer that says how long it is fresh, and nothing else: what forbids storing it is the request.
    let fields = HeaderMap::from_iter([(CACHE_CONTROL, HeaderValue::from_static("max-age=60"))]);
    let answer = AnswerView { status: StatusCode::OK, fields: &fields };
    let arrival = Arrival { asked: clock::now(), answered: clock::now(), wall: clock::wall() };
    match may_store(request, answer, policy, &arrival) {
        Err(refusal) if refusal.is_of_request() => {
            format!(
                "an answer that says only how long it is fresh would not be stored: {}",
                refusal.explanation()
            )
        }
        _ => "whether the answer may be stored is not known before it has come, and no answer is \
              remembered that forbids it"
            .into(),
    }
}

fn look(edge: &Edge, key: &[u8], view: RequestView<'_>, policy: Option<&Policy>, why: &mut Why) {
    let now_ms = edge.cache.ms(clock::now());
    let found = lookup::look(&edge.cache.memory, key, view, policy, now_ms);
    let (stored, rule) = match &found {
        Found::Usable(stored, rule) => {
            why.decision = "hit".into();
            (stored, rule.unwrap_or(stored.freshness().rule()))
        }
        Found::StaleWhileRevalidate(stored, rule) => {
            why.decision = "stale-while-revalidate".into();
            (stored, *rule)
        }
        Found::Validate(stored, rule) => {
            why.decision = "validate".into();
            (stored, *rule)
        }
        Found::MissingVariant(_) => {
            why.because = "the URL is stored, but not for the fields that its Vary names".into();
            return;
        }
        Found::Missing => {
            if let Some(Pass { refusal, .. }) = edge.cache.memory.passed(key, now_ms) {
                why.decide("pass", refusal.label(), refusal.explanation());
            }
            return;
        }
    };
    let decision = why.decision.clone();
    why.decide(&decision, rule.label(), rule.explanation());
    why.ttl_s = Some(stored.ttl());
    why.age_s = Some(stored.age.as_secs());
    let fields = stored.object.fields();
    let names = vary::names(&fields).unwrap_or_default();
    why.parts.extend(names.iter().map(|name| format!("what is stored varies by `{name}`")));
    let tags = tags::names(&fields).map(|name| String::from_utf8_lossy(name).into_owned());
    why.tags = tags.collect();
}

impl Why {
    fn nothing(decision: &str, because: &str) -> Why {
        Why {
            route: None,
            policy: None,
            key: None,
            stripped: Vec::new(),
            forwarded: Vec::new(),
            informed: Vec::new(),
            decision: decision.into(),
            rule: None,
            because: because.into(),
            ttl_s: None,
            age_s: None,
            parts: Vec::new(),
            tags: Vec::new(),
        }
    }

    fn decide(&mut self, decision: &str, rule: &str, because: &str) {
        self.decision = decision.into();
        self.rule = Some(rule.into());
        self.because = because.into();
    }

    fn decide_closed(&mut self) {
        let facts = ErrorKind::Maintenance.facts();
        self.decide("refused", facts.label, "the route is in maintenance: the origin is not asked");
    }
}

fn describe(stripped: &Stripped) -> String {
    match stripped {
        Stripped::Parameter(name) => format!("query parameter `{name}`"),
        Stripped::Field(name) => format!("field `{name}`"),
        Stripped::Cookie(name) => format!("cookie `{name}`"),
    }
}

fn exchange(scheme: Scheme, authority: String, uri: Uri, fields: HeaderMap) -> Exchange {
    Exchange {
        id: [b'0'; 32],
        client: Client {
            peer: Some(([127, 0, 0, 1], 0).into()),
            address: [127, 0, 0, 1].into(),
            scheme,
            server_name: None,
        },
        head: Head { method: Method::GET, uri, authority, version: Version::HTTP_11, fields },
        body: Body::Empty,
        upgrade: None,
        stamps: Stamps::new(clock::now()),
    }
}

/// Scheme, authority in lower case, and path with query.
pub(crate) fn split(url: &str) -> Result<(Scheme, String, Uri), String> {
    let bad = || format!("`{url}` is not a URL such as `https://shop.example/path?query`");
    let parsed: Uri = url.parse().map_err(|_| bad())?;
    let scheme = match parsed.scheme_str() {
        Some("http") => Scheme::Http,
        Some("https") => Scheme::Https,
        _ => return Err(bad()),
    };
    let authority = parsed.authority().ok_or_else(bad)?.as_str().to_ascii_lowercase();
    if host_of(&authority).is_empty() {
        return Err(bad());
    }
    let target = parsed.path_and_query().map_or("/", |target| target.as_str());
    Ok((scheme, authority, target.parse().map_err(|_| bad())?))
}
