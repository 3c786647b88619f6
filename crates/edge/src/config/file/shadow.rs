//! Routes that can never match, because an earlier one takes everything they would.

use crate::config::route::{HostRule, NamedValue, PathRule, Route, Segment};

/// Pairs of positions: an earlier route and the later one that it shadows; one pair for each shadowed.
pub(super) fn find<'r>(routes: impl Iterator<Item = &'r Route>) -> Vec<(usize, usize)> {
    let routes: Vec<&Route> = routes.collect();
    let mut pairs = Vec::new();
    for (at, later) in routes.iter().enumerate() {
        let before = routes.iter().take(at);
        if let Some(earlier) = before.into_iter().position(|earlier| covers(earlier, later)) {
            pairs.push((earlier, at));
        }
    }
    pairs
}

/// True if every request that `later` matches is matched by `earlier` too.
fn covers(earlier: &Route, later: &Route) -> bool {
    path_covers(&earlier.path, &later.path)
        && hosts_cover(&earlier.hosts, &later.hosts)
        && (earlier.methods.is_empty()
            || (!later.methods.is_empty()
                && later.methods.iter().all(|method| earlier.methods.contains(method))))
        && values_cover(&earlier.fields, &later.fields)
        && values_cover(&earlier.cookies, &later.cookies)
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
mod tests {
    use super::*;

    fn route(path: PathRule) -> Route {
        Route { path, ..Route::everything_to("app") }
    }

    fn pattern(text: &str) -> PathRule {
        let segment = |part: &str| match (part.strip_prefix(':'), part.strip_prefix('*')) {
            (Some(name), _) => Segment::One(name.into()),
            (_, Some(name)) => Segment::Rest(name.into()),
            _ => Segment::Literal(part.into()),
        };
        PathRule::Pattern(text.split('/').map(segment).collect())
    }

    #[test]
    fn a_wider_route_before_a_narrower_one_shadows_it() {
        let wide = [PathRule::Any, PathRule::Prefix("/a".into()), pattern("*all"), pattern("a/:x")];
        let narrow = route(PathRule::Exact("/a/b".into()));
        for path in wide {
            let wide = route(path);
            assert_eq!(find([&wide, &narrow].into_iter()), [(0, 1)], "{wide:?}");
            assert_eq!(find([&narrow, &wide].into_iter()), [], "{wide:?}");
        }
    }

    #[test]
    fn a_condition_more_is_no_shadow() {
        let plain = route(PathRule::Any);
        let asked = NamedValue { name: "x-beta".into(), value: Some("1".into()) };
        let with_field = Route { fields: vec![asked.clone()], ..plain.clone() };
        let with_method = Route { methods: vec![http::Method::GET], ..plain.clone() };
        let with_host =
            Route { hosts: vec![HostRule::Below(".a.example".into())], ..plain.clone() };
        for narrow in [with_field.clone(), with_method, with_host] {
            assert_eq!(find([&narrow, &plain].into_iter()), []);
            assert_eq!(find([&plain, &narrow].into_iter()), [(0, 1)]);
        }
        let any_value = NamedValue { value: None, ..asked };
        let present = Route { fields: vec![any_value], ..plain };
        assert_eq!(find([&present, &with_field].into_iter()), [(0, 1)]);
        assert_eq!(find([&with_field, &present].into_iter()), []);
    }

    #[test]
    fn neighbours_do_not_shadow_each_other() {
        let paths = [
            PathRule::Prefix("/admin".into()),
            PathRule::Exact("/administrator".into()),
            pattern("users/:id"),
            pattern("users/:id/photo"),
            pattern("files/*rest"),
            PathRule::Exact("/files".into()),
        ];
        let routes: Vec<Route> = paths.into_iter().map(route).collect();
        assert_eq!(find(routes.iter()), []);
    }
}
