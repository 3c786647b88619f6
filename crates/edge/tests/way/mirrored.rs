//! Routes whose requests are copied for another origin, which nobody waits for.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use forebay_edge::config::Config;
use forebay_edge::config::forward_auth::{ForwardAuth, Keys};
use forebay_edge::config::mirror::{MAX_IN_FLIGHT, Mirror, TIMEOUT};
use forebay_edge::config::route::ALL_PARTS;
use forebay_edge::{act, view};
use forebay_signals::clock;
use http::{HeaderName, Method};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::support::{Answers, GET, Other, World, always, request, until, with_world};
use super::vouched::{by_session, with_doorman};

const PAGE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nCache-Control: s-maxage=60\r\n\r\npage";
const NEXT: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext";

pub(crate) fn mirror(origin: &str) -> Mirror {
    Mirror {
        origin: origin.into(),
        share: ALL_PARTS,
        methods: vec![Method::GET, Method::HEAD, Method::OPTIONS],
        max_content_bytes: 0,
        max_in_flight: MAX_IN_FLIGHT,
        timeout: TIMEOUT,
        is_personal: false,
    }
}

fn with_mirror<T, F>(next: Answers, edit: impl FnOnce(&mut Mirror), test: T)
where
    T: FnOnce(World, Other) -> F,
    F: Future<Output = ()>,
{
    let started = Arc::new(OnceLock::new());
    let filled = Arc::clone(&started);
    let edit = move |config: &mut Config| {
        let next = Other::start("next", next);
        config.origins.push(Arc::clone(&next.settings));
        let mut mirror = mirror("next");
        edit(&mut mirror);
        config.routes[0].mirror = Some(mirror);
        assert!(filled.set(next).is_ok());
    };
    with_world(always(PAGE), edit, |world| test(world, started.get().expect("started").clone()));
}

fn seen(world: &World) -> view::Status {
    view::status(&world.edge)
}

#[test]
fn what_the_origin_is_asked_is_copied_and_marked_and_hits_are_not() {
    with_mirror(
        always(NEXT),
        |_| (),
        |world, next| async move {
            let who = "Cookie: a=1\r\nAuthorization: Basic YTpi\r\nForebay-Mirror: mine\r\n";
            let plain = "Accept: text/html\r\nForebay-Mirror: mine\r\n";
            for (path, fields) in [("/a", plain), ("/a", ""), ("/a/b", who)] {
                let answer = world.ask(&request("GET", path, fields)).await;
                assert!(answer.ends_with("page"), "{answer}");
            }
            until("copies are answered", || seen(&world).mirrors[0].answered == 2).await;
            // The second was a hit.
            assert_eq!((world.asked(), next.asked()), (2, 2));
            assert!(world.last_head().contains("cookie: a=1"), "{}", world.last_head());
            assert!(!world.last_head().contains("mirror"), "a client marks nothing itself");
            let heads = next.heads();
            for head in &heads {
                assert!(
                    head.starts_with("GET /a") && head.contains("\r\nhost: shop.example\r\n"),
                    "{head}"
                );
                assert!(head.contains("\r\nforebay-mirror: default\r\n"), "{head}");
                assert!(head.contains("\r\nx-request-id: "), "{head}");
                for name in
                    ["cookie", "authorization", "forwarded: ", "x-forwarded-for", "127.0.0.1"]
                {
                    assert!(
                        !head.to_lowercase().contains(&format!("\r\n{name}")),
                        "{name}: {head}"
                    );
                }
            }
            assert!(heads[0].contains("accept: text/html"), "{}", heads[0]);
            let metrics = view::metrics(&world.edge);
            let line = "forebay_edge_mirror_total{route=\"default\",outcome=\"answered\"} 2\n";
            assert!(metrics.contains(line), "{metrics}");
            let why = act::why(&world.edge, "http://shop.example/a", &[], None).expect("a URL");
            let part = "100 percent of what the origin is asked is copied for origin `next`";
            assert!(why.parts.contains(&part.to_owned()), "{why:?}");
        },
    );
}

#[test]
fn a_mirror_that_may_know_is_told_whose_request_it_is() {
    let edit = |mirror: &mut Mirror| mirror.is_personal = true;
    with_mirror(always(NEXT), edit, |world, next| async move {
        world.ask(&request("GET", "/a", "Cookie: a=1\r\n")).await;
        until("a copy came", || next.asked() == 1).await;
        let head = next.heads().remove(0);
        assert!(head.contains("cookie: a=1") && head.contains("x-forwarded-for: 127"), "{head}");
    });
}

#[test]
fn a_mirror_that_hangs_delays_nobody_and_takes_no_more_than_its_bound() {
    let hangs: Answers = Arc::new(|_| (Duration::from_secs(3_600), String::new()));
    let edit = |mirror: &mut Mirror| {
        mirror.max_in_flight = 3;
        mirror.timeout = Duration::from_millis(300);
    };
    with_mirror(hangs, edit, |world, next| async move {
        for number in 0..10 {
            let began = clock::now();
            let answer = world.ask(&request("GET", &format!("/{number}"), "")).await;
            assert!(answer.ends_with("page"), "{answer}");
            assert!(clock::now() - began < Duration::from_secs(5));
        }
        let mirror = seen(&world).mirrors.remove(0);
        assert!(mirror.dropped >= 1 && next.asked() <= 10, "{mirror:?}");
        assert_eq!(mirror.answered, 0);
        until("those on their way are given up", || {
            let mirror = seen(&world).mirrors.remove(0);
            mirror.in_flight == 0 && mirror.failed + mirror.dropped == 10
        })
        .await;
    });
}

#[test]
fn a_mirror_that_is_gone_or_fails_is_felt_by_nobody() {
    let fails = "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n";
    with_mirror(
        always(fails),
        |_| (),
        |world, _| async move {
            assert!(world.ask(GET).await.ends_with("page"));
            until("it is counted", || seen(&world).mirrors[0].failed == 1).await;
        },
    );
}

#[test]
fn content_is_copied_whole_or_not_at_all() {
    let edit = |mirror: &mut Mirror| {
        mirror.methods = vec![Method::GET, Method::POST];
        mirror.max_content_bytes = 12;
    };
    with_mirror(always(NEXT), edit, |world, next| async move {
        let with_length = |content: &str| {
            let length = content.len();
            request("POST", "/a", &format!("Content-Length: {length}\r\n")) + content
        };
        assert!(world.ask(&with_length("order-1\r\n\r\n")).await.ends_with("page"));
        until("it came", || next.heads().iter().any(|head| head.ends_with("order-1\r\n\r\n")))
            .await;
        let head = next.heads().remove(0);
        assert!(head.contains("content-length: 11\r\n"), "{head}");
        assert!(world.ask(&with_length("order-2-x\r\n\r\n")).await.ends_with("page"));
        // Of unknown length: it is known to be too long only on the way.
        for (content, length) in [("abcd\r\n\r\n", 8), ("abcdefghi\r\n\r\n", 13)] {
            let head = request("POST", "/a", "Transfer-Encoding: chunked\r\n");
            let message = format!("{head}{length:x}\r\n{content}\r\n0\r\n\r\n");
            assert!(world.ask(&message).await.ends_with("page"));
        }
        until("it came", || next.heads().iter().any(|head| head.ends_with("abcd\r\n\r\n"))).await;
        until("two had none", || seen(&world).mirrors[0].without_content == 2).await;
        assert!(
            !next.heads().iter().any(|head| head.contains("order-2") || head.contains("efghi"))
        );
    });
}

#[test]
fn content_that_waits_for_its_end_has_a_seat() {
    let edit = |mirror: &mut Mirror| {
        mirror.methods = vec![Method::GET, Method::POST];
        mirror.max_content_bytes = 12;
        mirror.max_in_flight = 1;
    };
    with_mirror(always(NEXT), edit, |world, next| async move {
        let head = request("POST", "/a", "Content-Length: 8\r\n");
        let mut client = TcpStream::connect(("127.0.0.1", world.port)).await.expect("it listens");
        client.write_all(format!("{head}half").as_bytes()).await.expect("written");
        until("it has a seat", || seen(&world).mirrors[0].in_flight == 1).await;
        assert!(world.ask(GET).await.ends_with("page"));
        assert_eq!((seen(&world).mirrors[0].dropped, next.asked()), (1, 0));
        client.write_all(b"\r\n\r\n").await.expect("written");
        until("it is copied", || seen(&world).mirrors[0].answered == 1).await;
        until("its seat is free", || seen(&world).mirrors[0].in_flight == 0).await;
    });
}

#[test]
fn unsafe_methods_and_what_is_not_drawn_are_not_copied() {
    let edit = |mirror: &mut Mirror| mirror.share = ALL_PARTS / 2;
    with_mirror(always(NEXT), edit, |world, next| async move {
        let posted = request("POST", "/a", "Content-Length: 0\r\n");
        for number in 0..80 {
            world.ask(&request("GET", &format!("/{number}"), "")).await;
            world.ask(&posted).await;
        }
        until("copies are answered", || seen(&world).mirrors[0].in_flight == 0).await;
        let asked = next.asked();
        assert!((20..=60).contains(&asked), "{asked} of 80");
        assert!(next.heads().iter().all(|head| head.starts_with("GET ")));
    });
}

#[test]
fn a_reload_ends_a_mirror_or_keeps_its_counts() {
    let gone = Arc::new(AtomicBool::new(false));
    let is_gone = Arc::clone(&gone);
    let next: Answers = Arc::new(move |_| {
        assert!(!is_gone.load(Ordering::SeqCst), "asked after its end");
        (Duration::ZERO, NEXT.into())
    });
    with_mirror(
        next,
        |_| (),
        |world, next| async move {
            world.ask(GET).await;
            until("a copy is answered", || seen(&world).mirrors[0].answered == 1).await;
            let mut config = world.edge.snapshot().config.clone();
            world.reload(config.clone());
            assert_eq!(seen(&world).mirrors[0].answered, 1);
            config.routes[0].mirror = None;
            world.reload(config);
            gone.store(true, Ordering::SeqCst);
            world.ask(&request("GET", "/other", "")).await;
            assert!(seen(&world).mirrors.is_empty() && next.asked() == 1);
        },
    );
}

#[test]
fn what_a_doorman_is_told_and_says_is_not_for_the_mirror() {
    let api_key = HeaderName::from_static("x-api-key");
    let edit = |auth: &mut ForwardAuth, config: &mut Config| {
        auth.show_fields = vec![http::header::COOKIE, http::header::ACCEPT, api_key];
        auth.keys = Keys::parse("a:0123456789abcdef0123456789abcdef").ok();
        // The same origin stands for both.
        config.routes[0].mirror = Some(mirror("auth"));
    };
    with_doorman(always(PAGE), by_session("max-age=60"), edit, |world, auth, _| async move {
        let fields = "Cookie: session=ada\r\nX-Api-Key: k\r\nAccept: text/html\r\n";
        assert!(world.ask(&request("GET", "/a", fields)).await.ends_with("page"));
        assert!(world.last_head().contains("\r\nx-api-key: k"), "{}", world.last_head());
        assert!(world.last_head().contains("\r\nsignature: "), "{}", world.last_head());
        until("a copy came", || auth.asked() == 2).await;
        let copy = auth.heads().pop().expect("it came").to_lowercase();
        assert!(copy.contains("forebay-mirror") && copy.contains("text/html"), "{copy}");
        for name in ["x-user", "x-api-key", "cookie", "signature"] {
            assert!(!copy.contains(name), "{name}: {copy}");
        }
    });
}
