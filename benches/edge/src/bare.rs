//! The edge's own `listen` with nothing behind it: what stands between it and the whole edge are the
//! features.
//!
//! The same sockets, parser, deadlines, writer, runtime and allocator as in forebay; the handler has a
//! head in stored lines and a body at hand, and gives them out for every request. Nothing is admitted,
//! routed, looked up, signed, counted or logged.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use forebay_edge::config::admit::Admit;
use forebay_edge::config::listen::{Listen, Listener, Place, Protocol};
use forebay_edge::exchange::{Answer, Exchange};
use forebay_edge::listen::{Entrance, Handler, Reply, run as listen};
use forebay_signals::drain::Drain;
use tokio::signal::unix::{SignalKind, signal};

use crate::origin::{KIB, body_of};

/// Forebay's own: what `malloc` costs must not stand between the two.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// As long as what a hit of the bench's origin sends, our own fields counted.
const LINES: &str = "date: Thu, 01 Jan 2026 00:00:00 GMT\r\n\
    content-type: application/octet-stream\r\ncache-control: public, s-maxage=3600\r\n\
    etag: \"0123456789abcdef\"\r\nlast-modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n\
    age: 1\r\ncache-status: Forebay; hit; ttl=3599\r\n\
    x-request-id: 0123456789abcdef0123456789abcdef\r\n";

/// Serves 1 KiB for every request on `port` until it is told to go.
pub(crate) fn run(port: u16) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("runtime: {error}"))?;
    let place = Place::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let listeners = vec![Listener { place, protocol: Protocol::Plain }];
    let settings = Listen { listeners, ..Listen::default() };
    let entrance = Entrance::open(&settings, &Admit::default(), 1);
    let entrance = Arc::new(entrance.map_err(|error| format!("listen: {error}"))?);
    let lines = Bytes::from_static(LINES.as_bytes());
    let canned = Canned { lines, body: Bytes::from(body_of(KIB).to_vec()) };
    runtime.block_on(async {
        let mut told = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
        let drain = Drain::default();
        let listening = listen(0, entrance, canned, drain.clone());
        tokio::select! {
            () = listening => {}
            _ = told.recv() => {}
        }
        Ok(())
    })
}

/// A handler that only gives out.
#[derive(Clone)]
struct Canned {
    lines: Bytes,
    body: Bytes,
}

impl Handler for Canned {
    fn call(&self, _: Exchange) -> Reply {
        let mut answer = Answer::new(self.body.clone());
        answer.lines = self.lines.clone();
        Reply::Now(answer)
    }
}
