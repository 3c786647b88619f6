//! A route whose clients go to several origins: who goes where, for how long, and what is shared.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, OnceLock};

use forebay_edge::config::Config;
use forebay_edge::config::route::{Split, Sticky};
use forebay_edge::{act, view};

use super::support::{Other, World, always, request, with_world};

const STABLE: &str =
    "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nCache-Control: s-maxage=60\r\n\r\nstable";
const CANARY: &str =
    "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nCache-Control: s-maxage=60\r\n\r\ncanary";

fn split(parts: u32, sticky: Sticky) -> Split {
    Split { shares: vec![("canary".into(), parts)], sticky }
}

/// A world whose route gives so many parts of 10,000 to a canary.
fn with_canary<T, F>(parts: u32, sticky: Sticky, test: T)
where
    T: FnOnce(World, Other, Config) -> F,
    F: Future<Output = ()>,
{
    let started = Arc::new(OnceLock::new());
    let filled = Arc::clone(&started);
    let edit = move |config: &mut Config| {
        let canary = Other::start("canary", always(CANARY));
        config.origins.push(Arc::clone(&canary.settings));
        config.routes[0].split = Some(split(parts, sticky));
        config.admit.trusted_proxies = vec!["127.0.0.0/8".parse().expect("a network")];
        assert!(filled.set((canary, config.clone())).is_ok());
    };
    with_world(always(STABLE), edit, |world| {
        let (canary, config) = started.get().expect("it is started").clone();
        test(world, canary, config)
    });
}

fn by_cookie() -> Sticky {
    Sticky::Cookie("arm".into())
}

fn cookie_of(answer: &str) -> Option<String> {
    let set = answer.split("set-cookie: ").nth(1)?.split("\r\n").next()?;
    assert!(set.contains("; Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax"), "{set}");
    Some(set.split(';').next()?.to_owned())
}

fn arm_of(answer: &str) -> String {
    answer.rsplit("\r\n").next().unwrap_or_default().to_owned()
}

/// Cookies of new clients, with the arm of each.
async fn clients(world: &World, count: usize) -> BTreeMap<String, String> {
    let mut clients = BTreeMap::new();
    for _ in 0..count {
        let answer = world.ask(&request("GET", "/a", "")).await;
        let cookie = cookie_of(&answer).unwrap_or_else(|| panic!("a new client: {answer}"));
        clients.insert(cookie, arm_of(&answer));
    }
    clients
}

#[test]
fn a_client_stays_in_its_arm_and_arms_share_no_answer() {
    with_canary(5_000, by_cookie(), |world, canary, _| async move {
        let clients = clients(&world, 60).await;
        assert_eq!(clients.len(), 60, "each is drawn by itself");
        let in_canary = clients.values().filter(|arm| *arm == "canary").count();
        assert!((10..50).contains(&in_canary), "{in_canary} of 60");
        for (cookie, arm) in &clients {
            let answer = world.ask(&request("GET", "/a", &format!("Cookie: {cookie}\r\n"))).await;
            assert_eq!(&arm_of(&answer), arm);
            assert!(answer.contains("Forebay; hit") && cookie_of(&answer).is_none(), "{answer}");
        }
        // One answer of each is stored; nobody is shown the other's, and the cookie makes none personal.
        assert_eq!((world.asked(), canary.asked()), (1, 1));
        let (own, _) = clients.iter().find(|(_, arm)| *arm == "canary").expect("some are");
        world
            .ask(&request("POST", "/b", &format!("Cookie: a=1; {own}\r\nContent-Length: 0\r\n")))
            .await;
        let heads = canary.heads();
        assert!(
            heads[1].starts_with("POST /b") && heads[1].contains("cookie: a=1\r\n"),
            "{heads:?}"
        );
        let metrics = view::metrics(&world.edge);
        let line = format!(
            "forebay_edge_split_requests_total{{route=\"default\",origin=\"canary\",status=\"2xx\"}} {}\n",
            2 * in_canary + 1
        );
        assert!(metrics.contains(&line), "{line}{metrics}");
        let why = |cookie: &str| {
            let fields = [("cookie".to_owned(), cookie.to_owned())];
            act::why(&world.edge, "http://shop.example/a", &fields, None).expect("a URL")
        };
        let told = why(own);
        assert!(told.key.as_deref().is_some_and(|key| key.ends_with("\n%canary")), "{told:?}");
        assert_eq!(told.decision, "hit");
        let wish = act::Wish { urls: vec!["http://shop.example/a".into()], ..Default::default() };
        let purged = act::purge(&world.edge, &wish, act::Effect::Gone, act::Mode::Do, "a test");
        assert_eq!(purged, Ok(2), "a URL is purged in all arms");
    });
}

#[test]
fn a_share_that_grows_moves_nobody_out_of_it() {
    with_canary(3_000, by_cookie(), |world, _, mut config| async move {
        let clients = clients(&world, 60).await;
        for (parts, all) in [(6_000, None), (10_000, Some("canary")), (0, Some("stable"))] {
            config.routes[0].split = Some(split(parts, by_cookie()));
            world.reload(config.clone());
            let mut moved = 0;
            for (cookie, before) in &clients {
                let message = request("GET", "/a", &format!("Cookie: {cookie}\r\n"));
                let now = arm_of(&world.ask(&message).await);
                match all {
                    Some(all) => assert_eq!(now, all),
                    None => assert!(before == "stable" || now == "canary", "{cookie} went back"),
                }
                moved += usize::from(now != *before);
            }
            assert!(all.is_some() || (5..40).contains(&moved), "{moved} of 60");
        }
        // What was stored for the route's own origin is as good without a split.
        config.routes[0].split = None;
        world.reload(config);
        let answer = world.ask(&request("GET", "/a", "")).await;
        assert!(answer.contains("Forebay; hit") && answer.ends_with("stable"), "{answer}");
        assert!(!answer.contains("set-cookie"), "{answer}");
    });
}

#[test]
fn a_client_that_writes_its_own_cookie_is_a_new_one() {
    with_canary(5_000, by_cookie(), |world, canary, _| async move {
        for value in ["canary", "", "ABCDEF0123456789", "0123456789abcdef0"] {
            let message = request("GET", "/a", &format!("Cookie: arm={value}\r\n"));
            let answer = world.ask(&message).await;
            assert!(cookie_of(&answer).is_some_and(|cookie| cookie.len() == 20), "{answer}");
        }
        assert!(world.asked() + canary.asked() <= 2, "none of them made an answer personal");
    });
}

#[test]
fn an_address_stays_in_its_arm_without_a_cookie() {
    with_canary(5_000, Sticky::Address, |world, _, _| async move {
        let mut seen = BTreeMap::new();
        for number in 0..40 {
            let from = |host: &str| format!("X-Forwarded-For: 2001:db8:0:{number}::{host}\r\n");
            let first = world.ask(&request("GET", "/a", &from("1"))).await;
            let second = world.ask(&request("GET", "/a", &from("abcd"))).await;
            assert_eq!(arm_of(&first), arm_of(&second), "one household");
            assert!(!first.contains("set-cookie"), "{first}");
            *seen.entry(arm_of(&first)).or_insert(0) += 1;
        }
        assert!(seen.len() == 2 && seen.values().all(|count| *count >= 8), "{seen:?}");
    });
}
