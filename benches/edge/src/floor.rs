//! The floor: canned bytes for every request, by size. No server that speaks HTTP can do less.

use std::rc::Rc;
use std::time::Duration;

use crate::origin::{body_of, size_of};
use crate::serve::{self, Reply};

/// Serves `/1k`, `/16k`, `/100k` and `/1m` on `port`.
pub(crate) fn run(port: u16) -> Result<(), String> {
    let canned = ["1k", "16k", "100k", "1m"].map(|name| {
        let size = size_of(name).unwrap_or_default();
        // As long as the origin's head, so that the same number of bytes goes out.
        let head = format!(
            "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n\
             Content-Type: application/octet-stream\r\nContent-Length: {size}\r\n\
             Cache-Control: public, s-maxage=3600\r\nETag: \"0123456789abcdef\"\r\n\
             Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n\r\n"
        );
        let reply =
            Reply { head: Rc::from(head.into_bytes()), body: body_of(size), delay: Duration::ZERO };
        (name.as_bytes(), reply)
    });
    serve::run(port, move |head| {
        let path = head.get(5..).unwrap_or_default();
        let found = canned.iter().find(|(name, _)| path.starts_with(name));
        found.unwrap_or(&canned[0]).1.clone()
    })
}
