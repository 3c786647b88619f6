//! The shop over real sockets: what a cache and a browser rely on.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use forebay_shop::traffic::{self, Counts};
use forebay_signals::{clock, drain::Drain};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

const PATIENCE: Duration = Duration::from_secs(10);

struct Shop {
    address: SocketAddr,
    stop: Drain,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Shop {
    async fn open() -> Shop {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let stop = Drain::default();
        let serving = tokio::spawn(forebay_shop::serve(listener, "a", stop.clone()));
        Shop { address, stop, serving }
    }

    async fn ask(&self, line: &str, fields: &str, content: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.expect("the shop is open");
        let length = content.len();
        let request = format!(
            "{line} HTTP/1.1\r\nhost: shop\r\nconnection: close\r\ncontent-length: {length}\r\n{fields}\r\n{content}"
        );
        stream.write_all(request.as_bytes()).await.expect("written");
        let mut answer = Vec::new();
        let read = clock::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
        read.expect("in time").expect("read");
        String::from_utf8(answer).expect("text")
    }

    async fn get(&self, path: &str) -> String {
        self.ask(&format!("GET {path}"), "", "").await
    }
}

fn field<'a>(answer: &'a str, name: &str) -> &'a str {
    let head = answer.split("\r\n\r\n").next().expect("a head");
    head.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
        .unwrap_or_else(|| panic!("no field `{name}` in:\n{head}"))
}

#[tokio::test]
async fn pages_may_be_shared_and_say_who_made_them() {
    let shop = Shop::open().await;
    for path in ["/", "/products/heron-cup", "/search?q=cup", "/slow"] {
        let page = shop.get(path).await;
        assert!(page.starts_with("HTTP/1.1 200"), "{page}");
        assert_eq!(
            field(&page, "cache-control"),
            "public, s-maxage=10, stale-while-revalidate=30, stale-if-error=86400"
        );
        assert!(field(&page, "etag").starts_with("W/\""));
        assert!(page.contains("Made by origin <b class=\"badge\">a</b>"), "{page}");
        assert!(!page.contains("set-cookie"), "{page}");
    }
}

#[tokio::test]
async fn whoever_has_an_asset_is_told_so() {
    let shop = Shop::open().await;
    let page = shop.get("/").await;
    let style = page.split('"').find(|part| part.starts_with("/assets/shop-")).expect("a style");
    let asset = shop.get(style).await;
    assert_eq!(field(&asset, "cache-control"), "public, max-age=31536000, immutable");
    assert!(field(&page, "link").starts_with(&format!("<{style}>; rel=preload; as=style, ")));
    let fields = format!("if-none-match: {}\r\n", field(&asset, "etag"));
    let again = shop.ask(&format!("GET {style}"), &fields, "").await;
    assert!(again.starts_with("HTTP/1.1 304"), "{again}");
    assert!(again.ends_with("\r\n\r\n"), "a 304 has no content: {again}");
}

#[tokio::test]
async fn the_api_answers_in_json() {
    let shop = Shop::open().await;
    let answer = shop.get("/api/products/3").await;
    assert_eq!(field(&answer, "cache-control"), "public, s-maxage=5");
    let (_, content) = answer.split_once("\r\n\r\n").expect("content");
    let product: serde_json::Value = serde_json::from_str(content).expect("JSON");
    assert_eq!(product["name"], "Heron cup");
    assert!(shop.get("/api/products/999").await.starts_with("HTTP/1.1 404"));
    let (_, list) = shop
        .get("/api/products?q=cup")
        .await
        .split_once("\r\n\r\n")
        .map(|(a, b)| (a.len(), b.to_owned()))
        .expect("content");
    let list: serde_json::Value = serde_json::from_str(&list).expect("JSON");
    assert!(list["products"].as_array().is_some_and(|found| found.len() >= 3));
}

#[tokio::test]
async fn sign_up_needs_the_token_of_its_own_form() {
    let shop = Shop::open().await;
    let page = shop.get("/signup").await;
    assert_eq!(field(&page, "cache-control"), "private, no-store");
    let cookie = field(&page, "set-cookie").split(';').next().expect("a pair");
    let token = cookie.strip_prefix("csrf=").expect("the token");
    let form = |token: &str| format!("token={token}&name=Ada+L.&email=ada%40example.com");
    let fields = format!("cookie: {cookie}\r\n");

    let done = shop.ask("POST /signup", &fields, &form(token)).await;
    assert!(done.starts_with("HTTP/1.1 303"), "{done}");
    let name = field(&done, "set-cookie").split(';').next().expect("a pair");
    let account = shop.ask("GET /account", &format!("cookie: {name}\r\n"), "").await;
    assert!(account.contains("Good day, Ada L."), "{account}");
    assert_eq!(field(&account, "cache-control"), "private, no-store");

    let forged = shop.ask("POST /signup", &fields, &form(&"0".repeat(32))).await;
    assert!(forged.starts_with("HTTP/1.1 403"), "{forged}");
    let wrong = shop.ask("POST /signup", &fields, &format!("token={token}&name=A&email=x")).await;
    assert!(wrong.starts_with("HTTP/1.1 422"), "{wrong}");
}

#[tokio::test]
async fn a_cart_is_kept_by_its_visitor() {
    let shop = Shop::open().await;
    let added = shop.ask("POST /cart/add", "", "id=3").await;
    assert!(added.starts_with("HTTP/1.1 303"), "{added}");
    let cookie = field(&added, "set-cookie").split(';').next().expect("a pair").to_owned();
    let cart = shop.ask("GET /cart", &format!("cookie: {cookie}\r\n"), "").await;
    assert!(cart.contains("Heron cup"), "{cart}");
    assert_eq!(field(&cart, "cache-control"), "private, no-store");
    let cross = shop.ask("POST /cart/add", "sec-fetch-site: cross-site\r\n", "id=3").await;
    assert!(cross.starts_with("HTTP/1.1 403"), "{cross}");
}

#[tokio::test]
async fn events_end_when_the_shop_stops() {
    let shop = Shop::open().await;
    let mut stream = TcpStream::connect(shop.address).await.expect("the shop is open");
    stream.write_all(b"GET /events HTTP/1.1\r\nhost: shop\r\n\r\n").await.expect("written");
    let mut seen = String::new();
    let mut buffer = [0; 1_024];
    while !seen.contains("event: stock") {
        let count = clock::timeout(PATIENCE, stream.read(&mut buffer)).await;
        let count = count.expect("in time").expect("read");
        assert!(count > 0, "closed before an event: {seen}");
        seen.push_str(&String::from_utf8_lossy(&buffer[..count]));
    }
    shop.stop.begin();
    clock::timeout(PATIENCE, shop.serving).await.expect("in time").expect("no panic").expect("ok");
    assert!(TcpStream::connect(shop.address).await.is_err(), "the port is closed");
}

#[tokio::test]
async fn other_methods_are_refused() {
    let shop = Shop::open().await;
    let refusal = shop.ask("DELETE /", "", "").await;
    assert!(refusal.starts_with("HTTP/1.1 405"), "{refusal}");
    assert_eq!(field(&refusal, "allow"), "GET, HEAD, POST");
}

#[tokio::test]
async fn visitors_browse_until_they_are_stopped_and_survive_an_outage() {
    let shop = Shop::open().await;
    let (counts, stop) = (Arc::new(Counts::default()), Drain::default());
    let browsing = tokio::spawn(traffic::run(shop.address, Arc::clone(&counts), stop.clone()));
    reaches(&counts.answers, 3).await;
    shop.stop.begin();
    reaches(&counts.failures, 2).await;
    stop.begin();
    clock::timeout(PATIENCE, browsing).await.expect("in time").expect("no panic");
    assert_eq!(counts.errors.load(Ordering::Relaxed), 0);
}

async fn reaches(counter: &std::sync::atomic::AtomicU64, goal: u64) {
    let waiting = async {
        while counter.load(Ordering::Relaxed) < goal {
            clock::sleep(Duration::from_millis(5)).await;
        }
    };
    clock::timeout(PATIENCE, waiting).await.expect("the count is reached in time");
}
