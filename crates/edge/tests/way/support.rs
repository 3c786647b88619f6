//! An edge on real sockets before an origin that answers as a test says.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
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
use tokio::task::{JoinHandle, JoinSet};

/// What the origin makes of a request's head: an answer, after a while.
pub(crate) type Answers = Arc<dyn Fn(&str) -> (Duration, String) + Send + Sync>;

pub(crate) struct World {
    pub(crate) edge: Arc<Edge>,
    pub(crate) port: u16,
    pub(crate) origin: JoinHandle<()>,
    seen: Seen,
}

/// Another origin beside that of a world.
#[derive(Clone)]
pub(crate) struct Other {
    pub(crate) settings: Arc<Origin>,
    seen: Seen,
}

impl Other {
    /// Starts one, within the runtime of a world.
    pub(crate) fn start(name: &str, answers: Answers) -> Other {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        listener.set_nonblocking(true).expect("it can be");
        let listener = TcpListener::from_std(listener).expect("within a runtime");
        let seen = Seen::default();
        tokio::spawn(origin(listener, answers, seen.clone()));
        let server = Server::plain(Address::Tcp("127.0.0.1".into(), port));
        Other { settings: Arc::new(Origin::new(name, vec![server])), seen }
    }

    /// Requests that it has seen.
    pub(crate) fn asked(&self) -> usize {
        self.seen.asked.load(Ordering::SeqCst)
    }

    /// Heads of the requests that it has seen.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.seen.heads.lock().expect("no panic").clone()
    }
}

/// What the origin has seen.
#[derive(Clone, Default)]
struct Seen {
    bytes: Arc<AtomicUsize>,
    asked: Arc<AtomicUsize>,
    heads: Arc<Mutex<Vec<String>>>,
}

impl World {
    /// Requests that the origin has seen.
    pub(crate) fn asked(&self) -> usize {
        self.seen.asked.load(Ordering::SeqCst)
    }

    /// Bytes that the origin has seen.
    pub(crate) fn heard(&self) -> usize {
        self.seen.bytes.load(Ordering::SeqCst)
    }

    /// Head of the last request that the origin has seen.
    pub(crate) fn last_head(&self) -> String {
        self.seen.heads.lock().expect("no panic").last().cloned().unwrap_or_default()
    }

    /// Waits until the origin has seen so many.
    pub(crate) async fn until_asked(&self, count: usize) {
        while self.asked() < count {
            clock::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Puts these settings in force.
    pub(crate) fn reload(&self, config: Config) {
        let next = self.edge.prepare(config).expect("good settings");
        self.edge.reload(next).expect("good settings");
    }

    /// Sends one message on a connection of its own and reads to the end.
    pub(crate) async fn ask(&self, message: &str) -> String {
        ask(self.port, message).await
    }
}

/// The same answer to everybody, at once.
pub(crate) fn always(answer: &'static str) -> Answers {
    Arc::new(move |_| (Duration::ZERO, answer.to_owned()))
}

/// An edge before an origin, with one route to it that `edit` may change.
pub(crate) fn with_world<T, F>(answers: Answers, edit: impl FnOnce(&mut Config), test: T)
where
    T: FnOnce(World) -> F,
    F: Future<Output = ()>,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime starts").block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let origin_port = listener.local_addr().expect("bound").port();
        let seen = Seen::default();
        let origin = tokio::spawn(origin(listener, answers, seen.clone()));
        let server = Server::plain(Address::Tcp("127.0.0.1".into(), origin_port));
        let mut config = Config {
            routes: vec![Route::everything_to("app")],
            origins: vec![Arc::new(Origin::new("app", vec![server]))],
            log: Log { format: Format::Off, path: None },
            ..Config::default()
        };
        let place = Place::Tcp("127.0.0.1:0".parse().expect("an address"));
        config.listen.listeners = vec![Listener { place, protocol: Protocol::Plain }];
        edit(&mut config);
        let edge = Edge::open(config, 1).expect("it opens");
        let Place::Tcp(address) = edge.entrance.addresses()[0].place.clone() else {
            panic!("it listens on TCP");
        };
        let serving = tokio::spawn(Arc::clone(&edge).serve(0));
        let world = World { edge: Arc::clone(&edge), port: address.port(), seen, origin };
        clock::timeout(Duration::from_secs(20), test(world)).await.expect("in time");
        edge.drain.begin();
        clock::timeout(Duration::from_secs(20), serving)
            .await
            .expect("it drains in time")
            .expect("no panic");
    });
}

async fn origin(listener: TcpListener, answers: Answers, seen: Seen) {
    let mut connections = JoinSet::new();
    while let Ok((mut stream, _)) = listener.accept().await {
        let (answers, seen) = (Arc::clone(&answers), seen.clone());
        connections.spawn(async move {
            let mut read = Vec::new();
            while let Ok(count @ 1..) = stream.read_buf(&mut read).await {
                seen.bytes.fetch_add(count, Ordering::SeqCst);
                if !read.ends_with(b"\r\n\r\n") {
                    continue;
                }
                let head = String::from_utf8_lossy(&std::mem::take(&mut read)).into_owned();
                let (delay, answer) = answers(&head);
                seen.heads.lock().expect("no panic").push(head);
                seen.asked.fetch_add(1, Ordering::SeqCst);
                clock::sleep(delay).await;
                if stream.write_all(answer.as_bytes()).await.is_err() {
                    return;
                }
            }
        });
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

pub(crate) async fn ask(port: u16, message: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("the edge listens");
    stream.write_all(message.as_bytes()).await.expect("written");
    let mut text = String::new();
    stream.read_to_string(&mut text).await.expect("an answer");
    text
}

/// The same on a connection that stays open: reads until `end` has come.
pub(crate) async fn ask_until(port: u16, message: &str, end: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("the edge listens");
    stream.write_all(message.as_bytes()).await.expect("written");
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).ends_with(end) {
        let count = stream.read_buf(&mut read).await.expect("an answer");
        assert!(count > 0, "it ends early: {}", String::from_utf8_lossy(&read));
    }
    String::from_utf8_lossy(&read).into_owned()
}

/// Asks for `/a` with these fields at the same moment; answers in order.
pub(crate) async fn at_once(world: &World, fields: &[&str]) -> Vec<String> {
    let port = world.port;
    let asking = fields.iter().map(|fields| {
        let message = request("GET", "/a", fields);
        tokio::spawn(async move { ask(port, &message).await })
    });
    let mut answers = Vec::new();
    for answer in asking.collect::<Vec<_>>() {
        answers.push(answer.await.expect("no panic"));
    }
    answers
}

/// A request of this method and path with more fields, each with its line end.
pub(crate) fn request(method: &str, path: &str, fields: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n{fields}\r\n")
}

pub(crate) const GET: &str = "GET /a HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n";
pub(crate) const POST: &str = "POST /a HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\
                    Content-Length: 0\r\n\r\n";
