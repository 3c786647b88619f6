//! Large content that is asked for often leaves from a second copy, by the kernel's own hand: byte for byte
//! what was stored, whatever is asked of it and whatever becomes of it meanwhile.

use std::fs;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use forebay_edge::act::{Effect, Mode, Wish, purge};
use forebay_edge::config::Config;
use forebay_edge::config::listen::{Listener, Place, Protocol};
use forebay_edge::config::route::{Action, Files};
use forebay_edge::exchange::{Encoding, TwinSlot};
use forebay_signals::clock;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, UnixStream};

use super::support::{Answers, World, request, until, with_world};

/// Longer than all that an unread socket holds, so that it leaves in many pieces.
const LENGTH: usize = 6_000_000;

/// No two pieces of it are alike.
static CONTENT: LazyLock<String> = LazyLock::new(|| text(LENGTH));

fn text(length: usize) -> String {
    (0..length / 8).flat_map(|line| format!("{line:07}\n").into_bytes()).map(char::from).collect()
}

fn answers(kind: &'static str) -> Answers {
    let body = &*CONTENT;
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nCache-Control: public, s-maxage=600\r\n\
         ETag: \"a\"\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    Arc::new(move |asked| {
        if asked.contains("if-none-match: \"a\"") {
            let unchanged = "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\
                             Cache-Control: public, s-maxage=600\r\n\r\n";
            return (Duration::ZERO, unchanged.to_owned());
        }
        (Duration::ZERO, format!("{head}{body}"))
    })
}

/// The files of the twins that are stored.
fn slots(world: &World, encoding: Encoding) -> Vec<Arc<TwinSlot>> {
    let mut slots = Vec::new();
    world.edge.cache.memory.each(|object| {
        let twin = object.twin().filter(|_| object.encoding() == encoding);
        slots.extend(twin.map(|twin| Arc::clone(twin.slot())));
    });
    slots
}

/// Asks until the content has a twin that nobody has used yet.
async fn twin(world: &World, message: &str, encoding: Encoding) -> Arc<TwinSlot> {
    let deadline = clock::now() + Duration::from_secs(15);
    loop {
        world.ask(message).await;
        if let [slot] = &slots(world, encoding)[..] {
            slot.was_used();
            return Arc::clone(slot);
        }
        assert!(clock::now() < deadline, "no twin is made");
    }
}

/// Reads one answer of a connection that stays open; its head and its content.
async fn next<S: AsyncRead + Unpin>(stream: &mut S, read: &mut Vec<u8>) -> (String, Vec<u8>) {
    let head = loop {
        if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            let head: Vec<u8> = read.drain(..end + 4).collect();
            break String::from_utf8(head).expect("text");
        }
        assert!(stream.read_buf(read).await.expect("readable") > 0, "it ends in a head");
    };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.and_then(|length| length.parse().ok()).expect("a length");
    while read.len() < length {
        assert!(stream.read_buf(read).await.expect("readable") > 0, "it ends early");
    }
    (head, read.drain(..length).collect())
}

/// Compares without printing megabytes.
fn assert_same(got: &[u8], expected: &[u8]) {
    let differs = got.iter().zip(expected).position(|(a, b)| a != b);
    assert_eq!((got.len(), differs), (expected.len(), None), "lengths, and where it differs");
}

async fn connect(world: &World) -> TcpStream {
    TcpStream::connect(("127.0.0.1", world.port)).await.expect("the edge listens")
}

#[test]
fn it_is_sent_whole_and_in_ranges_one_answer_behind_the_other() {
    with_world(
        answers("application/octet-stream"),
        |_| {},
        |world| async move {
            let slot = twin(&world, &request("GET", "/a", ""), Encoding::Identity).await;
            let mut stream = connect(&world).await;
            let get =
                |fields: &str| format!("GET /a HTTP/1.1\r\nHost: shop.example\r\n{fields}\r\n");
            let head = "HEAD /a HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n";
            let one = get("Range: bytes=1234567-4234566\r\n");
            let several = get("Range: bytes=0-9, 1000001-1300000, 5900000-\r\n");
            let small = get("Range: bytes=70000-70999\r\n");
            // All at once: answers come in the order of the requests.
            let pipelined = [&get("")[..], &one, &several, &small, &get(""), head].concat();
            stream.write_all(pipelined.as_bytes()).await.expect("written");
            let (whole, mut read) = (CONTENT.as_bytes(), Vec::new());

            let (head, content) = next(&mut stream, &mut read).await;
            assert!(head.starts_with("HTTP/1.1 200"), "{head}");
            assert_same(&content, whole);
            assert!(slot.was_used(), "it is copied");
            let (head, content) = next(&mut stream, &mut read).await;
            assert!(head.contains("content-range: bytes 1234567-4234566/6000000"), "{head}");
            assert_same(&content, &whole[1_234_567..4_234_567]);
            let (head, content) = next(&mut stream, &mut read).await;
            let boundary =
                head.split("boundary=").nth(1).and_then(|rest| rest.split("\r\n").next());
            let boundary = boundary.unwrap_or_default();
            let mut expected = Vec::new();
            for (from, to) in [(0, 10), (1_000_001, 1_300_001), (5_900_000, LENGTH)] {
                let before = if from == 0 { "" } else { "\r\n" };
                let part = format!(
                    "{before}--{boundary}\r\nContent-Type: application/octet-stream\r\n\
                 Content-Range: bytes {from}-{}/{LENGTH}\r\n\r\n",
                    to - 1
                );
                expected.extend_from_slice(part.as_bytes());
                expected.extend_from_slice(&whole[from..to]);
            }
            expected.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
            assert_same(&content, &expected);
            assert!(slot.was_used(), "parts are copied");
            let (_, content) = next(&mut stream, &mut read).await;
            assert_same(&content, &whole[70_000..71_000]);
            let (_, content) = next(&mut stream, &mut read).await;
            assert_same(&content, whole);
            stream.read_to_end(&mut read).await.expect("an end");
            let head = String::from_utf8(read).expect("a head alone");
            assert!(
                head.contains("content-length: 6000000") && head.ends_with("\r\n\r\n"),
                "{head}"
            );
            assert_eq!(world.asked(), 1);
        },
    );
}

#[test]
fn who_reads_slowly_gets_all_of_it_even_if_it_is_purged_meanwhile() {
    with_world(
        answers("application/octet-stream"),
        |_| {},
        |world| async move {
            let slot = twin(&world, &request("GET", "/a", ""), Encoding::Identity).await;
            let socket = TcpSocket::new_v4().expect("a socket");
            socket.set_recv_buffer_size(8 * 1024).expect("it is small");
            let edge = std::net::SocketAddr::from(([127, 0, 0, 1], world.port));
            let mut stream = socket.connect(edge).await.expect("the edge listens");
            let message = request("GET", "/a", "");
            stream.write_all(message.as_bytes()).await.expect("written");
            let mut read = Vec::new();
            while read.len() < 100_000 {
                let mut little = [0; 1_500];
                let count = stream.read(&mut little).await.expect("readable");
                assert!(count > 0, "it ends early");
                read.extend_from_slice(&little[..count]);
            }
            assert!(slot.was_used(), "it is copied");
            let wish = Wish { everything: true, ..Wish::default() };
            let purged = purge(&world.edge, &wish, Effect::Gone, Mode::Do, "test");
            assert_eq!(purged, Ok(1));
            assert!(slots(&world, Encoding::Identity).is_empty());
            let gone = Arc::downgrade(&slot);
            drop(slot);
            assert!(gone.upgrade().is_some(), "nobody sends from it any more");
            stream.read_to_end(&mut read).await.expect("an end");
            let head = read.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
            assert_same(&read[head..], CONTENT.as_bytes());
            until("its descriptor is closed", || gone.upgrade().is_none()).await;
        },
    );
}

#[test]
fn it_stays_when_the_origin_confirms_the_content() {
    with_world(
        answers("application/octet-stream"),
        |_| {},
        |world| async move {
            let message = request("GET", "/a", "");
            let slot = twin(&world, &message, Encoding::Identity).await;
            let wish = Wish { everything: true, ..Wish::default() };
            purge(&world.edge, &wish, Effect::Stale, Mode::Do, "test").expect("purged");
            let answer = world.ask(&message).await;
            assert_eq!(world.asked(), 2, "it was asked whether it is still good");
            assert_same(
                answer.split_once("\r\n\r\n").expect("a head").1.as_bytes(),
                CONTENT.as_bytes(),
            );
            let now = slots(&world, Encoding::Identity);
            assert!(now.iter().any(|now| Arc::ptr_eq(now, &slot)), "it is made anew");
            slot.was_used();
            let answer = world.ask(&message).await;
            assert_same(
                answer.split_once("\r\n\r\n").expect("a head").1.as_bytes(),
                CONTENT.as_bytes(),
            );
            assert!(slot.was_used(), "it is copied");
            assert_eq!(world.asked(), 2);
        },
    );
}

#[test]
fn an_encoding_has_a_twin_of_its_own() {
    with_world(
        answers("text/plain"),
        |_| {},
        |world| async move {
            let message = "GET /a HTTP/1.0\r\nHost: shop.example\r\nAccept-Encoding: gzip\r\n\r\n";
            let ask = async || {
                let mut stream = connect(&world).await;
                stream.write_all(message.as_bytes()).await.expect("written");
                let mut read = Vec::new();
                stream.read_to_end(&mut read).await.expect("an answer");
                let head =
                    read.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
                let is_encoded =
                    String::from_utf8_lossy(&read[..head]).contains("content-encoding: gzip");
                (is_encoded, read.split_off(head))
            };
            let deadline = clock::now() + Duration::from_secs(15);
            while slots(&world, Encoding::Gzip).is_empty() {
                ask().await;
                assert!(clock::now() < deadline, "no twin is made");
            }
            // A better one may take its place meanwhile, which has none yet.
            let (is_encoded, content) = ask().await;
            assert!(is_encoded);
            let mut decoded = Vec::new();
            let mut decoder = flate2::read::GzDecoder::new(&content[..]);
            std::io::Read::read_to_end(&mut decoder, &mut decoded).expect("gzip");
            assert_same(&decoded, CONTENT.as_bytes());
        },
    );
}

#[test]
fn files_of_a_folder_and_unix_sockets_have_it_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("socket");
    let below = folder.path().join("files");
    fs::create_dir(&below).expect("made");
    fs::write(below.join("a"), &CONTENT[..200_000]).expect("written");
    let (files, place) = (Files::below(&below), Place::Unix(path.clone()));
    let edit = move |config: &mut Config| {
        config.routes[0].action = Action::Files(files);
        config.listen.listeners.push(Listener { place, protocol: Protocol::Plain });
    };
    let origin: Answers = Arc::new(|_| (Duration::ZERO, String::new()));
    with_world(origin, edit, |world| async move {
        let slot = twin(&world, &request("GET", "/a", ""), Encoding::Identity).await;
        let mut stream = UnixStream::connect(&path).await.expect("the edge listens");
        stream.write_all(request("GET", "/a", "").as_bytes()).await.expect("written");
        let (_, content) = next(&mut stream, &mut Vec::new()).await;
        assert_same(&content, &CONTENT.as_bytes()[..200_000]);
        assert!(slot.was_used(), "it is copied");
        // Rewritten in place, to the same length: what was stored is still whole.
        let other = CONTENT[..200_000].replace('0', "z");
        fs::write(below.join("a"), &other).expect("written");
        let deadline = clock::now() + Duration::from_secs(10);
        loop {
            let answer = world.ask(&request("GET", "/a", "")).await;
            let content = answer.split_once("\r\n\r\n").expect("a head").1;
            if content == other {
                break;
            }
            assert_same(content.as_bytes(), &CONTENT.as_bytes()[..200_000]);
            assert!(clock::now() < deadline, "it stays as it was");
        }
    });
}
