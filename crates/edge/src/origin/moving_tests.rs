//! Names that move and names that go away, with real sockets and the system's resolver. What a name
//! pointed to before is planted: nobody can make a system's name move for a test.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use forebay_signals::clock;
use forebay_signals::drain::Drain;
use http::{Method, Uri};
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::{Origins, Upstream};
use crate::config::origin::{Address, Origin, Server};
use crate::exchange::Ask;

/// A server that answers with its name, and how many of its connections are open.
struct Place {
    address: SocketAddr,
    open: Arc<AtomicUsize>,
    heard: Arc<AtomicUsize>,
    /// A permit for each answer.
    gate: Arc<Semaphore>,
}

impl Place {
    async fn start(name: &'static str) -> Place {
        let place = Place::held(name).await;
        place.gate.add_permits(1 << 20);
        place
    }

    async fn held(name: &'static str) -> Place {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (open, heard) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let gate = Arc::new(Semaphore::new(0));
        let (count, hears, gated) = (Arc::clone(&open), Arc::clone(&heard), Arc::clone(&gate));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let (count, hears, gated) =
                    (Arc::clone(&count), Arc::clone(&hears), Arc::clone(&gated));
                tokio::spawn(async move {
                    // It ends when the client closes.
                    answer(stream, name, &hears, &gated).await.ok();
                    count.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Place { address, open, heard, gate }
    }

    fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }
}

async fn answer(
    mut stream: TcpStream,
    name: &str,
    heard: &AtomicUsize,
    gate: &Semaphore,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while stream.read_buf(&mut head).await? > 0 {
        if head.ends_with(b"\r\n\r\n") {
            head.clear();
            heard.fetch_add(1, Ordering::SeqCst);
            gate.acquire().await.map_err(std::io::Error::other)?.forget();
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{name}", name.len());
            stream.write_all(answer.as_bytes()).await?;
        }
    }
    Ok(())
}

fn before(host: &str, port: u16) -> (Origins, Arc<Upstream>) {
    let server = Server::plain(Address::Tcp(host.into(), port));
    let mut settings = Origin::new("app", vec![server]);
    settings.resolve_every = Duration::from_millis(20);
    let origins = Origins::new(&[Arc::new(settings)], None, &Arc::default()).expect("good");
    let upstream = origins.find("app").expect("it is there");
    (origins, upstream)
}

async fn ask(upstream: &Arc<Upstream>) -> String {
    let ask = Ask::new(Method::GET, Uri::from_static("/"), "shop.example");
    let answer = upstream.fetch(ask).await.expect("an answer");
    let content = answer.body.collect().await.expect("whole content").to_bytes();
    String::from_utf8_lossy(&content).into_owned()
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime starts").block_on(async {
        clock::timeout(Duration::from_secs(30), test).await.expect("in time");
    });
}

#[test]
fn a_name_that_moves_under_steady_load_drains_its_old_server() {
    run(async {
        let (old, new) = (Place::start("old").await, Place::start("new").await);
        let (origins, upstream) = before("localhost", new.address.port());
        upstream.members[0].server.addresses.learn(&[old.address]);
        for _ in 0..3 {
            assert_eq!(ask(&upstream).await, "old");
        }
        assert_eq!(old.open(), 1, "the connection is kept");
        let drain = Drain::default();
        origins.spawn_probes(&drain);
        // The load never stops, so that the old connection is never unused for long.
        while ask(&upstream).await == "old" {}
        for _ in 0..20 {
            assert_eq!(ask(&upstream).await, "new", "nothing goes back");
        }
        while old.open() > 0 {
            assert_eq!(ask(&upstream).await, "new");
        }
        assert_eq!(new.open(), 1, "and the new connection is kept");
    });
}

#[test]
fn a_connection_that_is_in_use_while_the_name_moves_is_not_kept() {
    run(async {
        let (old, new) = (Place::held("old").await, Place::start("new").await);
        let (_origins, upstream) = before("localhost", new.address.port());
        let addresses = &upstream.members[0].server.addresses;
        addresses.learn(&[old.address]);
        let upstream_then = Arc::clone(&upstream);
        let asked = tokio::spawn(async move { ask(&upstream_then).await });
        while old.heard.load(Ordering::SeqCst) == 0 {
            clock::sleep(Duration::from_millis(1)).await;
        }
        addresses.learn(&[new.address]);
        old.gate.add_permits(1);
        assert_eq!(asked.await.expect("no panic"), "old", "what was asked is answered");
        while old.open() > 0 {
            clock::sleep(Duration::from_millis(1)).await;
        }
    });
}

#[test]
fn a_name_that_goes_away_keeps_its_last_address_and_its_connections() {
    run(async {
        let place = Place::start("last").await;
        let (origins, upstream) = before("no-such-host.invalid", 80);
        upstream.members[0].server.addresses.learn(&[place.address]);
        assert_eq!(ask(&upstream).await, "last");
        let drain = Drain::default();
        origins.spawn_probes(&drain);
        while upstream.view().servers[0].last_error.is_none() {
            assert_eq!(ask(&upstream).await, "last");
            clock::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(ask(&upstream).await, "last");
        assert_eq!(place.open(), 1, "the same connection");
    });
}
