//! Rates: who asks too often is told when to come again, and nobody else notices.

use std::sync::Arc;
use std::time::Duration;

use forebay_edge::config::Config;
use forebay_edge::config::admit::Proxy;
use forebay_edge::config::rate::{Rate, RateKey};
use forebay_edge::config::route::{PathRule, Route};
use forebay_edge::view;

use super::support::{always, request, with_world};

const PAGE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nCache-Control: s-maxage=60\r\n\r\npage";

fn rate(name: &str, burst: u32, key: RateKey) -> Rate {
    let per = Duration::from_secs(3_600);
    Rate { name: name.into(), requests: burst, per, burst, key, ..Rate::default() }
}

/// One route with these rates; whoever connects may say for whom it asks.
fn limit(config: &mut Config, rates: Vec<Rate>) {
    let rates: Vec<_> = rates.into_iter().map(Arc::new).collect();
    config.routes[0].rates.clone_from(&rates);
    config.rates = rates;
    config.admit.trusted_proxies = vec!["127.0.0.1".parse::<Proxy>().expect("an address")];
}

fn get(path: &str, fields: &str) -> String {
    request("GET", path, fields)
}

fn of(client: &str) -> String {
    get("/", &format!("X-Forwarded-For: {client}\r\n"))
}

fn status(answer: &str) -> &str {
    answer.get(9..12).unwrap_or_default()
}

fn field<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = answer.lines().take_while(|line| !line.is_empty());
    lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

#[test]
fn a_client_above_its_rate_is_told_when_to_come_again_and_others_are_not() {
    let edit = |config: &mut Config| limit(config, vec![rate("pages", 2, RateKey::Address)]);
    with_world(always(PAGE), edit, |world| async move {
        let first = world.ask(&of("192.0.2.1")).await;
        assert_eq!(status(&first), "200");
        assert_eq!(field(&first, "ratelimit"), Some("\"pages\";r=1;t=1800"));
        assert_eq!(field(&first, "ratelimit-policy"), Some("\"pages\";q=2;w=3600"));
        assert_eq!(field(&first, "retry-after"), None);
        let hit = world.ask(&of("192.0.2.1")).await;
        assert!(hit.contains("Forebay; hit"), "{hit}");
        assert_eq!(field(&hit, "ratelimit"), Some("\"pages\";r=0;t=3600"), "hits count");
        let refused = world.ask(&of("192.0.2.1")).await;
        assert_eq!(status(&refused), "429");
        assert_eq!(field(&refused, "forebay-error"), Some("rate-limited"));
        assert_eq!(field(&refused, "cache-control"), Some("no-store"));
        assert!(field(&refused, "retry-after").is_some_and(|wait| wait == "1800"), "{refused}");
        assert!(field(&refused, "ratelimit").is_some_and(|left| left.starts_with("\"pages\";r=0")));
        assert_eq!(status(&world.ask(&of("192.0.2.2")).await), "200", "another client");
        assert_eq!(world.asked(), 1, "the rest were hits or refused");

        let status = view::status(&world.edge);
        let [pages] = &status.rates[..] else { panic!("{:?}", status.rates) };
        assert_eq!((pages.name.as_str(), pages.allowed, pages.refused), ("pages", 3, 1));
        let told = &status.journal[0].what;
        assert_eq!(told, "rate `pages` refuses requests, first of 192.0.2.1");
        let metrics = view::metrics(&world.edge);
        let line = "forebay_edge_rate_requests_total{rate=\"pages\",verdict=\"refused\"} 1";
        assert!(metrics.contains(line), "{metrics}");
    });
}

#[test]
fn an_address_may_stand_for_its_network() {
    let edit = |config: &mut Config| {
        let by_network =
            Rate { ipv4_prefix: 24, ipv6_prefix: 48, ..rate("networks", 1, RateKey::Address) };
        limit(config, vec![by_network]);
    };
    with_world(always(PAGE), edit, |world| async move {
        for (client, expected) in [
            ("192.0.2.1", "200"),
            ("192.0.2.254", "429"),
            ("192.0.3.1", "200"),
            ("2001:db8:1:1::1", "200"),
            ("2001:db8:1:2::1", "429"),
            ("2001:db8:2:1::1", "200"),
        ] {
            assert_eq!(status(&world.ask(&of(client)).await), expected, "{client}");
        }
    });
}

#[test]
fn a_field_or_a_cookie_may_say_who_asks() {
    let edit = |config: &mut Config| {
        let by_key = RateKey::Field("x-api-key".parse().expect("a name"));
        let by_cookie = RateKey::Cookie("session".into());
        limit(config, vec![rate("keys", 1, by_key), rate("sessions", 1, by_cookie)]);
    };
    with_world(always(PAGE), edit, |world| async move {
        for (fields, expected) in [
            ("X-Api-Key: a\r\nCookie: session=a\r\n", "200"),
            ("X-Api-Key: a\r\nCookie: session=b\r\n", "429"),
            ("X-Api-Key: b\r\nCookie: theme=dark; session=a\r\n", "429"),
            ("X-Api-Key: c\r\nCookie: theme=dark; session=c\r\n", "200"),
            // Without either: its address, once for both rates.
            ("", "200"),
            ("Cookie: session=d\r\n", "429"),
        ] {
            assert_eq!(status(&world.ask(&get("/", fields)).await), expected, "{fields}");
        }
    });
}

#[test]
fn a_rate_that_is_not_enforced_counts_and_says_nothing() {
    let edit = |config: &mut Config| {
        let tried = Rate { enforces: false, ..rate("tried", 1, RateKey::Everybody) };
        limit(config, vec![tried]);
    };
    with_world(always(PAGE), edit, |world| async move {
        for _ in 0..3 {
            let answer = world.ask(&get("/", "")).await;
            assert_eq!((status(&answer), field(&answer, "ratelimit")), ("200", None));
        }
        let rates = view::status(&world.edge).rates;
        assert_eq!((rates[0].allowed, rates[0].refused), (1, 2));
        let metrics = view::metrics(&world.edge);
        assert!(metrics.contains("verdict=\"would-refuse\"} 2"), "{metrics}");
    });
}

#[test]
fn routes_share_a_rate_and_a_reload_forgets_nobody() {
    let edit = |config: &mut Config| {
        limit(config, vec![rate("shared", 2, RateKey::Address)]);
        let mut login = Route::everything_to("app");
        login.name = "login".into();
        login.path = PathRule::Exact("/login".into());
        login.rates.clone_from(&config.routes[0].rates);
        config.routes.insert(0, login);
    };
    with_world(always(PAGE), edit, |world| async move {
        assert_eq!(status(&world.ask(&get("/login", "")).await), "200");
        assert_eq!(status(&world.ask(&get("/", "")).await), "200");
        assert_eq!(status(&world.ask(&get("/login", "")).await), "429");
        let mut config = world.edge.snapshot().config.clone();
        let slower = Rate { announces: false, ..rate("shared", 2, RateKey::Address) };
        let slower = vec![Arc::new(slower)];
        for route in &mut config.routes {
            route.rates.clone_from(&slower);
        }
        config.rates = slower;
        world.reload(config.clone());
        let refused = world.ask(&get("/", "")).await;
        assert_eq!((status(&refused), field(&refused, "ratelimit")), ("429", None));
        // Other clients than before: what was known of those says nothing.
        let by_network = Rate { ipv4_prefix: 16, ..rate("shared", 2, RateKey::Address) };
        config.rates = vec![Arc::new(by_network)];
        for route in &mut config.routes {
            route.rates.clone_from(&config.rates);
        }
        world.reload(config);
        assert_eq!(status(&world.ask(&get("/", "")).await), "200");
    });
}
