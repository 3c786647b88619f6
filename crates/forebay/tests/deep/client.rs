//! A client that keeps its connection, and knows whether an answer is whole.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::origin::{SUM, length, sum};
use crate::support::wait_for;

const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Client {
    port: u16,
    stream: Option<BufReader<TcpStream>>,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) content: Vec<u8>,
}

impl Answer {
    /// Panics unless this is what the origin has made for `path`, byte for byte.
    pub(crate) fn check(&self, path: &str) {
        let fields = self.head.lines().filter_map(|line| line.split_once(": "));
        let found = fields.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(SUM));
        let expected = found.and_then(|(_, sum)| sum.parse().ok());
        assert_eq!(Some(sum(&self.content)), expected, "`{path}` has other content: {}", self.head);
        assert_eq!(self.content.len(), length(path), "{}", self.head);
        let text = String::from_utf8_lossy(&self.content);
        assert_eq!(text.split(' ').nth(1), Some(path), "it is another path's");
    }

    pub(crate) fn is_failure_of_ours(&self) -> bool {
        self.status >= 500 && self.head.to_ascii_lowercase().contains("\r\nforebay-error:")
    }
}

impl Client {
    pub(crate) fn of(port: u16) -> Client {
        Client { port, stream: None }
    }

    pub(crate) fn get(&mut self, path: &str, more: &str) -> io::Result<Answer> {
        self.ask("GET", path, more, &[])?;
        self.answer(|stream, content| stream.read_exact(content))
    }

    pub(crate) fn head(&mut self, path: &str) -> io::Result<Answer> {
        self.ask("HEAD", path, "", &[])?;
        self.answer(|_, content| {
            content.clear();
            Ok(())
        })
    }

    pub(crate) fn post(&mut self, path: &str, content: &[u8]) -> io::Result<Answer> {
        self.ask("POST", path, &format!("Content-Length: {}\r\n", content.len()), content)?;
        self.answer(|stream, content| stream.read_exact(content))
    }

    pub(crate) fn get_slowly(&mut self, path: &str) -> io::Result<Answer> {
        self.ask("GET", path, "", &[])?;
        self.answer(|stream, content| {
            content.chunks_mut(32 * 1024).try_for_each(|part| {
                pause(Duration::from_millis(20));
                stream.read_exact(part)
            })
        })
    }

    /// Goes away after this much of the answer.
    pub(crate) fn leave(&mut self, path: &str, after: usize) {
        self.ask("GET", path, "", &[]).expect("asked");
        let stream = self.stream.as_mut().expect("it is open");
        stream.read_exact(&mut vec![0; after]).expect("the beginning of an answer");
        self.stream = None;
    }

    fn ask(&mut self, method: &str, path: &str, more: &str, content: &[u8]) -> io::Result<()> {
        if self.stream.is_none() {
            // While a server is replaced nobody listens.
            let port = self.port;
            let connect = || TcpStream::connect(("127.0.0.1", port)).ok();
            let stream = wait_for("a connection", connect);
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_nodelay(true)?;
            self.stream = Some(BufReader::new(stream));
        }
        let stream = self.stream.as_mut().expect("it was opened").get_mut();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: shop.example\r\n{more}\r\n");
        stream.write_all(&[head.as_bytes(), content].concat())
    }

    fn answer(
        &mut self,
        read: impl FnOnce(&mut BufReader<TcpStream>, &mut Vec<u8>) -> io::Result<()>,
    ) -> io::Result<Answer> {
        let mut stream = self.stream.take().expect("something was asked");
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head)? == 0 {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    format!("after `{head}`"),
                ));
            }
        }
        let status = head.get(9..12).and_then(|status| status.parse().ok()).expect("a status");
        let lower = head.to_ascii_lowercase();
        let length = lower.lines().find_map(|line| line.strip_prefix("content-length:"));
        let length = length.unwrap_or_else(|| panic!("no length in {head}")).trim();
        let mut content = vec![0; length.parse().expect("a number")];
        read(&mut stream, &mut content)?;
        if !lower.contains("connection: close") {
            self.stream = Some(stream);
        }
        Ok(Answer { status, head, content })
    }
}

/// A pause that ends by its time: nobody sends.
pub(crate) fn pause(time: Duration) {
    let (sender, receiver) = std::sync::mpsc::sync_channel::<()>(0);
    assert!(receiver.recv_timeout(time).is_err());
    drop(sender);
}
