//! All routes, compiled once a reload.

use http::HeaderMap;
use http::header::HeaderName;

use super::index::{Id, Map, PathIndex, is_of};
use super::{Matched, Ready};
use crate::config::Config;
use crate::config::route::{Action, HostRule, NamedValue, PathRule, Route, Segment};
use crate::config::template::{Purpose, Template};
use crate::exchange::{Country, Exchange, Head, Scheme, cookies, host_of};

/// The routes of one config.
#[derive(Debug, Default)]
pub struct Table {
    routes: Vec<Ready>,
    /// By whole host.
    exact: Map<PathIndex>,
    /// By `.example.com`.
    below: Map<PathIndex>,
    /// Longest of those: a host of a thousand dots is not tried dot by dot.
    longest_below: usize,
    /// For every host.
    any: PathIndex,
}

impl Table {
    /// Compiles all routes.
    pub fn new(config: &Config) -> Table {
        let mut table = Table::default();
        for (id, route) in (0..).zip(&config.routes) {
            table.insert(route, id);
            table.routes.push(Ready::new(route));
        }
        table
    }

    /// The first route that matches the exchange. `country` is asked only where a route names countries.
    pub fn find(
        &self,
        exchange: &Exchange,
        country: impl Fn() -> Option<Country>,
    ) -> Option<Matched<'_>> {
        self.find_head(exchange.client.scheme, &exchange.head, country)
    }

    /// The first route that matches a head that came by this scheme.
    pub(super) fn find_head(
        &self,
        scheme: Scheme,
        head: &Head,
        country: impl Fn() -> Option<Country>,
    ) -> Option<Matched<'_>> {
        let host = host_of(&head.authority);
        // The root's dot names the same host.
        let host = host.strip_suffix('.').unwrap_or(host);
        let path = head.uri.path();
        let takes = |matched: Matched<'_>| matched.ready.takes(scheme, head, &country);
        let matches = |id: Id| self.matched(id).is_some_and(takes);
        let mut best = Id::MAX;
        if let Some(index) = self.exact.get(host) {
            best = index.first(path, best, matches);
        }
        if !self.below.is_empty() {
            for suffix in suffixes(host, self.longest_below) {
                if let Some(index) = self.below.get(suffix) {
                    best = index.first(path, best, matches);
                }
            }
        }
        self.matched(self.any.first(path, best, matches))
    }

    /// The route at this place of the settings.
    pub fn at(&self, index: usize) -> Option<Matched<'_>> {
        self.routes.get(index).map(|ready| Matched { index, ready })
    }

    fn matched(&self, id: Id) -> Option<Matched<'_>> {
        self.at(usize::try_from(id).ok()?)
    }

    fn insert(&mut self, route: &Route, id: Id) {
        if route.hosts.is_empty() {
            self.any.insert(&route.path, id);
        }
        for host in &route.hosts {
            let index = match host {
                HostRule::Exact(host) => self.exact.entry(host.as_str().into()),
                HostRule::Below(suffix) => {
                    self.longest_below = self.longest_below.max(suffix.len());
                    self.below.entry(suffix.as_str().into())
                }
            };
            index.or_default().insert(&route.path, id);
        }
    }
}

/// `.b.c` and `.c` of `a.b.c`; the whole name is below nothing of its own.
fn suffixes(host: &str, longest: usize) -> impl Iterator<Item = &str> {
    let from = host.len().saturating_sub(longest).max(1);
    let dots = host.bytes().enumerate().skip(from).filter(|(_, byte)| *byte == b'.');
    dots.filter_map(|(at, _)| host.get(at..))
}

impl Ready {
    /// Makes a route ready. What does not parse was refused when the config was read; a route made by
    /// hand that holds such a thing matches nothing and expands to nothing.
    fn new(route: &Route) -> Ready {
        let field = |asked: &NamedValue| {
            let name = HeaderName::from_bytes(asked.name.as_bytes()).ok()?;
            Some((name, asked.value.clone()))
        };
        let names = captures(&route.path);
        let template = |text: &str, purpose| Template::parse(text, &names, purpose).ok();
        let is_pattern = matches!(route.path, PathRule::Pattern(_));
        let has_values = !(route.fields.is_empty() && route.cookies.is_empty());
        let asks_more = route.scheme.is_some()
            || !route.methods.is_empty()
            || is_pattern
            || has_values
            || !route.countries.is_empty();
        Ready {
            asks_more,
            fields: route.fields.iter().filter_map(field).collect(),
            rewrite: route.rewrite.as_deref().and_then(|text| template(text, Purpose::Rewrite)),
            redirect: match &route.action {
                Action::Redirect(_, to) => template(to, Purpose::Redirect),
                Action::Forward(_) | Action::Fixed(..) | Action::Files(_) => None,
            },
            route: route.clone(),
        }
    }

    /// What the index could not say: scheme, method, pattern, fields, cookies, country; the cheap ones first.
    fn takes(&self, scheme: Scheme, head: &Head, country: &impl Fn() -> Option<Country>) -> bool {
        if !self.asks_more {
            return true;
        }
        let route = &self.route;
        let is_scheme = route.scheme.is_none_or(|asked| asked == scheme);
        let is_method = route.methods.is_empty() || route.methods.contains(&head.method);
        let is_path = match &route.path {
            PathRule::Pattern(pattern) => is_of(pattern, head.uri.path()),
            PathRule::Any | PathRule::Exact(_) | PathRule::Prefix(_) => true,
        };
        is_scheme
            && is_method
            && is_path
            && self.fields.len() == route.fields.len()
            && self.fields.iter().all(|asked| has_field(&head.fields, asked))
            && route.cookies.iter().all(|asked| has_cookie(&head.fields, asked))
            && (route.countries.is_empty()
                || country().is_some_and(|country| route.countries.contains(&country)))
    }
}

fn captures(path: &PathRule) -> Vec<&str> {
    let PathRule::Pattern(segments) = path else { return Vec::new() };
    let names = segments.iter().filter_map(|segment| match segment {
        Segment::One(name) | Segment::Rest(name) => Some(name.as_str()),
        Segment::Literal(_) => None,
    });
    names.collect()
}

fn has_field(fields: &HeaderMap, (name, value): &(HeaderName, Option<String>)) -> bool {
    match value {
        None => fields.contains_key(name),
        Some(value) => fields.get_all(name).iter().any(|had| had.as_bytes() == value.as_bytes()),
    }
}

fn has_cookie(fields: &HeaderMap, asked: &NamedValue) -> bool {
    cookies(fields).any(|(name, value)| {
        name == asked.name.as_bytes()
            && asked.value.as_ref().is_none_or(|asked| value == asked.as_bytes())
    })
}
