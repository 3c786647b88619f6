//! Sockets that the process was started with: spread over the cores, kept over reloads, left to successors.

mod listening;

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::sync::Arc;

use forebay_edge::config::admit::Admit;
use forebay_edge::config::listen::{Listen, Listener, Place, Protocol};
use forebay_edge::exchange::Exchange;
use forebay_edge::listen::{Entrance, Inherited, run};
use forebay_signals::drain::Drain;
use listening::{LAST_GET, echo, read_all, served_by_two, until};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

fn at(name: &str) -> Listener {
    Listener { place: Place::Systemd(name.to_owned()), protocol: Protocol::Plain }
}

fn listen_on(listeners: &[Listener]) -> Listen {
    Listen { listeners: listeners.to_vec(), ..Listen::default() }
}

/// A socket as a service manager makes it, and where it is.
fn made() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    (listener, address)
}

fn handed(listener: &TcpListener) -> OwnedFd {
    listener.try_clone().expect("another descriptor").into()
}

async fn said(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> String {
    stream.write_all(LAST_GET).await.expect("written");
    read_all(&mut stream).await
}

#[test]
fn one_socket_is_served_by_every_core_and_what_waits_is_left_to_whoever_comes_next() {
    let (listener, address) = made();
    let inherited = Inherited::new([("web".to_owned(), handed(&listener))]).expect("it listens");
    let opened = Entrance::open_with(&listen_on(&[at("web")]), &Admit::default(), 2, inherited);
    let entrance = Arc::new(opened.expect("it opens"));
    let place = entrance.addresses().first().map(|listener| listener.place.clone());
    assert_eq!(place, Some(Place::Tcp(address)), "the status says the address");
    let has_address = |exchange: &Exchange| {
        assert!(exchange.client.peer.is_some(), "a client over TCP has an address");
    };
    let counts = served_by_two(&entrance, has_address, async {
        for _ in 0..10 {
            let stream = TcpStream::connect(address).await.expect("bound");
            assert!(said(stream).await.ends_with("GET / "));
        }
    });
    assert_eq!(counts, [5, 5]);
    // The socket lives on, and nobody of ours takes from it.
    let waiting = std::net::TcpStream::connect(address).expect("the manager holds it");
    let came = listener.accept().expect("it has come to whoever holds the socket");
    assert_eq!(Some(came.1), waiting.local_addr().ok());
}

#[test]
fn a_reload_may_leave_a_socket_and_come_back_to_it() {
    let (listener, address) = made();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("socket");
    let local = UnixListener::bind(&path).expect("bound");
    let inherited = Inherited::new([
        ("web".to_owned(), handed(&listener)),
        ("local".to_owned(), local.into()),
        ("web".to_owned(), handed(&made().0)),
    ])
    .expect("they listen");
    drop(listener);
    let settings = listen_on(&[at("web")]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime starts").block_on(async {
        let opened = Entrance::open_with(&settings, &Admit::default(), 1, inherited);
        let entrance = Arc::new(opened.expect("it opens"));
        assert_eq!(entrance.addresses().len(), 2, "all sockets of a name");
        let drain = Drain::default();
        let core = tokio::spawn(run(0, Arc::clone(&entrance), echo, drain.clone()));
        let reload = |listener: Listener| {
            let next = entrance.prepare(&listen_on(&[listener]), &Admit::default())?;
            entrance.swap(next);
            Ok::<(), forebay_edge::listen::OpenError>(())
        };
        for _ in 0..2 {
            let stream = TcpStream::connect(address).await.expect("bound");
            assert!(said(stream).await.ends_with("GET / "));
            reload(at("local")).expect("it is there");
            let stream = UnixStream::connect(&path).await.expect("bound");
            assert!(said(stream).await.ends_with("GET / "));
            // Who comes meanwhile waits in the kernel for somebody who listens again.
            let waits = TcpStream::connect(address).await.expect("it lives");
            reload(at("web")).expect("it is still there");
            assert!(said(waits).await.ends_with("GET / "));
        }
        let error = reload(at("wep")).expect_err("there is none");
        assert_eq!(error.to_string(), "cannot listen on `systemd:wep`");
        assert!(error.hint().ends_with("`web`, `local`, `web`"), "{}", error.hint());
        assert!(path.exists(), "the file is the manager's");
        drain.begin();
        core.await.expect("the core ends");
        until("all are gone", || entrance.counters().open.value() == 0).await;
    });
}

#[test]
fn what_does_not_listen_is_refused_by_its_name() {
    let (listener, address) = made();
    let stream = std::net::TcpStream::connect(address).expect("it listens");
    let datagrams = std::net::UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let file = tempfile::tempfile().expect("a file");
    let wrong: [OwnedFd; 3] = [stream.into(), datagrams.into(), file.into()];
    for descriptor in wrong {
        let error = Inherited::new([("web".to_owned(), descriptor)]).expect_err("no listener");
        assert!(error.to_string().contains("`web`"), "{error}");
    }
    drop(listener);
}
