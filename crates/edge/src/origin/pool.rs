//! Connections to one server that are kept for each thread: they never change core.
//!
//! HTTP/1: a stack of unused connections; the newest is used first, so that the rest can age out.
//! HTTP/2: connections that are shared by requests, each with a bounded number of streams.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hyper::client::conn::http2;
use tokio::task::AbortHandle;

use super::connect::Home;
use super::http1::Http1;
use super::upload::Upload;

/// Threads with a shelf of their own; more share.
const SHELVES: usize = 64;
/// Requests at a time on one HTTP/2 connection: what servers commonly allow. Where one allows fewer,
/// the rest waits its turn within the try's time.
const STREAMS: usize = 100;

/// The task that moves an HTTP/2 connection's bytes; it ends with this handle.
pub(super) struct Task(AbortHandle);

impl Task {
    pub(super) fn new(handle: AbortHandle) -> Task {
        Task(handle)
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// An HTTP/2 connection that requests share.
#[derive(Clone)]
pub(super) struct Http2 {
    pub(super) sender: http2::SendRequest<Upload>,
    streams: Arc<AtomicUsize>,
    home: Option<Arc<Home>>,
    /// The connection closes by itself when nobody holds it: streams under way are finished.
    _task: Arc<Task>,
}

impl Http2 {
    pub(super) fn new(
        sender: http2::SendRequest<Upload>,
        task: Task,
        home: Option<Arc<Home>>,
    ) -> Http2 {
        Http2 { sender, streams: Arc::default(), home, _task: Arc::new(task) }
    }

    /// True if further requests may go on it.
    fn is_good(&self) -> bool {
        !self.sender.is_closed() && !self.home.as_ref().is_some_and(|home| home.is_left())
    }

    fn has_room(&self) -> bool {
        self.streams.load(Ordering::Relaxed) < STREAMS
    }
}

/// A request's place on an HTTP/2 connection.
pub(super) struct Stream {
    pub(super) connection: Http2,
}

impl Stream {
    pub(super) fn on(connection: Http2) -> Stream {
        connection.streams.fetch_add(1, Ordering::Relaxed);
        Stream { connection }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.connection.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The shelves of all threads.
pub(super) struct Pool {
    shelves: Box<[Shelf]>,
}

#[derive(Default)]
#[repr(align(128))]
struct Shelf(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    /// Boxed, since they move from hand to hand with every request.
    unused: Vec<(Box<Http1>, Instant)>,
    shared: Vec<Http2>,
}

impl Default for Pool {
    fn default() -> Pool {
        Pool { shelves: (0..SHELVES).map(|_| Shelf::default()).collect() }
    }
}

impl Pool {
    /// The newest connection that is still good.
    pub(super) fn take(&self, now: Instant, most_idle: Duration) -> Option<Box<Http1>> {
        let mut kept = self.of_this_thread();
        while let Some((mut connection, since)) = kept.unused.pop() {
            if now.saturating_duration_since(since) > most_idle {
                // All below it are older still.
                kept.unused.clear();
                return None;
            }
            if connection.is_quiet() {
                return Some(connection);
            }
        }
        None
    }

    /// Takes a connection back whose answer was read to its end. One that still uploads, holds more
    /// than its answer, or is about to close is closed.
    pub(super) fn give_back(&self, mut connection: Box<Http1>, now: Instant, most: usize) {
        if !connection.settle() {
            return;
        }
        let mut kept = self.of_this_thread();
        if kept.unused.len() < most {
            kept.unused.push((connection, now));
        }
    }

    /// A place on a shared connection.
    pub(super) fn stream(&self) -> Option<Stream> {
        let mut kept = self.of_this_thread();
        kept.shared.retain(Http2::is_good);
        kept.shared.iter().find(|shared| shared.has_room()).cloned().map(Stream::on)
    }

    /// Shares a new connection and takes the first place on it.
    pub(super) fn share(&self, connection: Http2) -> Stream {
        let stream = Stream::on(connection.clone());
        self.of_this_thread().shared.push(connection);
        stream
    }

    /// Does not hand a connection out again; streams under way are finished.
    pub(super) fn retire(&self, gone: &Http2) {
        let mut kept = self.of_this_thread();
        kept.shared.retain(|shared| !Arc::ptr_eq(&shared.streams, &gone.streams));
    }

    /// Closes what is unused for too long, was closed by the other side, or leads to where the server's
    /// name no longer points.
    pub(super) fn sweep(&self, now: Instant, most_idle: Duration) {
        for shelf in &self.shelves {
            let mut kept = lock(shelf);
            kept.unused.retain_mut(|(connection, since)| {
                now.saturating_duration_since(*since) <= most_idle && connection.is_quiet()
            });
            kept.shared.retain(Http2::is_good);
        }
    }

    /// Connections that wait for work.
    pub(super) fn unused(&self) -> usize {
        self.shelves.iter().map(|shelf| lock(shelf).unused.len()).sum()
    }

    fn of_this_thread(&self) -> MutexGuard<'_, Kept> {
        lock(&self.shelves[shelf_of_this_thread() % self.shelves.len()])
    }
}

fn lock(shelf: &Shelf) -> MutexGuard<'_, Kept> {
    shelf.0.lock().unwrap_or_else(PoisonError::into_inner)
}

fn shelf_of_this_thread() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static SHELF: usize = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    SHELF.with(|shelf| *shelf)
}
