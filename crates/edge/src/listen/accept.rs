//! The accept loops of one core.

use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use bytes::BytesMut;
use forebay_signals::clock;
use forebay_signals::drain::{Drain, Guard};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::mpsc;

use super::Handler;
use super::caps::Place;
use super::entrance::Entrance;
use super::inherited::{Accepted, Watched};
use super::io::Stream;
use super::proxy_protocol;
use super::serve::{self, Context, Guarded};
use super::settings::Settings;
use super::sockets::{Bound, Door};
use crate::config::admit::{Admit, is_among};
use crate::config::listen::Protocol;

/// First and longest pause when the process has no file descriptor or memory for a connection.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Serves everything that comes in on one core, until the drain has begun and the last connection
/// has ended or its time is up. Runs on that core's own runtime, which owns the connections' tasks
/// and drops what is left of them.
pub async fn run<H: Handler>(core: usize, entrance: Arc<Entrance>, handler: H, drain: Drain) {
    // Held from the beginning: who waits for the drain must not miss a core that has yet to wake up.
    let _guard = drain.guard();
    let crowd = Drain::default();
    let handler = Guarded { handler, counters: Arc::clone(entrance.counters()) };
    let mut changes = entrance.sockets();
    let context =
        Arc::new(Context { entrance: Arc::clone(&entrance), handler, drain: drain.clone() });
    let mut open: Vec<Loop> = Vec::new();
    loop {
        let sockets = changes.borrow_and_update().clone();
        // What is gone closes when its `Loop` is dropped.
        open.retain(|open| sockets.bound().iter().any(|bound| Arc::ptr_eq(bound, &open.bound)));
        for bound in sockets.bound() {
            if !open.iter().any(|open| Arc::ptr_eq(bound, &open.bound)) {
                open.push(Loop::start(core, bound, &context, &crowd));
            }
        }
        drop(sockets);
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { break },
            () = drain.begun() => break,
        }
    }
    drop(open);
    let deadline = clock::now() + entrance.settings().drain_timeout;
    let left = crowd.finished(deadline).await;
    if left > 0 {
        tracing::warn!(core, left, "connections did not end in time");
    }
}

/// One listener on this core. Dropping it closes the listener once its queue is empty.
struct Loop {
    bound: Arc<Bound>,
    close: Drain,
}

impl Loop {
    fn start<H: Handler>(
        core: usize,
        bound: &Arc<Bound>,
        context: &Arc<Context<H>>,
        crowd: &Drain,
    ) -> Loop {
        let close = Drain::default();
        let acceptor = Acceptor {
            protocol: bound.protocol(),
            empties: bound.is_ours(),
            context: Arc::clone(context),
            crowd: crowd.clone(),
            pause: Duration::ZERO,
        };
        let door = bound.take(core);
        let closing = close.clone();
        let guard = crowd.guard();
        drop(tokio::spawn(async move {
            let _guard = guard;
            if let Err(error) = acceptor.run(door, closing).await {
                tracing::error!(error = %error, "cannot listen");
            }
        }));
        Loop { bound: Arc::clone(bound), close }
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        self.close.begin();
    }
}

struct Acceptor<H> {
    protocol: Protocol,
    /// Whether what is queued at the end is taken before the socket is closed.
    empties: bool,
    context: Arc<Context<H>>,
    crowd: Drain,
    pause: Duration,
}

impl<H: Handler> Acceptor<H> {
    async fn run(mut self, door: Door, close: Drain) -> io::Result<()> {
        match door {
            Door::Tcp(listener) => self.tcp(TcpListener::from_std(listener)?, close).await,
            Door::Single(socket, cores, _own) => {
                self.for_all(Watched::new(socket)?, &cores, close).await
            }
            Door::Handed(mut handed) => {
                // Ends with the accepting core's loop, once everything is handed over.
                while let Some(accepted) = handed.recv().await {
                    self.take(accepted);
                }
                Ok(())
            }
            Door::Taken => Ok(()),
        }
    }

    async fn tcp(&mut self, listener: TcpListener, close: Drain) -> io::Result<()> {
        let mut closing = pin!(close.begun());
        while let Some(accepted) =
            next(|context| listener.poll_accept(context), closing.as_mut()).await
        {
            match accepted {
                Ok((stream, peer)) => self.begin(stream, Some(peer)),
                Err(error) => self.wait_after(&error).await,
            }
        }
        // SO_REUSEPORT: the queue of a closed socket is lost to its clients, so it is emptied first.
        let listener = listener.into_std()?;
        while let Ok((stream, peer)) = listener.accept() {
            stream.set_nonblocking(true)?;
            self.begin(TcpStream::from_std(stream)?, Some(peer));
        }
        Ok(())
    }

    async fn for_all(
        &mut self,
        socket: Watched,
        cores: &[mpsc::Sender<Accepted>],
        close: Drain,
    ) -> io::Result<()> {
        let mut closing = pin!(close.begun());
        let mut turn = 0;
        while let Some(accepted) =
            next(|context| socket.poll_accept(context), closing.as_mut()).await
        {
            match accepted {
                Ok(accepted) => {
                    turn = (turn + 1) % cores.len().max(1);
                    self.hand_over(accepted, cores.get(turn).filter(|_| turn > 0));
                }
                Err(error) => self.wait_after(&error).await,
            }
        }
        let socket = socket.into_single()?;
        while self.empties
            && let Ok(accepted) = socket.accept()
        {
            self.take(accepted);
        }
        Ok(())
    }

    /// Gives a connection to another core, or keeps it if that core does not keep up.
    fn hand_over(&mut self, accepted: Accepted, core: Option<&mpsc::Sender<Accepted>>) {
        let kept = match core {
            Some(core) => core.try_send(accepted).err().map(mpsc::error::TrySendError::into_inner),
            None => Some(accepted),
        };
        if let Some(accepted) = kept {
            self.take(accepted);
        }
    }

    /// Begins with a connection that this core has accepted, or was handed.
    fn take(&mut self, accepted: Accepted) {
        let taken = match accepted {
            Accepted::Tcp(stream, peer) => {
                TcpStream::from_std(stream).map(|stream| self.begin(stream, Some(peer)))
            }
            Accepted::Unix(stream) => {
                UnixStream::from_std(stream).map(|stream| self.begin(stream, None))
            }
        };
        if let Err(error) = taken {
            tracing::warn!(error = %error, "cannot take over a connection");
        }
    }

    /// Counts a connection and gives it a task, or closes it at once.
    fn begin<S: Stream + AsFd>(&mut self, stream: S, peer: Option<SocketAddr>) {
        self.pause = Duration::ZERO;
        let entrance = &self.context.entrance;
        let counters = entrance.counters();
        counters.accepted.increment();
        let limits = entrance.settings();
        let is_balancer = is_among(&limits.proxy_protocol, peer);
        // Whose connection it is remains to be said: until then only the total bounds it.
        let client = if is_balancer { None } else { counted(peer, &limits.admit) };
        let Ok(place) = entrance.caps().enter(client, &limits.admit) else {
            counters.refused.increment();
            return;
        };
        let mut stay = Stay::new(Arc::clone(entrance), place, self.crowd.guard());
        let (protocol, context) = (self.protocol, Arc::clone(&self.context));
        if is_balancer {
            drop(tokio::spawn(async move {
                // Boxed: nobody else's task has to be large enough for it.
                let introduced = Box::pin(introduced(stream, peer, &mut stay, &limits)).await;
                let Some((stream, peer, input)) = introduced else { return };
                serve::connection(stream, input, peer, protocol, context).await;
            }));
        } else {
            drop(tokio::spawn(async move {
                let _stay = stay;
                serve::connection(stream, BytesMut::new(), peer, protocol, context).await;
            }));
        }
    }

    /// What concerns one connection is passed over; what concerns the process is waited out, for
    /// the kernel would report it again at once.
    async fn wait_after(&mut self, error: &io::Error) {
        use io::ErrorKind as K;
        if matches!(
            error.kind(),
            K::ConnectionAborted
                | K::ConnectionReset
                | K::Interrupted
                | K::NetworkDown
                | K::NetworkUnreachable
                | K::HostUnreachable
        ) {
            return;
        }
        if self.pause.is_zero() {
            tracing::warn!(error = %error, "accepting pauses");
        }
        self.context.entrance.counters().accept_pauses.increment();
        self.pause = (self.pause * 2).clamp(PAUSE, LONGEST_PAUSE);
        clock::sleep(self.pause).await;
    }
}

/// The address that a connection counts for. A trusted proxy speaks for many clients: only the total
/// bounds it.
fn counted(peer: Option<SocketAddr>, admit: &Admit) -> Option<IpAddr> {
    peer.filter(|_| !admit.trusts_peer(peer)).map(|peer| peer.ip())
}

/// Hears whose connection a load balancer passes on, and counts it as that client's. `None` if it has to
/// be closed.
async fn introduced<S: Stream>(
    mut stream: S,
    peer: Option<SocketAddr>,
    stay: &mut Stay,
    limits: &Settings,
) -> Option<(S, Option<SocketAddr>, BytesMut)> {
    let header = proxy_protocol::read(&mut stream, limits.http1.head_timeout).await;
    let (client, input) = match header {
        Ok(header) => header,
        Err(error) => {
            tracing::debug!(?peer, %error, "nobody introduced");
            stay.entrance.counters().unintroduced.increment();
            return None;
        }
    };
    // A balancer that speaks for itself is one peer for many things, such as its health checks.
    if let Some(address) = client.and_then(|client| counted(Some(client), &limits.admit))
        && stay.place.count_as(address, &limits.admit).is_err()
    {
        stay.entrance.counters().refused.increment();
        return None;
    }
    Some((stream, client.or(peer), input))
}

/// The next connection, or `None` once the listener shall close.
async fn next<T>(
    mut accept: impl FnMut(&mut TaskContext<'_>) -> Poll<T>,
    mut closing: std::pin::Pin<&mut impl Future<Output = ()>>,
) -> Option<T> {
    poll_fn(|context| {
        if closing.as_mut().poll(context).is_ready() {
            return Poll::Ready(None);
        }
        accept(context).map(Some)
    })
    .await
}

/// A connection's share of the counts, given back when it ends.
struct Stay {
    entrance: Arc<Entrance>,
    place: Place,
    _guard: Guard,
}

impl Stay {
    fn new(entrance: Arc<Entrance>, place: Place, guard: Guard) -> Stay {
        entrance.counters().open.add(1);
        Stay { entrance, place, _guard: guard }
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        self.entrance.counters().open.add(-1);
    }
}
