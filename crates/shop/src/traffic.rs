//! A handful of visitors who browse the shop, for the demo: a few requests a second, never more.
//!
//! Popularity follows Zipf's law, as it does in shops: the first product is looked at most, the
//! k-th a k-th as often. Failures are counted, not fatal.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use forebay_signals::{clock, drain::Drain};
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::{JoinHandle, JoinSet};

use crate::assets::ASSETS;
use crate::catalog::PRODUCTS;

/// Visitors at once. With the pauses below they make about six requests a second.
const VISITORS: u64 = 4;
/// Shortest pause between two clicks.
const PAUSE_FROM_MS: u64 = 200;
/// Longest pause between two clicks.
const PAUSE_TO_MS: u64 = 1_200;
/// A visitor gives up on a page after this time.
const PATIENCE: Duration = Duration::from_secs(10);
/// Largest answer that a visitor reads.
const MAX_ANSWER_BYTES: usize = 1 << 20;
/// Words that visitors search for.
const WORDS: [&str; 6] = ["cup", "coat", "river", "lantern", "tent", "tea"];

/// What the visitors met so far.
#[derive(Debug, Default)]
pub struct Counts {
    /// Answers of any status.
    pub answers: AtomicU64,
    /// Answers whose `Cache-Status` says hit.
    pub hits: AtomicU64,
    /// Answers with a 5xx status.
    pub errors: AtomicU64,
    /// Requests without an answer.
    pub failures: AtomicU64,
}

/// Browses the shop at `address` until `stop` begins.
pub async fn run(address: SocketAddr, counts: Arc<Counts>, stop: Drain) {
    let mut visitors = JoinSet::new();
    for number in 1..=VISITORS {
        let dice = Dice::new(number);
        let counts = Arc::clone(&counts);
        visitors.spawn(Visitor { address, counts, dice, seen: BTreeSet::new() }.browse());
    }
    // Visitors browse without an end: dropping the set is how they leave.
    stop.begun().await;
}

struct Visitor {
    address: SocketAddr,
    counts: Arc<Counts>,
    dice: Dice,
    seen: BTreeSet<String>,
}

impl Visitor {
    async fn browse(mut self) {
        let mut connection = None;
        loop {
            let path = self.next_path();
            let pause = PAUSE_FROM_MS + self.dice.below(PAUSE_TO_MS - PAUSE_FROM_MS);
            clock::sleep(Duration::from_millis(pause)).await;
            let asking = clock::timeout(PATIENCE, self.ask(&mut connection, &path)).await;
            if let Ok(Some((status, verdict))) = asking {
                self.count(status, &verdict);
            } else {
                connection = None;
                self.counts.failures.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Mostly products by popularity, then the front page, searches, the API and private pages.
    fn next_path(&mut self) -> String {
        if let Some(path) = self.asset() {
            return path;
        }
        match self.dice.below(100) {
            0..20 => "/".into(),
            20..72 => PRODUCTS
                .get(self.dice.zipf(PRODUCTS.len()))
                .map_or_else(|| "/".into(), |product| format!("/products/{}", product.slug)),
            72..82 => {
                let word = self.dice.below(WORDS.len() as u64);
                let word = usize::try_from(word).ok().and_then(|word| WORDS.get(word));
                format!("/search?q={}", word.unwrap_or(&"cup"))
            }
            82..88 => format!("/api/products/{}", 1 + self.dice.zipf(PRODUCTS.len())),
            88..93 => "/slow".into(),
            93..97 => "/cart".into(),
            _ => "/signup".into(),
        }
    }

    /// A file that this visitor's browser does not have yet; now and then a new browser comes.
    fn asset(&mut self) -> Option<String> {
        if self.dice.below(60) == 0 {
            self.seen.clear();
        }
        if self.dice.below(4) > 0 {
            return None;
        }
        let path = ASSETS.paths().find(|path| !self.seen.contains(*path))?.to_owned();
        self.seen.insert(path.clone());
        Some(path)
    }

    async fn ask(
        &self,
        connection: &mut Option<Connection>,
        path: &str,
    ) -> Option<(StatusCode, String)> {
        if connection.as_ref().is_none_or(|open| open.sender.is_closed()) {
            *connection = Some(Connection::open(self.address).await?);
        }
        let sender = &mut connection.as_mut()?.sender;
        let request = Request::get(path)
            .header(header::HOST, self.address.to_string())
            .header(header::USER_AGENT, "forebay-demo-visitor")
            .header(header::ACCEPT_ENCODING, "gzip, br, zstd")
            .body(Empty::<Bytes>::new())
            .ok()?;
        sender.ready().await.ok()?;
        let (head, body) = sender.send_request(request).await.ok()?.into_parts();
        Limited::new(body, MAX_ANSWER_BYTES).collect().await.ok()?;
        let verdict = head.headers.get("cache-status").and_then(|value| value.to_str().ok());
        Some((head.status, verdict.unwrap_or_default().to_owned()))
    }

    fn count(&self, status: StatusCode, verdict: &str) {
        self.counts.answers.fetch_add(1, Ordering::Relaxed);
        if status.is_server_error() {
            self.counts.errors.fetch_add(1, Ordering::Relaxed);
        }
        if verdict.split(';').any(|part| part.trim() == "hit") {
            self.counts.hits.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A connection and the task that moves its bytes.
struct Connection {
    sender: SendRequest<Empty<Bytes>>,
    driver: JoinHandle<()>,
}

impl Connection {
    async fn open(address: SocketAddr) -> Option<Connection> {
        let stream = TcpStream::connect(address).await.ok()?;
        let (sender, driver) = handshake(TokioIo::new(stream)).await.ok()?;
        let driver = tokio::spawn(async move { drop(driver.await) });
        Some(Connection { sender, driver })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// A small generator of numbers (xorshift64): visitors need variety, not secrets.
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Dice {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        for _ in 0..8 {
            dice.next();
        }
        dice
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    /// An index with a chance of 1/(index + 1), by weights in thousandths.
    fn zipf(&mut self, count: usize) -> usize {
        let weight = |index: usize| 1_000 / (index as u64 + 1);
        let mut left = self.below((0..count).map(weight).sum());
        (0..count)
            .find(|index| match left.checked_sub(weight(*index)) {
                Some(rest) => {
                    left = rest;
                    false
                }
                None => true,
            })
            .unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_looked_at_most() {
        let mut dice = Dice::new(7);
        let mut looks = [0_u32; 24];
        for _ in 0..20_000 {
            looks[dice.zipf(24)] += 1;
        }
        assert!(looks[0] > looks[1] && looks[1] > looks[3] && looks[3] > looks[11]);
        assert!(looks.iter().all(|looks| *looks > 0));
    }
}
