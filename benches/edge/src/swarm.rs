//! Many connections driven by a plan: each request has a time at which it is due, and its latency
//! counts from then, sent late or not. A server that stalls therefore pays for every request that
//! had to wait (no coordinated omission).
//!
//! What of it is the server's is measured apart: a client that sends tens of thousands of requests a second on one
//! core is late itself, and reads late. The kernel stamps what it receives, on the core of whoever sends it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::IoSliceMut;
use std::io::{ErrorKind, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use forebay_signals::clock;
use memchr::memmem;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use nix::cmsg_space;
use nix::sys::socket::sockopt::ReceiveTimestampns;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt};
use nix::sys::time::TimeSpec;
use socket2::{Domain, Socket, Type};

/// Connections with one source address: a server may cap an address, and a crowd has many.
const PER_ADDRESS: usize = 250;
/// Connections with one source /24.
const PER_NETWORK: usize = 1000;
/// Enough for a head and to take large bodies in few reads.
const INPUT_BYTES: usize = 64 * 1024;

/// One request to send.
pub(crate) struct Shot {
    /// When.
    pub(crate) due: Instant,
    /// Path and query.
    pub(crate) target: String,
    /// For whom a proxy would say that it asks.
    pub(crate) client: Option<Ipv4Addr>,
}

/// One answer, or the lack of one.
#[derive(Clone, Copy)]
pub(crate) struct Sample {
    /// Which connection asked.
    pub(crate) connection: usize,
    /// From due to the last byte.
    pub(crate) latency: Duration,
    /// The same without what the client took: to send it when it was due and the connection free, and to see the
    /// last byte once it was there.
    pub(crate) served: Duration,
    /// `None`: the connection broke.
    pub(crate) status: Option<u16>,
}

/// Open connections to one server.
pub(crate) struct Swarm {
    to: SocketAddr,
    poll: Poll,
    connections: Vec<Connection>,
    /// Requests sent again because the server had closed a used connection.
    pub(crate) resent: usize,
    /// Answers that the kernel did not say the time of.
    pub(crate) unstamped: usize,
}

struct Connection {
    stream: TcpStream,
    input: Vec<u8>,
    filled: usize,
    /// Bytes of the body still to come, once the head is read.
    left: Option<usize>,
    status: u16,
    closes: bool,
    waiting_since: Option<Instant>,
    /// When the request went out.
    sent: Option<Instant>,
    /// When the last byte of the answer before it was there.
    free_since: Option<Instant>,
    /// When the kernel got what was read last.
    stamp: Option<SystemTime>,
    stamps: Vec<u8>,
    request: String,
    /// Whether an answer has come over this connection: the server may close it at any time then.
    is_used: bool,
}

/// A blocking connection from one of many loopback addresses.
pub(crate) fn connect(to: SocketAddr, index: usize) -> std::io::Result<std::net::TcpStream> {
    let network = u8::try_from(index / PER_NETWORK).unwrap_or(u8::MAX);
    let host = u8::try_from(index % PER_NETWORK / PER_ADDRESS).unwrap_or_default() + 1;
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::new(127, 0, network, host), 0)).into())?;
    socket.set_tcp_nodelay(true)?;
    socket.connect(&to.into())?;
    Ok(socket.into())
}

impl Swarm {
    /// Opens `count` connections.
    pub(crate) fn connect(to: SocketAddr, count: usize) -> Result<Swarm, String> {
        let poll = Poll::new().map_err(|error| format!("poll: {error}"))?;
        let mut swarm =
            Swarm { to, poll, connections: Vec::with_capacity(count), resent: 0, unstamped: 0 };
        for index in 0..count {
            let connection = swarm.open(index)?;
            swarm.connections.push(connection);
        }
        Ok(swarm)
    }

    /// Sends what `next` plans for each connection, one request after the other, until every
    /// connection has no more. Gives up when no answer comes for `patience`.
    pub(crate) fn fire(
        &mut self,
        patience: Duration,
        mut next: impl FnMut(usize) -> Option<Shot>,
    ) -> Result<Vec<Sample>, String> {
        let mut planned: Vec<Option<Shot>> = Vec::with_capacity(self.connections.len());
        let mut order = BinaryHeap::new();
        let mut samples = Vec::new();
        for index in 0..self.connections.len() {
            planned.push(next(index));
            order.extend(planned[index].as_ref().map(|shot| Reverse((shot.due, index))));
        }
        let mut events = Events::with_capacity(1024);
        let mut in_flight = 0_usize;
        let mut last_progress = clock::now();
        while in_flight > 0 || !order.is_empty() {
            let now = clock::now();
            while let Some(&Reverse((due, index))) = order.peek() {
                if due > now {
                    break;
                }
                order.pop();
                if let Some(shot) = planned[index].take() {
                    self.connections[index].send(&shot)?;
                    in_flight += 1;
                    last_progress = now;
                }
            }
            self.wait(&mut events, order.peek().map(|Reverse((due, _))| *due))?;
            for event in &events {
                let index = event.token().0;
                let Some(sample) = self.receive(index)? else { continue };
                last_progress = clock::now();
                in_flight -= 1;
                samples.push(sample);
                planned[index] = next(index);
                order.extend(planned[index].as_ref().map(|shot| Reverse((shot.due, index))));
            }
            if in_flight > 0 && clock::now() - last_progress > patience {
                return Err(format!("{in_flight} requests got no answer in {patience:?}"));
            }
        }
        Ok(samples)
    }

    /// Waits for events without oversleeping: the kernel's timers are too coarse for a schedule
    /// in microseconds, so the last millisecond before a request is spun.
    fn wait(&mut self, events: &mut Events, due: Option<Instant>) -> Result<(), String> {
        const SPIN: Duration = Duration::from_millis(2);
        let left = due.map(|due| due.saturating_duration_since(clock::now()));
        let sleep = left.map_or(Duration::from_millis(100), |left| left.saturating_sub(SPIN));
        match self.poll.poll(events, Some(sleep)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => Err(format!("poll: {error}")),
            _ => {
                if events.is_empty() && sleep.is_zero() {
                    // The origin may share this core.
                    std::thread::yield_now();
                }
                Ok(())
            }
        }
    }

    fn receive(&mut self, index: usize) -> Result<Option<Sample>, String> {
        let connection = &mut self.connections[index];
        let done = match connection.read() {
            Ok(Progress::More) => return Ok(None),
            Ok(Progress::Whole) => Some(connection.status),
            Ok(Progress::Broken) | Err(_) => None,
        };
        let since = connection.waiting_since.take();
        if let (None, Some(due), true, 0) =
            (done, since, connection.is_used && connection.left.is_none(), connection.filled)
        {
            // RFC 9112 §9.3.1: a GET goes again over a new connection. Its time runs on.
            let request = std::mem::take(&mut connection.request);
            let (sent, free_since) = (connection.sent, connection.free_since);
            self.connections[index] = Connection { free_since, ..self.open(index)? };
            self.connections[index].write(request, due)?;
            self.connections[index].sent = sent;
            self.resent += 1;
            return Ok(None);
        }
        connection.is_used = true;
        let now = clock::now();
        self.unstamped += usize::from(done.is_some() && connection.stamp.is_none());
        let unseen = connection.stamp.take().and_then(|at| clock::wall().duration_since(at).ok());
        let answered = now.checked_sub(unseen.unwrap_or_default()).unwrap_or(now);
        let (sent, free_since) = (connection.sent.unwrap_or(now), connection.free_since);
        if done.is_none() || connection.closes {
            self.connections[index] = self.open(index)?;
        }
        self.connections[index].free_since = Some(answered);
        Ok(since.map(|due| {
            let held_up = free_since.map(|free| free.saturating_duration_since(due));
            let served = answered.saturating_duration_since(sent) + held_up.unwrap_or_default();
            Sample { connection: index, latency: now - due, served, status: done }
        }))
    }

    fn open(&self, index: usize) -> Result<Connection, String> {
        let failed = |error| format!("cannot connect to `{}`: {error}", self.to);
        let stream = connect(self.to, index).map_err(failed)?;
        stream.set_nonblocking(true).map_err(failed)?;
        setsockopt(&stream, ReceiveTimestampns, &true).map_err(|error| failed(error.into()))?;
        let mut stream = TcpStream::from_std(stream);
        let registry = self.poll.registry();
        registry.register(&mut stream, Token(index), Interest::READABLE).map_err(failed)?;
        Ok(Connection {
            stream,
            input: vec![0; INPUT_BYTES],
            filled: 0,
            left: None,
            status: 0,
            closes: false,
            waiting_since: None,
            sent: None,
            free_since: None,
            stamp: None,
            stamps: cmsg_space!(TimeSpec),
            request: String::new(),
            is_used: false,
        })
    }
}

/// What a read brought.
enum Progress {
    More,
    Whole,
    Broken,
}

impl Connection {
    fn send(&mut self, shot: &Shot) -> Result<(), String> {
        let client = shot.client.map(|client| format!("X-Forwarded-For: {client}\r\n"));
        let client = client.unwrap_or_default();
        let request = format!("GET {} HTTP/1.1\r\nHost: localhost\r\n{client}\r\n", shot.target);
        self.write(request, shot.due)
    }

    fn write(&mut self, request: String, due: Instant) -> Result<(), String> {
        self.waiting_since = Some(due);
        self.left = None;
        self.filled = 0;
        self.request = request;
        self.sent = Some(clock::now());
        match self.stream.write(self.request.as_bytes()) {
            Ok(sent) if sent < self.request.len() => {
                Err("a request was not sent at once".to_owned())
            }
            // A connection that the server closed meanwhile shows it on the next read.
            Ok(_) | Err(_) => Ok(()),
        }
    }

    fn read(&mut self) -> std::io::Result<Progress> {
        loop {
            let read = match self.receive() {
                Ok(0) => return Ok(Progress::Broken),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Progress::More),
                Err(error) => return Err(error),
            };
            let left = if let Some(left) = self.left {
                left.saturating_sub(read)
            } else {
                self.filled += read;
                let head = &self.input[..self.filled];
                let Some(end) = memmem::find(head, b"\r\n\r\n") else { continue };
                let Some(head) = Head::read(&head[..end]) else { return Ok(Progress::Broken) };
                self.status = head.status;
                self.closes = head.closes;
                (end + 4 + head.length).saturating_sub(self.filled)
            };
            self.filled = 0;
            if left == 0 {
                self.left = None;
                return Ok(Progress::Whole);
            }
            self.left = Some(left);
        }
    }
}

impl Connection {
    /// Reads what is there, and notes when the kernel got it.
    fn receive(&mut self) -> std::io::Result<usize> {
        let mut into = [IoSliceMut::new(&mut self.input[self.filled..])];
        let stream = self.stream.as_raw_fd();
        let got = recvmsg::<()>(stream, &mut into, Some(&mut self.stamps), MsgFlags::empty())?;
        for message in got.cmsgs()? {
            if let ControlMessageOwned::ScmTimestampns(at) = message {
                self.stamp = Some(UNIX_EPOCH + Duration::from(at));
            }
        }
        Ok(got.bytes)
    }
}

struct Head {
    status: u16,
    length: usize,
    closes: bool,
}

impl Head {
    /// `None` for a head without `Content-Length`: the objects of the benchmark all have one.
    fn read(head: &[u8]) -> Option<Head> {
        let head = std::str::from_utf8(head).ok()?;
        let status = head.get(9..12)?.parse().ok()?;
        let field = |name: &str| {
            head.lines().skip(1).find_map(|line| {
                let (found, value) = line.split_once(':')?;
                found.eq_ignore_ascii_case(name).then(|| value.trim())
            })
        };
        let length = field("content-length")?.parse().ok()?;
        let closes = field("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        Some(Head { status, length, closes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_tells_status_length_and_end() {
        let head =
            Head::read(b"HTTP/1.1 503 x\r\ncontent-length: 12\r\nConnection: Close").unwrap();
        assert_eq!((head.status, head.length, head.closes), (503, 12, true));
        assert!(Head::read(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked").is_none());
    }
}
