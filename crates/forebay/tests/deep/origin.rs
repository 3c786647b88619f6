//! An origin that can be closed with all of its connections, and comes back on the same port.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crate::support::wait_for;

/// Paths with large answers.
pub(crate) const BIG: &str = "/big/";
/// The field with the sum of an answer's content, as its origin has made it.
pub(crate) const SUM: &str = "content-sum";

/// The content of a path: 4 KiB of it, or 512 KiB. It begins with the number of the answer, so that no two
/// answers are equal, and repeats the path, so that none can pass for another's.
fn content(path: &str, number: usize) -> Vec<u8> {
    let begin = format!("{number} ").into_bytes();
    begin.into_iter().chain(path.bytes().chain([b' ']).cycle()).take(length(path)).collect()
}

pub(crate) fn length(path: &str) -> usize {
    if path.starts_with(BIG) { 512 * 1024 } else { 4096 }
}

/// FNV-1a of 64 bits: each byte and its place count.
pub(crate) fn sum(content: &[u8]) -> u64 {
    content.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

pub(crate) struct Mortal {
    pub(crate) port: u16,
    life: Option<Life>,
}

struct Life {
    state: Arc<State>,
    open: Arc<Mutex<Vec<TcpStream>>>,
    accepts: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    is_over: AtomicBool,
    /// From now on answers stand still in the middle of their content.
    holds: AtomicBool,
    /// Those that do.
    held: AtomicUsize,
}

impl Mortal {
    pub(crate) fn start() -> Mortal {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        Mortal { port, life: Some(Life::of(listener)) }
    }

    /// Waits until an answer stands in the middle of its content, and closes there.
    pub(crate) fn close_within_an_answer(&mut self) {
        let state = Arc::clone(&self.life.as_ref().expect("it lives").state);
        state.holds.store(true, Ordering::SeqCst);
        wait_for("an answer under way", || (state.held.load(Ordering::SeqCst) > 0).then_some(()));
        self.close();
    }

    /// Nobody listens, and every connection is cut where it is.
    pub(crate) fn close(&mut self) {
        let life = self.life.take().expect("it lives");
        life.state.is_over.store(true, Ordering::SeqCst);
        // Wakes the accept; refused only if it has ended already.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
        life.accepts.join().expect("it ended well");
        for stream in life.open.lock().expect("nobody panicked").drain(..) {
            // Fails for those that have ended already.
            drop(stream.shutdown(Shutdown::Both));
        }
    }

    pub(crate) fn reopen(&mut self) {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).expect("its port is free");
        self.life = Some(Life::of(listener));
    }
}

impl Life {
    fn of(listener: TcpListener) -> Life {
        let (state, open) = (Arc::new(State::default()), Arc::new(Mutex::new(Vec::new())));
        let (shared, list) = (Arc::clone(&state), Arc::clone(&open));
        let accepts = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if shared.is_over.load(Ordering::SeqCst) {
                    return;
                }
                let held = stream.try_clone().expect("a descriptor");
                list.lock().expect("nobody panicked").push(held);
                let state = Arc::clone(&shared);
                // A connection that is cut ends its own thread.
                std::thread::spawn(move || drop(serve(stream, &state)));
            }
        });
        Life { state, open, accepts }
    }
}

fn serve(mut stream: TcpStream, state: &State) -> io::Result<()> {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    stream.set_nodelay(true)?;
    let mut lines = BufReader::new(stream.try_clone()?);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if lines.read_line(&mut head)? == 0 {
                return stream.shutdown(Shutdown::Both);
            }
        }
        let lower = head.to_ascii_lowercase();
        let sent = lower.lines().find_map(|line| line.strip_prefix("content-length:"));
        let sent = sent.and_then(|length| length.trim().parse().ok()).unwrap_or(0);
        lines.read_exact(&mut vec![0; sent])?;
        let path = head.split(' ').nth(1).unwrap_or_default();
        let content = content(path, NUMBER.fetch_add(1, Ordering::SeqCst));
        let keeps = if path.starts_with("/hit/") { "s-maxage=600" } else { "no-store" };
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n{SUM}: {}\r\nCache-Control: {keeps}\r\n\r\n",
            content.len(),
            sum(&content)
        );
        let content = if lower.starts_with("head ") { &[][..] } else { &content };
        let (begin, end) = content.split_at(content.len() / 2);
        stream.write_all(&[head.as_bytes(), begin].concat())?;
        if state.holds.load(Ordering::SeqCst) && !end.is_empty() {
            state.held.fetch_add(1, Ordering::SeqCst);
            // The cut ends this; nobody sends any more.
            lines.read_exact(&mut [0])?;
        }
        stream.write_all(end)?;
    }
}
