//! Encodings on the way: what a client holds counts, and what is made once is made for all.

use std::io::Read;

use forebay_edge::config::Config;
use forebay_edge::exchange::Encoding;
use forebay_edge::view;
use forebay_signals::clock;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::support::{Answers, World, with_world};

/// Text that shrinks, but not to nothing.
fn content() -> String {
    (0..4_000).map(|n| n.to_string()).collect::<Vec<_>>().join(" ")
}

fn page(length: usize, content: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {length}\r\nETag: \"v1\"\r\n\
         Cache-Control: s-maxage=60\r\n\r\n{content}"
    )
}

fn answers(delay_ms: u64) -> Answers {
    let content = content();
    let page = page(content.len(), &content);
    std::sync::Arc::new(move |_| (Duration::from_millis(delay_ms), page.clone()))
}

/// Head and content of an answer that ends with its connection.
async fn ask(port: u16, fields: &str) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("it listens");
    let message = format!("GET /a HTTP/1.0\r\nHost: shop.example\r\n{fields}\r\n");
    stream.write_all(message.as_bytes()).await.expect("written");
    let mut seen = Vec::new();
    stream.read_to_end(&mut seen).await.expect("an answer");
    let end = seen.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("a head") + 4;
    let content = seen.split_off(end);
    (String::from_utf8(seen).expect("text").to_ascii_lowercase(), content)
}

fn counted(world: &World, name: &str) -> u64 {
    let metrics = view::metrics(&world.edge);
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)).expect("it is counted");
    line.trim().parse().expect("a number")
}

fn unzipped(content: &[u8]) -> String {
    let mut text = String::new();
    flate2::read::GzDecoder::new(content).read_to_string(&mut text).expect("gzip");
    text
}

#[test]
fn a_client_that_holds_the_content_in_another_encoding_is_told_that_it_is_good() {
    with_world(
        answers(0),
        |_| (),
        |world| async move {
            // The first is a miss, the others are hits.
            for (holds, takes, status, tag) in [
                ("\"v1--zstd\"", "gzip, br, zstd", 304, "\"v1--zstd\""),
                ("\"v1--zstd\"", "gzip, br, zstd", 304, "\"v1--zstd\""),
                ("\"v0\", W/\"v1--gzip\"", "gzip, br", 304, "\"v1--gzip\""),
                ("\"v1\"", "gzip, br", 304, "\"v1\""),
                ("\"v1--zstd\"", "gzip, br", 200, ""),
                ("\"v1--zstd\"", "identity", 200, "\"v1\""),
                ("\"v2--zstd\"", "gzip, br, zstd", 200, ""),
            ] {
                let fields = format!("If-None-Match: {holds}\r\nAccept-Encoding: {takes}\r\n");
                let (head, content) = ask(world.port, &fields).await;
                assert!(head.starts_with(&format!("http/1.1 {status}")), "{holds}: {head}");
                assert!(head.contains(&format!("etag: {tag}")), "{holds}: {head}");
                assert_eq!(content.is_empty(), status == 304, "{holds}: {head}");
                assert!(head.contains("vary: accept-encoding"), "{holds}: {head}");
            }
            assert_eq!(world.asked(), 1);
        },
    );
}

#[test]
fn an_encoding_is_made_once_for_all_who_read_along_and_is_what_is_stored() {
    const CLIENTS: usize = 20;
    with_world(
        answers(100),
        |_| (),
        |world| async move {
            let mut clients = tokio::task::JoinSet::new();
            let port = world.port;
            for client in 0..CLIENTS {
                let takes = if client % 2 == 0 { "gzip" } else { "br;q=0.5, gzip" };
                clients.spawn(
                    async move { ask(port, &format!("Accept-Encoding: {takes}\r\n")).await },
                );
            }
            clients.spawn(async move { ask(port, "").await });
            let answers = clients.join_all().await;
            let encoded: Vec<_> = answers
                .iter()
                .filter(|(head, _)| head.contains("content-encoding: gzip"))
                .collect();
            assert_eq!(encoded.len(), CLIENTS);
            for (head, bytes) in &encoded {
                assert!(head.contains("etag: \"v1--gzip\""), "{head}");
                assert!(*bytes == encoded[0].1, "one stream for all");
            }
            assert_eq!(unzipped(&encoded[0].1), content());
            assert_eq!(world.asked(), 1);
            assert_eq!(counted(&world, "forebay_edge_compress_streams_total"), 1);
            while world.edge.cache.memory.statistics().objects < 2 {
                clock::sleep(Duration::from_millis(1)).await;
            }
            let (head, bytes) = ask(port, "Accept-Encoding: gzip\r\n").await;
            assert!(head.contains("forebay; hit"), "{head}");
            assert!(head.contains("etag: \"v1--gzip\""), "{head}");
            assert!(bytes == encoded[0].1, "what was made on the way in");
            assert_eq!(counted(&world, "forebay_edge_compress_objects_total"), 0);
        },
    );
}

#[test]
fn an_encoding_that_breaks_off_does_not_look_whole_and_is_not_stored() {
    let content = content();
    let half = page(content.len(), &content[..content.len() / 2]);
    with_world(
        std::sync::Arc::new(move |_| (Duration::ZERO, half.clone())),
        |_| (),
        |world| async move {
            let mut stream =
                TcpStream::connect(("127.0.0.1", world.port)).await.expect("it listens");
            let message = "GET /a HTTP/1.1\r\nHost: a.example\r\nAccept-Encoding: gzip\r\n\r\n";
            stream.write_all(message.as_bytes()).await.expect("written");
            let mut seen = Vec::new();
            while !seen.windows(2).any(|bytes| bytes == [0x1f, 0x8b]) {
                assert!(stream.read_buf(&mut seen).await.expect("an answer") > 0, "it began");
            }
            world.origin.abort();
            // A reset is as good an end as any.
            drop(stream.read_to_end(&mut seen).await);
            assert!(!seen.ends_with(b"0\r\n\r\n"), "it looks whole");
            assert_eq!(world.edge.cache.memory.statistics().objects, 0);
        },
    );
}

#[test]
fn what_was_stored_without_encodings_says_vary_once_they_are_on() {
    let off = |config: &mut Config| config.compress.encodings.clear();
    with_world(answers(0), off, |world| async move {
        let takes = "Accept-Encoding: gzip\r\n";
        for _ in 0..2 {
            let (head, _) = ask(world.port, takes).await;
            assert!(!head.contains("vary:") && !head.contains("content-encoding:"), "{head}");
        }
        let mut config = world.edge.snapshot().config.clone();
        config.compress.encodings = vec![Encoding::Gzip];
        world.reload(config.clone());
        let (plain, body) = ask(world.port, "").await;
        assert_eq!(plain.matches("vary: accept-encoding").count(), 1, "{plain}");
        assert_eq!(body, content().as_bytes());
        let (known, _) = ask(world.port, "If-None-Match: \"v1\"\r\n").await;
        assert!(known.starts_with("http/1.1 304"), "{known}");
        assert_eq!(known.matches("vary: accept-encoding").count(), 1, "{known}");
        let deadline = clock::now() + Duration::from_secs(10);
        loop {
            let (head, body) = ask(world.port, takes).await;
            assert_eq!(head.matches("vary: accept-encoding").count(), 1, "{head}");
            if head.contains("content-encoding: gzip") {
                assert_eq!(unzipped(&body), content());
                break;
            }
            assert!(clock::now() < deadline, "it is never encoded: {head}");
        }
        config.compress.encodings.clear();
        world.reload(config);
        let (head, _) = ask(world.port, "").await;
        assert!(!head.contains("vary:"), "{head}");
        assert_eq!(world.asked(), 1, "all of them were answered from the store");
    });
}
