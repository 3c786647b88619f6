use std::sync::Arc;

use http::HeaderValue;
use proptest::prelude::*;

use super::*;
use crate::config::policy::QueryRule;

fn fields(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for (name, value) in lines {
        fields.append(*name, HeaderValue::from_str(value).unwrap());
    }
    fields
}

fn policy(change: impl FnOnce(&mut Policy)) -> Policy {
    let mut policy = Arc::unwrap_or_clone(Policy::html());
    change(&mut policy);
    policy
}

fn key(target: &str, fields: &HeaderMap, policy: Option<&Policy>) -> (String, Option<String>) {
    let uri: Uri = target.parse().unwrap();
    let source = KeySource {
        scheme: Scheme::Https,
        authority: "shop.example",
        path: uri.path(),
        query: uri.query(),
        fields,
    };
    let mut key = b"left over".to_vec();
    let query = primary_key(source, policy, &mut key).map(Cow::into_owned);
    (String::from_utf8(key).unwrap(), query)
}

#[test]
fn without_a_policy_the_key_is_the_address_and_nothing_else() {
    let fields = fields(&[("cookie", "a=1"), ("accept", "x")]);
    let (bytes, query) = key("/a/%2e%2e/b?utm_source=x&&b=", &fields, None);
    assert_eq!(bytes, "https://shop.example/a/%2e%2e/b?utm_source=x&&b=");
    assert_eq!(query.as_deref(), Some("utm_source=x&&b="));
    assert_ne!(key("/a?", &fields, None), key("/a", &fields, None));
}

#[test]
fn the_query_is_keyed_and_shown_by_the_rule() {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let marketing = |drops| move |policy: &mut Policy| policy.key.drops_marketing = drops;
    let rule = |query: QueryRule| {
        policy(|policy| {
            policy.key.query = query;
            policy.key.drops_marketing = false;
        })
    };
    let sorted = policy(|policy| policy.key.sorts_query = true);
    let table = [
        (policy(marketing(true)), "b=2&a=1&utm_source=x&gclid=1", Some("b=2&a=1")),
        (policy(marketing(true)), "UTM_x=1&utm=2", Some("UTM_x=1&utm=2")),
        (policy(marketing(true)), "%75tm_source=x&fbclid=3", None),
        (policy(marketing(false)), "utm_source=x", Some("utm_source=x")),
        (sorted, "b=2&a=2&&a=1&gclid=1&a", Some("a=2&a=1&a&b=2")),
        (rule(QueryRule::DropAll), "b=2&a=1", None),
        (
            rule(QueryRule::Only(names(&["a", "c d"]))),
            "b=2&a=1&c+d=3&c%20d",
            Some("a=1&c+d=3&c%20d"),
        ),
        (rule(QueryRule::Only(names(&["a"]))), "a;b=2", None),
        (rule(QueryRule::Without(names(&["a"]))), "b=2&%61=1&a=1&a", Some("b=2")),
        (rule(QueryRule::Keep), "b=2&&a=%zz", Some("b=2&&a=%zz")),
    ];
    for (policy, query, expected) in &table {
        let (bytes, shown) = key(&format!("/p?{query}"), &HeaderMap::new(), Some(policy));
        assert_eq!(shown.as_deref(), *expected, "`{query}`");
        let target = expected.map_or("/p".to_owned(), |query| format!("/p?{query}"));
        assert_eq!(bytes, format!("https://shop.example{target}"), "`{query}`");
        let uri: Uri = format!("/p?{query}").parse().unwrap();
        assert_eq!(shown_target(&uri, shown.as_deref()), target.parse::<Uri>().unwrap());
    }
}

#[test]
fn fields_and_cookies_of_the_policy_are_in_the_key() {
    let policy = policy(|policy| {
        policy.key.fields = vec![http::header::ACCEPT, http::header::ORIGIN];
        policy.key.cookies = vec!["theme".to_owned(), "lang".to_owned()];
    });
    let fields = fields(&[
        ("accept", "a"),
        ("accept", "b"),
        ("cookie", "session=s; lang=de; x"),
        ("cookie", "theme=dark=er;lang=en"),
    ]);
    let (bytes, _) = key("/", &fields, Some(&policy));
    let expected =
        "https://shop.example/\naccept\n:a\n:b\norigin\n;theme\n=dark=er\n;lang\n=de\n=en";
    assert_eq!(bytes, expected);
}

#[test]
fn what_was_stripped_is_named() {
    let policy = policy(|policy| policy.key.cookies = vec!["theme".to_owned()]);
    let uri: Uri = "/p?a=1&gclid=2".parse().unwrap();
    let fields = fields(&[
        ("cookie", "session=1; theme=dark"),
        ("user-agent", "x"),
        ("accept-language", "de"),
    ]);
    let source = KeySource {
        scheme: Scheme::Http,
        authority: "a",
        path: uri.path(),
        query: uri.query(),
        fields: &fields,
    };
    let expected = vec![
        Stripped::Parameter("gclid".to_owned()),
        Stripped::Cookie("session".to_owned()),
        Stripped::Field(http::header::ACCEPT_LANGUAGE),
    ];
    assert_eq!(stripped(source, Some(&policy)), expected);
    assert!(stripped(source, None).is_empty());
}

#[test]
fn paths_that_two_programs_read_differently_are_found() {
    use Ambiguity as A;
    let table = [
        ("/", None),
        ("/a.b/..c/...", None),
        ("/a%20b/%e4;x=1", None),
        ("/a/../b", Some(A::DotSegment)),
        ("/a/.", Some(A::DotSegment)),
        ("/a/%2E%2e/b", Some(A::DotSegment)),
        ("/a/.%2e", Some(A::DotSegment)),
        ("/a/..;/b", Some(A::DotSegment)),
        ("/a/..;x=1/b", Some(A::DotSegment)),
        ("/a%2Fb", Some(A::EncodedSlash)),
        ("/a%5cb", Some(A::Backslash)),
        ("/a\\b", Some(A::Backslash)),
        ("/a%00", Some(A::EncodedControl)),
        ("/a%0d%0a", Some(A::EncodedControl)),
        ("/a%7F", Some(A::EncodedControl)),
        ("/a%", Some(A::BrokenEncoding)),
        ("/a%2", Some(A::BrokenEncoding)),
        ("/a%zz", Some(A::BrokenEncoding)),
    ];
    for (path, expected) in table {
        assert_eq!(ambiguous_path(path), expected, "`{path}`");
    }
}

#[test]
fn an_ordinary_hit_writes_the_key_into_the_buffer_it_is_given() {
    let uri: Uri = "/a?b=1".parse().unwrap();
    let fields = HeaderMap::new();
    let source = KeySource {
        scheme: Scheme::Http,
        authority: "a",
        path: uri.path(),
        query: uri.query(),
        fields: &fields,
    };
    let mut key = Vec::with_capacity(256);
    let before = key.as_ptr();
    assert!(matches!(primary_key(source, None, &mut key), Some(Cow::Borrowed("b=1"))));
    assert_eq!(key.as_ptr(), before);
}

type Parts = (String, Option<String>, Vec<String>, Vec<String>);

fn parts() -> impl Strategy<Value = Parts> {
    let query = prop::option::of("[ab=&;]{0,6}");
    let values = prop::collection::vec("[ab:=;, ]{0,4}", 0..3);
    let cookies = prop::collection::vec("[ab:=]{0,3}", 0..3);
    ("/[ab/]{0,4}", query, values, cookies)
}

proptest! {
    /// Two requests have one key only if nothing that the key holds differs.
    #[test]
    fn the_key_tells_apart_whatever_it_holds(one in parts(), two in parts()) {
        let policy = policy(|policy| {
            policy.key.drops_marketing = false;
            policy.key.fields = vec![http::header::ACCEPT];
            policy.key.cookies = vec!["c".to_owned()];
        });
        let make = |(path, query, values, cookies): &Parts| {
            let mut all = HeaderMap::new();
            for value in values {
                all.append("accept", HeaderValue::from_str(value).unwrap());
            }
            for value in cookies {
                all.append("cookie", HeaderValue::from_str(&format!("c={value}")).unwrap());
            }
            let target = query.as_ref().map_or(path.clone(), |query| format!("{path}?{query}"));
            key(&target, &all, Some(&policy))
        };
        prop_assert_eq!(make(&one).0 == make(&two).0, one == two);
    }

    #[test]
    fn any_path_and_query_are_read_without_a_panic(text in "\\PC{0,40}") {
        let _ = ambiguous_path(&text);
        let mut rule = Policy::html().key.clone();
        rule.sorts_query = true;
        let _ = query::shown(Some(&text), &rule);
    }
}
