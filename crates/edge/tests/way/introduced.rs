//! What the origin learns of the client, and what nobody can make it believe.

use forebay_edge::config::admit::ForwardedField;
use forebay_edge::config::listen::{Listener, Place, Protocol};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

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
fn what_a_trusted_proxy_says_in_forwarded_is_told_in_both_fields() {
    let trust = |config: &mut forebay_edge::config::Config| {
        config.admit.trusted_proxies = vec!["127.0.0.0/8".parse().expect("a network")];
        config.admit.forwarded_field = ForwardedField::Forwarded;
    };
    with_world(always(ANSWER), trust, |world| async move {
        let said = "Forwarded: for=203.0.113.7;proto=https\r\nX-Forwarded-For: 6.6.6.6\r\n\
                    X-Forwarded-Proto: http\r\nX-Forwarded-Host: evil.example\r\n";
        world.ask(&request("GET", "/a", said)).await;
        let head = world.last_head();
        assert_eq!(lines_of(&head, "x-forwarded-for"), ["203.0.113.7, 127.0.0.1"], "{head}");
        assert_eq!(lines_of(&head, "x-forwarded-proto"), ["https"], "{head}");
        let ours = "for=127.0.0.1;host=\"shop.example\";proto=https";
        let told = format!("for=203.0.113.7;proto=https, {ours}");
        assert_eq!(lines_of(&head, "forwarded"), [told], "{head}");
        assert!(!head.contains("6.6.6.6") && !head.contains("evil"), "{head}");
    });
}

#[test]
fn a_proxy_on_a_unix_socket_is_believed_where_that_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("socket");
    for (trusted, expected) in [(vec!["unix"], "203.0.113.7, 127.0.0.1"), (vec![], "127.0.0.1")] {
        let listens = |config: &mut forebay_edge::config::Config| {
            let trusted = trusted.iter().map(|proxy| proxy.parse().expect("a proxy"));
            config.admit.trusted_proxies = trusted.collect();
            let place = Place::Unix(path.clone());
            config.listen.listeners.push(Listener { place, protocol: Protocol::Plain });
        };
        with_world(always(ANSWER), listens, |world| async {
            let world = world;
            let mut stream = UnixStream::connect(&path).await.expect("it listens");
            let said = request("GET", "/a", "X-Forwarded-For: 203.0.113.7\r\n");
            stream.write_all(said.as_bytes()).await.expect("written");
            let mut text = String::new();
            stream.read_to_string(&mut text).await.expect("an answer");
            assert_eq!(lines_of(&world.last_head(), "x-forwarded-for"), [expected]);
        });
    }
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
