//! The whole of `listen` on a real port, as the tests of this folder want it.

#![expect(dead_code, reason = "each test crate uses its part")]

pub(crate) mod frames;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use forebay_edge::config::admit::Admit;
use forebay_edge::config::listen::{Certificate, Listen, Listener, Place, Protocol};
use forebay_edge::exchange::{Answer, Body, Exchange};
use forebay_edge::listen::{Entrance, Handler, run};
use forebay_signals::clock;
use forebay_signals::drain::Drain;
use http_body_util::BodyExt;
use tokio::io::{AsyncRead, AsyncReadExt};

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
