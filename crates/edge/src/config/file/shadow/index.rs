//! Which earlier routes may cover a later one, without a look at each.
//!
//! A route lies under one of its hosts, its rarest condition and its path. Whatever covers a route lies
//! under a host that covers one of its hosts, under no condition or one of its own, and under a path
//! that covers its path: these places are few and can be named.

use std::collections::HashMap;
use std::hash::Hash;
use std::iter;

use crate::config::route::{HostRule, NamedValue, PathRule, Route, Segment};

/// Earlier routes by place.
pub(super) struct Index<'r> {
    routes: Vec<&'r Route>,
    hosts: HashMap<&'r HostRule, usize>,
    conditions: HashMap<Condition<'r>, usize>,
    places: HashMap<Option<HostPlace<'r>>, HashMap<Option<Condition<'r>>, Paths<'r>>>,
}

#[derive(PartialEq, Eq, Hash, Clone, Copy)]
enum HostPlace<'r> {
    Exact(&'r str),
    Below(&'r str),
}

/// A field or a cookie that a request must have, with a value or with any.
#[derive(PartialEq, Eq, Hash, Clone, Copy)]
struct Condition<'r> {
    is_cookie: bool,
    name: &'r str,
    value: Option<&'r str>,
}

#[derive(Default)]
struct Paths<'r> {
    any: Vec<usize>,
    exact: HashMap<&'r str, Vec<usize>>,
    prefix: HashMap<&'r str, Vec<usize>>,
    /// By what is variable in them, then by what is not.
    patterns: HashMap<Vec<Part>, HashMap<Vec<&'r str>, Vec<usize>>>,
}

/// A segment of a pattern, whatever its text or name.
#[derive(PartialEq, Eq, Hash, Clone, Copy)]
enum Part {
    Literal,
    One,
    Rest,
}

impl<'r> Index<'r> {
    /// An index for these routes; none of them lies in it yet.
    pub(super) fn new(routes: &[&'r Route]) -> Index<'r> {
        let hosts = counts(routes.iter().flat_map(|route| &route.hosts));
        let conditions = counts(routes.iter().flat_map(|route| conditions(route)));
        Index { routes: routes.to_vec(), hosts, conditions, places: HashMap::new() }
    }

    /// Adds the route at this position.
    pub(super) fn insert(&mut self, at: usize) {
        let Some(&route) = self.routes.get(at) else { return };
        let rarest =
            conditions(route).min_by_key(|condition| self.conditions.get(condition).copied());
        let mut places: Vec<_> = route.hosts.iter().map(place_of).map(Some).collect();
        if places.is_empty() {
            places.push(None);
        }
        for place in places {
            let paths = self.places.entry(place).or_default().entry(rarest).or_default();
            // A host that is named twice makes no two places.
            paths.insert(&route.path, at);
        }
    }

    /// Positions of the routes that may cover `later`, the first one first.
    pub(super) fn candidates(&self, later: &'r Route) -> Vec<usize> {
        // All of its hosts must be covered: the one that is named least is as good as any.
        let host = later.hosts.iter().min_by_key(|host| self.hosts.get(host).copied());
        let mut asked: Vec<Option<Condition<'r>>> = vec![None];
        for condition in conditions(later) {
            asked.push(Some(condition));
            if condition.value.is_some() {
                asked.push(Some(Condition { value: None, ..condition }));
            }
        }
        let mut found = Vec::new();
        for place in covering_hosts(host) {
            let Some(by_condition) = self.places.get(&place) else { continue };
            for condition in &asked {
                if let Some(paths) = by_condition.get(condition) {
                    paths.covering(&later.path, &mut found);
                }
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}

impl<'r> Paths<'r> {
    fn insert(&mut self, path: &'r PathRule, at: usize) {
        let positions = match path {
            PathRule::Any => &mut self.any,
            PathRule::Exact(path) => self.exact.entry(path).or_default(),
            PathRule::Prefix(path) => {
                self.prefix.entry(path.strip_suffix('/').unwrap_or(path)).or_default()
            }
            PathRule::Pattern(segments) => {
                let literals = segments.iter().filter_map(literal).collect();
                let parts = segments.iter().map(part).collect();
                self.patterns.entry(parts).or_default().entry(literals).or_default()
            }
        };
        if positions.last() != Some(&at) {
            positions.push(at);
        }
    }

    fn covering(&self, later: &PathRule, found: &mut Vec<usize>) {
        found.extend(&self.any);
        match later {
            PathRule::Any => {}
            PathRule::Exact(path) => {
                found.extend(self.exact.get(path.as_str()).into_iter().flatten());
                self.above(path, found);
                if let Some(below_root) = path.strip_prefix('/') {
                    let segments: Vec<_> = below_root.split('/').map(Some).collect();
                    self.patterns_over(&segments, found);
                }
            }
            PathRule::Prefix(path) => self.above(path, found),
            PathRule::Pattern(segments) => {
                self.above(&super::literal_start(segments), found);
                let segments: Vec<_> = segments.iter().map(literal).collect();
                self.patterns_over(&segments, found);
            }
        }
    }

    /// Prefixes that end where a segment of `path` does.
    fn above(&self, path: &str, found: &mut Vec<usize>) {
        if self.prefix.is_empty() {
            return;
        }
        let ends = path.match_indices('/').map(|(end, _)| end).chain([path.len()]);
        for above in ends.filter_map(|end| path.get(..end)) {
            found.extend(self.prefix.get(above).into_iter().flatten());
        }
    }

    /// Patterns whose literals are those of `segments` in the same places; `None` is variable.
    fn patterns_over(&self, segments: &[Option<&str>], found: &mut Vec<usize>) {
        for (parts, by_literals) in &self.patterns {
            let theirs = segments.iter().copied().chain(iter::repeat(None));
            let at_literals = parts.iter().zip(theirs).filter(|(part, _)| **part == Part::Literal);
            let literals: Option<Vec<&str>> = at_literals.map(|(_, segment)| segment).collect();
            let positions = literals.and_then(|literals| by_literals.get(&literals));
            found.extend(positions.into_iter().flatten());
        }
    }
}

fn counts<T: Hash + Eq>(all: impl Iterator<Item = T>) -> HashMap<T, usize> {
    let mut counts = HashMap::new();
    for one in all {
        *counts.entry(one).or_default() += 1;
    }
    counts
}

fn conditions(route: &Route) -> impl Iterator<Item = Condition<'_>> {
    let fields = route.fields.iter().map(|asked| condition(false, asked));
    fields.chain(route.cookies.iter().map(|asked| condition(true, asked)))
}

fn condition(is_cookie: bool, asked: &NamedValue) -> Condition<'_> {
    Condition { is_cookie, name: &asked.name, value: asked.value.as_deref() }
}

fn place_of(host: &HostRule) -> HostPlace<'_> {
    match host {
        HostRule::Exact(name) => HostPlace::Exact(name),
        HostRule::Below(suffix) => HostPlace::Below(suffix),
    }
}

/// Places of routes that take every request for `host`.
fn covering_hosts(host: Option<&HostRule>) -> Vec<Option<HostPlace<'_>>> {
    let mut places = vec![None];
    let Some(host) = host else { return places };
    let name = match host {
        HostRule::Exact(name) => {
            places.push(Some(HostPlace::Exact(name)));
            name
        }
        HostRule::Below(suffix) => suffix,
    };
    let suffixes = name.match_indices('.').filter_map(|(dot, _)| name.get(dot..));
    places.extend(suffixes.map(|suffix| Some(HostPlace::Below(suffix))));
    places
}

fn literal(segment: &Segment) -> Option<&str> {
    match segment {
        Segment::Literal(text) => Some(text),
        Segment::One(_) | Segment::Rest(_) => None,
    }
}

fn part(segment: &Segment) -> Part {
    match segment {
        Segment::Literal(_) => Part::Literal,
        Segment::One(_) => Part::One,
        Segment::Rest(_) => Part::Rest,
    }
}
