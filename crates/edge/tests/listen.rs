//! Sockets, caps, detection, drain, upgrades and panics, on real connections.

mod listening;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use forebay_edge::config::admit::Admit;
use forebay_edge::config::listen::{Listen, Listener, Place, Protocol};
use forebay_edge::exchange::{Answer, Body, Exchange};
use forebay_edge::listen::Entrance;
use forebay_signals::clock;
use http::StatusCode;
use hyper_util::rt::TokioIo;
use listening::{
    LAST_GET, Server, echo, listen, read_all, read_until, real_address, served_by_two, until,
    with_server,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

async fn connect(server: &Server) -> TcpStream {
    TcpStream::connect(server.address).await.expect("the server listens")
}

#[test]
fn a_plain_port_speaks_http1_and_http2() {
    with_server(&listen(Protocol::Plain), &Admit::default(), echo, |server| async move {
        let mut stream = connect(&server).await;
        stream.write_all(LAST_GET).await.expect("written");
        assert!(read_all(&mut stream).await.ends_with("GET / "));
        let mut wire = listening::frames::Wire::connect(server.address).await;
        wire.send(&listening::frames::get(1, "/two")).await.expect("written");
        let frame = wire.wait_for(&[listening::frames::DATA]).await.expect("an answer");
        assert_eq!(frame.payload, b"GET /two ");
    });
}

#[test]
fn silence_and_half_a_preface_end_in_time() {
    let settings = Listen { head_timeout: Duration::from_millis(50), ..listen(Protocol::Plain) };
    with_server(&settings, &Admit::default(), echo, |server| async move {
        for begin in [&b""[..], b"P", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r"] {
            let mut stream = connect(&server).await;
            stream.write_all(begin).await.expect("written");
            assert_eq!(read_all(&mut stream).await, "", "{begin:?}");
        }
        until("all are closed", || server.entrance.counters().open.value() == 0).await;
    });
}

#[test]
fn connections_over_the_cap_are_closed_at_once_and_their_places_come_back() {
    let admit = Admit { max_connections_per_address: 2, ..Admit::default() };
    with_server(&listen(Protocol::Plain), &admit, echo, |server| async move {
        let counters = Arc::clone(server.entrance.counters());
        let (first, _second) = (connect(&server).await, connect(&server).await);
        until("both are in", || counters.open.value() == 2).await;
        let mut third = connect(&server).await;
        assert_eq!(read_all(&mut third).await, "");
        assert_eq!(counters.refused.value(), 1);
        drop(first);
        until("the place is free", || counters.open.value() == 1).await;
        let mut fourth = connect(&server).await;
        fourth.write_all(LAST_GET).await.expect("written");
        assert!(read_all(&mut fourth).await.starts_with("HTTP/1.1 200 "));
    });
}

#[test]
fn a_trusted_proxy_is_not_capped_as_one_client_but_in_all() {
    let trusted_proxies = vec!["127.0.0.0/8".parse().expect("a network")];
    let admit = Admit {
        trusted_proxies,
        max_connections_per_address: 2,
        max_connections_per_network: 2,
        max_connections: 4,
        ..Admit::default()
    };
    with_server(&listen(Protocol::Plain), &admit, echo, |server| async move {
        let counters = Arc::clone(server.entrance.counters());
        let mut open = Vec::new();
        for _ in 0..4 {
            open.push(connect(&server).await);
        }
        until("all are in", || counters.open.value() == 4).await;
        assert_eq!(counters.refused.value(), 0);
        let mut fifth = connect(&server).await;
        assert_eq!(read_all(&mut fifth).await, "");
        assert_eq!(counters.refused.value(), 1);
        let last = open.last_mut().expect("four");
        last.write_all(LAST_GET).await.expect("written");
        assert!(read_all(last).await.starts_with("HTTP/1.1 200 "));
    });
}

#[test]
fn a_panic_in_a_handler_is_an_answer_and_a_count() {
    let handler = |exchange: Exchange| async move {
        assert!(exchange.head.uri.path() != "/panic", "as asked");
        echo(exchange).await
    };
    with_server(&listen(Protocol::Plain), &Admit::default(), handler, |server| async move {
        let mut stream = connect(&server).await;
        stream.write_all(b"GET /panic HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("written");
        let text = read_until(&mut stream, "the edge\n").await;
        assert!(text.starts_with("HTTP/1.1 500 "), "{text}");
        stream.write_all(LAST_GET).await.expect("the connection lives on");
        assert!(read_all(&mut stream).await.starts_with("HTTP/1.1 200 "));
        assert_eq!(server.entrance.counters().panics.value(), 1);
    });
}

#[test]
fn a_drain_answers_what_is_under_way_and_what_is_queued() {
    let entered = Arc::new(AtomicUsize::new(0));
    let handler = {
        let entered = Arc::clone(&entered);
        move |exchange: Exchange| {
            entered.fetch_add(1, Ordering::Relaxed);
            async move {
                clock::sleep(Duration::from_millis(100)).await;
                echo(exchange).await
            }
        }
    };
    with_server(&listen(Protocol::Plain), &Admit::default(), handler, |server| async move {
        let mut idle = connect(&server).await;
        idle.write_all(GET).await.expect("written");
        read_until(&mut idle, "GET / ").await;
        let mut busy = connect(&server).await;
        busy.write_all(GET).await.expect("written");
        until("the handler runs", || entered.load(Ordering::Relaxed) == 2).await;
        // No await between: the accept loop has not seen these when the drain begins.
        let queued: Vec<_> = (0..20)
            .map(|_| {
                let stream = std::net::TcpStream::connect(server.address).expect("queued");
                stream.set_nonblocking(true).expect("set");
                stream
            })
            .collect();
        server.drain.begin();
        assert_eq!(read_all(&mut idle).await, "", "an idle connection closes");
        let text = read_all(&mut busy).await;
        assert!(text.contains("connection: close") && text.ends_with("GET / "), "{text}");
        for stream in queued {
            let mut stream = TcpStream::from_std(stream).expect("a stream");
            stream.write_all(GET).await.expect("written");
            assert!(read_all(&mut stream).await.starts_with("HTTP/1.1 200 "), "none is cut");
        }
        until("the port is closed", || std::net::TcpStream::connect(server.address).is_err()).await;
    });
}

#[test]
fn a_drain_ends_at_its_deadline_whatever_is_under_way() {
    let settings = Listen { drain_timeout: Duration::from_millis(100), ..listen(Protocol::Plain) };
    let never = |_: Exchange| std::future::pending::<Answer>();
    with_server(&settings, &Admit::default(), never, |server| async move {
        let mut stream = connect(&server).await;
        stream.write_all(GET).await.expect("written");
        until("it is under way", || server.drain.held() == 2).await;
        server.drain.begin();
        until("the core has gone, the request has not", || server.drain.held() == 1).await;
    });
}

#[test]
fn a_reload_binds_what_is_new_and_closes_what_is_gone() {
    let before = listen(Protocol::Plain);
    let listeners = before.listeners.clone();
    with_server(&before, &Admit::default(), echo, |server| async move {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("socket");
        let unix = Listener { place: Place::Unix(path.clone()), protocol: Protocol::Plain };
        let entrance = &server.entrance;
        let reload = |listeners: Vec<Listener>| {
            let listen = Listen { listeners, ..Listen::default() };
            entrance.prepare(&listen, &Admit::default()).map(|next| entrance.swap(next))
        };
        let mut both = listeners.clone();
        both.push(unix.clone());
        let mut kept = connect(&server).await;
        reload(both).expect("a good reload");
        assert_eq!(real_address(entrance), server.address);
        let mut stream = UnixStream::connect(&path).await.expect("bound");
        stream.write_all(LAST_GET).await.expect("written");
        assert!(read_all(&mut stream).await.ends_with("GET / "));
        let missing = Place::Unix("/missing/socket".into());
        let missing = Listener { place: missing, protocol: Protocol::Plain };
        let error = reload(vec![unix.clone(), missing]).expect_err("a bad reload");
        assert_eq!(error.to_string(), "cannot listen on `/missing/socket`");
        assert!(error.hint().contains("mkdir -p /missing"), "{}", error.hint());
        assert_eq!(entrance.addresses().len(), 2, "nothing changed");
        reload(vec![unix]).expect("a good reload");
        until("the port is closed", || std::net::TcpStream::connect(server.address).is_err()).await;
        kept.write_all(LAST_GET).await.expect("a connection that is open stays");
        assert!(read_all(&mut kept).await.ends_with("GET / "));
    });
}

#[test]
fn a_unix_socket_is_served_by_every_core() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("socket");
    let listener = Listener { place: Place::Unix(path.clone()), protocol: Protocol::Plain };
    let settings = Listen { listeners: vec![listener], ..Listen::default() };
    let entrance = Arc::new(Entrance::open(&settings, &Admit::default(), 2).expect("it opens"));
    let counts = served_by_two(&entrance, |_| {}, async {
        for _ in 0..10 {
            let mut stream = UnixStream::connect(&path).await.expect("bound");
            stream.write_all(LAST_GET).await.expect("written");
            assert!(read_all(&mut stream).await.ends_with("GET / "));
        }
    });
    assert_eq!(counts, [5, 5]);
}

/// A handler that opens a tunnel to the origin at `place`, by a client of its own.
async fn tunnel_to(origin: std::net::SocketAddr) -> Answer {
    let stream = TcpStream::connect(origin).await.expect("the origin listens");
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("a connection");
    drop(tokio::spawn(connection.with_upgrades()));
    let request = http::Request::builder()
        .uri("/")
        .header("connection", "upgrade")
        .header("upgrade", "words")
        .body(Body::Empty)
        .expect("a request");
    let response = sender.send_request(request).await.expect("an answer");
    let mut answer = Answer::new(Body::Empty).with_status(StatusCode::SWITCHING_PROTOCOLS);
    let upgraded = hyper::upgrade::on(response).await.expect("a tunnel");
    answer.upgrade = Some(Box::new(TokioIo::new(upgraded)));
    answer
}

#[test]
fn an_upgrade_becomes_a_tunnel() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let origin = listener.local_addr().expect("bound");
    let words = std::thread::spawn(move || {
        use std::io::{Read, Write};
        let (mut stream, _) = listener.accept().expect("a client");
        let mut head = [0; 1024];
        let length = stream.read(&mut head).expect("a head");
        assert!(head[..length].starts_with(b"GET / "));
        let answer = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: words\r\n\r\nhello ";
        stream.write_all(answer.as_bytes()).expect("written");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("the client ends its half");
        stream.write_all(text.to_uppercase().as_bytes()).expect("the other half is open");
    });
    let handler = move |_: Exchange| tunnel_to(origin);
    with_server(&listen(Protocol::Plain), &Admit::default(), handler, |server| async move {
        let mut stream = connect(&server).await;
        let head =
            b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: words\r\n\r\nearly ";
        stream.write_all(head).await.expect("written");
        let text = read_until(&mut stream, "hello ").await;
        assert!(text.starts_with("HTTP/1.1 101 "), "{text}");
        stream.write_all(b"and late").await.expect("written");
        stream.shutdown().await.expect("shut");
        assert_eq!(read_all(&mut stream).await, "EARLY AND LATE");
        assert_eq!(server.entrance.counters().upgraded.value(), 1);
    });
    words.join().expect("the origin does not panic");
}

#[test]
fn a_tunnel_lives_on_in_a_drain_until_its_time_is_up() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let origin = listener.local_addr().expect("bound");
    let words = std::thread::spawn(move || {
        use std::io::{Read, Write};
        let (mut stream, _) = listener.accept().expect("a client");
        let mut bytes = [0; 1024];
        let length = stream.read(&mut bytes).expect("a head");
        assert!(bytes[..length].starts_with(b"GET / "));
        let answer =
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: words\r\n\r\n";
        stream.write_all(answer.as_bytes()).expect("written");
        // Echoes until the edge ends it.
        while let Ok(count @ 1..) = stream.read(&mut bytes) {
            stream.write_all(&bytes[..count]).expect("written");
        }
    });
    let handler = move |_: Exchange| tunnel_to(origin);
    let settings = Listen { drain_timeout: Duration::from_secs(2), ..listen(Protocol::Plain) };
    with_server(&settings, &Admit::default(), handler, |server| async move {
        let mut stream = connect(&server).await;
        let head = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: words\r\n\r\n";
        stream.write_all(head).await.expect("written");
        read_until(&mut stream, "\r\n\r\n").await;
        stream.write_all(b"before ").await.expect("written");
        read_until(&mut stream, "before ").await;
        server.drain.begin();
        until("the port is closed", || std::net::TcpStream::connect(server.address).is_err()).await;
        stream.write_all(b"after ").await.expect("the tunnel lives");
        read_until(&mut stream, "after ").await;
        assert_eq!(read_all(&mut stream).await, "", "its time is up");
    });
    words.join().expect("the origin does not panic");
}

#[test]
fn without_descriptors_accepting_pauses_and_goes_on() {
    // The limit must not hit the other tests: a process of its own.
    let program = std::env::current_exe().expect("this program");
    let status = std::process::Command::new("prlimit")
        .arg("--nofile=40:40")
        .arg(program)
        .args(["--exact", "with_few_descriptors", "--ignored", "--nocapture"])
        .status()
        .expect("prlimit of util-linux is there");
    assert!(status.success());
}

#[test]
#[ignore = "run by without_descriptors_accepting_pauses_and_goes_on with a low limit"]
fn with_few_descriptors() {
    with_server(&listen(Protocol::Plain), &Admit::default(), echo, |server| async move {
        let counters = Arc::clone(server.entrance.counters());
        // Opened now: later there is no descriptor left for it.
        let stat = std::fs::File::open("/proc/self/stat").expect("Linux");
        let mut clients = Vec::new();
        // Both ends count: the last connects of ours leave nothing for the server to accept with.
        while let Ok(stream) = TcpStream::connect(server.address).await {
            clients.push(stream);
        }
        until("accepting pauses", || counters.accept_pauses.value() > 0).await;
        let (before, began) = (cpu_ticks(&stat), clock::now());
        clock::sleep(Duration::from_millis(700)).await;
        let pauses = counters.accept_pauses.value();
        assert!(pauses < 8, "{pauses} pauses: it spins");
        assert!(cpu_ticks(&stat) - before < 10, "busy for {:?}", clock::now() - began);
        let mut last = clients.pop().expect("many");
        clients.clear();
        last.write_all(LAST_GET).await.expect("written");
        assert!(read_all(&mut last).await.starts_with("HTTP/1.1 200 "), "it goes on");
    });
}

/// CPU time of this process in ticks of 10 ms.
fn cpu_ticks(stat: &std::fs::File) -> u64 {
    use std::os::unix::fs::FileExt;
    let mut text = [0; 1024];
    let length = stat.read_at(&mut text, 0).expect("read");
    let text = String::from_utf8_lossy(&text[..length]).into_owned();
    let rest = text.rsplit(')').next().expect("a name in parentheses");
    let fields: Vec<_> = rest.split_whitespace().collect();
    let number = |at: usize| fields[at].parse::<u64>().expect("a number");
    number(11) + number(12)
}

#[test]
fn an_open_connection_counts_until_it_ends() {
    with_server(&listen(Protocol::Plain), &Admit::default(), echo, |server| async move {
        let mut stream = connect(&server).await;
        stream.write_all(b"bad head\n").await.expect("written");
        let mut byte = [0];
        stream.read_exact(&mut byte).await.expect("an answer");
        assert!(read_all(&mut stream).await.starts_with("TTP/1.1 400 "));
        drop(stream);
        let counters = server.entrance.counters();
        until("it is closed", || counters.open.value() == 0).await;
        assert_eq!((counters.accepted.value(), counters.protocol_errors.value()), (1, 1));
    });
}
