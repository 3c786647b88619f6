//! What is purged or changed is gone under every key that its URL has.

use std::sync::Arc;
use std::time::Duration;

use forebay_edge::act::{Mode, purge};
use forebay_edge::config::Config;
use forebay_edge::config::policy::Policy;

use super::support::{Answers, always, ask, request, with_world};

const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nCache-Control: s-maxage=60\r\n\r\nhi";

/// Answers differ by a cookie, and advertisement's parameters are not in the key.
fn by_currency(config: &mut Config) {
    let mut policy = Policy::clone(&Policy::html());
    policy.key.cookies = vec!["currency".into()];
    config.routes[0].policy = Some(Arc::new(policy));
}

fn with_cookie(currency: &str) -> String {
    request("GET", "/a?utm_source=x", &format!("Cookie: currency={currency}\r\n"))
}

#[test]
fn a_purge_finds_every_key_of_a_url() {
    with_world(always(ANSWER), by_currency, |world| async move {
        for currency in ["eur", "usd", "eur", "usd"] {
            assert!(world.ask(&with_cookie(currency)).await.ends_with("hi"));
        }
        let other = request("GET", "/ab", "");
        world.ask(&other).await;
        assert_eq!(world.asked(), 3);
        let url = "http://shop.example/a?utm_campaign=y";
        assert_eq!(purge(&world.edge, url, Mode::Count), Ok(2));
        assert_eq!(purge(&world.edge, url, Mode::Do), Ok(2));
        assert_eq!(purge(&world.edge, url, Mode::Count), Ok(0));
        for (currency, asked) in [("eur", 4), ("usd", 5), ("eur", 5)] {
            assert!(world.ask(&with_cookie(currency)).await.ends_with("hi"));
            assert_eq!(world.asked(), asked);
        }
        assert!(world.ask(&other).await.contains("Forebay; hit"), "another URL stays");
    });
}

#[test]
fn an_unsafe_request_reaches_every_key_of_its_url() {
    with_world(always(ANSWER), by_currency, |world| async move {
        world.ask(&with_cookie("eur")).await;
        world.ask(&with_cookie("usd")).await;
        world.ask(&request("POST", "/a", "Content-Length: 0\r\n")).await;
        for (currency, asked) in [("eur", 4), ("usd", 5), ("usd", 5)] {
            world.ask(&with_cookie(currency)).await;
            assert_eq!(world.asked(), asked);
        }
    });
}

#[test]
fn a_purge_wins_over_a_fill_that_is_under_way() {
    let slow: Answers = Arc::new(|_| (Duration::from_millis(100), ANSWER.to_owned()));
    with_world(slow, by_currency, |world| async move {
        let port = world.port;
        let filling = tokio::spawn(async move { ask(port, &with_cookie("eur")).await });
        world.until_asked(1).await;
        assert_eq!(purge(&world.edge, "http://shop.example/a", Mode::Do), Ok(0));
        assert!(filling.await.expect("no panic").ends_with("hi"), "it is answered all the same");
        assert_eq!(world.edge.cache.memory.statistics().objects, 0);
        world.ask(&with_cookie("eur")).await;
        assert_eq!(world.asked(), 2);
    });
}
