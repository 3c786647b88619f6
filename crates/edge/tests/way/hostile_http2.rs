//! HTTP/2 origins that break their protocol, through the whole edge: the client gets a proper status or an
//! answer that is visibly cut, nothing of it is stored, and nothing of it reaches another request.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use forebay_edge::config::Config;
use forebay_edge::config::origin::{Address, Origin, Server, Speaks};
use forebay_edge::view;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::frames::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PREFACE, RST_STREAM,
    SETTINGS, block, frame,
};
use crate::support::{World, always, request, until, with_world};

/// What the origin says to requests that came on these streams of one connection.
type Says = Arc<dyn Fn(&[u32]) -> Vec<u8> + Send + Sync>;

/// What the origin does with what comes from now on.
#[derive(Clone)]
struct Script {
    settings: Vec<u8>,
    /// It speaks once so many requests have come on a connection.
    waits_for: usize,
    says: Says,
    then: Then,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    GoesOn,
    Closes,
}

impl Script {
    fn of(says: impl Fn(u32) -> Vec<u8> + Send + Sync + 'static) -> Script {
        let says: Says = Arc::new(move |streams| says(streams[0]));
        Script { settings: Vec::new(), waits_for: 1, says, then: Then::GoesOn }
    }

    fn closing(self) -> Script {
        Script { then: Then::Closes, ..self }
    }
}

/// The head of an answer that may be stored, with more fields.
fn head(flags: u8, stream: u32, fields: &[(&str, &str)]) -> Vec<u8> {
    let usual = [(":status", "200"), ("cache-control", "s-maxage=60")];
    frame(HEADERS, flags, stream, &block(&[&usual, fields].concat()))
}

/// A sound answer.
fn good(stream: u32, content: &str) -> Vec<u8> {
    let length = content.len().to_string();
    let mut bytes = head(END_HEADERS, stream, &[("content-length", &length)]);
    bytes.extend(frame(DATA, END_STREAM, stream, content.as_bytes()));
    bytes
}

/// The beginning of an answer of ten bytes.
fn begun(stream: u32) -> Vec<u8> {
    let mut bytes = head(END_HEADERS, stream, &[("content-length", "10")]);
    bytes.extend(frame(DATA, 0, stream, b"begun"));
    bytes
}

fn go_away(last_stream: u32) -> Vec<u8> {
    frame(GOAWAY, 0, 0, &[last_stream.to_be_bytes(), 2_u32.to_be_bytes()].concat())
}

fn reset(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &2_u32.to_be_bytes())
}

async fn serve(listener: TcpListener, script: Arc<Mutex<Script>>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let script = Arc::clone(&script);
        // It ends when the edge closes, or the origin does.
        connections.spawn(async move { drop(converse(stream, &script).await) });
    }
}

async fn converse(mut stream: TcpStream, script: &Mutex<Script>) -> std::io::Result<()> {
    let now = || script.lock().expect("no panic").clone();
    let mut preface = [0; PREFACE.len()];
    stream.read_exact(&mut preface).await?;
    let greeting = [frame(SETTINGS, 0, 0, &now().settings), frame(SETTINGS, ACK, 0, &[])];
    stream.write_all(&greeting.concat()).await?;
    let mut asked = Vec::new();
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        stream.read_exact(&mut vec![0; length]).await?;
        if head[3] != HEADERS {
            continue;
        }
        asked.push(u32::from_be_bytes([head[5], head[6], head[7], head[8]]));
        let script = now();
        if asked.len() < script.waits_for {
            continue;
        }
        stream.write_all(&(script.says)(&std::mem::take(&mut asked))).await?;
        if script.then == Then::Closes {
            return Ok(());
        }
    }
}

/// An edge before an HTTP/2 origin whose script the test changes.
fn with_origin<F: Future<Output = ()>>(
    edit: impl FnOnce(&mut Origin),
    test: impl FnOnce(World, Arc<Mutex<Script>>) -> F,
) {
    let bound = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    bound.set_nonblocking(true).expect("a socket of ours");
    let port = bound.local_addr().expect("bound").port();
    let speaks_http2 = |config: &mut Config| {
        let address = Address::Tcp("127.0.0.1".into(), port);
        let server = Server { speaks: Speaks::Http2, ..Server::plain(address) };
        let mut origin = Origin::new("app", vec![server]);
        // Case after case fails here: each is to meet the origin.
        origin.breaker_failures = u32::MAX;
        edit(&mut origin);
        config.origins = vec![Arc::new(origin)];
    };
    with_world(always(""), speaks_http2, |world| async move {
        let listener = TcpListener::from_std(bound).expect("a runtime");
        let script = Arc::new(Mutex::new(Script::of(|stream| good(stream, "first"))));
        let serving = tokio::spawn(serve(listener, Arc::clone(&script)));
        test(world, script).await;
        serving.abort();
    });
}

/// Everything that comes until the edge closes, however it does that.
async fn ask(port: u16, message: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("it listens");
    stream.write_all(message.as_bytes()).await.expect("written");
    let mut bytes = Vec::new();
    // An answer that is cut may end with a reset.
    drop(stream.read_to_end(&mut bytes).await);
    String::from_utf8(bytes).expect("text")
}

fn status(answer: &str) -> u16 {
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    status.unwrap_or_else(|| panic!("no status: {answer:?}"))
}

fn is_whole(answer: &str) -> bool {
    let (head, content) = answer.split_once("\r\n\r\n").expect("a head");
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    match length {
        Some(length) => length.parse() == Ok(content.len()),
        None => content.ends_with("0\r\n\r\n"),
    }
}

/// An error, an answer that is cut, or the end of the connection before anything of it: the head goes out with
/// the first of the content, which may be what is wrong.
fn is_visibly_broken(answer: &str) -> bool {
    answer.is_empty()
        || (status(answer) == 200 && !is_whole(answer))
        || (status(answer) == 502 && is_whole(answer))
}

/// What is left after a case: nothing of it in the store or on its way, and a sound answer for who asks next.
async fn assert_unharmed(world: &World, script: &Mutex<Script>, name: &str, path: &str) {
    until("its place is given back", || in_flight(world) == 0).await;
    let content = format!("sound after {name}");
    let said = content.clone();
    *script.lock().expect("no panic") = Script::of(move |stream| good(stream, &said));
    let next = ask(world.port, &request("GET", path, "")).await;
    assert_eq!(status(&next), 200, "{name}: {next}");
    assert!(next.ends_with(&format!("\r\n\r\n{content}")), "{name}: {next}");
    assert!(!next.contains("Forebay; hit"), "something of {name} was stored: {next}");
}

fn in_flight(world: &World) -> usize {
    world.edge.in_flight.count() + view::status(&world.edge).origins[0].in_flight
}

#[test]
fn what_is_no_answer_is_a_502_and_leaves_nothing() {
    let endless = |stream| {
        let piece = frame(CONTINUATION, 0, stream, &block(&[("x", &"a".repeat(1000))]));
        [head(0, stream, &[]), piece.repeat(10_000)].concat()
    };
    let cases: Vec<(&str, Script)> = vec![
        ("noise", Script::of(|_| b"\xff\xfe garbage ".repeat(500))),
        ("HTTP/1", Script::of(|_| b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi".to_vec())),
        ("no HPACK", Script::of(|stream| frame(HEADERS, END_HEADERS, stream, &[0xff; 30]))),
        ("content alone", Script::of(|stream| frame(DATA, END_STREAM, stream, b"hello"))),
        ("endless CONTINUATION", Script::of(endless)),
        ("a reset", Script::of(reset)),
        ("an end", Script::of(|_| Vec::new()).closing()),
        ("GOAWAY and an end", Script::of(|_| go_away(0)).closing()),
    ];
    with_origin(
        |_| (),
        |world, script| async move {
            for (number, (name, bad)) in cases.into_iter().enumerate() {
                let path = format!("/no-answer/{number}");
                *script.lock().expect("no panic") = bad;
                let answer = ask(world.port, &request("GET", &path, "")).await;
                assert_eq!(status(&answer), 502, "{name}: {answer}");
                assert!(answer.contains("\r\nforebay-error: origin-"), "{name}: {answer}");
                assert!(is_whole(&answer), "{name}: {answer}");
                assert_unharmed(&world, &script, name, &path).await;
            }
        },
    );
}

#[test]
fn an_answer_that_breaks_off_is_cut_for_the_client_too_and_not_stored() {
    let more = |stream| {
        let head = head(END_HEADERS, stream, &[("content-length", "2")]);
        [head, frame(DATA, END_STREAM, stream, b"hello")].concat()
    };
    let less = |stream| {
        let head = head(END_HEADERS, stream, &[("content-length", "9")]);
        [head, frame(DATA, END_STREAM, stream, b"hello")].concat()
    };
    let of_no_length = |stream| {
        let head = head(END_HEADERS, stream, &[]);
        [head, frame(DATA, 0, stream, b"hello"), reset(stream)].concat()
    };
    let cases: Vec<(&str, Script)> = vec![
        ("a reset", Script::of(|stream| [begun(stream), reset(stream)].concat())),
        ("a reset of content without a length", Script::of(of_no_length)),
        ("GOAWAY", Script::of(|stream| [begun(stream), go_away(stream)].concat()).closing()),
        ("an end", Script::of(begun).closing()),
        ("noise", Script::of(|stream| [begun(stream), vec![0xff; 4_000]].concat())),
        ("more than announced", Script::of(more)),
        ("less than announced", Script::of(less)),
    ];
    with_origin(
        |_| (),
        |world, script| async move {
            for (number, (name, bad)) in cases.into_iter().enumerate() {
                for (method, fields) in [("GET", ""), ("POST", "Content-Length: 0\r\n")] {
                    let path = format!("/cut/{method}/{number}");
                    *script.lock().expect("no panic") = bad.clone();
                    let answer = ask(world.port, &request(method, &path, fields)).await;
                    assert!(is_visibly_broken(&answer), "{method}, {name}: {answer}");
                    assert_unharmed(&world, &script, name, &path).await;
                }
            }
        },
    );
}

#[test]
fn what_breaks_one_stream_leaves_the_other_on_its_connection_alone() {
    with_origin(
        |_| (),
        |world, script| async move {
            // The connection is there, so that two requests share it.
            ask(world.port, &request("GET", "/first", "")).await;
            let says = |streams: &[u32]| {
                let [broken, whole] = streams else { return Vec::new() };
                let crossing = [begun(*broken), begun(*whole), reset(*broken)];
                [crossing.concat(), frame(DATA, END_STREAM, *whole, b" ends")].concat()
            };
            let both = Script { waits_for: 2, says: Arc::new(says), ..Script::of(|_| Vec::new()) };
            *script.lock().expect("no panic") = both;
            let port = world.port;
            let one = |path: &'static str| {
                tokio::spawn(async move { ask(port, &request("GET", path, "")).await })
            };
            let (first, second) = (one("/one"), one("/two"));
            let answers = [first.await.expect("no panic"), second.await.expect("no panic")];
            let is_sound = |answer: &&String| {
                answer.ends_with("begun ends") && status(answer) == 200 && is_whole(answer)
            };
            assert_eq!(answers.iter().filter(is_sound).count(), 1, "{answers:#?}");
            let is_broken = |answer: &&String| is_visibly_broken(answer);
            assert_eq!(answers.iter().filter(is_broken).count(), 1, "{answers:#?}");
            until("their places are given back", || in_flight(&world) == 0).await;
            assert_eq!(
                world.edge.cache.view().objects,
                2,
                "the first and the whole one are stored"
            );
        },
    );
}

/// `SETTINGS_INITIAL_WINDOW_SIZE` of nothing, which no `WINDOW_UPDATE` follows.
const SHUT: [u8; 6] = [0, 4, 0, 0, 0, 0];

#[test]
fn a_window_that_never_opens_ends_in_a_504_in_time() {
    let hurried = |origin: &mut Origin| origin.try_timeout = Duration::from_millis(400);
    with_origin(hurried, |world, script| async move {
        let shut = Script { settings: SHUT.to_vec(), ..Script::of(|_| Vec::new()) };
        *script.lock().expect("no panic") = shut;
        let upload = "x".repeat(300_000);
        let fields = format!("Content-Length: {}\r\n", upload.len());
        let message = request("POST", "/upload", &fields) + &upload;
        let answer = ask(world.port, &message).await;
        assert_eq!(status(&answer), 504, "{answer}");
        assert!(answer.contains("\r\nforebay-error: origin-timeout"), "{answer}");
        until("its place is given back", || in_flight(&world) == 0).await;
        let silent = ask(world.port, &request("GET", "/silent", "")).await;
        assert_eq!(status(&silent), 504, "{silent}");
        assert_unharmed(&world, &script, "silence", "/silent").await;
    });
}

/// The client that we use for HTTP/2 keeps them to itself; however many there are, the answer is what counts.
#[test]
fn interim_answers_before_an_answer_do_no_harm() {
    with_origin(
        |_| (),
        |world, script| async move {
            *script.lock().expect("no panic") = Script::of(|stream| {
                let hint = [(":status", "103"), ("link", "</a.css>; rel=preload")];
                let interim = frame(HEADERS, END_HEADERS, stream, &block(&hint));
                [interim.repeat(5_000), good(stream, "the answer")].concat()
            });
            let navigates = "Sec-Fetch-Mode: navigate\r\n";
            let answer = ask(world.port, &request("GET", "/a", navigates)).await;
            assert_eq!(status(&answer), 200, "{answer}");
            assert!(
                answer.ends_with("\r\n\r\nthe answer") && !answer.contains("a.css"),
                "{answer}"
            );
        },
    );
}
