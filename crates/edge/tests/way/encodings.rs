//! Encodings on the way: what a client holds counts, and what is made once is made for all.

use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::support::{Answers, with_world};

/// Text that shrinks, but not to nothing.
fn content() -> String {
    (0..4_000).map(|n| format!("{n} ")).collect()
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
