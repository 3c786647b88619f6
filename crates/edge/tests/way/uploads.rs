//! How much content a request may have.

use std::sync::Arc;
use std::time::Duration;

use crate::support::{Answers, request, with_world};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

/// Answers what has come whole, and is silent to what breaks off.
fn answers() -> Answers {
    Arc::new(|message| {
        let is_whole = !message.contains("chunked") || message.ends_with("0\r\n\r\n");
        (Duration::from_secs(if is_whole { 0 } else { 3_600 }), OK.into())
    })
}

fn chunked(bytes: usize) -> String {
    let content = "x".repeat(bytes);
    let head = request("POST", "/a", "Transfer-Encoding: chunked\r\n");
    format!("{head}{bytes:x}\r\n{content}\r\n0\r\n\r\n")
}

fn with_length(bytes: usize) -> String {
    // The origin of these tests takes a blank line for the end of a message.
    let content = "x".repeat(bytes - 4);
    request("POST", "/a", &format!("Content-Length: {bytes}\r\n")) + &content + "\r\n\r\n"
}

#[test]
fn a_routes_own_limit_holds_for_content_of_known_and_of_unknown_length() {
    let edit = |config: &mut forebay_edge::config::Config| {
        config.routes[0].max_content_bytes = Some(10);
    };
    with_world(answers(), edit, |world| async move {
        for (message, status) in
            [(with_length(10), 200), (with_length(11), 413), (chunked(10), 200), (chunked(11), 413)]
        {
            let text = world.ask(&message).await;
            assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{message}: {text}");
        }
    });
}

#[test]
fn a_routes_own_limit_may_be_above_that_of_all() {
    let edit = |config: &mut forebay_edge::config::Config| {
        config.admit.max_content_bytes = 10;
        let mut own = config.routes[0].clone();
        (own.name, own.methods) = ("own".into(), vec![http::Method::POST]);
        own.max_content_bytes = Some(50);
        config.routes.insert(0, own);
    };
    with_world(answers(), edit, |world| async move {
        let of_all = |message: String| message.replace("POST", "PUT");
        for (message, status) in [
            (with_length(50), 200),
            (with_length(51), 413),
            (chunked(50), 200),
            (chunked(51), 413),
            (of_all(with_length(10)), 200),
            (of_all(with_length(11)), 413),
            (of_all(chunked(11)), 413),
        ] {
            let text = world.ask(&message).await;
            assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{message}: {text}");
        }
    });
}

#[test]
fn without_a_limit_of_its_own_a_route_has_that_of_all() {
    let edit = |config: &mut forebay_edge::config::Config| config.admit.max_content_bytes = 10;
    with_world(answers(), edit, |world| async move {
        for (message, status) in
            [(with_length(10), 200), (with_length(11), 413), (chunked(10), 200), (chunked(11), 413)]
        {
            let text = world.ask(&message).await;
            assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{message}: {text}");
        }
    });
}
