//! An origin that can be closed with all of its connections, and comes back on the same port.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// Paths with large answers.
pub(crate) const BIG: &str = "/big/";

/// The content of a path: 4 KiB of it, or 512 KiB.
pub(crate) fn content(path: &str) -> Vec<u8> {
    let length = if path.starts_with(BIG) { 512 * 1024 } else { 4096 };
    path.bytes().chain([b' ']).cycle().take(length).collect()
}

pub(crate) struct Mortal {
    pub(crate) port: u16,
    life: Option<Life>,
}

struct Life {
    is_over: Arc<AtomicBool>,
    open: Arc<Mutex<Vec<TcpStream>>>,
    accepts: JoinHandle<()>,
}

impl Mortal {
    pub(crate) fn start() -> Mortal {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        Mortal { port, life: Some(Life::of(listener)) }
    }

    /// Nobody listens, and every connection is cut where it is.
    pub(crate) fn close(&mut self) {
        let life = self.life.take().expect("it lives");
        life.is_over.store(true, Ordering::SeqCst);
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
        let (is_over, open) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (ends, list) = (Arc::clone(&is_over), Arc::clone(&open));
        let accepts = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if ends.load(Ordering::SeqCst) {
                    return;
                }
                let held = stream.try_clone().expect("a descriptor");
                list.lock().expect("nobody panicked").push(held);
                // A connection that is cut ends its own thread.
                std::thread::spawn(move || drop(serve(stream)));
            }
        });
        Life { is_over, open, accepts }
    }
}

fn serve(mut stream: TcpStream) -> io::Result<()> {
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
        let content = content(path);
        let keeps = if path.starts_with("/hit/") { "s-maxage=600" } else { "no-store" };
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nCache-Control: {keeps}\r\n\r\n",
            content.len()
        );
        let content = if lower.starts_with("head ") { &[][..] } else { &content };
        stream.write_all(&[head.as_bytes(), content].concat())?;
    }
}
