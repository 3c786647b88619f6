//! Routes that are closed while an application is worked on.

use std::time::Duration;

use bytes::Bytes;
use forebay_edge::config::Config;
use forebay_edge::config::route::{PathRule, Route};
use forebay_edge::{act, view};

use super::support::{always, request, with_world};

const PAGE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nCache-Control: s-maxage=60\r\n\r\npage";

/// Two routes, a page, and somebody who passes.
fn two_routes(config: &mut Config) {
    let mut shop = Route::everything_to("app");
    shop.name = "shop".into();
    shop.path = PathRule::Prefix("/shop".into());
    config.routes.insert(0, shop);
    config.maintenance.page = Some(Bytes::from_static(b"<h1>soon</h1>"));
    config.maintenance.retry_after = Duration::from_secs(90);
    config.maintenance.allow = vec!["10.0.0.0/8".parse().expect("a network")];
    config.admit.trusted_proxies = vec!["127.0.0.0/8".parse().expect("a network")];
}

fn is_closed(answer: &str) -> bool {
    let is_closed = answer.starts_with("HTTP/1.1 503");
    if is_closed {
        for part in ["forebay-error: maintenance\r\n", "retry-after: 90\r\n", "no-store"] {
            assert!(answer.contains(part), "{part}: {answer}");
        }
        assert!(answer.contains("text/html") && answer.ends_with("<h1>soon</h1>"), "{answer}");
    }
    is_closed
}

#[test]
fn an_act_closes_one_route_or_all_and_outlives_a_reload() {
    with_world(always(PAGE), two_routes, |world| async move {
        let (shop, other) = (request("GET", "/shop/1", ""), request("GET", "/a", ""));
        assert!(!is_closed(&world.ask(&shop).await) && !is_closed(&world.ask(&other).await));
        let edge = world.edge.clone();
        act::maintenance(&edge, Some("shop"), true).expect("the route is there");
        assert!(is_closed(&world.ask(&shop).await) && !is_closed(&world.ask(&other).await));
        world.reload(edge.snapshot().config.clone());
        assert!(is_closed(&world.ask(&shop).await), "a reload is no end of it");
        let from_within = request("GET", "/shop/1", "X-Forwarded-For: 10.1.2.3\r\n");
        assert!(world.ask(&from_within).await.ends_with("page"), "who is allowed passes");
        assert_eq!(view::status(&edge).maintenance, ["shop"]);
        let told = &view::status(&edge).journal[0].what;
        assert_eq!(told, "maintenance begun: route `shop`");

        act::maintenance(&edge, None, true).expect("all routes");
        let asked = world.asked();
        let post = request("POST", "/a", "Content-Length: 0\r\n");
        assert!(is_closed(&world.ask(&other).await) && is_closed(&world.ask(&post).await));
        assert_eq!(world.asked(), asked, "the origin is left alone");
        act::maintenance(&edge, None, false).expect("all routes");
        assert!(is_closed(&world.ask(&shop).await), "its own is another");
        act::maintenance(&edge, Some("shop"), false).expect("the route is there");
        assert!(!is_closed(&world.ask(&shop).await));
        assert!(view::status(&edge).maintenance.is_empty());
        let unknown = act::maintenance(&edge, Some("shopp"), true);
        assert_eq!(unknown, Err("no route is named `shopp`".into()));
    });
}

#[test]
fn settings_close_a_route_and_what_is_stored_may_go_on() {
    let edit = |config: &mut Config| {
        two_routes(config);
        config.maintenance.serves_hits = true;
    };
    with_world(always(PAGE), edit, |world| async move {
        let (stored, missing) = (request("GET", "/shop/1", ""), request("GET", "/shop/2", ""));
        world.ask(&stored).await;
        let mut config = world.edge.snapshot().config.clone();
        config.routes[0].is_in_maintenance = true;
        world.reload(config.clone());
        assert!(world.ask(&stored).await.contains("Forebay; hit"));
        assert!(is_closed(&world.ask(&missing).await));
        assert!(is_closed(&world.ask(&request("POST", "/shop/1", "Content-Length: 0\r\n")).await));
        assert_eq!(world.asked(), 1);
        let refused = act::maintenance(&world.edge, Some("shop"), false);
        assert!(refused.is_err_and(|why| why.contains("the settings have")), "it would not help");
        config.maintenance.serves_hits = false;
        config.maintenance.is_on = true;
        world.reload(config.clone());
        assert!(is_closed(&world.ask(&stored).await), "not without the setting");
        config.maintenance.is_on = false;
        config.routes[0].is_in_maintenance = false;
        world.reload(config);
        assert!(!is_closed(&world.ask(&missing).await));
    });
}
