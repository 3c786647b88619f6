//! TLS on real sockets: names, protocols, reload, resumption, deadlines, ten thousand certificates.

mod listening;

use std::sync::Arc;
use std::time::Duration;

use forebay_edge::config::admit::Admit;
use forebay_edge::config::listen::{Certificate, Listen, Protocol};
use forebay_edge::exchange::{Answer, Body, Exchange};
use forebay_edge::listen::{Certificates, self_signed};
use forebay_signals::clock;
use listening::{
    Server, der, echo, listen, listen_tls, read_all, read_until, trusting, until, with_server,
};
use rustls::pki_types::ServerName;
use rustls::{HandshakeKind, ProtocolVersion, SupportedProtocolVersion};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n";
const BOTH: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];

fn made(names: &[&str]) -> Certificate {
    self_signed(names.iter().copied()).expect("made")
}

async fn connect(
    server: &Server,
    connector: &TlsConnector,
    name: &'static str,
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(server.address).await.expect("the server listens");
    connector.connect(ServerName::try_from(name).expect("a name"), stream).await
}

async fn scheme_and_name(exchange: Exchange) -> Answer {
    let name = exchange.client.server_name.as_deref().unwrap_or_default().to_owned();
    Answer::new(Body::from(format!("{} {name}.", exchange.client.scheme.as_str())))
}

#[test]
fn both_versions_and_both_protocols_are_served() {
    let certificate = made(&["a.example"]);
    let settings = listen_tls(certificate.clone());
    with_server(&settings, &Admit::default(), scheme_and_name, |server| async move {
        for version in BOTH {
            let connector = trusting(&[&certificate], &[version], &["http/1.1"]);
            let mut stream = connect(&server, &connector, "a.example").await.expect("trusted");
            assert_eq!(stream.get_ref().1.protocol_version(), Some(version.version));
            stream.write_all(GET).await.expect("written");
            let text = read_until(&mut stream, "example.").await;
            assert!(text.ends_with("https a.example."), "{text}");
            let connector = trusting(&[&certificate], &[version], &["h2", "http/1.1"]);
            let stream = connect(&server, &connector, "a.example").await.expect("trusted");
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
            let io = hyper_util::rt::TokioIo::new(stream);
            let executor = hyper_util::rt::TokioExecutor::new();
            let (mut sender, connection) =
                hyper::client::conn::http2::handshake(executor, io).await.expect("HTTP/2");
            drop(tokio::spawn(connection));
            let request = http::Request::get("https://a.example/").body(Body::Empty);
            let response = sender.send_request(request.expect("a request")).await;
            assert_eq!(response.expect("an answer").status(), 200);
        }
    });
}

#[test]
fn each_name_gets_its_certificate() {
    let (first, second) = (made(&["a.example"]), made(&["*.b.example"]));
    let settings =
        Listen { certificates: vec![first.clone(), second.clone()], ..listen(Protocol::Tls) };
    with_server(&settings, &Admit::default(), echo, |server| async move {
        for (name, expected) in [
            ("a.example", &first),
            ("x.b.example", &second),
            ("A.Example", &first),
            ("X.B.EXAMPLE", &second),
        ] {
            let connector = trusting(&[expected], BOTH, &[]);
            let stream = connect(&server, &connector, name).await.expect("the one for it");
            let sent = stream.get_ref().1.peer_certificates().expect("sent");
            assert_eq!(sent, [der(expected)], "{name}");
        }
        let connector = trusting(&[&first, &second], BOTH, &[]);
        connect(&server, &connector, "c.example").await.expect_err("nobody speaks for it");
        let counters = server.entrance.counters();
        until("it is counted", || counters.handshake_failures.value() == 1).await;
    });
}

#[test]
fn a_reload_gives_new_certificates_and_drops_no_connection() {
    let (first, second) = (made(&["a.example"]), made(&["a.example"]));
    let settings = listen_tls(first.clone());
    with_server(&settings.clone(), &Admit::default(), scheme_and_name, |server| async move {
        let connector = trusting(&[&first], BOTH, &[]);
        let mut old = connect(&server, &connector, "a.example").await.expect("the first");
        let next = Listen { certificates: vec![second.clone()], ..settings };
        let next = server.entrance.prepare(&next, &Admit::default()).expect("good");
        server.entrance.swap(next);
        let connector = trusting(&[&second], BOTH, &[]);
        connect(&server, &connector, "a.example").await.expect("the second");
        old.write_all(GET).await.expect("written");
        let text = read_until(&mut old, "example.").await;
        assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
    });
}

#[test]
fn a_second_visit_resumes_without_early_data() {
    let certificate = made(&["a.example"]);
    let settings = listen_tls(certificate.clone());
    with_server(&settings, &Admit::default(), scheme_and_name, |server| async move {
        for version in BOTH {
            let connector = trusting(&[&certificate], &[version], &[]);
            for expected in [HandshakeKind::Full, HandshakeKind::Resumed] {
                let mut stream = connect(&server, &connector, "a.example").await.expect("trusted");
                assert!(!stream.get_ref().1.is_early_data_accepted());
                stream.write_all(GET).await.expect("written");
                // Reading takes in the ticket as well.
                read_until(&mut stream, "example.").await;
                let kind = stream.get_ref().1.handshake_kind();
                assert_eq!(kind, Some(expected), "{:?}", version.version);
            }
        }
        assert_ne!(BOTH[0].version, ProtocolVersion::TLSv1_2);
    });
}

/// A certificate as the files of `folder`.
fn in_files(folder: &std::path::Path, certificate: &Certificate) -> Certificate {
    let Certificate::Pem { chain, key } = certificate else { panic!("it is made in memory") };
    let files = Certificate::Files { chain: folder.join("chain"), key: folder.join("key") };
    let Certificate::Files { chain: chain_file, key: key_file } = &files else { unreachable!() };
    std::fs::write(chain_file, chain).expect("written");
    std::fs::write(key_file, &key.0).expect("written");
    files
}

#[test]
fn tickets_go_on_over_a_reload_whether_or_not_the_files_have_changed() {
    let folder = tempfile::tempdir().expect("a folder");
    let (first, second) = (made(&["a.example"]), made(&["a.example"]));
    let settings = listen_tls(in_files(folder.path(), &first));
    with_server(&settings.clone(), &Admit::default(), scheme_and_name, |server| async move {
        let reload = || {
            let next = server.entrance.prepare(&settings, &Admit::default()).expect("good");
            server.entrance.swap(next);
        };
        let config = server.entrance.certificates().server_config();
        for version in BOTH {
            in_files(folder.path(), &first);
            reload();
            let known = trusting(&[&first, &second], &[version], &[]);
            for (nth, expected) in
                [HandshakeKind::Full, HandshakeKind::Resumed, HandshakeKind::Resumed]
                    .into_iter()
                    .enumerate()
            {
                let mut stream = connect(&server, &known, "a.example").await.expect("trusted");
                stream.write_all(GET).await.expect("written");
                // Reading takes in the ticket as well.
                read_until(&mut stream, "example.").await;
                let kind = stream.get_ref().1.handshake_kind();
                assert_eq!(kind, Some(expected), "visit {nth}, {:?}", version.version);
                if nth == 1 {
                    in_files(folder.path(), &second);
                }
                reload();
            }
            // Who comes without a ticket gets what the files hold by now.
            let stranger = trusting(&[&second], &[version], &[]);
            let stream = connect(&server, &stranger, "a.example").await.expect("trusted");
            let sent = stream.get_ref().1.peer_certificates().expect("sent");
            assert_eq!(sent, [der(&second)], "{:?}", version.version);
        }
        let after = server.entrance.certificates().server_config();
        assert!(Arc::ptr_eq(&config, &after), "one configuration for as long as the process lives");
    });
}

#[test]
fn a_handshake_that_does_not_come_to_its_end_is_given_up() {
    let settings =
        Listen { head_timeout: Duration::from_millis(50), ..listen_tls(made(&["a.example"])) };
    with_server(&settings, &Admit::default(), echo, |server| async move {
        for begin in [&b""[..], b"\x16\x03\x01\x02\x00", b"GET / HTTP/1.1\r\n"] {
            let mut stream = TcpStream::connect(server.address).await.expect("it listens");
            stream.write_all(begin).await.expect("written");
            read_all(&mut stream).await;
        }
        let counters = server.entrance.counters();
        until("they are counted", || counters.handshake_failures.value() == 3).await;
        assert_eq!(counters.open.value(), 0);
    });
}

#[test]
fn a_large_answer_arrives_whole() {
    let certificate = made(&["a.example"]);
    let settings = listen_tls(certificate.clone());
    let handler = |_: Exchange| async { Answer::new(bytes::Bytes::from(vec![b'x'; 3_000_000])) };
    with_server(&settings, &Admit::default(), handler, |server| async move {
        let connector = trusting(&[&certificate], BOTH, &[]);
        let mut stream = connect(&server, &connector, "a.example").await.expect("trusted");
        let last = b"GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n";
        stream.write_all(last).await.expect("written");
        let text = read_all(&mut stream).await;
        assert_eq!(text.bytes().filter(|byte| *byte == b'x').count(), 3_000_000);
    });
}

#[test]
fn floods_end_beneath_tls_too() {
    use listening::frames;
    use tokio::io::AsyncReadExt;
    let certificate = made(&["a.example"]);
    let settings = listen_tls(certificate.clone());
    let resets: fn(u32) -> Vec<u8> = |n| {
        let mut pair = frames::get(2 * n + 1, "/");
        pair.extend(frames::frame(frames::RST_STREAM, 0, 2 * n + 1, &[0, 0, 0, 8]));
        pair
    };
    let settings_frames: fn(u32) -> Vec<u8> = |_| frames::frame(frames::SETTINGS, 0, 0, &[]);
    let pings: fn(u32) -> Vec<u8> = |_| frames::frame(frames::PING, 0, 0, &[0; 8]);
    // What is answered before it is taken back costs no more than any request: these wait.
    let never = |_: Exchange| std::future::pending::<Answer>();
    with_server(&settings, &Admit::default(), never, |server| async move {
        let connector = trusting(&[&certificate], BOTH, &["h2"]);
        for (nth, flood) in [resets, settings_frames, pings].into_iter().enumerate() {
            let stream = connect(&server, &connector, "a.example").await.expect("trusted");
            let (mut reads, mut writes) = tokio::io::split(stream);
            let reading = tokio::spawn(async move {
                let mut all = Vec::new();
                drop(reads.read_to_end(&mut all).await);
            });
            let hello = [frames::PREFACE, &frames::frame(frames::SETTINGS, 0, 0, &[])].concat();
            writes.write_all(&hello).await.expect("written");
            let mut sent = 0;
            // It ends when the server closes: a write fails then.
            while sent < 1_000_000 && writes.write_all(&flood(sent)).await.is_ok() {
                sent += 1;
            }
            assert!(sent < 1_000_000, "flood {nth} was served to its end");
            reading.await.expect("no panic");
        }
        let counters = server.entrance.counters();
        until("they are counted", || counters.floods.value() == 3).await;
    });
}

#[test]
fn ten_thousand_certificates_load_and_reload_in_bounded_time() {
    // One key pair under many names: making ten thousand is what would take long.
    let names: Vec<String> = (0..10_000).map(|n| format!("n{n}.example")).collect();
    let certificates: Vec<_> = names.iter().take(500).map(|name| made(&[name])).collect();
    let many: Vec<_> = certificates.iter().cycle().take(10_000).cloned().collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime starts").block_on(async {
        let began = clock::now();
        let loaded = Certificates::load(&many).expect("loaded");
        let load = clock::now() - began;
        let began = clock::now();
        loaded.swap(loaded.prepare(&many).expect("loaded again"));
        let reload = clock::now() - began;
        assert_eq!(loaded.count(), 10_000);
        assert!(loaded.covers(Some("n499.example"), "n499.example"));
        assert!(reload < load, "{reload:?} to take over, {load:?} to load");
        assert!(load < Duration::from_secs(20), "{load:?}");
    });
}
