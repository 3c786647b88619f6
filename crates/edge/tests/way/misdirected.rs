//! Requests for a host that the connection was not opened for.

use std::sync::Arc;

use forebay_edge::config::Config;
use forebay_edge::config::listen::{Certificate, Protocol};
use forebay_edge::listen::self_signed;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::support::{World, always, with_world};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

/// Whether the client says whom it wants.
#[derive(Clone, Copy)]
enum Names {
    Server,
    Nobody,
}

async fn ask(world: &World, trusted: &Certificate, names: Names, host: &str) -> String {
    let Certificate::Pem { chain, .. } = trusted else { panic!("made in memory") };
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(chain.as_bytes()).expect("PEM")).expect("an anchor");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = config.expect("versions").with_root_certificates(roots).with_no_client_auth();
    config.enable_sni = matches!(names, Names::Server);
    let stream = TcpStream::connect(("127.0.0.1", world.port)).await.expect("it listens");
    let name = ServerName::try_from("a.example").expect("a name");
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    let mut stream = stream.expect("a handshake");
    let request = format!("GET /a HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("written");
    let mut text = String::new();
    stream.read_to_string(&mut text).await.expect("an answer");
    text
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
