//! Nobody gets what was made for another, and nobody switches the cache off for others.

use std::sync::Arc;
use std::time::Duration;

use forebay_edge::config::Config;
use forebay_edge::config::policy::Policy;
use forebay_edge::config::route::{NamedValue, PathRule};

use super::purging::purge_url;
use super::support::{Answers, GET, always, ask, at_once, request, with_world};

/// Answers that name whoever asked, after long enough for another to come along.
fn named(control: &'static str) -> Answers {
    Arc::new(move |head| {
        let fields = head.to_ascii_lowercase();
        let of = |name: &str| {
            let line = fields.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or("nobody").trim().to_owned()
        };
        let body = format!("for {} in {}", of("cookie:"), of("accept-language:"));
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nETag: \"{body}\"\r\n{control}\r\n\r\n{body}",
            body.len()
        );
        (Duration::from_millis(60), answer)
    })
}

#[test]
fn what_may_not_be_used_unasked_is_not_shared_on_arrival_either() {
    let control = "Cache-Control: public, max-age=0";
    with_world(
        named(control),
        |_| (),
        |mut world| async move {
            let answers = at_once(&world, &["Cookie: a\r\n", "Cookie: b\r\n", ""]).await;
            for (answer, user) in answers.iter().zip(["a", "b", "nobody"]) {
                assert!(answer.ends_with(&format!("for {user} in nobody")), "{user}: {answer}");
            }
            world.origin.abort();
            assert!((&mut world.origin).await.is_err(), "the origin is gone");
            let answer = world.ask(&request("GET", "/a", "Cookie: c\r\n")).await;
            assert!(
                !answer.contains("for a") && !answer.contains("for b"),
                "an outage leaks: {answer}"
            );
        },
    );
}

#[test]
fn fields_for_one_user_do_not_reach_those_who_read_along() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-User: secret\r\n\
                  Cache-Control: s-maxage=60, private=\"x-user\"\r\n\r\nhi";
    let slow: Answers = Arc::new(move |_| (Duration::from_millis(60), answer.to_owned()));
    with_world(
        slow,
        |_| (),
        |world| async move {
            let mut answers = at_once(&world, &["", "", ""]).await;
            answers.push(world.ask(GET).await);
            let told = answers.iter().filter(|answer| answer.contains("x-user: secret")).count();
            assert!(told <= 1, "{answers:#?}");
            assert_eq!(world.asked(), 1);
        },
    );
}

#[test]
fn who_reads_along_gets_the_variant_that_he_asked_for() {
    let control = "Cache-Control: max-age=0, stale-while-revalidate=60\r\nVary: Accept-Language";
    with_world(
        named(control),
        |_| (),
        |world| async move {
            let german = "Accept-Language: de\r\n";
            world.ask(&request("GET", "/a", german)).await;
            // The German variant is stale and validated behind; somebody else asks meanwhile.
            let answers = at_once(&world, &[german, "Accept-Language: fr\r\n"]).await;
            assert!(answers[0].ends_with("in de"), "{}", answers[0]);
            assert!(answers[1].ends_with("in fr"), "{}", answers[1]);
        },
    );
}

#[test]
fn routes_that_differ_by_a_field_have_keys_of_their_own() {
    let answers: Answers = Arc::new(|head| {
        let body = if head.to_ascii_lowercase().contains("x-marked") { "beta" } else { "main" };
        let control = "Cache-Control: s-maxage=60";
        (Duration::ZERO, format!("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n{control}\r\n\r\n{body}"))
    });
    let beta_first = |config: &mut Config| {
        let mut beta = config.routes[0].clone();
        beta.name = "beta".into();
        beta.fields = vec![NamedValue { name: "x-beta".into(), value: None }];
        beta.request_fields = vec![forebay_edge::config::route::FieldEdit::Set(
            http::HeaderName::from_static("x-marked"),
            http::HeaderValue::from_static("1"),
        )];
        config.routes.insert(0, beta);
    };
    with_world(answers, beta_first, |world| async move {
        for (fields, body) in [("X-Beta: 1\r\n", "beta"), ("", "main"), ("X-Beta: 1\r\n", "beta")] {
            let answer = world.ask(&request("GET", "/a", fields)).await;
            assert!(answer.ends_with(body), "{fields}: {answer}");
        }
        let url = "http://shop.example/a";
        let purged = purge_url(&world.edge, url);
        assert_eq!(purged, Ok(2), "a purge finds both");
    });
}

#[test]
fn a_rewrite_keeps_its_own_query_when_the_clients_is_cut() {
    let edit = |config: &mut Config| {
        let route = &mut config.routes[0];
        route.policy = Some(Policy::html());
        route.path = PathRule::Prefix("/u/".into());
        route.rewrite = Some("/find?fixed=1{query}".into());
    };
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nCache-Control: s-maxage=60\r\n\r\nhi";
    with_world(always(answer), edit, |world| async move {
        for (path, sent) in [
            ("/u/7?utm_source=x", "GET /find?fixed=1 "),
            ("/u/8?a=b&utm_source=x", "GET /find?fixed=1&a=b "),
        ] {
            world.ask(&request("GET", path, "")).await;
            assert!(world.last_head().starts_with(sent), "{path}: {}", world.last_head());
        }
    });
}

#[test]
fn what_an_unsafe_request_changed_is_not_served_in_an_outage() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nCache-Control: max-age=600\r\n\r\nhello";
    with_world(
        always(answer),
        |_| (),
        |mut world| async move {
            world.ask(GET).await;
            world.ask(super::support::POST).await;
            world.origin.abort();
            assert!((&mut world.origin).await.is_err(), "the origin is gone");
            let answer = world.ask(GET).await;
            assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
        },
    );
}

#[test]
fn whoever_asks_after_a_purge_does_not_read_along_with_what_was_asked_before() {
    let mut count = std::sync::atomic::AtomicUsize::new(0);
    *count.get_mut() = 0;
    let answers: Answers = Arc::new(move |_| {
        let n = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nCache-Control: s-maxage=60\r\n\r\nbody{n}"
        );
        (Duration::from_millis(80), answer)
    });
    with_world(
        answers,
        |_| (),
        |world| async move {
            let port = world.port;
            let before = tokio::spawn(async move { ask(port, GET).await });
            world.until_asked(1).await;
            let url = "http://shop.example/a";
            purge_url(&world.edge, url).expect("a URL");
            let after = world.ask(GET).await;
            assert!(after.ends_with("body1"), "{after}");
            assert!(before.await.expect("no panic").ends_with("body0"));
            assert!(world.ask(GET).await.ends_with("body1"), "the newer one is stored");
        },
    );
}

#[test]
fn one_client_cannot_switch_off_the_cache_for_others() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: \"1\"\r\nCache-Control: max-age=60\r\n\r\nhello";
    with_world(
        always(answer),
        |_| (),
        |world| async move {
            for fields in
                ["Cookie: session=1\r\n", "Cache-Control: no-store\r\n", "Authorization: x\r\n"]
            {
                let answer = world.ask(&request("GET", "/a", fields)).await;
                assert!(!answer.contains("stored"), "{answer}");
            }
            let asked = world.asked();
            assert!(world.ask(GET).await.contains("; stored"));
            assert!(world.ask(GET).await.contains("Forebay; hit"));
            // Nor does anybody take out what is stored.
            world
                .ask(&request("GET", "/a", "Cache-Control: no-cache, no-store\r\nCookie: s\r\n"))
                .await;
            assert!(world.ask(GET).await.contains("Forebay; hit"));
            assert_eq!(world.asked(), asked + 2);
        },
    );
}

#[test]
fn a_page_that_can_be_stored_again_is_stored_again() {
    let count = std::sync::atomic::AtomicUsize::new(0);
    let answers: Answers = Arc::new(move |_| {
        let first = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0;
        let control = if first { "no-store" } else { "s-maxage=60" };
        (
            Duration::ZERO,
            format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nCache-Control: {control}\r\n\r\nhi"),
        )
    });
    with_world(
        answers,
        |_| (),
        |world| async move {
            assert!(world.ask(GET).await.contains("detail=no-store"));
            // It is let through, and found to be one that might be stored: that ends the mark.
            assert!(world.ask(GET).await.contains("detail=no-store"));
            assert!(world.ask(GET).await.contains("; stored"), "hit-for-miss, not hit-for-pass");
            assert!(world.ask(GET).await.contains("Forebay; hit"));
        },
    );
}

#[test]
fn what_the_origin_withdraws_is_gone() {
    let count = std::sync::atomic::AtomicUsize::new(0);
    let answers: Answers = Arc::new(move |_| {
        let n = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let (status, control) = match n {
            0 => ("200 OK", "max-age=0, stale-if-error=600"),
            1 => ("403 Forbidden", "no-store"),
            _ => ("503 Service Unavailable", "no-store"),
        };
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\nETag: \"1\"\r\n");
        (Duration::ZERO, format!("{head}Cache-Control: {control}\r\n\r\nhi"))
    });
    with_world(
        answers,
        |_| (),
        |world| async move {
            assert!(world.ask(GET).await.starts_with("HTTP/1.1 200"));
            assert!(world.ask(GET).await.starts_with("HTTP/1.1 403"));
            let third = world.ask(GET).await;
            assert!(third.starts_with("HTTP/1.1 503"), "it is not brought back: {third}");
        },
    );
}

#[test]
fn only_if_cached_never_reaches_the_origin() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nCache-Control: s-maxage=60\r\n\r\nhi";
    with_world(
        always(answer),
        |_| (),
        |world| async move {
            let only = request("GET", "/a", "Cache-Control: only-if-cached\r\n");
            assert!(world.ask(&only).await.starts_with("HTTP/1.1 504"));
            assert_eq!(world.asked(), 0);
            world.ask(GET).await;
            assert!(world.ask(&only).await.contains("Forebay; hit"));
        },
    );
}
