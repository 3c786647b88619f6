//! One answer for many, and what is never shared.

use std::sync::Arc;
use std::time::Duration;

use super::support::{Answers, GET, POST, always, ask, with_world};

fn slow(answer: &'static str) -> Answers {
    Arc::new(move |_| (Duration::from_millis(100), answer.to_owned()))
}

#[test]
fn many_misses_at_once_make_one_request() {
    const CLIENTS: usize = 300;
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nCache-Control: s-maxage=60\r\n\r\nhello";
    with_world(
        slow(answer),
        |_| (),
        |world| async move {
            let port = world.port;
            let mut clients = tokio::task::JoinSet::new();
            for _ in 0..CLIENTS {
                clients.spawn(async move { ask(port, GET).await });
            }
            let answers = clients.join_all().await;
            assert!(answers.iter().all(|answer| answer.ends_with("hello")), "{answers:?}");
            assert_eq!(world.asked(), 1);
            let hit = world.ask(GET).await;
            assert!(hit.contains("cache-status: Forebay; hit; ttl="), "{hit}");
        },
    );
}

#[test]
fn a_stale_answer_bridges_an_outage_and_says_so() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: \"1\"\r\n\
                  Cache-Control: s-maxage=0, stale-if-error=600\r\n\r\nhello";
    with_world(
        always(answer),
        |_| (),
        |mut world| async move {
            assert!(world.ask(GET).await.ends_with("hello"));
            world.origin.abort();
            assert!((&mut world.origin).await.is_err(), "the origin is gone");
            let stale = world.ask(GET).await;
            assert!(stale.starts_with("HTTP/1.1 200"), "{stale}");
            assert!(stale.contains("detail=stale-if-error"), "{stale}");
            assert!(stale.ends_with("hello"), "{stale}");
            let other = world.ask(&GET.replace("/a", "/b")).await;
            assert!(other.starts_with("HTTP/1.1 50"), "nothing is stored for it: {other}");
        },
    );
}

#[test]
fn what_sets_a_cookie_is_never_shared() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nSet-Cookie: session=secret\r\n\
                  Cache-Control: public, s-maxage=60\r\n\r\nhello";
    with_world(
        always(answer),
        |_| (),
        |world| async move {
            for asked in 1..=3 {
                let answer = world.ask(GET).await;
                assert!(answer.contains("set-cookie: session=secret"), "{answer}");
                assert_eq!(world.asked(), asked);
            }
            assert_eq!(world.edge.cache.memory.statistics().objects, 0);
        },
    );
}

#[test]
fn an_unsafe_request_makes_what_is_stored_ask_again() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nCache-Control: max-age=60\r\n\r\nhello";
    with_world(
        always(answer),
        |_| (),
        |world| async move {
            for (message, asked) in [(GET, 1), (GET, 1), (POST, 2), (GET, 3), (GET, 3)] {
                assert!(world.ask(message).await.ends_with("hello"));
                assert_eq!(world.asked(), asked, "after {message}");
            }
        },
    );
}
