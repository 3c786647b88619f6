//! Routes that can never match, because an earlier one takes everything they would.

mod index;

use crate::config::route::{HostRule, NamedValue, PathRule, Route, Segment};

use index::Index;

/// Pairs of positions: an earlier route and the later one that it shadows; one pair for each shadowed.
pub(super) fn find<'r>(routes: impl Iterator<Item = &'r Route>) -> Vec<(usize, usize)> {
    let routes: Vec<&Route> = routes.collect();
    let mut index = Index::new(&routes);
    let mut pairs = Vec::new();
    for (at, later) in routes.iter().enumerate() {
        let candidates = index.candidates(later);
        let is_covered = |earlier: &usize| covers(routes[*earlier], later);
        pairs.extend(candidates.into_iter().find(is_covered).map(|earlier| (earlier, at)));
        // A shadowed one too: what it covers need not be covered by what covers it.
        index.insert(at);
    }
    pairs
}

/// True if every request that `later` matches is matched by `earlier` too.
fn covers(earlier: &Route, later: &Route) -> bool {
    path_covers(&earlier.path, &later.path)
        && earlier.scheme.is_none_or(|scheme| later.scheme == Some(scheme))
        && hosts_cover(&earlier.hosts, &later.hosts)
        && (earlier.methods.is_empty()
            || (!later.methods.is_empty()
                && later.methods.iter().all(|method| earlier.methods.contains(method))))
        && values_cover(&earlier.fields, &later.fields)
        && values_cover(&earlier.cookies, &later.cookies)
        && (earlier.countries.is_empty()
            || (!later.countries.is_empty()
                && later.countries.iter().all(|country| earlier.countries.contains(country))))
}

/// Fewer conditions match more.
fn values_cover(earlier: &[NamedValue], later: &[NamedValue]) -> bool {
    let is_implied = |asked: &NamedValue| {
        later.iter().any(|had| {
            had.name == asked.name && (asked.value.is_none() || asked.value == had.value)
        })
    };
    earlier.iter().all(is_implied)
}

fn hosts_cover(earlier: &[HostRule], later: &[HostRule]) -> bool {
    if earlier.is_empty() {
        return true;
    }
    !later.is_empty()
        && later.iter().all(|host| earlier.iter().any(|cover| host_covers(cover, host)))
}

fn host_covers(earlier: &HostRule, later: &HostRule) -> bool {
    match (earlier, later) {
        (HostRule::Exact(a), HostRule::Exact(b)) => a == b,
        (HostRule::Exact(_), HostRule::Below(_)) => false,
        (HostRule::Below(a), HostRule::Exact(b) | HostRule::Below(b)) => b.ends_with(a.as_str()),
    }
}

fn path_covers(earlier: &PathRule, later: &PathRule) -> bool {
    match (earlier, later) {
        (PathRule::Any, _) => true,
        (PathRule::Exact(a), PathRule::Exact(b)) => a == b,
        (PathRule::Exact(_), _)
        | (PathRule::Prefix(_), PathRule::Any)
        | (PathRule::Pattern(_), PathRule::Any | PathRule::Prefix(_)) => false,
        (PathRule::Prefix(a), PathRule::Exact(b) | PathRule::Prefix(b)) => is_below(a, b),
        (PathRule::Prefix(a), PathRule::Pattern(b)) => is_below(a, &literal_start(b)),
        (PathRule::Pattern(a), PathRule::Exact(b)) => {
            let Some(below_root) = b.strip_prefix('/') else { return false };
            let literal = |text: &str| Segment::Literal(text.to_owned());
            pattern_covers(a, &below_root.split('/').map(literal).collect::<Vec<_>>())
        }
        (PathRule::Pattern(a), PathRule::Pattern(b)) => pattern_covers(a, b),
    }
}

fn is_below(prefix: &str, path: &str) -> bool {
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn literal_start(segments: &[Segment]) -> String {
    let mut start = String::new();
    for segment in segments {
        let Segment::Literal(text) = segment else { break };
        start = start + "/" + text;
    }
    start
}

fn pattern_covers(earlier: &[Segment], later: &[Segment]) -> bool {
    let mut later = later.iter();
    for segment in earlier {
        let other = later.next();
        match (segment, other) {
            (Segment::Rest(_), Some(_)) => return true,
            (Segment::One(_), Some(Segment::One(_))) => {}
            (Segment::One(_), Some(Segment::Literal(text))) if !text.is_empty() => {}
            (Segment::Literal(a), Some(Segment::Literal(b))) if a == b => {}
            _ => return false,
        }
    }
    later.next().is_none()
}

#[cfg(test)]
mod tests;
