//! Long runs of the executable over real sockets: `cargo xtask deep` runs them, CI does not.

mod client;
mod origin;
#[path = "../binary/support.rs"]
#[expect(dead_code, reason = "the tests in `binary` use all of it")]
mod support;

use std::fs;
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use forebay_signals::clock;
use support::{Running, wait_for};

use client::{Client, pause};
use origin::{BIG, Mortal};

const CLIENTS: usize = 4;
/// Paths that the cache holds in these runs.
const KEPT: usize = 50;

/// What clients have seen.
#[derive(Default)]
struct Seen {
    hits: AtomicUsize,
    /// Answers that were fetched, whole and right.
    fetched: AtomicUsize,
    /// Requests to which the edge said that the origin fails.
    failed: AtomicUsize,
    /// Answers that broke off, as the origin's did.
    cut: AtomicUsize,
}

impl Seen {
    fn kept(&self, client: &mut Client, turn: usize) {
        let path = kept(turn);
        let answer = client.get(&path, "").expect("what is stored is never cut");
        assert_eq!(answer.status, 200, "`{path}` is stored, yet: {}", answer.head);
        answer.check(&path);
        self.hits.fetch_add(1, Ordering::SeqCst);
    }

    fn fetched(&self, client: &mut Client, port: u16, path: &str) {
        let counter = match client.get(path, "") {
            Ok(answer) if answer.status == 200 => {
                answer.check(path);
                &self.fetched
            }
            Ok(answer) => {
                assert!(answer.is_failure_of_ours(), "`{path}`: {}", answer.head);
                &self.failed
            }
            // Its head had been passed on: the client is told by an end before the end.
            Err(error) => {
                assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof, "`{path}`: {error}");
                *client = Client::of(port);
                &self.cut
            }
        };
        counter.fetch_add(1, Ordering::SeqCst);
    }
}

/// In each round fetched answers flow, one of them stands in the middle of its content, and there the origin
/// is killed: a round that hits alone could carry does not come to its end.
#[test]
#[ignore = "deep: kills the origin twenty times under load"]
fn deep_kill_of_the_origin_harms_no_answer() {
    let mut origin = Mortal::start();
    let running = Running::with_config(&config(&origin, 0));
    fill(&running);
    let (is_over, seen) = (AtomicBool::new(false), Seen::default());
    std::thread::scope(|scope| {
        let _clients = Until(&is_over);
        for number in 0..CLIENTS {
            let (is_over, seen, port) = (&is_over, &seen, running.port);
            scope.spawn(move || {
                let mut client = Client::of(port);
                for turn in 0.. {
                    if is_over.load(Ordering::SeqCst) {
                        break;
                    }
                    if (turn + number) % 2 == 0 {
                        seen.kept(&mut client, turn);
                    } else {
                        seen.fetched(&mut client, port, &format!("/miss/{number}/{turn}"));
                    }
                    pause(Duration::from_millis(1));
                }
            });
        }
        for _ in 0..20 {
            progress(&seen.fetched, 50);
            let cut = seen.cut.load(Ordering::SeqCst) + seen.failed.load(Ordering::SeqCst);
            origin.close_within_an_answer();
            wait_for("the end of the answer that was under way", || {
                let now = seen.cut.load(Ordering::SeqCst) + seen.failed.load(Ordering::SeqCst);
                (now > cut).then_some(())
            });
            progress(&seen.failed, 5);
            progress(&seen.hits, 50);
            origin.reopen();
        }
        progress(&seen.fetched, 50);
    });
    assert!(seen.cut.load(Ordering::SeqCst) > 0, "no answer was cut in its middle");
    settled(&running);
    fill(&running);
    no_panic(&running);
}

#[test]
#[ignore = "deep: kills the executable under load"]
fn deep_kill_of_the_executable_lets_the_next_one_serve() {
    let origin = Mortal::start();
    let port = free_port();
    let mut running = Running::with_config(&config(&origin, port));
    let (is_over, whole) = (AtomicBool::new(false), AtomicUsize::new(0));
    let last = std::thread::scope(|scope| {
        let _clients = Until(&is_over);
        for number in 0..CLIENTS {
            let (is_over, whole) = (&is_over, &whole);
            scope.spawn(move || {
                let mut client = Client::of(port);
                for turn in 0.. {
                    if is_over.load(Ordering::SeqCst) {
                        break;
                    }
                    let is_hit = (turn + number) % 2 == 0;
                    let path = if is_hit { kept(turn) } else { format!("/miss/{number}/{turn}") };
                    // Whoever is cut off by the kill sees it; nobody is told that a part is the whole.
                    match client.get(&path, "") {
                        Ok(answer) => {
                            assert_eq!(answer.status, 200, "{}", answer.head);
                            answer.check(&path);
                            whole.fetch_add(1, Ordering::SeqCst);
                        }
                        Err(_) => client = Client::of(port),
                    }
                    pause(Duration::from_millis(1));
                }
            });
        }
        for _ in 0..5 {
            progress(&whole, 200);
            running.signal("KILL");
            running.end();
            running = Running::with_config(&config(&origin, port));
            let answer = Client::of(port).get("/hit/0", "").expect("it serves at once");
            assert_eq!(answer.status, 200, "{}", answer.head);
        }
        progress(&whole, 200);
        running
    });
    settled(&last);
    no_panic(&last);
}

#[test]
#[ignore = "deep: a minute of mixed load"]
fn deep_soak_leaves_nothing_behind() {
    const WARM: Duration = Duration::from_secs(10);
    const WHOLE: Duration = Duration::from_secs(60);
    let leak = std::env::var("FOREBAY_SOAK_LEAK").ok();
    let mut origin = Mortal::start();
    let mut text = config(&origin, 0);
    if leak.as_deref() == Some("connections") {
        // Nobody takes them away, as if they were forgotten.
        text = text.replace("[listen]\n", "[listen]\nidle_timeout = \"1h\"\n");
    }
    let running = Running::with_config(&text);
    let descriptors_before = descriptors(running.pid());
    fill(&running);
    let (is_over, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    let began = clock::now();
    let passed = |until: Duration| {
        while clock::now() - began < until {
            pause(Duration::from_millis(100));
        }
    };
    let warm = std::thread::scope(|scope| {
        let _clients = Until(&is_over);
        for number in 0..CLIENTS {
            let (is_over, served, port, leak) = (&is_over, &served, running.port, leak.as_deref());
            scope.spawn(move || {
                let mut client = Client::of(port);
                for turn in 0.. {
                    if is_over.load(Ordering::SeqCst) {
                        break;
                    }
                    mixed(&mut client, port, number, turn);
                    if let Some(leak) = leak {
                        leave_behind(leak, port, number, turn);
                    }
                    served.fetch_add(1, Ordering::SeqCst);
                    pause(Duration::from_millis(1));
                }
            });
        }
        passed(WARM);
        let warm = resident_kib(running.pid());
        passed(WHOLE);
        warm
    });
    assert!(served.load(Ordering::SeqCst) > 1_000, "that was no load");
    settled(&running);
    let end = resident_kib(running.pid());
    // What an allocator keeps. Where nothing leaks it grows by less than 1 MiB; a leak of 1 KiB a turn takes more
    // than this on any machine that makes 4,000 turns.
    let turns = served.load(Ordering::SeqCst);
    assert!(end <= warm + 4 * 1024, "{turns} turns: grew from {warm} KiB to {end} KiB");
    // Connections that wait in the pool end with their origin.
    origin.close();
    wait_for("the descriptors to be closed", || {
        (descriptors(running.pid()) <= descriptors_before).then_some(())
    });
    no_panic(&running);
}

/// To see that the soak would see a leak, by hand: `FOREBAY_SOAK_LEAK=memory` lets the store grow by an answer
/// of 4 KiB every turn, `FOREBAY_SOAK_LEAK=connections` leaves a connection open every 512th.
fn leave_behind(leak: &str, port: u16, number: usize, turn: usize) {
    let mut client = Client::of(port);
    match leak {
        "memory" => {
            client.get(&format!("/hit/leak/{number}/{turn}"), "").expect("an answer");
        }
        "connections" if turn.is_multiple_of(512) => {
            client.get("/hit/0", "").expect("an answer");
            // Open for as long as this process lives.
            std::mem::forget(client);
        }
        _ => {}
    }
}

/// Ends the clients, also when a test fails: else their scope would wait for ever.
struct Until<'a>(&'a AtomicBool);

impl Drop for Until<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// One turn of everything that clients do.
fn mixed(client: &mut Client, port: u16, number: usize, turn: usize) {
    let stored = kept(turn);
    let fresh = format!("/miss/{number}/{turn}");
    let (path, answer) = match turn % 8 {
        0 | 1 => (&stored, client.get(&stored, "")),
        3 => {
            let head = client.head(&stored).expect("an answer");
            assert!(head.status == 200 && head.content.is_empty(), "{}", head.head);
            return;
        }
        4 => return part(client, &stored),
        5 => (&fresh, client.post(&fresh, &[b'p'; 3000])),
        // Leaves in the middle, by closing and by a reset for what is unread.
        6 => return Client::of(port).leave(&format!("{BIG}{number}/{turn}"), 1000),
        _ if turn % 64 == 7 => {
            let path = format!("{BIG}{number}/{turn}");
            let answer = Client::of(port).get_slowly(&path).expect("an answer");
            answer.check(&path);
            return;
        }
        _ => (&fresh, client.get(&fresh, "")),
    };
    let answer = answer.expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.head);
    answer.check(path);
}

/// A range is a part of the whole that is stored.
fn part(client: &mut Client, path: &str) {
    let whole = client.get(path, "").expect("an answer");
    whole.check(path);
    let part = client.get(path, "Range: bytes=10-19\r\n").expect("an answer");
    assert_eq!(part.status, 206, "{}", part.head);
    assert!(part.content == whole.content[10..20], "{:?}", part.content);
}

/// The breaker lets somebody try soon: with the default of five seconds, which follow each kill, twenty of them
/// would take two minutes of waiting.
fn config(origin: &Mortal, port: u16) -> String {
    format!(
        "[listen]\non = [\"127.0.0.1:{port}\"]\n\n[log]\nformat = \"off\"\n\n\
         [[origin]]\nname = \"app\"\nservers = [\"http://127.0.0.1:{}\"]\n\
         breaker_open_for = \"200ms\"\n\n\
         [[route]]\nname = \"all\"\norigin = \"app\"\n",
        origin.port
    )
}

fn kept(turn: usize) -> String {
    format!("/hit/{}", turn % KEPT)
}

/// Everything that is kept is there, from the cache or by way of it.
fn fill(running: &Running) {
    let mut client = Client::of(running.port);
    for number in 0..KEPT {
        let answer = client.get(&kept(number), "").expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.head);
        answer.check(&kept(number));
    }
}

fn progress(counter: &AtomicUsize, more: usize) {
    let goal = counter.load(Ordering::SeqCst) + more;
    wait_for("answers", || (counter.load(Ordering::SeqCst) >= goal).then_some(()));
}

/// Waits until nothing is in flight any more, anywhere.
fn settled(running: &Running) {
    wait_for("the end of what is in flight", || {
        let (mut found, mut sum) = (0, 0);
        in_flight(&running.status(), &mut |count| {
            found += 1;
            sum += count;
        });
        assert!(found > 0, "the status tells what is in flight");
        (sum == 0).then_some(())
    });
}

fn in_flight(value: &serde_json::Value, each: &mut impl FnMut(u64)) {
    match value {
        serde_json::Value::Object(fields) => {
            for (name, value) in fields {
                match value.as_u64().filter(|_| name == "in_flight") {
                    Some(count) => each(count),
                    None => in_flight(value, each),
                }
            }
        }
        serde_json::Value::Array(values) => values.iter().for_each(|value| in_flight(value, each)),
        _ => {}
    }
}

fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).expect("it runs").count()
}

fn resident_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

fn no_panic(running: &Running) {
    let said = fs::read_to_string(running.path("stderr")).expect("text");
    assert!(!said.contains("panicked"), "{said}");
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound").port()
}
