//! What the origin learns of the client, and what nobody can make it believe.

use super::support::{GET, always, request, with_world};

const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nCache-Control: no-store\r\n\r\nhi";

fn lines_of(head: &str, name: &str) -> Vec<String> {
    let lines = head.lines().filter_map(|line| line.split_once(": "));
    lines
        .filter(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.to_owned())
        .collect()
}

#[test]
fn the_origin_is_told_who_asks_and_strangers_claims_are_dropped() {
    with_world(
        always(ANSWER),
        |_| (),
        |world| async move {
            let claims = "X-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nX-Request-Id: mine\r\n\
                      X-Forwarded-Proto: https\r\nVia: 1.0 other\r\n\
                      traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n";
            let answer = world.ask(&request("GET", "/a", claims)).await;
            let head = world.last_head();
            let one = |name: &str| {
                let lines = lines_of(&head, name);
                assert_eq!(lines.len(), 1, "{name} in {head}");
                lines[0].clone()
            };
            assert_eq!(one("host"), "shop.example");
            assert_eq!(one("x-forwarded-for"), "127.0.0.1");
            assert_eq!(one("forwarded"), "for=127.0.0.1;host=\"shop.example\";proto=http");
            assert_eq!(one("x-forwarded-proto"), "http");
            assert_eq!(one("x-forwarded-host"), "shop.example");
            assert_eq!(one("via"), "1.0 other, 1.1 forebay");
            let trace = one("traceparent");
            assert!(trace.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"), "{trace}");
            assert!(!trace.contains("00f067aa0ba902b7"), "the parent is ours: {trace}");
            let id = one("x-request-id");
            assert_eq!(id.len(), 32);
            assert!(answer.contains(&format!("x-request-id: {id}")), "both sides get one id");
        },
    );
}

#[test]
fn what_a_trusted_proxy_says_is_kept_and_added_to() {
    let trust = |config: &mut forebay_edge::config::Config| {
        config.admit.trusted_proxies = vec!["127.0.0.0/8".parse().expect("a network")];
    };
    with_world(always(ANSWER), trust, |world| async move {
        let said = "X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: https\r\n";
        world.ask(&request("GET", "/a", said)).await;
        let head = world.last_head();
        assert_eq!(lines_of(&head, "x-forwarded-for"), ["203.0.113.7, 127.0.0.1"], "{head}");
        assert_eq!(lines_of(&head, "x-forwarded-proto"), ["https"], "{head}");
    });
}

#[test]
fn a_route_edits_what_the_edge_adds_too() {
    let edit = |config: &mut forebay_edge::config::Config| {
        let name = http::HeaderName::from_static("x-forwarded-for");
        config.routes[0].request_fields =
            vec![forebay_edge::config::route::FieldEdit::Remove(name)];
    };
    with_world(always(ANSWER), edit, |world| async move {
        world.ask(GET).await;
        let head = world.last_head();
        assert!(lines_of(&head, "x-forwarded-for").is_empty(), "{head}");
        assert_eq!(lines_of(&head, "via"), ["1.1 forebay"], "{head}");
    });
}
