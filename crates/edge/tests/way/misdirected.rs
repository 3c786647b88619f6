//! Requests for a host that the connection was not opened for.

use forebay_edge::config::Config;
use forebay_edge::config::listen::{Certificate, Protocol};
use forebay_edge::listen::self_signed;

use crate::support::{World, always, with_world};
use crate::tls::{self, Names};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

async fn ask(world: &World, trusted: &Certificate, names: Names, host: &str) -> String {
    let request = format!("GET /a HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    tls::ask(world.port, tls::client(trusted, names), "a.example", &request).await
}

#[test]
fn a_request_for_a_host_of_another_certificate_is_misdirected() {
    let made = |names: &[&str]| self_signed(names.iter().copied()).expect("made");
    let first = made(&["a.example", "also.example"]);
    let certificates = vec![first.clone(), made(&["b.example"])];
    let edit = |config: &mut Config| {
        config.listen.listeners[0].protocol = Protocol::Tls;
        config.listen.certificates = certificates;
    };
    with_world(always(OK), edit, |world| async move {
        let mut asked = 0;
        for (names, host, status) in [
            (Names::Server, "a.example", 200),
            (Names::Server, "A.Example:443", 200),
            (Names::Server, "also.example", 200),
            (Names::Server, "b.example", 421),
            (Names::Server, "c.example", 421),
            (Names::Nobody, "a.example", 200),
            (Names::Nobody, "b.example", 421),
            (Names::Nobody, "c.example", 200),
            (Names::Nobody, "127.0.0.1", 200),
        ] {
            let text = ask(&world, &first, names, host).await;
            assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{host}: {text}");
            asked += usize::from(status == 200);
            assert_eq!(world.asked(), asked, "{host}");
        }
    });
}
