//! The whole way on real sockets: client, edge, origin.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use forebay_edge::config::Config;
use forebay_edge::config::listen::{Listener, Place, Protocol};
use forebay_edge::config::log::{Format, Log};
use forebay_edge::config::origin::{Address, Origin, Server};
use forebay_edge::config::route::Route;
use forebay_edge::edge::Edge;
use forebay_signals::clock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

struct World {
    edge: Arc<Edge>,
    port: u16,
    asked: Arc<AtomicUsize>,
    origin: JoinHandle<()>,
}

/// An edge before an origin that answers every request with `answer`, after `delay`.
fn with_world<T, F>(answer: &'static str, delay: Duration, test: T)
where
    T: FnOnce(World) -> F,
    F: Future<Output = ()>,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime starts").block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let origin_port = listener.local_addr().expect("bound").port();
        let asked = Arc::new(AtomicUsize::new(0));
        let origin = tokio::spawn(origin(listener, answer, delay, Arc::clone(&asked)));
        let server = Server::plain(Address::Tcp("127.0.0.1".into(), origin_port));
        let mut config = Config {
            routes: vec![Route::everything_to("app")],
            origins: vec![Arc::new(Origin::new("app", vec![server]))],
            log: Log { format: Format::Off, path: None },
            ..Config::default()
        };
        let place = Place::Tcp("127.0.0.1:0".parse().expect("an address"));
        config.listen.listeners = vec![Listener { place, protocol: Protocol::Plain }];
        let edge = Edge::open(config, 1).expect("it opens");
        let Place::Tcp(address) = edge.entrance.addresses()[0].place.clone() else {
            panic!("it listens on TCP");
        };
        let serving = tokio::spawn(Arc::clone(&edge).serve(0));
        let world = World { edge: Arc::clone(&edge), port: address.port(), asked, origin };
        clock::timeout(Duration::from_secs(20), test(world)).await.expect("in time");
        edge.drain.begin();
        clock::timeout(Duration::from_secs(20), serving)
            .await
            .expect("it drains in time")
            .expect("no panic");
    });
}

async fn origin(
    listener: TcpListener,
    answer: &'static str,
    delay: Duration,
    asked: Arc<AtomicUsize>,
) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((mut stream, _)) = listener.accept().await {
        let asked = Arc::clone(&asked);
        connections.spawn(async move {
            let mut seen = Vec::new();
            while let Ok(count @ 1..) = stream.read_buf(&mut seen).await {
                let _ = count;
                if !seen.ends_with(b"\r\n\r\n") {
                    continue;
                }
                seen.clear();
                asked.fetch_add(1, Ordering::SeqCst);
                clock::sleep(delay).await;
                if stream.write_all(answer.as_bytes()).await.is_err() {
                    return;
                }
            }
        });
    }
}

async fn ask(port: u16, message: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("the edge listens");
    stream.write_all(message.as_bytes()).await.expect("written");
    let mut text = String::new();
    stream.read_to_string(&mut text).await.expect("an answer");
    text
}

const GET: &str = "GET /a HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n";
const POST: &str = "POST /a HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\
                    Content-Length: 0\r\n\r\n";

#[test]
fn many_misses_at_once_make_one_request() {
    const CLIENTS: usize = 300;
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nCache-Control: s-maxage=60\r\n\r\nhello";
    with_world(answer, Duration::from_millis(100), |world| async move {
        let mut clients = tokio::task::JoinSet::new();
        for _ in 0..CLIENTS {
            clients.spawn(async move { ask(world.port, GET).await });
        }
        let answers = clients.join_all().await;
        assert!(answers.iter().all(|answer| answer.ends_with("hello")), "{answers:?}");
        assert_eq!(world.asked.load(Ordering::SeqCst), 1);
        let hit = ask(world.port, GET).await;
        assert!(hit.contains("cache-status: Forebay; hit; ttl="), "{hit}");
    });
}

#[test]
fn a_stale_answer_bridges_an_outage_and_says_so() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: \"1\"\r\n\
                  Cache-Control: s-maxage=0, stale-if-error=600\r\n\r\nhello";
    with_world(answer, Duration::ZERO, |world| async move {
        assert!(ask(world.port, GET).await.ends_with("hello"));
        world.origin.abort();
        assert!(world.origin.await.is_err(), "the origin is gone");
        let stale = ask(world.port, GET).await;
        assert!(stale.starts_with("HTTP/1.1 200"), "{stale}");
        assert!(stale.contains("detail=stale-if-error"), "{stale}");
        assert!(stale.ends_with("hello"), "{stale}");
        let other = ask(world.port, &GET.replace("/a", "/b")).await;
        assert!(other.starts_with("HTTP/1.1 50"), "nothing is stored for it: {other}");
    });
}

#[test]
fn what_sets_a_cookie_is_never_shared() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nSet-Cookie: session=secret\r\n\
                  Cache-Control: public, s-maxage=60\r\n\r\nhello";
    with_world(answer, Duration::ZERO, |world| async move {
        for asked in 1..=3 {
            let answer = ask(world.port, GET).await;
            assert!(answer.contains("set-cookie: session=secret"), "{answer}");
            assert_eq!(world.asked.load(Ordering::SeqCst), asked);
        }
        assert_eq!(world.edge.cache.memory.statistics().objects, 0);
    });
}

#[test]
fn an_unsafe_request_makes_what_is_stored_ask_again() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nCache-Control: max-age=60\r\n\r\nhello";
    with_world(answer, Duration::ZERO, |world| async move {
        for (message, asked) in [(GET, 1), (GET, 1), (POST, 2), (GET, 3), (GET, 3)] {
            assert!(ask(world.port, message).await.ends_with("hello"));
            assert_eq!(world.asked.load(Ordering::SeqCst), asked, "after {message}");
        }
    });
}
