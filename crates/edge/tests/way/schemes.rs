//! Routes that ask for the scheme by which a client came.

use forebay_edge::config::Config;
use forebay_edge::config::listen::{Listener, Place, Protocol};
use forebay_edge::config::route::{Action, PathRule, Route};
use forebay_edge::exchange::Scheme;
use forebay_edge::listen::self_signed;
use http::StatusCode;

use crate::support::{World, always, request, with_world};
use crate::tls::{self, Names};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

/// Challenges go to the application as they come, other clear requests to their HTTPS address.
fn routes() -> Vec<Route> {
    let all = Route::everything_to("app");
    let to = "https://{host}{path}{query}".to_owned();
    vec![
        Route { path: PathRule::Prefix("/.well-known/acme-challenge".into()), ..all.clone() },
        Route {
            scheme: Some(Scheme::Http),
            action: Action::Redirect(StatusCode::PERMANENT_REDIRECT, to),
            ..all.clone()
        },
        all,
    ]
}

fn assert_redirects(answer: &str, to: &str) {
    assert!(answer.starts_with("HTTP/1.1 308 "), "{answer}");
    assert!(answer.contains(&format!("\r\nlocation: {to}\r\n")), "{answer}");
}

#[test]
fn clear_requests_are_sent_to_https_and_challenges_are_not() {
    let certificate = self_signed(["shop.example"]).expect("made");
    let offered = vec![certificate.clone()];
    let edit = move |config: &mut Config| {
        let place = Place::Tcp("127.0.0.1:0".parse().expect("an address"));
        config.listen.listeners.push(Listener { place, protocol: Protocol::Tls });
        config.listen.certificates = offered;
        config.routes = routes();
    };
    with_world(always(OK), edit, |world| async move {
        let clear = world.ask(&request("GET", "/a?b=c", "")).await;
        assert_redirects(&clear, "https://shop.example/a?b=c");
        let told = world.ask(&request("GET", "/a", "X-Forwarded-Proto: https\r\n")).await;
        assert_redirects(&told, "https://shop.example/a");
        assert_eq!(world.asked(), 0, "nobody who was sent on asked the application");

        let challenge = request("GET", "/.well-known/acme-challenge/token", "");
        let answer = world.ask(&challenge).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        let port = tls_port(&world);
        let client = tls::client(&certificate, Names::Server);
        let safe = tls::ask(port, client, "shop.example", &request("GET", "/a", "")).await;
        assert!(safe.starts_with("HTTP/1.1 200 "), "{safe}");
        assert_eq!(world.asked(), 2);
    });
}

fn tls_port(world: &World) -> u16 {
    let addresses = world.edge.entrance.addresses();
    let listener = addresses.iter().find(|listener| listener.protocol == Protocol::Tls);
    match listener.map(|listener| &listener.place) {
        Some(Place::Tcp(address)) => address.port(),
        other => panic!("no TLS on TCP: {other:?}"),
    }
}

#[test]
fn a_trusted_proxy_says_by_which_scheme_its_client_came() {
    let edit = |config: &mut Config| {
        config.admit.trusted_proxies = vec!["127.0.0.0/8".parse().expect("a network")];
        config.routes = routes();
    };
    with_world(always(OK), edit, |world| async move {
        let safe = world.ask(&request("GET", "/a", "X-Forwarded-Proto: https\r\n")).await;
        assert!(safe.starts_with("HTTP/1.1 200 "), "{safe}");
        let clear = world.ask(&request("GET", "/a", "X-Forwarded-Proto: http\r\n")).await;
        assert_redirects(&clear, "https://shop.example/a");
        let why =
            |url| forebay_edge::act::why(&world.edge, url, &[], None).expect("a URL").decision;
        assert_eq!(why("http://shop.example/b"), "own");
        assert_eq!(why("https://shop.example/b"), "miss");
    });
}
