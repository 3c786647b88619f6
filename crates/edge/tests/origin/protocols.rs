//! HTTP/2 and TLS towards an origin.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use forebay_edge::ErrorKind;
use forebay_edge::config::origin::{Address, Server, Speaks, Tls};
use forebay_edge::origin::Origins;
use forebay_signals::clock;
use http::HeaderValue;
use http_body_util::BodyExt;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::support::{fetch_text, get, journal, one, origins, post, read_head, run, settings};

const HELLO: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

/// An HTTP/2 server over clear text that echoes content and ends with trailers.
async fn h2c() -> (u16, Arc<std::sync::atomic::AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let connections = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            tokio::spawn(serve_h2(TokioIo::new(stream)));
        }
    });
    (port, connections)
}

async fn serve_h2<S>(io: S)
where
    S: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let echo = hyper::service::service_fn(|request: http::Request<hyper::body::Incoming>| async {
        assert_eq!(
            request.uri().authority().map(http::uri::Authority::as_str),
            Some("shop.example")
        );
        assert!(!request.headers().contains_key("host"), "it is :authority here");
        let content = request.into_body().collect().await.expect("whole").to_bytes();
        let mut trailers = http::HeaderMap::new();
        trailers.insert("x-status", HeaderValue::from_static("0"));
        let body = http_body_util::Full::new(content)
            .with_trailers(std::future::ready(Some(Ok(trailers))));
        Ok::<_, std::convert::Infallible>(http::Response::new(body))
    });
    let serve = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    serve.serve_connection(io, echo).await.ok();
}

#[test]
fn http2_requests_share_a_connection() {
    run(async {
        let (port, connections) = h2c().await;
        let mut server = Server::plain(Address::Tcp("127.0.0.1".into(), port));
        server.speaks = Speaks::Http2;
        let (_origins, upstream) = one(server);
        let fetches: Vec<_> = (0..20)
            .map(|_| {
                let upstream = Arc::clone(&upstream);
                tokio::spawn(async move { fetch_text(&upstream, post("ping")).await })
            })
            .collect();
        for fetch in fetches {
            assert_eq!(fetch.await.expect("no panic"), "ping");
        }
        let answer = upstream.fetch(post("x")).await.expect("an answer");
        let collected = answer.body.collect().await.expect("whole");
        assert_eq!(collected.trailers().expect("trailers")["x-status"], "0");
        assert_eq!(connections.load(std::sync::atomic::Ordering::Relaxed), 1);
        assert_eq!(upstream.view().in_flight, 0);
    });
}

#[test]
fn a_connection_that_goes_away_is_left_for_another() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let one = hyper::service::service_fn(|_| async {
                    let body = http_body_util::Full::new(Bytes::from_static(b"one"));
                    Ok::<_, std::convert::Infallible>(http::Response::new(body))
                });
                let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                let mut connection = Box::pin(server.serve_connection(TokioIo::new(stream), one));
                tokio::spawn(async move {
                    // GOAWAY, once what is under way by then is answered.
                    let soon = clock::timeout(Duration::from_millis(20), connection.as_mut());
                    if soon.await.is_err() {
                        connection.as_mut().graceful_shutdown();
                        connection.await.ok();
                    }
                });
            }
        });
        let mut server = Server::plain(Address::Tcp("127.0.0.1".into(), port));
        server.speaks = Speaks::Http2;
        let (_origins, upstream) = one(server);
        while upstream.view().connections_opened < 3 {
            assert_eq!(fetch_text(&upstream, post("any")).await, "one");
        }
        assert_eq!(upstream.view().servers[0].failures, 0);
    });
}

struct Authority {
    pem: tempfile::NamedTempFile,
    acceptor: tokio_rustls::TlsAcceptor,
}

/// A certificate for `localhost` by an authority of our own.
fn authority(offers: &[&[u8]]) -> Authority {
    let mut ca = rcgen::CertificateParams::new(Vec::new()).expect("parameters");
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca_key = rcgen::KeyPair::generate().expect("a key");
    let ca_certificate = ca.self_signed(&ca_key).expect("signed");
    let issuer = rcgen::Issuer::new(ca, ca_key);
    let key = rcgen::KeyPair::generate().expect("a key");
    let leaf = rcgen::CertificateParams::new(vec!["localhost".into()]).expect("parameters");
    let leaf = leaf.signed_by(&key, &issuer).expect("signed");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(
            vec![leaf.der().clone()],
            rustls::pki_types::PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        )
        .expect("a certificate");
    config.alpn_protocols = offers.iter().map(|offer| offer.to_vec()).collect();
    let pem = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(pem.path(), ca_certificate.pem()).expect("written");
    Authority { pem, acceptor: Arc::new(config).into() }
}

async fn tls_origin(authority: &Authority) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let acceptor = authority.acceptor.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                    serve_h2(TokioIo::new(stream)).await;
                } else {
                    while read_head(&mut stream).await.is_some() {
                        stream.write_all(HELLO.as_bytes()).await.expect("open");
                    }
                }
            });
        }
    });
    let mut server = Server::plain(Address::Tcp("127.0.0.1".into(), port));
    let authorities = Some(authority.pem.path().to_owned());
    server.tls = Some(Tls { server_name: Some("localhost".into()), authorities });
    server
}

#[test]
fn a_certificate_is_checked_by_name_and_authority() {
    run(async {
        let good = authority(&[b"http/1.1"]);
        let server = tls_origin(&good).await;
        let (_origins, upstream) = one(server.clone());
        assert_eq!(fetch_text(&upstream, get("/")).await, "hello");
        assert_eq!(fetch_text(&upstream, get("/")).await, "hello");
        assert_eq!(upstream.view().connections_opened, 1);

        let mut other_name = server.clone();
        other_name.tls.as_mut().expect("TLS").server_name = Some("shop.example".into());
        let (_origins, upstream) = one(other_name);
        let error = upstream.fetch(get("/")).await.expect_err("the name is not in it");
        assert_eq!(error.kind(), ErrorKind::OriginUnreachable);

        let stranger = authority(&[b"http/1.1"]);
        let mut other_authority = server;
        other_authority.tls.as_mut().expect("TLS").authorities =
            Some(stranger.pem.path().to_owned());
        let (_origins, upstream) = one(other_authority);
        upstream.fetch(get("/")).await.expect_err("signed by somebody else");
    });
}

#[test]
fn tls_that_a_reload_keeps_goes_on_with_its_connections() {
    run(async {
        let authority = authority(&[b"http/1.1"]);
        let settings = Arc::new(settings([tls_origin(&authority).await]));
        let pem = std::fs::read(authority.pem.path()).expect("it is there");
        let next = |before: &Origins| {
            let after = Origins::new(&[Arc::clone(&settings)], Some(before), &journal());
            let after = after.expect("good settings");
            let upstream = after.find("app").expect("it is there");
            (after, upstream)
        };
        let (first, upstream) = origins((*settings).clone());
        assert_eq!(fetch_text(&upstream, get("/")).await, "hello");
        // The same bytes in a file that was written anew are the same authority.
        std::fs::write(authority.pem.path(), &pem).expect("written");
        let (second, upstream) = next(&first);
        assert_eq!(fetch_text(&upstream, get("/")).await, "hello");
        assert_eq!(upstream.view().connections_opened, 1, "its connection is used again");
        let more = [&pem[..], b"\n"].concat();
        std::fs::write(authority.pem.path(), more).expect("written");
        let (_third, upstream) = next(&second);
        assert_eq!(fetch_text(&upstream, get("/")).await, "hello");
        assert_eq!(upstream.view().connections_opened, 2, "whom it trusts is read anew");
    });
}

#[test]
fn tls_settles_on_http2_where_the_server_offers_it() {
    run(async {
        let authority = authority(&[b"h2", b"http/1.1"]);
        let server = tls_origin(&authority).await;
        let (_origins, upstream) = one(server.clone());
        for _ in 0..3 {
            assert_eq!(fetch_text(&upstream, post("two")).await, "two");
        }
        assert_eq!(upstream.view().connections_opened, 1);
        let mut upgrade = get("/");
        upgrade.upgrade = Some(HeaderValue::from_static("websocket"));
        assert_eq!(fetch_text(&upstream, upgrade).await, "hello", "an upgrade goes over HTTP/1.1");
        let mut only_http1 = server;
        only_http1.speaks = Speaks::Http1;
        let (_origins, upstream) = one(only_http1);
        assert_eq!(fetch_text(&upstream, get("/")).await, "hello");
    });
}
