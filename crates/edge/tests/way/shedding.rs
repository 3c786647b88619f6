//! When the edge or the origin is full, misses are shed first.

use std::sync::Arc;
use std::time::Duration;

use forebay_edge::config::Config;

use super::support::{Answers, ask, request, with_world};

const FRESH: &str =
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nCache-Control: s-maxage=60\r\n\r\nfresh";
const STALE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\
                     Cache-Control: s-maxage=0, stale-if-error=60\r\n\r\nstale";

/// `/slow` holds its place for as long as the test lasts.
fn answers() -> Answers {
    Arc::new(|head| match head.split(' ').nth(1) {
        Some("/slow") => (Duration::from_secs(60), FRESH.to_owned()),
        Some("/stale") => (Duration::ZERO, STALE.to_owned()),
        _ => (Duration::ZERO, FRESH.to_owned()),
    })
}

fn misses_are_shed_first(edit: fn(&mut Config)) {
    with_world(answers(), edit, |world| async move {
        let get = |path| request("GET", path, "");
        world.ask(&get("/fresh")).await;
        world.ask(&get("/stale")).await;
        let port = world.port;
        let slow = tokio::spawn(async move { ask(port, &request("GET", "/slow", "")).await });
        world.until_asked(3).await;
        let miss = world.ask(&get("/other")).await;
        assert!(miss.starts_with("HTTP/1.1 503"), "{miss}");
        assert!(miss.contains("retry-after: 2\r\n"), "{miss}");
        let hit = world.ask(&get("/fresh")).await;
        assert!(hit.starts_with("HTTP/1.1 200") && hit.contains("Forebay; hit"), "{hit}");
        let stale = world.ask(&get("/stale")).await;
        assert!(stale.starts_with("HTTP/1.1 200"), "{stale}");
        assert!(stale.contains("detail=stale-if-error"), "{stale}");
        assert_eq!(world.asked(), 3, "the origin has heard of none of them");
        world.origin.abort();
        assert!(slow.await.expect("no panic").starts_with("HTTP/1.1 502"));
    });
}

#[test]
fn a_full_edge_sheds_misses_and_serves_what_it_has() {
    misses_are_shed_first(|config| config.admit.max_in_flight = 1);
}

#[test]
fn a_full_origin_sheds_misses_and_the_edge_serves_what_it_has() {
    misses_are_shed_first(|config| {
        let origin = Arc::make_mut(&mut config.origins[0]);
        origin.max_in_flight = 1;
    });
}
