//! Early hints on real sockets: those of the application, and those made of what its pages link to.

use std::future::{Future, poll_fn};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use forebay_edge::cache::store::{Effect, Selection};
use forebay_edge::config::Config;
use forebay_edge::config::origin::{Address, Origin, Server};
use forebay_edge::config::route::EarlyHints;
use forebay_edge::config::users::{BasicAuth, Users};
use forebay_signals::clock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::support::{World, always, request, until, with_world};

const NAVIGATES: &str = "Sec-Fetch-Mode: navigate\r\n";
const HINT: &str = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload; as=style\r\n\
                    Set-Cookie: early=1\r\nSurrogate-Key: secret\r\n\r\n";
const PASSED: &str = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload; as=style\r\n\r\n";
const PAGE: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\
                    Cache-Control: max-age=60\r\n\r\npage";

/// An origin that says one thing at once, and another when the test lets it.
#[derive(Clone)]
struct Stage {
    lines: Arc<Mutex<(String, String)>>,
    /// Answers that it may give.
    may_answer: Arc<Semaphore>,
    asked: Arc<AtomicUsize>,
}

impl Stage {
    fn says(&self, at_once: &str, then: &str) {
        *self.lines.lock().expect("no panic") = (at_once.to_owned(), then.to_owned());
    }

    fn answer(&self) {
        self.may_answer.add_permits(1);
    }

    async fn serve(self, listener: TcpListener) {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let stage = self.clone();
            connections.spawn(async move { drop(stage.converse(stream).await) });
        }
    }

    async fn converse(self, mut stream: TcpStream) -> std::io::Result<()> {
        loop {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await?);
            }
            self.asked.fetch_add(1, Ordering::SeqCst);
            let (at_once, then) = self.lines.lock().expect("no panic").clone();
            stream.write_all(at_once.as_bytes()).await?;
            self.may_answer.acquire().await.expect("it stays open").forget();
            stream.write_all(then.as_bytes()).await?;
        }
    }
}

fn with_stage<F: Future<Output = ()>>(hints: EarlyHints, test: impl FnOnce(World, Stage) -> F) {
    let bound = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    bound.set_nonblocking(true).expect("a socket of ours");
    let port = bound.local_addr().expect("bound").port();
    let edit = |config: &mut Config| {
        let mut origin =
            Origin::new("app", vec![Server::plain(Address::Tcp("127.0.0.1".into(), port))]);
        origin.breaker_failures = u32::MAX;
        config.origins = vec![Arc::new(origin)];
        config.routes[0].early_hints = hints;
    };
    with_world(always(""), edit, |world| async move {
        let may_answer = Arc::new(Semaphore::new(0));
        let stage = Stage { lines: Arc::default(), may_answer, asked: Arc::default() };
        let listener = TcpListener::from_std(bound).expect("a runtime");
        let serving = tokio::spawn(stage.clone().serve(listener));
        test(world, stage).await;
        serving.abort();
    });
}

/// A client that has asked.
struct Client(TcpStream);

impl Client {
    async fn ask(world: &World, message: &str) -> Client {
        let address = ("127.0.0.1", world.port);
        let mut stream = TcpStream::connect(address).await.expect("the edge listens");
        stream.write_all(message.as_bytes()).await.expect("written");
        Client(stream)
    }

    async fn open(world: &World, path: &str, fields: &str) -> Client {
        Client::ask(world, &request("GET", path, &format!("{NAVIGATES}{fields}"))).await
    }

    /// The next head, whatever it is.
    async fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.0.read_u8().await.expect("a whole head"));
        }
        String::from_utf8(head).expect("text")
    }

    async fn rest(mut self) -> String {
        let mut text = String::new();
        self.0.read_to_string(&mut text).await.expect("an answer");
        text
    }
}

/// A page that is asked for anew each time, with these fields.
fn page(fields: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 4\r\n{fields}\r\npage")
}

/// Opens the page once, so that what it links to is known.
async fn visit(world: &World, stage: &Stage, fields: &str, answer: &str) -> String {
    stage.says("", answer);
    stage.answer();
    Client::open(world, "/a", fields).await.rest().await
}

/// What the next visitor is told before there is an answer; the answer, if nothing.
async fn told(world: &World, stage: &Stage, fields: &str) -> String {
    let made = world.edge.hints.made.value();
    let asked = stage.asked.load(Ordering::SeqCst);
    let mut client = Client::open(world, "/a", fields).await;
    until("it is asked", || stage.asked.load(Ordering::SeqCst) > asked).await;
    if world.edge.hints.made.value() == made {
        stage.answer();
    }
    let head = client.head().await;
    if head.starts_with("HTTP/1.1 103") {
        stage.answer();
        let rest = client.rest().await;
        assert!(rest.starts_with("HTTP/1.1 200"), "{rest}");
    }
    head
}

#[test]
fn a_hint_that_comes_in_one_packet_with_its_answer_is_passed_on() {
    // RFC 9110 §15.2: whoever did not ask for it itself must forward it.
    with_stage(EarlyHints::Pass, |world, stage| async move {
        stage.says("", &format!("{HINT}{PAGE}"));
        stage.answer();
        let mut client = Client::open(&world, "/together", "").await;
        assert_eq!(client.head().await, PASSED);
        let rest = client.rest().await;
        assert!(rest.starts_with("HTTP/1.1 200") && rest.ends_with("page"), "{rest}");
    });
}

#[test]
fn a_hint_of_the_application_comes_before_its_answer() {
    with_stage(EarlyHints::default(), |world, stage| async move {
        stage.says(HINT, PAGE);
        let mut client = Client::open(&world, "/a", "").await;
        assert_eq!(client.head().await, PASSED);
        assert_eq!(world.edge.hints.passed.value(), 1);
        stage.answer();
        let answer = client.rest().await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(!answer.contains("a.css") && !answer.contains(" 103 "), "{answer}");
        // What is stored is the answer alone, and it comes without a word before it.
        let hit = Client::open(&world, "/a", "").await.rest().await;
        assert!(hit.starts_with("HTTP/1.1 200") && hit.contains("Forebay; hit"), "{hit}");
        assert!(!hit.contains("a.css") && !hit.contains("early"), "{hit}");
    });
}

#[test]
fn a_hint_passes_where_nothing_may_be_stored() {
    with_stage(EarlyHints::Pass, |world, stage| async move {
        let private = page("Cache-Control: private\r\n");
        stage.says(HINT, &private);
        for _ in 0..2 {
            let mut client = Client::open(&world, "/a", "Cookie: user=1\r\n").await;
            assert_eq!(client.head().await, PASSED);
            stage.answer();
            assert!(client.rest().await.ends_with("page"));
        }
    });
}

#[test]
fn who_has_no_use_for_hints_gets_none() {
    let old = "GET /old HTTP/1.0\r\nHost: shop.example\r\nSec-Fetch-Mode: navigate\r\n\r\n";
    let post = format!("Content-Length: 0\r\n{NAVIGATES}");
    for (hints, message) in [
        (EarlyHints::Pass, request("GET", "/a", "")),
        (EarlyHints::Pass, request("GET", "/a", "Sec-Fetch-Mode: cors\r\n")),
        (EarlyHints::Pass, request("HEAD", "/a", NAVIGATES)),
        (EarlyHints::Pass, request("POST", "/a", &post)),
        (EarlyHints::Pass, old.to_owned()),
        (EarlyHints::Off, request("GET", "/a", NAVIGATES)),
    ] {
        with_stage(hints, |world, stage| async move {
            stage.says(HINT, PAGE);
            let client = Client::ask(&world, &message).await;
            // Long enough for the edge to pass it on, if it would.
            clock::sleep(Duration::from_millis(50)).await;
            stage.answer();
            let answer = client.rest().await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{message}{answer}");
            assert_eq!(world.edge.hints.passed.value(), 0, "{message}");
        });
    }
}

#[test]
fn a_hint_comes_over_http2() {
    with_stage(EarlyHints::Pass, |world, stage| async move {
        stage.says(HINT, PAGE);
        let address = ("127.0.0.1", world.port);
        let stream = TcpStream::connect(address).await.expect("the edge listens");
        let (mut sends, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
        let connection = tokio::spawn(connection);
        let mut asked = Vec::new();
        for mode in ["navigate", "cors", "navigate"] {
            let request = http::Request::get("http://shop.example/a")
                .header("sec-fetch-mode", mode)
                .body(())
                .expect("a request");
            let (mut answer, _) = sends.send_request(request, true).expect("it is sent");
            let mut hint = None;
            if mode == "navigate" && asked.is_empty() {
                hint = poll_fn(|context| answer.poll_informational(context)).await;
                stage.answer();
            }
            let hint = hint.map(|hint| hint.expect("no error"));
            let answer = answer.await.expect("an answer");
            assert_eq!(answer.status(), 200);
            let content = answer.into_body().data().await.expect("content").expect("whole");
            assert_eq!(content, "page");
            asked.push(hint);
        }
        // The other two are a hit, which says it all at once.
        let [Some(hint), None, None] = &asked[..] else { panic!("{asked:?}") };
        assert_eq!((hint.status().as_u16(), hint.headers().len()), (103, 1));
        assert_eq!(hint.headers()["link"], "</a.css>; rel=preload; as=style");
        assert_eq!(world.edge.hints.passed.value(), 1);
        connection.abort();
    });
}

#[test]
fn a_hostile_application_cannot_flood_a_client_with_hints() {
    with_stage(EarlyHints::Pass, |world, stage| async move {
        // Endless ones are cut: an error is the answer.
        stage.says(&HINT.repeat(20), &HINT.repeat(20));
        let mut client = Client::open(&world, "/a", "").await;
        for _ in 0..8 {
            assert_eq!(client.head().await, PASSED);
        }
        until("the rest is dropped", || world.edge.hints.dropped.value() == 12).await;
        stage.answer();
        let answer = client.rest().await;
        assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
        // One that is too large is no reason to drop the next.
        let large = format!("HTTP/1.1 103 Early Hints\r\nLink: <{}>\r\n\r\n", "x".repeat(17_000));
        stage.says(&format!("{large}HTTP/1.1 102 Processing\r\n\r\n{HINT}"), PAGE);
        let mut client = Client::open(&world, "/a", "").await;
        assert_eq!(client.head().await, PASSED);
        stage.answer();
        assert!(client.rest().await.starts_with("HTTP/1.1 200"));
    });
}

#[test]
fn a_client_that_leaves_after_a_hint_harms_nobody() {
    with_stage(EarlyHints::Pass, |world, stage| async move {
        stage.says(HINT, PAGE);
        let mut leaver = Client::open(&world, "/a", "").await;
        assert_eq!(leaver.head().await, PASSED);
        let stayer = Client::open(&world, "/a", "").await;
        until("both are there", || world.edge.in_flight.count() == 2).await;
        drop(leaver);
        until("one has left", || world.edge.in_flight.count() == 1).await;
        stage.answer();
        assert!(stayer.rest().await.starts_with("HTTP/1.1 200"));
    });
}

#[test]
fn a_page_is_hinted_at_by_the_links_of_its_last_answer() {
    with_stage(EarlyHints::Make, |world, stage| async move {
        let links = "Cache-Control: max-age=0\r\nETag: \"1\"\r\n\
                     Link: </a.css>; rel=preload; as=style; nonce=n, \
                     </next>; rel=next, <https://cdn.example>; rel=preconnect\r\n";
        let first = visit(&world, &stage, "", &page(links)).await;
        assert!(first.starts_with("HTTP/1.1 200"), "{first}");
        let made = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload; as=style, \
                    <https://cdn.example>; rel=preconnect\r\n\r\n";
        for fields in ["", "Cookie: of=another\r\n"] {
            assert_eq!(told(&world, &stage, fields).await, made);
        }
        // Another page, and a client that opens none.
        let cors = request("GET", "/a", "Sec-Fetch-Mode: cors\r\n");
        for client in [Client::open(&world, "/b", "").await, Client::ask(&world, &cors).await] {
            stage.answer();
            assert!(client.rest().await.starts_with("HTTP/1.1 200"));
        }
        // Whoever waits for another's answer is told as well.
        let (mut one, mut two) =
            (Client::open(&world, "/a", "").await, Client::open(&world, "/a", "").await);
        assert_eq!([one.head().await, two.head().await], [made, made]);
        stage.may_answer.add_permits(2);
        assert!(one.rest().await.ends_with("page") && two.rest().await.ends_with("page"));
    });
}

#[test]
fn links_are_forgotten_with_the_next_answer_and_by_a_purge() {
    with_stage(EarlyHints::Make, |world, stage| async move {
        let control = "Cache-Control: max-age=0\r\nETag: \"1\"\r\n";
        let links = page(&format!("{control}Link: </a.css>; rel=preload\r\n"));
        visit(&world, &stage, "", &links).await;
        stage.says("", &page(control));
        assert!(told(&world, &stage, "").await.starts_with("HTTP/1.1 103"));
        assert!(told(&world, &stage, "").await.starts_with("HTTP/1.1 200"));

        visit(&world, &stage, "", &links).await;
        stage.says("", &links);
        assert!(told(&world, &stage, "").await.starts_with("HTTP/1.1 103"));
        world.edge.cache.purge(Selection::everything(), Effect::Gone, |_| ());
        assert!(told(&world, &stage, "").await.starts_with("HTTP/1.1 200"));

        // An answer that was asked for before the purge does not bring them back.
        stage.says("", &links);
        let asked = stage.asked.load(Ordering::SeqCst);
        let client = Client::open(&world, "/late", "").await;
        until("the origin is asked", || stage.asked.load(Ordering::SeqCst) > asked).await;
        world.edge.cache.purge(Selection::everything(), Effect::Gone, |_| ());
        stage.answer();
        assert!(client.rest().await.ends_with("page"));
        let mut client = Client::open(&world, "/late", "").await;
        stage.answer();
        assert!(client.head().await.starts_with("HTTP/1.1 200"));
    });
}

/// What an answer for one links to may be of that one; what belongs to the application is told all.
#[test]
fn links_of_one_user_are_not_told_another() {
    const LINKS: &str = "Link: </assets/app-5f3a9c0b1d2e.css>; rel=preload; as=style\r\n\
                         Link: </users/42/me.css>; rel=preload; as=style\r\n\
                         Link: </me-5f3a9c0b1d2e.png>; rel=preload; as=image\r\n";
    for (asked, control) in [
        ("", "Cache-Control: private\r\n"),
        ("", "Cache-Control: no-store\r\n"),
        ("", ""),
        ("", "Cache-Control: max-age=60\r\nSet-Cookie: user=42\r\n"),
        ("Cookie: user=42\r\n", "Cache-Control: max-age=0\r\nVary: Cookie\r\n"),
        ("", "Cache-Control: max-age=0\r\nVary: X-User\r\n"),
        ("Authorization: Basic x\r\n", "Cache-Control: max-age=60\r\n"),
    ] {
        with_stage(EarlyHints::Make, |world, stage| async move {
            let answer = page(&format!("{control}{LINKS}"));
            // By way of the cache, and past it once that is known to be in vain.
            for _ in 0..2 {
                visit(&world, &stage, asked, &answer).await;
                let head = told(&world, &stage, "Cookie: user=7\r\n").await;
                let expected = "HTTP/1.1 103 Early Hints\r\n\
                     link: </assets/app-5f3a9c0b1d2e.css>; rel=preload; as=style\r\n\r\n";
                assert_eq!(head, expected, "{asked}{control}");
            }
        });
    }
}

/// Who is not let in is told nothing of the page.
#[test]
fn hints_are_for_those_who_may_come_in() {
    with_stage(EarlyHints::Make, |world, stage| async move {
        let answer = page("Link: </a-5f3a9c0b1d2e.css>; rel=preload; as=style\r\n");
        visit(&world, &stage, "", &answer).await;
        let mut config = world.edge.snapshot().config.clone();
        let hash = bcrypt::hash("lovelace", 4).expect("a hash");
        let users = Users::parse(&format!("ada:{hash}")).expect("users");
        let guard = BasicAuth { users, realm: String::new(), forwards: false };
        config.routes[0].basic_auth = Some(Arc::new(guard));
        world.reload(config);
        for fields in ["", "Authorization: Basic YWRhOmJ1aWxkZXI=\r\n"] {
            let answer = Client::open(&world, "/a", fields).await.rest().await;
            assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
        }
        let ada = "Authorization: Basic YWRhOmxvdmVsYWNl\r\n";
        assert!(told(&world, &stage, ada).await.starts_with("HTTP/1.1 103"));
    });
}

/// The client that operators try things with shows it over both protocols.
#[test]
fn curl_shows_a_hint() {
    let version = std::process::Command::new("curl").arg("--version").output();
    let Ok(version) = version.map(|it| String::from_utf8_lossy(&it.stdout).into_owned()) else {
        return;
    };
    for protocol in ["--http1.1", "--http2-prior-knowledge"] {
        if protocol.contains("http2") && !version.contains("HTTP2") {
            continue;
        }
        with_stage(EarlyHints::Pass, |world, stage| async move {
            stage.says(HINT, PAGE);
            let curl = tokio::process::Command::new("curl")
                .args(["-sv", protocol, "-H", "Sec-Fetch-Mode: navigate"])
                .arg(format!("http://127.0.0.1:{}/a", world.port))
                .stdin(std::process::Stdio::null())
                .kill_on_drop(true)
                .output();
            let curl = tokio::spawn(curl);
            until("it is told", || world.edge.hints.passed.value() == 1).await;
            stage.answer();
            let output = curl.await.expect("no panic").expect("it runs");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            let hint = said.find(" 103").unwrap_or_else(|| panic!("no hint: {said}"));
            let answer = said.find(" 200").unwrap_or_else(|| panic!("no answer: {said}"));
            assert!(hint < answer && said.contains("< link: </a.css>"), "{said}");
            assert_eq!(output.stdout, b"page");
        });
    }
}
