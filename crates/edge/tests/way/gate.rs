//! What could be read in two ways never reaches an origin.

use std::sync::Arc;
use std::time::Duration;

use forebay_edge::config::Config;
use forebay_edge::config::policy::Policy;

use crate::support::{Answers, always, with_world};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

/// Requests that servers and proxies read differently, each with the status that refuses it.
const SMUGGLED: [(&str, &str, u16); 16] = [
    (
        "both framings",
        "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nX",
        400,
    ),
    (
        "two lengths",
        "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxy",
        400,
    ),
    ("a length with a sign", "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello", 400),
    (
        "a blank before the colon",
        "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    ("a bare carriage return", "GET /a HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", 400),
    ("a NUL", "GET /a HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", 400),
    (
        "a coding on HTTP/1.0",
        "POST /a HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    (
        "an unknown coding",
        "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        501,
    ),
    (
        "a folded coding",
        "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    ("bare line feeds", "GET /a HTTP/1.1\nHost: a\n\n", 400),
    (
        "a bare line feed behind a chunk's extension",
        "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;x\nhello\r\n0\r\n\r\n",
        400,
    ),
    ("two hosts", "GET /a HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    ("no host", "GET /a HTTP/1.1\r\n\r\n", 400),
    ("a target of another host", "GET http://b/a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (
        "a coding twice",
        "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        501,
    ),
    (
        "a chunk of a size that no number holds",
        "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
         10000000000000005\r\nhello\r\n0\r\n\r\n",
        400,
    ),
];

const WITH_CONTENT: &str =
    "GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 9\r\n\r\nhello\r\n\r\n";

#[test]
fn requests_that_can_be_read_in_two_ways_reach_no_origin() {
    // Behind each stands a request that must not be found in it.
    let hidden = "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n";
    with_world(
        always(OK),
        |_| {},
        |world| async move {
            for (what, raw, status) in SMUGGLED {
                let text = world.ask(&format!("{raw}{hidden}")).await;
                assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{what}: {text}");
                assert_eq!(text.matches("HTTP/1.1 ").count(), 1, "{what}: one answer: {text}");
                assert!(text.contains("connection: close"), "{what}: {text}");
                assert_eq!(world.heard(), 0, "{what}: the origin heard something");
            }
        },
    );
}

#[test]
fn content_on_a_get_is_refused_where_answers_are_stored() {
    let stores = |config: &mut Config| config.routes[0].policy = Some(Policy::html());
    with_world(always(OK), stores, |world| async move {
        let text = world.ask(WITH_CONTENT).await;
        assert!(text.starts_with("HTTP/1.1 400 "), "{text}");
        assert_eq!(world.heard(), 0);
    });
}

#[test]
fn content_on_a_get_passes_by_the_cache_elsewhere() {
    let storable: Answers = Arc::new(|message| {
        assert!(message.contains("\r\n\r\nhello"), "{message}");
        let answer = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 2\r\n\r\nhi";
        (Duration::ZERO, answer.into())
    });
    with_world(
        storable,
        |_| {},
        |world| async move {
            for _ in 0..2 {
                let text = world.ask(WITH_CONTENT).await;
                assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
                assert!(text.contains("cache-status: Forebay; fwd=method"), "{text}");
            }
            assert_eq!(world.asked(), 2, "it is not stored");
        },
    );
}
