//! Who comes late: to an answer that is still arriving, or to a URL whose variants others have asked for.

use std::io::{BufRead, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use forebay_edge::config::origin::{Address, Origin, Server};
use forebay_signals::clock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::support::{Answers, GET, request, with_world};

/// To the first who asks half of an answer that is fresh for a second, to the others a whole one.
fn half_then_whole() -> Answers {
    let was_asked = AtomicBool::new(false);
    Arc::new(move |_| {
        let answer = if was_asked.swap(true, Ordering::SeqCst) {
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nCache-Control: max-age=60\r\n\r\nwhole"
        } else {
            "HTTP/1.1 200 OK\r\nContent-Length: 10\r\nCache-Control: max-age=1\r\n\r\nhalf."
        };
        (Duration::ZERO, answer.to_owned())
    })
}

/// Asks and reads as far as there is something to tell the answers by.
async fn beginning(port: u16, message: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("it listens");
    stream.write_all(message.as_bytes()).await.expect("written");
    let mut seen = Vec::new();
    while !(seen.ends_with(b"half.") || seen.ends_with(b"whole")) {
        assert!(stream.read_buf(&mut seen).await.expect("an answer") > 0, "cut: {seen:?}");
    }
    (stream, String::from_utf8(seen).expect("text"))
}

#[test]
fn an_answer_that_became_stale_on_its_way_is_not_joined() {
    with_world(
        half_then_whole(),
        |_| (),
        |world| async move {
            let mut held = vec![beginning(world.port, GET).await.0];
            let last = loop {
                let (stream, seen) = beginning(world.port, GET).await;
                held.push(stream);
                if seen.ends_with("whole") {
                    break seen;
                }
                assert!(seen.contains("collapsed"), "{seen}");
                clock::sleep(Duration::from_millis(50)).await;
            };
            assert!(held.len() > 2, "while it is fresh they read along");
            assert!(!last.contains("collapsed"), "{last}");
            assert_eq!(world.asked(), 2);
            assert!(world.ask(GET).await.ends_with("whole"), "and that one is stored");
            assert_eq!(world.asked(), 2);
            world.origin.abort();
        },
    );
}

#[test]
fn a_late_request_that_wants_the_origin_asked_has_it_asked() {
    with_world(
        half_then_whole(),
        |_| (),
        |world| async move {
            let (_held, first) = beginning(world.port, GET).await;
            assert!(first.ends_with("half."), "{first}");
            let fields = "Cache-Control: no-cache\r\n";
            let (_whole, seen) = beginning(world.port, &request("GET", "/a", fields)).await;
            assert!(seen.ends_with("whole"), "{seen}");
            assert_eq!(world.asked(), 2);
            world.origin.abort();
        },
    );
}

/// The same, with the other half of the first answer when `go` is told; as a server of its own, since it
/// speaks in two parts.
fn halves(go: std::sync::mpsc::Receiver<()>) -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let head = |stream: &std::net::TcpStream| {
        let lines = std::io::BufReader::new(stream).lines();
        lines.map_while(Result::ok).take_while(|line| !line.is_empty()).count()
    };
    std::thread::spawn(move || {
        let (mut slow, _) = listener.accept().expect("asked");
        head(&slow);
        slow.write_all(
            b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nCache-Control: max-age=60\r\n\r\nhalf.",
        )
        .expect("written");
        let (mut other, _) = listener.accept().expect("asked");
        head(&other);
        other
            .write_all(
                b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nCache-Control: max-age=60\r\n\r\nwhole",
            )
            .expect("written");
        go.recv_timeout(Duration::from_secs(20)).expect("told");
        slow.write_all(b"late.").expect("written");
        head(&slow);
    });
    port
}

#[test]
fn what_arrived_later_is_not_replaced_by_what_took_longer() {
    let (tell, go) = std::sync::mpsc::sync_channel(1);
    let port = halves(go);
    with_world(
        half_then_whole(),
        |config| {
            let server = Server::plain(Address::Tcp("127.0.0.1".into(), port));
            config.origins = vec![Arc::new(Origin::new("app", vec![server]))];
        },
        |world| async move {
            let (mut slow, _) = beginning(world.port, GET).await;
            // Ages count in milliseconds: within one, nothing came later.
            clock::sleep(Duration::from_millis(5)).await;
            let asks = request("GET", "/a", "Cache-Control: no-cache\r\n");
            let (_stream, seen) = beginning(world.port, &asks).await;
            assert!(seen.ends_with("whole"), "{seen}");
            tell.send(()).expect("it listens");
            let mut rest = String::new();
            slow.read_to_string(&mut rest).await.expect("the rest");
            assert_eq!(rest, "late.", "who reads is not cut");
            // The last byte goes out before the answer is stored.
            while !world.edge.cache.fills.is_empty() {
                clock::sleep(Duration::from_millis(1)).await;
            }
            let hit = world.ask(GET).await;
            assert!(hit.contains("hit") && hit.ends_with("whole"), "{hit}");
        },
    );
}

/// German and English as they are; whoever wants French gets English, whoever wants Italian its own.
fn in_languages() -> Answers {
    Arc::new(|head| {
        let head = head.to_ascii_lowercase();
        let wants = |language: &str| head.contains(&format!("accept-language: {language}"));
        let holds = |tag: &str| {
            let line = head.lines().find_map(|line| line.strip_prefix("if-none-match: "));
            line.is_some_and(|line| line.contains(&format!("\"{tag}\"")))
        };
        let whole = |tag: &str, text: &str| {
            format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nETag: \"{tag}\"\r\nVary: Accept-Language\r\n\
                 Cache-Control: s-maxage=60\r\n\r\n{text}",
                text.len()
            )
        };
        let confirmed = |tag: &str| {
            format!(
                "HTTP/1.1 304 Not Modified\r\nETag: \"{tag}\"\r\nVary: Accept-Language\r\n\
                 Cache-Control: s-maxage=60\r\n\r\n"
            )
        };
        let answer = match () {
            () if wants("de") => whole("de", "deutsch"),
            () if wants("fr") && holds("en") => confirmed("en"),
            () if wants("it") && holds("en") => confirmed("of-nothing"),
            () if wants("it") => whole("it", "italiano"),
            () => whole("en", "english"),
        };
        (Duration::ZERO, answer)
    })
}

#[test]
fn a_missing_variant_is_asked_for_with_the_tags_of_those_that_are_stored() {
    with_world(
        in_languages(),
        |_| (),
        |world| async move {
            let wanted =
                |language: &str| request("GET", "/a", &format!("Accept-Language: {language}\r\n"));
            for (language, text, asked) in [
                ("de", "deutsch", 1),
                ("en", "english", 2),
                ("fr", "english", 3),
                ("fr", "english", 3),
                ("de", "deutsch", 3),
                // The 304 speaks of something else: asked again without conditions.
                ("it", "italiano", 5),
                ("it", "italiano", 5),
            ] {
                let answer = world.ask(&wanted(language)).await;
                assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
                assert!(answer.ends_with(text), "{language}: {answer}");
                assert_eq!(world.asked(), asked, "{language}");
                if asked == 3 && language == "fr" {
                    let head = world.last_head().to_ascii_lowercase();
                    assert!(head.contains("if-none-match: \"de\", \"en\"\r\n"), "{head}");
                }
            }
        },
    );
}
