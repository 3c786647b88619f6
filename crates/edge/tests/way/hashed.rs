//! Servers that are found by hash, and servers whose share grows.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use forebay_edge::config::Config;
use forebay_edge::config::origin::{Balance, HashBy, Origin};
use forebay_edge::view;
use http::{HeaderName, StatusCode};

use super::support::{Answers, Other, World, always, request, with_world};

const NEVER_STORED: &str =
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nCache-Control: no-store\r\n\r\nok";
const HOUR: Duration = Duration::from_secs(3_600);

/// A world whose origin has several servers.
fn with_servers<T, F>(answers: Vec<Answers>, edit: impl Fn(&mut Origin), test: T)
where
    T: FnOnce(World, Vec<Other>, Config) -> F,
    F: Future<Output = ()>,
{
    let started = Arc::new(OnceLock::new());
    let filled = Arc::clone(&started);
    let edit = move |config: &mut Config| {
        let start = |answers: Answers| Other::start("server", answers);
        let servers: Vec<Other> = answers.into_iter().map(start).collect();
        let origin = Arc::make_mut(&mut config.origins[0]);
        origin.servers = servers.iter().map(|other| other.settings.servers[0].clone()).collect();
        edit(origin);
        assert!(filled.set((servers, config.clone())).is_ok());
    };
    with_world(always(""), edit, |world| {
        let (servers, config) = started.get().expect("it is started").clone();
        test(world, servers, config)
    });
}

fn well(count: usize) -> Vec<Answers> {
    (0..count).map(|_| always(NEVER_STORED)).collect()
}

/// Which server each thing was sent to, asked for twice.
async fn places(
    world: &World,
    servers: &[Other],
    message: impl Fn(usize) -> String,
) -> BTreeMap<usize, usize> {
    let asked = || servers.iter().map(Other::asked).collect::<Vec<_>>();
    let mut places = BTreeMap::new();
    for thing in 0..40 {
        let before = asked();
        for _ in 0..2 {
            assert!(world.ask(&message(thing)).await.ends_with("ok"));
        }
        let gained: Vec<usize> = asked().iter().zip(&before).map(|(now, old)| now - old).collect();
        let place = gained.iter().position(|gained| *gained == 2);
        places.insert(thing, place.unwrap_or_else(|| panic!("one server of {gained:?}")));
    }
    places
}

#[test]
fn a_url_has_its_server_and_loses_it_only_with_the_server() {
    let by_hash = |origin: &mut Origin| origin.balance = Balance::Hash;
    with_servers(well(4), by_hash, |world, servers, mut config| async move {
        let message = |thing| request("GET", &format!("/page?thing={thing}"), "");
        let before = places(&world, &servers, message).await;
        for place in 0..4 {
            assert!(before.values().any(|used| *used == place), "{before:?}");
        }
        Arc::make_mut(&mut config.origins[0]).servers.remove(1);
        world.reload(config);
        let after = places(&world, &servers, message).await;
        for (thing, place) in &before {
            let now = after[thing];
            assert!(now != 1 && (now == *place || *place == 1), "{thing}: {place} to {now}");
        }
    });
}

#[test]
fn a_client_has_its_server_by_what_the_settings_name() {
    let by_cookie = |origin: &mut Origin| {
        origin.balance = Balance::Hash;
        origin.hash_by = HashBy::Cookie("session".into());
    };
    with_servers(well(3), by_cookie, |world, servers, mut config| async move {
        let message = |client| {
            let path = format!("/{}", servers[0].asked());
            request("GET", &path, &format!("Cookie: a=1; session={client}\r\n"))
        };
        let places_by_cookie = places(&world, &servers, message).await;
        assert!((0..3).all(|place| places_by_cookie.values().any(|used| *used == place)));
        let origin = Arc::make_mut(&mut config.origins[0]);
        origin.hash_by = HashBy::Field(HeaderName::from_static("x-tenant"));
        world.reload(config);
        let message = |client| request("GET", "/", &format!("X-Tenant: {client}\r\n"));
        let by_field = places(&world, &servers, message).await;
        assert!((0..3).all(|place| by_field.values().any(|used| *used == place)));
        // Without the field it is the address, and that is one here.
        let by_address =
            places(&world, &servers, |thing| request("GET", &format!("/{thing}"), "")).await;
        assert!(by_address.values().all(|place| *place == by_address[&0]), "{by_address:?}");
    });
}

/// How many of 300 requests a server is sent.
async fn share(world: &World, server: &Other) -> usize {
    let before = server.asked();
    for thing in 0..300 {
        assert!(world.ask(&request("GET", &format!("/{thing}"), "")).await.contains("200 OK"));
    }
    server.asked() - before
}

#[test]
fn a_new_server_begins_with_a_tenth_of_its_share_whatever_the_balance() {
    let edit = |origin: &mut Origin| origin.slow_start = Some(HOUR);
    with_servers(well(3), edit, |world, servers, mut config| async move {
        for balance in [Balance::LeastInFlight, Balance::RoundRobin, Balance::Hash] {
            let whole = config.origins[0].servers.clone();
            let origin = Arc::make_mut(&mut config.origins[0]);
            origin.balance = balance;
            origin.servers.pop();
            world.reload(config.clone());
            Arc::make_mut(&mut config.origins[0]).servers = whole;
            world.reload(config.clone());
            let cold = share(&world, &servers[2]).await;
            assert!((1..35).contains(&cold), "{balance:?}: {cold} of 300 while it is cold");
            Arc::make_mut(&mut config.origins[0]).slow_start = Some(Duration::from_nanos(1));
            world.reload(config.clone());
            let warm = share(&world, &servers[2]).await;
            assert!((60..140).contains(&warm), "{balance:?}: {warm} of 300 once it is warm");
            Arc::make_mut(&mut config.origins[0]).slow_start = Some(HOUR);
        }
    });
}

#[test]
fn a_server_that_becomes_well_begins_small() {
    let broken = Arc::new(AtomicBool::new(true));
    let is_broken = Arc::clone(&broken);
    let breaks: Answers = Arc::new(move |_| {
        let is_broken = is_broken.load(Ordering::SeqCst);
        let broken = "HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n";
        let answer = if is_broken { broken } else { NEVER_STORED };
        (Duration::ZERO, answer.to_owned())
    });
    let edit = |origin: &mut Origin| {
        origin.slow_start = Some(HOUR);
        origin.failover_statuses = vec![StatusCode::INTERNAL_SERVER_ERROR];
        origin.breaker_failures = 1;
        origin.breaker_open_for = Duration::from_millis(1);
        origin.retry_budget_percent = 100;
    };
    let answers = vec![always(NEVER_STORED), breaks];
    with_servers(answers, edit, |world, servers, _| async move {
        let message = request("GET", "/", "");
        while servers[1].asked() == 0 {
            world.ask(&message).await;
        }
        broken.store(false, Ordering::SeqCst);
        let is_closed = || view::status(&world.edge).origins[0].servers[1].breaker == "closed";
        while !is_closed() {
            world.ask(&message).await;
        }
        let cold = share(&world, &servers[1]).await;
        assert!((1..45).contains(&cold), "{cold} of 300, half of which are its share");
    });
}
