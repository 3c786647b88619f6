//! The loop under the floor and the origin: read until a blank line, answer with one `writev`.
//!
//! Nothing of HTTP is checked and nothing but GET is understood: the loop is the least that a
//! server can do for a request, which is what the floor is for.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{ErrorKind, IoSlice, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use forebay_signals::clock;
use memchr::memmem::Finder;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

/// Room for one head; what comes in is our own clients' and the servers' under test.
const INPUT_BYTES: usize = 16 * 1024;
const LISTENER: Token = Token(usize::MAX);

/// What goes back for one request.
#[derive(Clone)]
pub(crate) struct Reply {
    /// Status line and fields, blank line included.
    pub(crate) head: Rc<[u8]>,
    /// Content.
    pub(crate) body: Rc<[u8]>,
    /// How long to think first.
    pub(crate) delay: Duration,
}

/// Serves on `port` for ever; `answer` gets each head.
pub(crate) fn run(port: u16, answer: impl FnMut(&[u8]) -> Reply) -> Result<(), String> {
    Loop::bind(port, answer).and_then(Loop::turn).map_err(|error| format!("serve: {error}"))
}

struct Loop<A> {
    poll: Poll,
    listener: TcpListener,
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    delayed: BinaryHeap<Reverse<(Instant, usize, u64)>>,
    opened: u64,
    blank_line: Finder<'static>,
    answer: A,
}

struct Connection {
    stream: TcpStream,
    /// Tells this connection from an earlier one in the same place.
    serial: u64,
    input: Box<[u8]>,
    filled: usize,
    output: Option<Output>,
}

struct Output {
    reply: Reply,
    due: Option<Instant>,
    sent: usize,
}

/// What a connection waits for after a turn.
enum Turn {
    /// The next event.
    Wait,
    /// The time of its answer.
    Delay(Instant),
    /// Nothing: it is over.
    Close,
}

/// How much of the answer is out.
enum Flushed {
    Nothing,
    Partly,
    All,
}

impl<A: FnMut(&[u8]) -> Reply> Loop<A> {
    fn bind(port: u16, answer: A) -> std::io::Result<Self> {
        let mut listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
        let poll = Poll::new()?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Loop {
            poll,
            listener,
            connections: Vec::new(),
            free: Vec::new(),
            delayed: BinaryHeap::new(),
            opened: 0,
            blank_line: Finder::new(b"\r\n\r\n"),
            answer,
        })
    }

    fn turn(mut self) -> std::io::Result<()> {
        let mut events = Events::with_capacity(1024);
        loop {
            let wait = self.delayed.peek().map(|Reverse((due, ..))| {
                due.saturating_duration_since(clock::now()) + Duration::from_millis(1)
            });
            match self.poll.poll(&mut events, wait) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                outcome => outcome?,
            }
            for event in &events {
                if event.token() == LISTENER {
                    self.accept()?;
                } else {
                    self.serve(event.token().0, event.is_readable());
                }
            }
            if !self.delayed.is_empty() {
                self.release();
            }
        }
    }

    fn accept(&mut self) -> std::io::Result<()> {
        loop {
            let mut stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            stream.set_nodelay(true)?;
            let place = self.free.pop().unwrap_or_else(|| {
                self.connections.push(None);
                self.connections.len() - 1
            });
            let both = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut stream, Token(place), both)?;
            self.opened += 1;
            self.connections[place] = Some(Connection {
                stream,
                serial: self.opened,
                input: vec![0; INPUT_BYTES].into(),
                filled: 0,
                output: None,
            });
        }
    }

    /// Sends the answers whose time has come.
    fn release(&mut self) {
        let now = clock::now();
        while let Some(&Reverse((due, place, serial))) = self.delayed.peek() {
            if due > now {
                return;
            }
            self.delayed.pop();
            let Some(connection) = self.connections[place].as_mut() else { continue };
            if connection.serial == serial {
                connection.output.as_mut().into_iter().for_each(|output| output.due = None);
                self.serve(place, true);
            }
        }
    }

    fn serve(&mut self, place: usize, is_readable: bool) {
        let Some(connection) = self.connections[place].as_mut() else { return };
        match connection.turn(is_readable, &self.blank_line, &mut self.answer) {
            Ok(Turn::Wait) => {}
            Ok(Turn::Delay(due)) => {
                self.delayed.push(Reverse((due, place, connection.serial)));
            }
            Ok(Turn::Close) | Err(_) => {
                self.connections[place] = None;
                self.free.push(place);
            }
        }
    }
}

impl Connection {
    fn turn(
        &mut self,
        is_readable: bool,
        blank_line: &Finder<'_>,
        answer: &mut impl FnMut(&[u8]) -> Reply,
    ) -> std::io::Result<Turn> {
        loop {
            match self.flush()? {
                Flushed::Partly => return Ok(Turn::Wait),
                // A short read has emptied the socket: the next bytes bring a new event.
                Flushed::All if self.filled == 0 => return Ok(Turn::Wait),
                Flushed::All | Flushed::Nothing => {}
            }
            if let Some(end) = blank_line.find(&self.input[..self.filled]).map(|at| at + 4) {
                let reply = answer(&self.input[..end]);
                let due = (!reply.delay.is_zero()).then(|| clock::now() + reply.delay);
                self.input.copy_within(end..self.filled, 0);
                self.filled -= end;
                self.output = Some(Output { reply, due, sent: 0 });
                if let Some(due) = due {
                    return Ok(Turn::Delay(due));
                }
                continue;
            }
            if !is_readable {
                return Ok(Turn::Wait);
            }
            match self.stream.read(&mut self.input[self.filled..]) {
                Ok(0) => return Ok(Turn::Close),
                Ok(read) => self.filled += read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Turn::Wait),
                Err(error) => return Err(error),
            }
        }
    }

    fn flush(&mut self) -> std::io::Result<Flushed> {
        let Some(output) = self.output.as_mut() else { return Ok(Flushed::Nothing) };
        if output.due.is_some() {
            return Ok(Flushed::Partly);
        }
        let (head, body) = (&output.reply.head, &output.reply.body);
        while output.sent < head.len() + body.len() {
            let parts = [
                IoSlice::new(&head[output.sent.min(head.len())..]),
                IoSlice::new(&body[output.sent.saturating_sub(head.len())..]),
            ];
            match self.stream.write_vectored(&parts) {
                Ok(sent) => output.sent += sent,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Flushed::Partly),
                Err(error) => return Err(error),
            }
        }
        self.output = None;
        Ok(Flushed::All)
    }
}
