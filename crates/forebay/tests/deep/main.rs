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
use origin::{BIG, Mortal, content};

const CLIENTS: usize = 4;
/// Paths that the cache holds in these runs.
const KEPT: usize = 50;

#[test]
#[ignore = "deep: kills the origin twenty times under load"]
fn deep_kill_of_the_origin_harms_no_answer() {
    let mut origin = Mortal::start();
    let running = Running::with_config(&config(&origin, 0));
    fill(&running);
    let (is_over, whole, ours) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let _clients = Until(&is_over);
        for number in 0..CLIENTS {
            let (is_over, whole, ours, port) = (&is_over, &whole, &ours, running.port);
            scope.spawn(move || {
                let mut client = Client::of(port);
                for turn in 0.. {
                    if is_over.load(Ordering::SeqCst) {
                        break;
                    }
                    let is_hit = (turn + number) % 2 == 0;
                    let path = if is_hit { kept(turn) } else { format!("/miss/{number}/{turn}") };
                    let answer = client.get(&path, "").expect("an answer that is whole");
                    if answer.status == 200 {
                        assert!(answer.content == content(&path), "`{path}` has other content");
                        whole.fetch_add(1, Ordering::SeqCst);
                    } else {
                        assert!(!is_hit, "`{path}` is stored, yet: {}", answer.head);
                        assert!(answer.is_failure_of_ours(), "`{path}`: {}", answer.head);
                        ours.fetch_add(1, Ordering::SeqCst);
                    }
                    pause(Duration::from_millis(1));
                }
            });
        }
        for _ in 0..20 {
            progress(&whole, 50);
            origin.close();
            progress(&ours, 5);
            origin.reopen();
        }
    });
    wait_for("the origin to be taken back", || {
        let answer = Client::of(running.port).get("/miss/last", "").expect("an answer");
        (answer.status == 200).then_some(())
    });
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
                            assert!(answer.content == content(&path), "`{path}`");
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
    let mut origin = Mortal::start();
    let running = Running::with_config(&config(&origin, 0));
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
            let (is_over, served, port) = (&is_over, &served, running.port);
            scope.spawn(move || {
                let mut client = Client::of(port);
                for turn in 0.. {
                    if is_over.load(Ordering::SeqCst) {
                        break;
                    }
                    mixed(&mut client, port, number, turn);
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
    // A quarter and 8 MiB: what an allocator keeps, not what a leak takes in a minute.
    assert!(end <= warm + warm / 4 + 8 * 1024, "grew from {warm} KiB to {end} KiB");
    // Connections that wait in the pool end with their origin.
    origin.close();
    wait_for("the descriptors to be closed", || {
        (descriptors(running.pid()) <= descriptors_before).then_some(())
    });
    no_panic(&running);
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
    let answer = match turn % 8 {
        0 | 1 => client.get(&stored, ""),
        2 => client.get(&fresh, ""),
        3 => client.head(&stored),
        4 => client.get(&stored, "Range: bytes=10-19\r\n"),
        5 => client.post(&fresh, &[b'p'; 3000]),
        // Leaves in the middle, by closing and by a reset for what is unread.
        6 => return Client::of(port).leave(&format!("{BIG}{number}/{turn}"), 1000),
        _ if turn % 64 == 7 => {
            let path = format!("{BIG}{number}/{turn}");
            let answer = Client::of(port).get_slowly(&path).expect("an answer");
            assert!(answer.content == content(&path), "`{path}`");
            return;
        }
        _ => client.get(&fresh, ""),
    };
    let answer = answer.expect("an answer");
    let expected = match turn % 8 {
        3 => Vec::new(),
        4 => content(&stored)[10..20].to_vec(),
        0 | 1 => content(&stored),
        _ => content(&fresh),
    };
    assert_eq!(answer.status, if turn % 8 == 4 { 206 } else { 200 }, "{}", answer.head);
    assert!(answer.content == expected, "turn {turn} has other content");
}

fn config(origin: &Mortal, port: u16) -> String {
    format!(
        "[listen]\non = [\"127.0.0.1:{port}\"]\n\n[log]\nformat = \"off\"\n\n\
         [[origin]]\nname = \"app\"\nservers = [\"http://127.0.0.1:{}\"]\n\n\
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
        assert!(answer.content == content(&kept(number)));
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
