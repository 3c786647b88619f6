//! Small real servers that behave, or misbehave, as a test says.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use forebay_edge::config::origin::{Address, Origin, Server};
use forebay_edge::error::Error;
use forebay_edge::exchange::{Answer, Ask, Body};
use forebay_edge::origin::{Origins, Upstream};
use forebay_signals::clock;
use forebay_signals::journal::Journal;
use http::{Method, Uri};
use http_body::{Body as HttpBody, Frame};
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// Runs a test on a runtime as the edge has it, with a deadline.
pub(crate) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime starts").block_on(async {
        clock::timeout(Duration::from_secs(30), test).await.expect("in time");
    });
}

/// A server of raw TCP: its script runs once a connection.
#[derive(Clone)]
pub(crate) struct Raw {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Raw {
    pub(crate) async fn start<F, S>(script: F) -> Raw
    where
        F: Fn(Peer) -> S + 'static + Send,
        S: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let raw = Raw {
            address: listener.local_addr().expect("bound"),
            connections: Arc::default(),
            heads: Arc::default(),
        };
        let shared = raw.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = shared.connections.fetch_add(1, Ordering::Relaxed);
                let heads = Arc::clone(&shared.heads);
                tokio::spawn(script(Peer { stream, number, heads }));
            }
        });
        raw
    }

    /// One that answers every request with `answer`, on as many connections as come.
    pub(crate) async fn answering(answer: &'static str) -> Raw {
        Raw::start(move |mut peer| async move {
            while peer.head().await.is_some() {
                peer.write(answer).await;
            }
        })
        .await
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().expect("not poisoned").clone()
    }

    pub(crate) fn server(&self) -> Server {
        Server::plain(Address::Tcp("127.0.0.1".into(), self.address.port()))
    }
}

/// The server's end of one connection.
pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
    pub(crate) number: usize,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Peer {
    /// The next request's head; `None` when the client has closed.
    pub(crate) async fn head(&mut self) -> Option<String> {
        let head = read_head(&mut self.stream).await?;
        self.heads.lock().expect("not poisoned").push(head.clone());
        Some(head)
    }

    pub(crate) async fn write(&mut self, text: &str) {
        // The client may have gone: that is what some tests are about.
        self.stream.write_all(text.as_bytes()).await.ok();
    }

    /// Reads until `end` has come.
    pub(crate) async fn until(&mut self, end: &str) {
        let mut seen = Vec::new();
        while !seen.ends_with(end.as_bytes()) {
            let count = self.stream.read_buf(&mut seen).await.expect("it can be read");
            assert!(count > 0, "it ended before {end:?}");
        }
    }

    /// Everything until the client closes.
    pub(crate) async fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).await.ok();
        String::from_utf8_lossy(&rest).into_owned()
    }

    /// Ends the connection with a reset.
    pub(crate) fn reset(self) {
        socket2::SockRef::from(&self.stream)
            .set_linger(Some(Duration::ZERO))
            .expect("a socket of ours");
    }
}

pub(crate) async fn read_head(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        match stream.read(&mut byte).await {
            Ok(1) => head.push(byte[0]),
            _ => return None,
        }
    }
    Some(String::from_utf8(head).expect("heads are text"))
}

pub(crate) fn ask(method: Method, path: &str, body: Body) -> Ask {
    Ask { body, ..Ask::new(method, Uri::try_from(path).expect("a path"), "shop.example") }
}

pub(crate) fn get(path: &str) -> Ask {
    ask(Method::GET, path, Body::Empty)
}

pub(crate) fn post(text: &'static str) -> Ask {
    ask(Method::POST, "/", Body::from(text))
}

pub(crate) fn origins(settings: Origin) -> (Origins, Arc<Upstream>) {
    let name = settings.name.clone();
    let origins = Origins::new(&[Arc::new(settings)], None, &Arc::default());
    let origins = origins.expect("good settings");
    let upstream = origins.find(&name).expect("it is there");
    (origins, upstream)
}

pub(crate) fn one(server: Server) -> (Origins, Arc<Upstream>) {
    origins(settings([server]))
}

pub(crate) fn settings(servers: impl IntoIterator<Item = Server>) -> Origin {
    let mut settings = Origin::new("app", servers.into_iter().collect());
    settings.connect_timeout = Duration::from_secs(5);
    settings.try_timeout = Duration::from_secs(5);
    settings
}

pub(crate) fn journal() -> Arc<Journal> {
    Arc::default()
}

pub(crate) async fn text(answer: Answer) -> String {
    let whole = answer.body.collect().await.expect("whole content").to_bytes();
    String::from_utf8_lossy(&whole).into_owned()
}

pub(crate) async fn fetch_text(upstream: &Arc<Upstream>, ask: Ask) -> String {
    text(upstream.fetch(ask).await.expect("an answer")).await
}

/// Waits for a condition; the test's own deadline ends it.
pub(crate) async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        clock::sleep(Duration::from_millis(1)).await;
    }
}

/// Content that a test sends frame by frame.
pub(crate) struct Pipe(mpsc::Receiver<Result<Frame<Bytes>, Error>>);

pub(crate) type Feed = mpsc::Sender<Result<Frame<Bytes>, Error>>;

pub(crate) fn pipe() -> (Feed, Body) {
    let (feed, frames) = mpsc::channel(1);
    (feed, Body::stream(Pipe(frames)))
}

impl HttpBody for Pipe {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        self.0.poll_recv(context)
    }
}
