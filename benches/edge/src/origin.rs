//! The origin: bodies of fixed size with a grant to shared caches.
//!
//! `/1k /16k /100k /1m` may be stored for an hour; `/nocache/SIZE` may not be stored;
//! `/object/N` is one of any number of 1 KB objects; `/slow?ms=N` answers after N ms and may be
//! stored; `/work?ms=N` is done by one worker that takes N ms for each and refuses with 503 what would have to
//! wait for more than 32 others, which takes a twentieth of the work; `/count` says how many requests came, itself and `/1k?ready` apart.

use std::collections::HashMap;
use std::fmt::Write;
use std::rc::Rc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use forebay_signals::clock;

use crate::serve::{self, Reply};

const STORABLE: &str = "public, s-maxage=3600";
const UNSTORABLE: &str = "no-store";
pub(crate) const KIB: usize = 1024;
/// Requests that may wait for the worker of `/work`.
const QUEUE: u32 = 32;
/// A refusal takes this part of the work.
const REFUSAL_PART: u32 = 20;

/// Serves on `port` for ever.
pub(crate) fn run(port: u16) -> Result<(), String> {
    let mut origin = Origin::default();
    serve::run(port, move |head| origin.answer(head))
}

/// `1k` to 1024, at most 1 MiB.
pub(crate) fn size_of(name: &str) -> Option<usize> {
    let (digits, unit) = match name.strip_suffix('k') {
        Some(digits) => (digits, KIB),
        None => (name.strip_suffix('m')?, KIB * KIB),
    };
    let size = digits.parse::<usize>().ok()?.checked_mul(unit)?;
    (size <= KIB * KIB).then_some(size)
}

/// Printable bytes that do not repeat soon.
pub(crate) fn body_of(size: usize) -> Rc<[u8]> {
    let mut state = 0x9e37_79b9_u32;
    (0..size)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            b'a' + (state >> 24) as u8 % 26
        })
        .collect()
}

/// `ms=N` of a query, or the usual time.
fn time(query: &str, usual_ms: u64) -> Duration {
    let ms = query.split('&').find_map(|pair| pair.strip_prefix("ms=")?.parse().ok());
    Duration::from_millis(ms.unwrap_or(usual_ms))
}

#[derive(Default)]
struct Origin {
    bodies: HashMap<usize, Rc<[u8]>>,
    count: u64,
    date: String,
    date_second: u64,
    /// When the one worker of `/work` has done what waits for it.
    free_at: Option<Instant>,
}

impl Origin {
    fn answer(&mut self, head: &[u8]) -> Reply {
        let target = head.split(|&byte| byte == b' ').nth(1).unwrap_or_default();
        let target = String::from_utf8_lossy(target);
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        if path == "/count" {
            let count = self.count.to_string().into_bytes();
            return self.reply("200 OK", UNSTORABLE, Rc::from(count));
        }
        if query != "ready" {
            self.count += 1;
        }
        if path.starts_with("/object/") {
            let body = self.body(KIB);
            return self.reply("200 OK", STORABLE, body);
        }
        if let Some(number) = path.strip_prefix("/tagged/") {
            let body = self.body(KIB);
            let grant = format!("{STORABLE}\r\nSurrogate-Key: all shelf-{number} product-{number}");
            return self.reply("200 OK", &grant, body);
        }
        if path == "/slow" {
            let body = self.body(KIB);
            let reply = self.reply("200 OK", STORABLE, body);
            return Reply { delay: time(query, 200), ..reply };
        }
        if path == "/work" {
            return self.work(time(query, 5));
        }
        let (name, grant) = match path.strip_prefix("/nocache/") {
            Some(name) => (name, UNSTORABLE),
            None => (path.trim_start_matches('/'), STORABLE),
        };
        match size_of(name) {
            Some(size) => {
                let body = self.body(size);
                self.reply("200 OK", grant, body)
            }
            None => self.reply("404 Not Found", UNSTORABLE, Rc::from(&b"not found\n"[..])),
        }
    }

    fn work(&mut self, each: Duration) -> Reply {
        let now = clock::now();
        let free_at = self.free_at.map_or(now, |at| at.max(now));
        if free_at - now >= each * QUEUE {
            self.free_at = Some(free_at + each / REFUSAL_PART);
            let body = Rc::from(&b"busy\n"[..]);
            return self.reply("503 Service Unavailable\r\nRetry-After: 1", UNSTORABLE, body);
        }
        let done_at = free_at + each;
        self.free_at = Some(done_at);
        let body = self.body(KIB);
        let reply = self.reply("200 OK", UNSTORABLE, body);
        Reply { delay: done_at - now, ..reply }
    }

    fn reply(&mut self, status: &str, grant: &str, body: Rc<[u8]>) -> Reply {
        let mut head = String::with_capacity(320);
        let size = body.len();
        // A `String` takes every byte, so the write cannot fail; about 230 bytes of fields.
        let outcome = write!(
            head,
            "HTTP/1.1 {status}\r\nDate: {}\r\nContent-Type: application/octet-stream\r\n\
             Content-Length: {size}\r\nCache-Control: {grant}\r\nETag: \"0123456789abcdef\"\r\n\
             Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n\r\n",
            self.date()
        );
        debug_assert!(outcome.is_ok());
        Reply { head: Rc::from(head.into_bytes()), body, delay: Duration::ZERO }
    }

    fn body(&mut self, size: usize) -> Rc<[u8]> {
        self.bodies.entry(size).or_insert_with(|| body_of(size)).clone()
    }

    fn date(&mut self) -> &str {
        let now = clock::wall();
        let second = now.duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs());
        if second != self.date_second {
            self.date_second = second;
            self.date = httpdate::fmt_http_date(now);
        }
        &self.date
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_gives_its_size_and_grant() {
        let mut origin = Origin::default();
        for (path, size) in [("/1k", 1024), ("/100k", 102_400), ("/nocache/16k", 16_384)] {
            let reply = origin.answer(format!("GET {path} HTTP/1.1\r\n\r\n").as_bytes());
            assert_eq!(reply.body.len(), size, "{path}");
            let head = String::from_utf8(reply.head.to_vec()).unwrap();
            assert_eq!(head.contains("no-store"), path.contains("nocache"), "{head}");
        }
        let reply = origin.answer(b"GET /unknown HTTP/1.1\r\n\r\n");
        assert!(reply.head.starts_with(b"HTTP/1.1 404"));
    }

    #[test]
    fn only_questions_for_the_count_are_not_counted() {
        let mut origin = Origin::default();
        for target in ["/object/1", "/slow?ms=7", "/count", "/1k?ready"] {
            let reply = origin.answer(format!("GET {target} HTTP/1.1\r\n\r\n").as_bytes());
            assert_eq!(reply.delay.as_millis(), if target == "/slow?ms=7" { 7 } else { 0 });
        }
        assert_eq!(&*origin.answer(b"GET /count HTTP/1.1\r\n\r\n").body, b"2");
    }
}
