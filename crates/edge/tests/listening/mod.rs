//! The whole of `listen` on a real port, as the tests of this folder want it.

#![expect(dead_code, reason = "each test crate uses its part")]

pub(crate) mod frames;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use forebay_edge::config::admit::Admit;
use forebay_edge::config::listen::{Certificate, Listen, Listener, Place, Protocol};
use forebay_edge::exchange::{Answer, Body, Exchange};
use forebay_edge::listen::{Entrance, Handler, run};
use forebay_signals::clock;
use forebay_signals::drain::Drain;
use http_body_util::BodyExt;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio_rustls::TlsConnector;

/// The only request of its connection.
pub(crate) const LAST_GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

/// A server under test.
pub(crate) struct Server {
    pub(crate) entrance: Arc<Entrance>,
    pub(crate) drain: Drain,
    pub(crate) address: SocketAddr,
}

/// Settings of one listener on a free port.
pub(crate) fn listen(protocol: Protocol) -> Listen {
    let listener = Listener { place: Place::Tcp(SocketAddr::from(([127, 0, 0, 1], 0))), protocol };
    Listen { listeners: vec![listener], ..Listen::default() }
}

/// The same with TLS and this certificate.
pub(crate) fn listen_tls(certificate: Certificate) -> Listen {
    Listen { certificates: vec![certificate], ..listen(Protocol::Tls) }
}

pub(crate) fn real_address(entrance: &Entrance) -> SocketAddr {
    match entrance.addresses().first().map(|listener| &listener.place) {
        Some(Place::Tcp(address)) => *address,
        other => panic!("not a TCP listener: {other:?}"),
    }
}

/// Runs `test` against one core, which must have come to its end within ten seconds of the drain.
pub(crate) fn with_server<H, T, F>(listen: &Listen, admit: &Admit, handler: H, test: T)
where
    H: Handler,
    T: FnOnce(Server) -> F,
    F: Future<Output = ()>,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime starts").block_on(async {
        let entrance = Arc::new(Entrance::open(listen, admit, 1).expect("it opens"));
        let drain = Drain::default();
        let core = tokio::spawn(run(0, Arc::clone(&entrance), handler, drain.clone()));
        let address = real_address(&entrance);
        let server = Server { entrance, drain: drain.clone(), address };
        clock::timeout(Duration::from_secs(60), test(server)).await.expect("in time");
        drain.begin();
        let end = clock::timeout(Duration::from_secs(10), core).await;
        end.expect("the core ends").expect("the core does not panic");
    });
}

/// How many requests each of two cores served while `visit` ran; the drain begins behind it.
pub(crate) fn served_by_two<F: Future<Output = ()>>(
    entrance: &Arc<Entrance>,
    check: fn(&Exchange),
    visit: F,
) -> [usize; 2] {
    let drain = Drain::default();
    let counts = [Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0))];
    std::thread::scope(|scope| {
        for (core, count) in counts.iter().enumerate() {
            let (entrance, drain, count) = (Arc::clone(entrance), drain.clone(), Arc::clone(count));
            scope.spawn(move || {
                let handler = move |exchange: Exchange| {
                    count.fetch_add(1, Ordering::Relaxed);
                    check(&exchange);
                    echo(exchange)
                };
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.expect("a runtime starts").block_on(run(core, entrance, handler, drain));
            });
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime starts").block_on(async {
            visit.await;
            drain.begin();
            let left = drain.finished(clock::now() + Duration::from_secs(10)).await;
            assert_eq!(left, 0);
        });
    });
    counts.map(|count| count.load(Ordering::Relaxed))
}

/// Answers with method, path and content.
pub(crate) async fn echo(exchange: Exchange) -> Answer {
    let path = exchange.head.uri.path().to_owned();
    match exchange.body.collect().await {
        Ok(content) => {
            let text = String::from_utf8_lossy(&content.to_bytes()).into_owned();
            Answer::new(Body::from(format!("{} {path} {text}", exchange.head.method)))
        }
        Err(error) => Answer::from(&error),
    }
}

pub(crate) fn der(certificate: &Certificate) -> CertificateDer<'static> {
    match certificate {
        Certificate::Pem { chain, .. } => {
            CertificateDer::from_pem_slice(chain.as_bytes()).expect("PEM")
        }
        Certificate::Files { .. } => panic!("it is made in memory"),
    }
}

/// A client that trusts these certificates.
pub(crate) fn trusting(
    certificates: &[&Certificate],
    versions: &[&'static SupportedProtocolVersion],
    protocols: &[&str],
) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots.add(der(certificate)).expect("an anchor");
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    config.enable_early_data = true;
    TlsConnector::from(Arc::new(config))
}

/// Waits until `is_true`, at most some seconds.
pub(crate) async fn until(what: &str, is_true: impl Fn() -> bool) {
    let deadline = clock::now() + Duration::from_secs(10);
    while !is_true() {
        assert!(clock::now() < deadline, "in vain: {what}");
        clock::sleep(Duration::from_millis(2)).await;
    }
}

/// Reads to the end; a reset counts as one.
pub(crate) async fn read_all<S: AsyncRead + Unpin>(stream: &mut S) -> String {
    let mut bytes = Vec::new();
    drop(stream.read_to_end(&mut bytes).await);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads until `end` has come.
pub(crate) async fn read_until<S: AsyncRead + Unpin>(stream: &mut S, end: &str) -> String {
    let mut text = String::new();
    while !text.contains(end) {
        let byte = stream.read_u8().await;
        text.push(char::from(byte.unwrap_or_else(|_| panic!("closed after {text:?}"))));
    }
    text
}
