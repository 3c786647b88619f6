//! How the verbs talk to a running forebay: HTTP over the admin listener.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::report::Problem;

/// A reload reads files and resolves names; nothing else takes this long.
const PATIENCE: Duration = Duration::from_secs(30);
/// Largest answer that is read.
const MOST_BYTES: u64 = 64 << 20;

/// Reads a page.
pub(crate) fn read<T: DeserializeOwned>(admin: &str, path: &str) -> Result<T, Problem> {
    ask(admin, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"))
}

/// Acts.
pub(crate) fn act<T: DeserializeOwned>(
    admin: &str,
    path: &str,
    question: &serde_json::Value,
) -> Result<T, Problem> {
    let content = question.to_string();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{content}",
        content.len()
    );
    ask(admin, &head)
}

fn ask<T: DeserializeOwned>(admin: &str, message: &str) -> Result<T, Problem> {
    let unreachable = |error: io::Error| {
        Problem::new(format!("cannot reach a running forebay at `{admin}`"))
            .because(error)
            .hint("start one with `forebay run`, or name its admin listener with `--admin`")
    };
    let raw = exchange(admin, message.as_bytes()).map_err(unreachable)?;
    let broken = || Problem::ours(format!("the answer of `{admin}` is not one of a forebay"));
    let split = raw.windows(4).position(|four| four == b"\r\n\r\n").ok_or_else(broken)?;
    let (head, content) = (&raw[..split], &raw[split + 4..]);
    let status = head.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok());
    if status == Some("200") {
        return serde_json::from_slice(content).map_err(|error| broken().because(error));
    }
    let said: serde_json::Value = serde_json::from_slice(content).map_err(|_| broken())?;
    Err(Problem::new(said["error"].as_str().unwrap_or("refused").to_owned()))
}

fn exchange(admin: &str, message: &[u8]) -> io::Result<Vec<u8>> {
    if let Some(path) = admin.strip_prefix("unix:") {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        return talk(stream, message);
    }
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in admin.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, Duration::from_secs(3)) {
            Ok(stream) => {
                stream.set_read_timeout(Some(PATIENCE))?;
                return talk(stream, message);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn talk<S: Read + Write>(mut stream: S, message: &[u8]) -> io::Result<Vec<u8>> {
    stream.write_all(message)?;
    let mut raw = Vec::new();
    stream.take(MOST_BYTES).read_to_end(&mut raw)?;
    Ok(raw)
}
