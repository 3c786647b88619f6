//! Accepts connections, answers them with [`routes::answer`], and leaves nobody half-served.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use forebay_signals::{clock, drain::Drain};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::routes;

/// Connections at once: the edge keeps far fewer, and a demo must not eat a laptop.
const MAX_CONNECTIONS: usize = 512;
/// Time that an idle connection may stay open: longer than the edge keeps one in its pool.
const IDLE_TIMEOUT: Duration = Duration::from_secs(120);
/// Time that requests under way have to end once the shop stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause after a failed accept (out of file descriptors), so that it does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves the shop on `listener` until `stop` begins; `name` is shown on every page.
///
/// Requests under way are answered; event streams end.
pub async fn serve(listener: TcpListener, name: &str, stop: Drain) -> io::Result<()> {
    let name: Arc<str> = name.into();
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    while !stop.has_begun() {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { break };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.begun() => break,
        };
        match accepted {
            Ok((stream, _)) => {
                let (name, stop) = (Arc::clone(&name), stop.clone());
                connections.spawn(async move {
                    connection(stream, name, stop).await;
                    drop(place);
                });
            }
            Err(_) => clock::sleep(ACCEPT_PAUSE).await,
        }
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    let all_gone = async { while connections.join_next().await.is_some() {} };
    // Whoever is still here after the deadline is cut off when the set is dropped.
    drop(clock::timeout(STOP_TIMEOUT, all_gone).await);
    Ok(())
}

async fn connection(stream: TcpStream, name: Arc<str>, stop: Drain) {
    // Small answers must not wait for the kernel's delayed acknowledgement; without it they only
    // come later.
    drop(stream.set_nodelay(true));
    let service = service_fn(|request| {
        let (name, stop) = (Arc::clone(&name), stop.clone());
        async move { Ok::<_, Infallible>(routes::answer(request, &name, stop).await) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(serving);
    // How a connection ended is the peer's business: it is ours only to answer what it asks.
    tokio::select! {
        ended = serving.as_mut() => drop(ended),
        () = stop.begun() => {
            serving.as_mut().graceful_shutdown();
            drop(serving.await);
        }
    }
}
