//! HEAD and ranges of what is not stored yet, and fields that no client is shown.

use std::sync::Arc;
use std::time::Duration;

use super::support::{Answers, GET, always, request, with_world};

const STORABLE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\nETag: \"1\"\r\n\
                        Cache-Control: s-maxage=60\r\n\r\n0123456789";

/// As a server does that knows ranges.
fn knows_ranges(control: &'static str) -> Answers {
    Arc::new(move |head| {
        let answer = if head.to_ascii_lowercase().contains("range: bytes=2-4") {
            format!(
                "HTTP/1.1 206 Partial Content\r\nContent-Length: 3\r\n\
                 Content-Range: bytes 2-4/10\r\nCache-Control: {control}\r\n\r\n234"
            )
        } else {
            format!(
                "HTTP/1.1 200 OK\r\nContent-Length: 10\r\nCache-Control: {control}\r\n\r\n\
                 0123456789"
            )
        };
        (Duration::ZERO, answer)
    })
}

#[test]
fn a_head_of_what_is_not_stored_fetches_it_for_all_who_come_later() {
    with_world(
        always(STORABLE),
        |_| (),
        |world| async move {
            let head = world.ask(&request("HEAD", "/a", "")).await;
            assert!(head.starts_with("HTTP/1.1 200") && head.ends_with("\r\n\r\n"), "{head}");
            assert!(head.contains("content-length: 10\r\n"), "{head}");
            assert!(world.last_head().starts_with("GET "), "{}", world.last_head());
            let get = world.ask(GET).await;
            assert!(get.ends_with("0123456789"), "{get}");
            assert!(get.contains("Forebay; hit"), "{get}");
            assert_eq!(world.asked(), 1);
        },
    );
}

#[test]
fn a_range_of_what_is_not_stored_comes_from_the_whole_while_it_arrives() {
    with_world(
        always(STORABLE),
        |_| (),
        |world| async move {
            let part = world.ask(&request("GET", "/a", "Range: bytes=2-4\r\n")).await;
            assert!(part.starts_with("HTTP/1.1 206"), "{part}");
            assert!(part.contains("content-range: bytes 2-4/10\r\n"), "{part}");
            assert!(
                part.contains("content-length: 3\r\n") && part.ends_with("\r\n\r\n234"),
                "{part}"
            );
            assert!(
                !world.last_head().to_ascii_lowercase().contains("range:"),
                "the whole is asked for"
            );
            assert!(world.ask(GET).await.contains("Forebay; hit"));
            let beyond = world.ask(&request("GET", "/b", "Range: bytes=10-\r\n")).await;
            assert!(beyond.starts_with("HTTP/1.1 416"), "{beyond}");
            assert!(beyond.contains("content-range: bytes */10"), "{beyond}");
            let other = "Range: bytes=2-4\r\nIf-Range: \"2\"\r\n";
            let whole = world.ask(&request("GET", "/c", other)).await;
            assert!(whole.starts_with("HTTP/1.1 200") && whole.ends_with("0123456789"), "{whole}");
            assert_eq!(world.asked(), 3);
        },
    );
}

#[test]
fn a_range_of_what_is_never_stored_is_left_to_the_origin() {
    with_world(
        knows_ranges("no-store"),
        |_| (),
        |world| async move {
            for _ in 0..2 {
                let part = world.ask(&request("GET", "/a", "Range: bytes=2-4\r\n")).await;
                assert!(
                    part.starts_with("HTTP/1.1 206") && part.ends_with("\r\n\r\n234"),
                    "{part}"
                );
                assert!(part.contains("content-range: bytes 2-4/10"), "{part}");
            }
            assert_eq!(world.edge.cache.memory.statistics().objects, 0);
        },
    );
}

#[test]
fn surrogate_control_governs_and_no_client_sees_it() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nETag: \"1\"\r\nCache-Control: no-cache\r\n\
                  Surrogate-Control: max-age=60\r\n\r\nhi";
    with_world(
        always(answer),
        |_| (),
        |world| async move {
            for status in ["stored", "hit"] {
                let answer = world.ask(GET).await;
                assert!(answer.contains(status), "{answer}");
                assert!(!answer.contains("surrogate-control"), "{answer}");
            }
            assert_eq!(world.asked(), 1);
        },
    );
}

#[test]
fn several_ranges_of_what_is_stored_come_as_parts() {
    with_world(
        always(STORABLE),
        |_| (),
        |world| async move {
            world.ask(GET).await;
            let parts = world.ask(&request("GET", "/a", "Range: bytes=0-0, 9-9\r\n")).await;
            // Ranges so near to one another are sent as one.
            assert!(parts.starts_with("HTTP/1.1 206") && parts.ends_with("0123456789"), "{parts}");
            assert_eq!(world.asked(), 1);
        },
    );
    let long: Answers = Arc::new(|_| {
        let body = "0123456789".repeat(100);
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nContent-Type: text/plain\r\n";
        (Duration::ZERO, format!("{head}Cache-Control: s-maxage=60\r\n\r\n{body}"))
    });
    with_world(
        long,
        |_| (),
        |world| async move {
            world.ask(GET).await;
            let parts = world.ask(&request("GET", "/a", "Range: bytes=0-2, 500-502\r\n")).await;
            let (head, content) = parts.split_once("\r\n\r\n").expect("a head");
            assert!(head.contains("multipart/byteranges; boundary="), "{head}");
            let length = format!("content-length: {}", content.len());
            assert!(head.contains(&length), "{length} in {head}");
            for piece in
                ["content-range: bytes 0-2/1000\r\n", "content-range: bytes 500-502/1000\r\n"]
            {
                assert!(content.to_ascii_lowercase().contains(piece), "{content}");
            }
            assert_eq!(content.matches("012").count(), 2, "{content}");
        },
    );
}

#[test]
fn a_message_that_is_refused_at_the_gate_names_no_cache_either() {
    with_world(
        always(STORABLE),
        |_| (),
        |world| async move {
            let refused = world.ask("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n").await;
            assert!(refused.starts_with("HTTP/1.1 400"), "{refused}");
            assert!(refused.contains("cache-status: Forebay; detail="), "{refused}");
        },
    );
}
