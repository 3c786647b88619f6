//! A collector on a real socket: it keeps what it gets and answers as a test says.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;

use super::protobuf::Read;

/// Heads and contents.
pub(crate) type Got = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

/// A collector: it keeps what it gets and answers as it is told, for each message in turn, the last for all others.
#[derive(Clone)]
pub(crate) struct Listening {
    pub(crate) port: u16,
    pub(crate) got: Got,
}

impl Listening {
    pub(crate) fn start(answers: &'static [&'static str]) -> Listening {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        listener.set_nonblocking(true).expect("it can be");
        let listener = TcpListener::from_std(listener).expect("within a runtime");
        let got = Got::default();
        let kept = Arc::clone(&got);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(collect(stream, Arc::clone(&kept), answers));
            }
        });
        Listening { port, got }
    }

    pub(crate) fn heads(&self) -> Vec<String> {
        self.got.lock().expect("no panic").iter().map(|(head, _)| head.clone()).collect()
    }

    /// Spans or metrics of all messages.
    pub(crate) fn things(&self) -> Vec<Read> {
        let got = self.got.lock().expect("no panic");
        let scopes = got.iter().flat_map(|(_, content)| Read::of(content).one(1).all(2));
        scopes.flat_map(|scope| scope.all(2)).collect()
    }
}

pub(crate) async fn collect<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    kept: Got,
    answers: &'static [&'static str],
) {
    let mut read = Vec::new();
    loop {
        let end = read.windows(4).position(|four| four == b"\r\n\r\n");
        if let Some(end) = end {
            let head = String::from_utf8_lossy(&read[..end]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.and_then(|it| it.parse().ok()).expect("a length");
            if read.len() >= end + 4 + length {
                let content = read[end + 4..end + 4 + length].to_vec();
                read.drain(..end + 4 + length);
                let nth = {
                    let mut kept = kept.lock().expect("no panic");
                    kept.push((head, content));
                    kept.len() - 1
                };
                let answer = answers.get(nth).or(answers.last()).expect("an answer");
                if answer.is_empty() {
                    // It took it and says nothing.
                    return std::future::pending().await;
                }
                if stream.write_all(answer.as_bytes()).await.is_err() {
                    return;
                }
                continue;
            }
        }
        if !matches!(stream.read_buf(&mut read).await, Ok(1..)) {
            return;
        }
    }
}

pub(crate) const TAKEN: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
pub(crate) const BUSY: &str = "HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n";
pub(crate) const WRONG: &str = "HTTP/1.1 400 Wrong\r\nContent-Length: 0\r\n\r\n";
