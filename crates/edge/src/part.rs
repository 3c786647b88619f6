//! Which rules take part in what becomes of a request, in sentences for `forebay cache why`.
//!
//! In: a site, the arm of it that a request is in, the request, and the client's country. Out: a sentence for each
//! rule, in the order of the pipeline's walk. The rule that decides is not here: the decision names it.

use http::HeaderMap;

use crate::cache::rules::directives::RequestDirectives;
use crate::config::policy::{Caching, Policy, QueryRule};
use crate::config::route::{HostRule, NamedValue, Route, Split, Sticky, percent};
use crate::edge::{Edge, Site, Snapshot};
use crate::exchange::{Country, Exchange};
use crate::maintenance::Closed;
use crate::split::{Arm, Arms};

/// Every rule of the route, its policy and the request that has a part.
pub(crate) fn of(
    (edge, snapshot): (&Edge, &Snapshot),
    site: &Site,
    arm: Option<Arm>,
    exchange: &Exchange,
    country: impl Fn() -> Option<Country>,
) -> Vec<String> {
    let mut parts = Vec::new();
    matching(&site.route, &mut parts);
    entry((edge, snapshot), site, exchange, &mut parts);
    if let (Some(split), Some(arms), Some(arm)) = (&site.route.split, &site.arms, arm) {
        self::split(split, arms, arm, &mut parts);
    }
    asking(&site.route, &mut parts);
    if let Some(policy) = site.policy() {
        self::policy(policy, country, &mut parts);
    }
    request(site.policy(), &exchange.head.fields, &mut parts);
    parts
}

/// What the route takes.
fn matching(route: &Route, parts: &mut Vec<String>) {
    let mut asks = Vec::new();
    asks.extend(route.scheme.map(|scheme| format!("scheme {}", scheme.as_str())));
    asks.extend(route.hosts.iter().map(|host| match host {
        HostRule::Exact(host) => format!("host {host}"),
        HostRule::Below(host) => format!("host *{host}"),
    }));
    asks.extend(route.methods.iter().map(|method| format!("method {method}")));
    let named = |kind: &str, asked: &NamedValue| match &asked.value {
        Some(value) => format!("{kind} {}={value}", asked.name),
        None => format!("{kind} {}", asked.name),
    };
    asks.extend(route.fields.iter().map(|asked| named("field", asked)));
    asks.extend(route.cookies.iter().map(|asked| named("cookie", asked)));
    asks.extend(route.countries.iter().map(|country| format!("country {country}")));
    if !asks.is_empty() {
        parts.push(format!("the route asks for {}", asks.join(", ")));
    }
    if route.keyed_name().is_some() {
        parts.push("the route's name is in the key: it takes only some requests for a URL".into());
    }
}

/// Who may come in, each in its turn: whatever is asked between the route and the cache is named here.
fn entry(
    (edge, snapshot): (&Edge, &Snapshot),
    site: &Site,
    exchange: &Exchange,
    parts: &mut Vec<String>,
) {
    let route = &site.route;
    for rate in &route.rates {
        let does = if rate.enforces { "may refuse it" } else { "counts it and refuses nothing" };
        parts.push(format!("rate `{}` {does}", rate.name));
    }
    if let Some(auth) = &route.forward_auth {
        let taken: Vec<String> = auth.take.iter().map(|name| format!("`{name}`")).collect();
        let says = if taken.is_empty() { "nothing".into() } else { taken.join(", ") };
        parts.push(format!(
            "forward_auth `{}` asks origin `{}` first, hits included, and takes {says} from its answer",
            auth.name, auth.origin
        ));
    }
    if let Some(mirror) = &route.mirror {
        let percent = percent(mirror.share);
        parts.push(format!(
            "{percent} percent of what the origin is asked is copied for origin `{}`",
            mirror.origin
        ));
    }
    if let Some(users) = &route.basic_auth {
        let then = if users.forwards {
            "the origin is shown it"
        } else {
            "it ends at the edge, and what is stored is for all users"
        };
        parts.push(format!("a password for `{}` is asked for; {then}", users.realm));
    }
    if edge.maintenance.closes(&snapshot.config, route) {
        let left = match edge.maintenance.stops(&snapshot.config, route, exchange) {
            None => "this client passes",
            Some(Closed::Wholly) => "this client gets nothing",
            Some(Closed::ButForHits) => "this client gets what is stored",
        };
        parts.push(format!("the route is in maintenance: {left}"));
    }
}

fn split(split: &Split, arms: &Arms, arm: Arm, parts: &mut Vec<String>) {
    let shares = split.shares.iter();
    let shares = shares.map(|(origin, share)| format!("`{origin}` gets {} %", percent(*share)));
    let shares: Vec<String> = shares.collect();
    parts.push(format!("the route is split: {}", shares.join(", ")));
    let origin = arms.site(arm).and_then(|site| site.upstream.as_ref());
    let name = origin.map_or("-", |origin| origin.name());
    let by = match &split.sticky {
        Sticky::Off => "drawn for each request".into(),
        Sticky::Address => "by its address".into(),
        Sticky::Cookie(name) if arm.is_new() => {
            format!("drawn for who has no cookie `{name}` yet; another one may be drawn elsewhere")
        }
        Sticky::Cookie(name) => format!("by its cookie `{name}`"),
    };
    parts.push(format!("its arm is `{name}`, {by}"));
    let is_apart = arms.site(arm).is_some_and(|site| site.keyed_arm.is_some());
    if is_apart {
        parts.push("the arm's name is in the key: arms share no stored answer".into());
    }
}

/// What is changed of a request on its way to the origin.
fn asking(route: &Route, parts: &mut Vec<String>) {
    if route.rewrite.is_some() {
        parts.push("the origin is asked for another path; the key has the client's".into());
    }
    if !route.request_fields.is_empty() {
        parts.push("fields are changed towards the origin".into());
    }
}

fn policy(policy: &Policy, country: impl Fn() -> Option<Country>, parts: &mut Vec<String>) {
    parts.push(match policy.caching {
        Caching::Off => "the policy stores nothing".into(),
        Caching::Granted => "the policy stores what an answer grants".into(),
        Caching::GrantedOr(ttl) => {
            format!("the policy grants {} s where an answer says nothing", ttl.as_secs())
        }
    });
    if policy.caching == Caching::Off {
        return;
    }
    let key = &policy.key;
    match &key.query {
        QueryRule::Keep => {}
        QueryRule::DropAll => parts.push("the key has nothing of the query".into()),
        QueryRule::Only(names) => {
            parts.push(format!("the key has of the query only {}", names.join(", ")));
        }
        QueryRule::Without(names) => {
            parts.push(format!("the key has the query without {}", names.join(", ")));
        }
    }
    if key.drops_marketing {
        parts.push("parameters that only follow people around are dropped".into());
    }
    if key.sorts_query {
        parts.push("parameters are sorted".into());
    }
    parts.extend(key.fields.iter().map(|name| format!("the key has the field `{name}`")));
    parts.extend(key.cookies.iter().map(|name| format!("the key has the cookie `{name}`")));
    if key.by_country {
        parts.push(match country() {
            Some(country) => format!("the key has the country of the client: {country}"),
            None => "the key has the country of the client: none is known".into(),
        });
    }
    if policy.is_heuristic {
        parts.push("freshness may be guessed from `Last-Modified`".into());
    }
    for (time, what) in [
        (policy.stale_while_revalidate, "while it is fetched anew"),
        (policy.stale_if_error, "while the origin fails"),
        (policy.stale_if_overloaded, "longer while the origin is overloaded"),
    ] {
        if let Some(time) = time {
            let seconds = time.as_secs();
            parts.push(format!(
                "a stale answer that says nothing itself is used {seconds} s {what}"
            ));
        }
    }
    if let Some(ttl) = policy.error_ttl {
        parts.push(format!("an error that says nothing itself is fresh for {} s", ttl.as_secs()));
    }
    if policy.exceptions.strips_set_cookie {
        parts.push("an exception: `Set-Cookie` is taken off and the rest stored".into());
    }
    if policy.exceptions.ignores_authorization {
        parts.push("an exception: `Authorization` does not forbid to store".into());
    }
}

/// What the request itself says of caches.
fn request(policy: Option<&Policy>, fields: &HeaderMap, parts: &mut Vec<String>) {
    let says = RequestDirectives::of(fields);
    // As `cache::rules::serve` reads them.
    let is_deaf = policy.is_some_and(|policy| policy.ignores_client_no_cache);
    let number = |name: &str, value: Option<u32>| value.map(|value| format!("{name}={value}"));
    let steering = [
        says.no_cache.then(|| "no-cache".to_owned()),
        number("max-age", says.max_age),
        number("min-fresh", says.min_fresh),
        says.max_stale.map(|most| match most {
            u32::MAX => "max-stale".to_owned(),
            most => format!("max-stale={most}"),
        }),
    ];
    for directive in steering.into_iter().flatten() {
        let is_ignored = is_deaf && !directive.starts_with("max-stale");
        let does = if is_ignored { "ignored by the policy" } else { "obeyed" };
        parts.push(format!("`{directive}` of the request is {does}"));
    }
    if says.no_store {
        parts.push("`no-store` of the request: its answer is not stored".into());
    }
    if says.only_if_cached {
        parts.push("`only-if-cached` of the request: the origin is not asked".into());
    }
}
