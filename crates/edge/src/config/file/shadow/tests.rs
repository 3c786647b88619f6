use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::exchange::Scheme;

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
    let with_host = Route { hosts: vec![HostRule::Below(".a.example".into())], ..plain.clone() };
    let with_scheme = Route { scheme: Some(Scheme::Http), ..plain.clone() };
    let other = Route { scheme: Some(Scheme::Https), ..plain.clone() };
    assert_eq!(find([&with_scheme, &other].into_iter()), []);
    for narrow in [with_field.clone(), with_method, with_host, with_scheme] {
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

/// The definition that the index stands for: every earlier route is looked at.
fn plainly(routes: &[Route]) -> Vec<(usize, usize)> {
    let first = |at: usize| (0..at).find(|earlier| covers(&routes[*earlier], &routes[at]));
    (0..routes.len()).filter_map(|at| first(at).map(|earlier| (earlier, at))).collect()
}

fn paths() -> impl Strategy<Value = PathRule> {
    let part = || prop::sample::select(vec!["a", "b", ""]);
    let text = vec(part(), 0..4).prop_map(|parts| format!("/{}", parts.join("/")));
    let segment = prop::sample::select(vec!["a", "b", "", ":x", ":y"]);
    let rest = prop::bool::ANY;
    prop_oneof![
        Just(PathRule::Any),
        text.clone().prop_map(PathRule::Exact),
        text.prop_map(PathRule::Prefix),
        (vec(segment, 0..4), rest).prop_map(|(mut parts, has_rest)| {
            if has_rest || parts.is_empty() {
                parts.push("*rest");
            }
            pattern(&parts.join("/"))
        }),
    ]
}

fn hosts() -> impl Strategy<Value = Vec<HostRule>> {
    let exact = ["x.example", "y.x.example", "example"].map(|name| HostRule::Exact(name.into()));
    let below = [".example", ".x.example", ".y.x.example"].map(|name| HostRule::Below(name.into()));
    vec(prop::sample::select([exact, below].concat()), 0..3)
}

fn values() -> impl Strategy<Value = Vec<NamedValue>> {
    let value =
        (prop::sample::select(vec!["m", "n"]), option::of(prop::sample::select(vec!["1", "2"])));
    let named = value
        .prop_map(|(name, value)| NamedValue { name: name.into(), value: value.map(Into::into) });
    vec(named, 0..3)
}

fn routes() -> impl Strategy<Value = Vec<Route>> {
    let methods = vec(prop::sample::select(vec![http::Method::GET, http::Method::POST]), 1..3);
    // Mostly one condition of each kind at most, so that many routes lie in one place.
    let one = (
        paths(),
        prop_oneof![3 => Just(Vec::new()), 1 => hosts()],
        prop_oneof![3 => Just(Vec::new()), 1 => values()],
        prop_oneof![3 => Just(Vec::new()), 1 => values()],
        prop_oneof![3 => Just(Vec::new()), 1 => methods],
        prop::sample::select(vec![None, None, Some(Scheme::Http), Some(Scheme::Https)]),
    );
    let one = one.prop_map(|(path, hosts, fields, cookies, methods, scheme)| Route {
        scheme,
        hosts,
        methods,
        fields,
        cookies,
        ..route(path)
    });
    vec(one, 0..24)
}

proptest! {
    #[test]
    fn the_index_finds_what_a_look_at_every_pair_finds(routes in routes()) {
        prop_assert_eq!(find(routes.iter()), plainly(&routes));
    }
}

#[test]
fn a_shadowed_route_shadows_others_still() {
    let routes = ["//", "/", "/a"].map(|path| route(PathRule::Prefix(path.into())));
    assert_eq!(find(routes.iter()), [(0, 1), (1, 2)]);
}

/// Sites in the shapes that configurations have: the work for each is that for a few, however many there are.
#[test]
fn the_work_for_a_route_does_not_grow_with_their_number() {
    let shapes: [fn(usize) -> Route; 6] = [
        |n| route(PathRule::Exact(format!("/page/{n}"))),
        |n| route(PathRule::Prefix(format!("/part/{n}/"))),
        |n| route(pattern(&format!("shop/{n}/:id"))),
        |n| route(pattern(&format!(":lang/{n}/*rest"))),
        |n| Route { hosts: vec![HostRule::Exact(format!("s{n}.example"))], ..route(PathRule::Any) },
        |n| {
            let beta = NamedValue { name: "x-beta".into(), value: None };
            let tenant = NamedValue { name: "tenant".into(), value: Some(n.to_string()) };
            Route { fields: vec![beta], cookies: vec![tenant], ..route(PathRule::Any) }
        },
    ];
    for (shape, make) in shapes.into_iter().enumerate() {
        let routes: Vec<Route> = (0..1_000).map(make).collect();
        let routes: Vec<&Route> = routes.iter().collect();
        let mut index = Index::new(&routes);
        for (at, route) in routes.iter().enumerate() {
            assert!(index.candidates(route).is_empty(), "shape {shape}, route {at}");
            index.insert(at);
        }
    }
}
