//! What is purged or changed is gone under every key that its URL has.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use forebay_edge::act::{Effect, Mode, Wish, purge};
use forebay_edge::config::Config;
use forebay_edge::config::cache::Visibility;
use forebay_edge::config::policy::Policy;
use forebay_edge::config::purge::Token;
use forebay_edge::edge::Edge;
use forebay_signals::clock;

use super::support::{Answers, World, always, ask, request, with_world};

const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nCache-Control: s-maxage=60\r\n\r\nhi";
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// Answers differ by a cookie, and advertisement's parameters are not in the key.
fn by_currency(config: &mut Config) {
    let mut policy = Policy::clone(&Policy::html());
    policy.key.cookies = vec!["currency".into()];
    config.routes[0].policy = Some(Arc::new(policy));
}

fn with_cookie(currency: &str) -> String {
    request("GET", "/a?utm_source=x", &format!("Cookie: currency={currency}\r\n"))
}

/// Each path bears tags of its own: `/a/one/two` those of its segments.
fn tagged(lifetime: &'static str) -> Answers {
    let count = AtomicUsize::new(0);
    Arc::new(move |head| {
        let path = head.split(' ').nth(1).unwrap_or("/").trim_start_matches('/');
        let (tags, number) = (path.replace('/', " "), count.fetch_add(1, Ordering::SeqCst));
        let content = format!("answer {number}");
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nCache-Control: {lifetime}\r\n\
             Surrogate-Key: {tags}\r\nCache-Tag: all, {path}\r\n\r\n{content}",
            content.len()
        );
        (Duration::ZERO, answer)
    })
}

fn url(url: &str) -> Wish {
    Wish { urls: vec![url.into()], ..Wish::default() }
}

fn tag(tag: &str) -> Wish {
    Wish { tags: vec![tag.into()], ..Wish::default() }
}

fn prefix(prefix: &str) -> Wish {
    Wish { prefixes: vec![prefix.into()], ..Wish::default() }
}

/// Purges one page.
pub(crate) fn purge_url(edge: &Edge, page: &str) -> Result<u64, String> {
    purge(edge, &url(page), Effect::Gone, Mode::Do, "test")
}

fn do_purge(world: &World, wish: &Wish, effect: Effect) -> Result<u64, String> {
    let counted = purge(&world.edge, wish, effect, Mode::Count, "test");
    let purged = purge(&world.edge, wish, effect, Mode::Do, "test");
    assert_eq!(counted, purged, "a dry run counts what goes");
    purged
}

async fn get(world: &World, path: &str) -> String {
    world.ask(&request("GET", path, "")).await
}

async fn is_hit(world: &World, path: &str) -> bool {
    get(world, path).await.contains("Forebay; hit")
}

fn by_token(config: &mut Config) {
    config.purge.token = Token::new(TOKEN.as_bytes());
}

fn by_address(config: &mut Config) {
    config.purge.allow = vec!["127.0.0.0/8".parse().expect("a network")];
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
        let a = url("http://shop.example/a?utm_campaign=y");
        assert_eq!(do_purge(&world, &a, Effect::Gone), Ok(2));
        assert_eq!(do_purge(&world, &a, Effect::Gone), Ok(0));
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

/// Answers like those of `tagged`, but slowly.
fn slowly() -> Answers {
    let answers = tagged("s-maxage=60");
    Arc::new(move |head| (Duration::from_millis(100), answers(head).1))
}

#[test]
fn a_purge_wins_over_a_fill_that_is_under_way() {
    let everything = Wish { everything: true, ..Wish::default() };
    let host = Wish { hosts: vec!["shop.example".into()], ..Wish::default() };
    let page = url("http://shop.example/a/one");
    let below = prefix("http://shop.example/a/");
    for wish in [page, below, host, tag("one"), tag("all"), everything] {
        for effect in [Effect::Gone, Effect::Stale] {
            let wish = wish.clone();
            with_world(
                slowly(),
                |_| (),
                |world| async move {
                    let port = world.port;
                    let first =
                        tokio::spawn(async move { ask(port, &request("GET", "/a/one", "")).await });
                    world.until_asked(1).await;
                    // The origin has answered in thought: what it says is older than the purge.
                    assert_eq!(purge(&world.edge, &wish, effect, Mode::Do, "test"), Ok(0));
                    let second = get(&world, "/a/one").await;
                    assert!(
                        second.ends_with("answer 1"),
                        "asked after the purge: {wish:?} {second}"
                    );
                    assert!(first.await.expect("no panic").ends_with("answer 0"), "it is answered");
                    let third = get(&world, "/a/one").await;
                    assert!(
                        third.ends_with("answer 1") && third.contains("; hit"),
                        "{wish:?} {third}"
                    );
                    assert_eq!(world.asked(), 2);
                },
            );
        }
    }
}

#[test]
fn a_purge_by_another_tag_leaves_a_fill_alone() {
    with_world(
        slowly(),
        |_| (),
        |world| async move {
            let port = world.port;
            let first = tokio::spawn(async move { ask(port, &request("GET", "/a/one", "")).await });
            world.until_asked(1).await;
            assert_eq!(purge(&world.edge, &tag("two"), Effect::Gone, Mode::Do, "test"), Ok(0));
            assert!(get(&world, "/a/one").await.ends_with("answer 0"), "it reads along");
            assert!(first.await.expect("no panic").ends_with("answer 0"));
            assert!(is_hit(&world, "/a/one").await);
        },
    );
}

#[test]
fn tags_purge_what_bears_them_in_either_field() {
    with_world(
        tagged("s-maxage=60"),
        |_| (),
        |world| async move {
            for path in ["/one/two", "/two/three", "/four"] {
                get(&world, path).await;
                assert!(is_hit(&world, path).await);
            }
            assert_eq!(do_purge(&world, &tag("thre"), Effect::Gone), Ok(0));
            assert_eq!(do_purge(&world, &tag("two"), Effect::Gone), Ok(2));
            assert!(!is_hit(&world, "/one/two").await && !is_hit(&world, "/two/three").await);
            assert!(is_hit(&world, "/four").await);
            assert_eq!(do_purge(&world, &tag("all"), Effect::Gone), Ok(3));
            assert!(!is_hit(&world, "/four").await);
            let said = &world.edge.journal.newest(1)[0];
            assert_eq!((&*said.who, &*said.what), ("test", "purged tag `all`: 3 answers"));
        },
    );
}

#[test]
fn prefixes_and_hosts_end_where_they_are_said_to() {
    with_world(
        tagged("s-maxage=60"),
        |_| (),
        |world| async move {
            for path in ["/products/1", "/products/2", "/products", "/about"] {
                get(&world, path).await;
            }
            world
                .ask("GET /x HTTP/1.1\r\nHost: shop.example.org\r\nConnection: close\r\n\r\n")
                .await;
            let products = prefix("http://shop.example/products/");
            assert_eq!(do_purge(&world, &products, Effect::Gone), Ok(2));
            assert!(is_hit(&world, "/products").await && !is_hit(&world, "/products/1").await);
            assert_eq!(do_purge(&world, &prefix("http://shop.example"), Effect::Gone), Ok(3));
            let host = Wish { hosts: vec!["SHOP.example.org".into()], ..Wish::default() };
            assert_eq!(do_purge(&world, &host, Effect::Gone), Ok(1));
            for bad in [prefix("shop.example/"), prefix(""), url("/a"), tag(""), Wish::default()] {
                assert!(do_purge(&world, &bad, Effect::Gone).is_err(), "{bad:?}");
            }
            for bad in ["", "a/b", "http://a", "user@a/x"] {
                let host = Wish { hosts: vec![bad.into()], ..Wish::default() };
                assert!(do_purge(&world, &host, Effect::Gone).is_err(), "{bad}");
            }
        },
    );
}

#[test]
fn what_is_softly_purged_is_served_stale_while_it_is_fetched_anew() {
    let lifetime = "s-maxage=60, stale-while-revalidate=60";
    with_world(
        tagged(lifetime),
        |_| (),
        |world| async move {
            get(&world, "/one").await;
            assert_eq!(do_purge(&world, &tag("one"), Effect::Stale), Ok(1));
            let stale = get(&world, "/one").await;
            assert!(
                stale.ends_with("answer 0") && stale.contains("stale-while-revalidate"),
                "{stale}"
            );
            world.until_asked(2).await;
            let deadline = clock::now() + Duration::from_secs(10);
            while !get(&world, "/one").await.ends_with("answer 1") {
                assert!(clock::now() < deadline, "it is never fresh again");
            }
            assert_eq!(world.asked(), 2);
        },
    );
}

#[test]
fn what_may_not_be_used_stale_is_not_after_a_soft_purge_either() {
    for lifetime in ["s-maxage=60, must-revalidate, stale-while-revalidate=60", "s-maxage=60"] {
        with_world(
            tagged(lifetime),
            |_| (),
            |world| async move {
                get(&world, "/one").await;
                assert_eq!(do_purge(&world, &tag("one"), Effect::Stale), Ok(1));
                assert!(get(&world, "/one").await.ends_with("answer 1"), "{lifetime}");
                assert!(is_hit(&world, "/one").await);
            },
        );
    }
}

#[test]
fn an_outage_is_bridged_with_what_is_stale_and_never_with_what_is_gone() {
    let lifetime = "s-maxage=60, stale-if-error=60";
    for (effect, expected) in [(Effect::Stale, "200 OK"), (Effect::Gone, "502 Bad Gateway")] {
        with_world(
            tagged(lifetime),
            |_| (),
            |world| async move {
                get(&world, "/one").await;
                world.origin.abort();
                assert_eq!(do_purge(&world, &tag("one"), effect), Ok(1));
                let answer = get(&world, "/one").await;
                assert!(answer.starts_with(&format!("HTTP/1.1 {expected}")), "{answer}");
            },
        );
    }
}

#[test]
fn a_stale_answer_that_is_purged_while_the_origin_is_asked_does_not_bridge_its_failure() {
    let count = AtomicUsize::new(0);
    let answers: Answers = Arc::new(move |_| {
        if count.fetch_add(1, Ordering::SeqCst) == 0 {
            let fields = "Cache-Control: s-maxage=0, stale-if-error=60\r\nETag: \"a\"\r\n";
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n{fields}\r\nhi");
            return (Duration::ZERO, answer);
        }
        let answer = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
        (Duration::from_millis(100), answer.into())
    });
    with_world(
        answers,
        |_| (),
        |world| async move {
            get(&world, "/one").await;
            let stale = get(&world, "/one").await;
            assert!(stale.starts_with("HTTP/1.1 200"), "{stale}");
            let port = world.port;
            let asking = tokio::spawn(async move { ask(port, &request("GET", "/one", "")).await });
            world.until_asked(3).await;
            let page = url("http://shop.example/one");
            assert_eq!(purge(&world.edge, &page, Effect::Gone, Mode::Do, "test"), Ok(1));
            let answer = asking.await.expect("no panic");
            assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
        },
    );
}

#[test]
fn clients_see_no_tags_unless_they_are_shown() {
    let is_shown = |answer: &str| {
        let answer = answer.to_ascii_lowercase();
        (answer.contains("surrogate-key: one"), answer.contains("cache-tag: all"))
    };
    let requests = [
        request("GET", "/one", ""),
        request("GET", "/one", ""),
        request("HEAD", "/one", ""),
        request("POST", "/one", "Content-Length: 0\r\n"),
    ];
    let asked = requests.clone();
    with_world(
        tagged("s-maxage=60"),
        |_| (),
        |world| async move {
            for request in &asked {
                assert_eq!(is_shown(&world.ask(request).await), (false, false), "{request}");
            }
        },
    );
    let show = |config: &mut Config| config.cache.tags = Visibility::Shown;
    with_world(tagged("s-maxage=60"), show, |world| async move {
        for request in &requests {
            assert_eq!(is_shown(&world.ask(request).await), (true, true), "{request}");
        }
        assert_eq!(do_purge(&world, &tag("one"), Effect::Gone), Ok(1));
    });
}

#[test]
fn an_answer_with_more_tags_than_are_kept_is_not_stored() {
    let tags = format!("one two {}", "y".repeat(2_000));
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nCache-Control: s-maxage=60\r\n\
         Surrogate-Key: {tags}\r\n\r\nhi"
    );
    let answers: Answers = Arc::new(move |_| (Duration::ZERO, answer.clone()));
    with_world(
        answers,
        |_| (),
        |world| async move {
            let answer = get(&world, "/a").await;
            assert!(answer.contains("detail=too-many-tags"), "{answer}");
            assert_eq!(world.edge.cache.memory.statistics().objects, 0);
        },
    );
}

#[test]
fn without_settings_purge_is_a_method_like_any_other() {
    with_world(
        tagged("s-maxage=60"),
        |_| (),
        |world| async move {
            get(&world, "/one").await;
            let answer = world.ask(&request("PURGE", "/one", "")).await;
            assert!(answer.ends_with("answer 1"), "the application has it: {answer}");
            assert!(world.last_head().starts_with("PURGE /one HTTP/1.1\r\n"));
        },
    );
}

#[test]
fn a_purge_by_http_takes_the_page_whatever_its_scheme() {
    with_world(tagged("s-maxage=60"), by_address, |world| async move {
        get(&world, "/one").await;
        get(&world, "/two/a").await;
        get(&world, "/two/b").await;
        let answer = world.ask(&request("PURGE", "/one", "")).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.ends_with("{\"purged\":1}\n"), "{answer}");
        let answer = world.ask(&request("PURGE", "/two/*", "")).await;
        assert!(answer.ends_with("{\"purged\":2}\n"), "{answer}");
        assert!(!is_hit(&world, "/one").await && !is_hit(&world, "/two/a").await);
        let said = &world.edge.journal.newest(1)[0];
        assert_eq!(said.who, "PURGE from 127.0.0.1 by address");
        let page = forebay_edge::view::metrics(&world.edge);
        for line in [
            "forebay_edge_purges_total{effect=\"gone\"} 2",
            "forebay_edge_purged_answers_total{effect=\"gone\"} 3",
            "forebay_edge_purges_refused_total 0",
        ] {
            assert!(page.contains(line), "{line}\n{page}");
        }
    });
}

#[test]
fn a_purge_by_http_takes_tags_in_the_words_of_several_caches() {
    with_world(tagged("s-maxage=60, stale-while-revalidate=60"), by_address, |world| async move {
        for (fields, is_soft) in [
            ("Surrogate-Key: x one\r\n", false),
            ("Cache-Tag: x, one\r\n", false),
            ("xkey-purge: one\r\n", false),
            ("xkey-softpurge: one\r\n", true),
            ("Surrogate-Key: one\r\nFastly-Soft-Purge: 1\r\n", true),
            ("Cache-Tag: one\r\nSoft-Purge: 1\r\n", true),
            ("Cache-Tag: one\r\nSoft-Purge: 0\r\n", false),
        ] {
            let all = Wish { everything: true, ..Wish::default() };
            purge(&world.edge, &all, Effect::Gone, Mode::Do, "test").expect("a wish");
            get(&world, "/one").await;
            get(&world, "/other").await;
            let answer = world.ask(&request("PURGE", "/", fields)).await;
            assert!(answer.ends_with("{\"purged\":1}\n"), "{fields} {answer}");
            let answer = get(&world, "/one").await;
            assert_eq!(answer.contains("detail=stale-while"), is_soft, "{fields} {answer}");
            assert!(is_hit(&world, "/other").await);
        }
        let nothing = world.ask(&request("PURGE", "/one", "Surrogate-Key: \r\n")).await;
        assert!(nothing.starts_with("HTTP/1.1 400"), "it is not the address: {nothing}");
    });
}

#[test]
fn only_the_token_purges_where_there_is_one() {
    with_world(tagged("s-maxage=60"), by_token, |world| async move {
        get(&world, "/one").await;
        for fields in [
            "",
            "Authorization: Bearer 0123456789abcdef0123456789abcdeg\r\n",
            "Authorization: Bearer\r\n",
            "Authorization: Basic 0123456789abcdef0123456789abcdef\r\n",
        ] {
            let answer = world.ask(&request("PURGE", "/one", fields)).await;
            assert!(answer.starts_with("HTTP/1.1 403"), "{fields} {answer}");
            assert!(answer.contains("purge-refused"), "{answer}");
        }
        assert!(is_hit(&world, "/one").await);
        assert_eq!(world.edge.cache.purges.refused.value(), 4);
        let right = format!("Authorization: bearer {TOKEN}\r\n");
        let answer = world.ask(&request("PURGE", "/one", &right)).await;
        assert!(answer.ends_with("{\"purged\":1}\n"), "{answer}");
        assert!(world.edge.journal.newest(1)[0].who.ends_with("by token"));
    });
}

#[test]
fn an_address_alone_is_not_enough_for_a_page_in_a_browser_or_for_strangers() {
    with_world(tagged("s-maxage=60"), by_address, |world| async move {
        let of_page = request("PURGE", "/one", "Origin: https://evil.example\r\n");
        assert!(world.ask(&of_page).await.starts_with("HTTP/1.1 403"));
    });
    let elsewhere = |config: &mut Config| {
        config.purge.allow = vec!["10.0.0.0/8".parse().expect("a network")];
    };
    with_world(tagged("s-maxage=60"), elsewhere, |world| async move {
        let claimed = request("PURGE", "/one", "X-Forwarded-For: 10.0.0.1\r\n");
        assert!(world.ask(&claimed).await.starts_with("HTTP/1.1 403"));
    });
    let behind = move |config: &mut Config| {
        elsewhere(config);
        config.admit.trusted_proxies = vec!["127.0.0.1".parse().expect("an address")];
    };
    with_world(tagged("s-maxage=60"), behind, |world| async move {
        let said = request("PURGE", "/one", "X-Forwarded-For: 10.0.0.1\r\n");
        assert!(world.ask(&said).await.starts_with("HTTP/1.1 200"));
        let stranger = request("PURGE", "/one", "X-Forwarded-For: 192.0.2.1\r\n");
        assert!(world.ask(&stranger).await.starts_with("HTTP/1.1 403"));
    });
}
