//! Reloads while clients are being served.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::support::{Origin, Running, config, outcome, wait_for, write};

/// A client that asks one request after the other on one connection.
struct Client {
    lines: BufReader<TcpStream>,
}

impl Client {
    fn connect(port: u16) -> Client {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a deadline");
        Client { lines: BufReader::new(stream) }
    }

    /// Status line and content of one answer.
    fn get(&mut self, path: &str) -> (String, String) {
        let request = format!("GET {path} HTTP/1.1\r\nHost: shop.example\r\n\r\n");
        self.lines.get_mut().write_all(request.as_bytes()).expect("the connection lives on");
        let (mut status, mut length) = (String::new(), 0);
        self.lines.read_line(&mut status).expect("an answer");
        loop {
            let mut line = String::new();
            assert!(self.lines.read_line(&mut line).expect("a field") > 0, "cut after {status}");
            if line == "\r\n" {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length");
            }
        }
        let mut content = vec![0; length];
        self.lines.read_exact(&mut content).expect("whole content");
        (status.trim_end().to_owned(), String::from_utf8(content).expect("text"))
    }
}

/// Asks hits and misses in turn until it is told to stop; says how many were answered.
fn load(port: u16, name: usize, over: &Arc<AtomicBool>, sum: &Arc<AtomicUsize>) -> JoinHandle<()> {
    let (over, sum) = (Arc::clone(over), Arc::clone(sum));
    std::thread::spawn(move || {
        let mut client = Client::connect(port);
        let mut number = 0;
        while !over.load(Ordering::SeqCst) {
            number += 1;
            let path = if number % 2 == 0 { "/hit".into() } else { format!("/{name}/{number}") };
            let (status, content) = client.get(&path);
            assert_eq!((status.as_str(), content.as_str()), ("HTTP/1.1 200 OK", path.as_str()));
            sum.fetch_add(1, Ordering::SeqCst);
        }
    })
}

#[test]
fn twenty_reloads_under_load_lose_nothing_and_end_no_connection() {
    let origin = Origin::start();
    let running = Running::with_config(&config(&origin, ""));
    let file = running.path("forebay.toml");
    let mut idle = Client::connect(running.port);
    idle.get("/hit");
    let (over, sum) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
    let clients: Vec<_> = (0..3).map(|name| load(running.port, name, &over, &sum)).collect();
    for reload in 0..20 {
        let memory = ["64MiB", "1MiB", "256MiB"][reload % 3];
        let encodings = ["[]", "[\"gzip\"]"][reload % 2];
        let more = format!(
            "[cache]\nmemory = \"{memory}\"\nmax_object = \"100KiB\"\n[compress]\nencodings = {encodings}\n\n\
             [[route]]\nname = \"new\"\npath = \"/new\"\nanswer = {{ status = 410, text = \"{reload}\" }}\n"
        );
        write(&file, &config(&origin, &more));
        let before = sum.load(Ordering::SeqCst);
        let said = running.operate(&["reload"]);
        assert_eq!(said.code, Some(0), "{said:?}");
        assert!(!said.data.contains("restart"), "{said:?}");
        let (status, content) = idle.get("/new");
        assert!(status.starts_with("HTTP/1.1 410"), "{status}");
        assert_eq!(content, reload.to_string());
        wait_for("clients to go on", || (sum.load(Ordering::SeqCst) > before).then_some(()));
    }
    over.store(true, Ordering::SeqCst);
    for client in clients {
        client.join().expect("every answer was right");
    }
    let status = running.status();
    assert_eq!(status["reloads"], 20);
    assert_eq!(status["cache"]["limit_bytes"], 1 << 20, "the bound of the last settings");
    assert_eq!(idle.get("/hit").1, "/hit");
}

#[test]
fn a_larger_store_keeps_what_it_holds() {
    let origin = Origin::start();
    let running = Running::with_config(&config(&origin, "[cache]\nmemory = \"64MiB\"\n"));
    let file = running.path("forebay.toml");
    running.get("/a");
    write(&file, &config(&origin, "[cache]\nmemory = \"128MiB\"\n"));
    let reload = running.operate(&["reload"]);
    assert_eq!(reload.code, Some(0), "{reload:?}");
    assert!(!reload.data.contains("restart"), "{reload:?}");
    running.get("/a");
    assert_eq!(origin.asked(), 1, "it is still stored");
    assert_eq!(running.status()["cache"]["limit_bytes"], 128 << 20);
    write(&file, &config(&origin, "[cache]\nmemory = \"128MiB\"\nmax_object = \"128MiB\"\n"));
    let reload = running.operate(&["reload"]);
    assert!(reload.data.contains("restart for what changed in cache.max_object"), "{reload:?}");
}

#[test]
fn the_listener_of_operators_moves_or_stays_and_nothing_else_changes() {
    let origin = Origin::start();
    let at =
        |place: &str, more: &str| config(&origin, &format!("[admin]\nlisten = {place:?}\n{more}"));
    let running = Running::with_config(&at("127.0.0.1:0", ""));
    let file = running.path("forebay.toml");
    let socket = format!("unix:{}", running.path("admin.sock").display());
    write(&file, &at(&socket, ""));
    let reload = running.operate(&["reload"]);
    assert_eq!(reload.code, Some(0), "{reload:?}");
    assert!(reload.data.contains(&format!("operators ask at {socket}")), "{reload:?}");
    let moved = outcome(&["status", "--json", "--admin", &socket]);
    assert_eq!(moved.code, Some(0), "{moved:?}");
    wait_for("the first listener to close", || {
        TcpStream::connect(("127.0.0.1", running.admin_port())).is_err().then_some(())
    });
    let keep = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = keep.local_addr().expect("bound").to_string();
    let fixed =
        "[[route]]\nname = \"new\"\npath = \"/new\"\nanswer = { status = 410, text = \"gone\" }\n";
    write(&file, &at(&taken, fixed));
    let reload = outcome(&["reload", "--admin", &socket]);
    assert_eq!(reload.code, Some(1), "{reload:?}");
    assert!(reload.talk.contains(&taken), "{reload:?}");
    assert!(running.get("/new").ends_with("/new"), "nothing has changed");
    assert_eq!(outcome(&["status", "--once", "--admin", &socket]).code, Some(0));
    write(&file, &at("127.0.0.1:0", ""));
    let reload = outcome(&["reload", "--admin", &socket]);
    assert_eq!(reload.code, Some(0), "{reload:?}");
    wait_for("the socket's file to go", || (!running.path("admin.sock").exists()).then_some(()));
}

/// One port at three addresses, each of which overlaps with the one before.
#[test]
fn the_listener_of_operators_widens_and_narrows_on_its_port() {
    let origin = Origin::start();
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr());
    let port = free.expect("a free port").port();
    let at = |place: &str, more: &str| {
        config(&origin, &format!("[admin]\nlisten = \"{place}:{port}\"\n{more}"))
    };
    let mut running = Running::with_config(&at("127.0.0.1", ""));
    let file = running.path("forebay.toml");
    let open = "public = true\n";
    let mut places = vec![("0.0.0.0", open), ("[::]", open), ("127.0.0.1", "")];
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        places.remove(1);
    }
    for (place, more) in places {
        write(&file, &at(place, more));
        let reload = running.operate(&["reload"]);
        assert_eq!(reload.code, Some(0), "{place}: {reload:?}");
        let said = format!("operators ask at {place}:{port} from now on");
        assert!(reload.data.contains(&said), "{reload:?}");
        wait_for("the listener before to close", || {
            let is_open = TcpStream::connect(("127.0.0.2", port)).is_ok();
            (is_open == (place != "127.0.0.1")).then_some(())
        });
        assert_eq!(running.status()["state"], "serving", "{place}");
    }
    // A reload that fails after the port was taken leaves the listener as it was.
    let keep = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = keep.local_addr().expect("bound").to_string();
    let other = at("0.0.0.0", open).replace("127.0.0.1:0", &taken);
    write(&file, &other);
    let reload = running.operate(&["reload"]);
    assert_eq!(reload.code, Some(1), "{reload:?}");
    assert!(TcpStream::connect(("127.0.0.2", port)).is_err(), "it was not widened");
    assert_eq!(running.status()["state"], "serving");
    assert!(running.is_running());
    let second = std::net::TcpListener::bind(("127.0.0.1", port));
    assert!(second.is_err(), "the port is not shared with others");
}

#[test]
fn reloads_share_one_thread() {
    let origin = Origin::start();
    let running = Running::before(&origin);
    let threads = || {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", running.pid())).expect("Linux");
        let is_reload = |path: &std::path::Path| {
            std::fs::read_to_string(path.join("comm")).is_ok_and(|name| name.trim() == "reload")
        };
        let ids = tasks.flatten().map(|task| task.path()).filter(|path| is_reload(path));
        ids.collect::<Vec<_>>()
    };
    // It is there before it is needed, and names itself once it runs.
    let before = wait_for("its name", || Some(threads()).filter(|ids| ids.len() == 1));
    for _ in 0..3 {
        assert_eq!(running.operate(&["reload"]).code, Some(0));
    }
    assert_eq!(threads(), before);
}
