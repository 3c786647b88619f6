//! `forebay status` on a terminal: `script` from util-linux gives it one.

use std::io::Read;
use std::process::{Command, Stdio};

use super::support::{Origin, Running};

const HOME: &str = "\x1b[H";

#[test]
fn the_live_view_draws_itself_anew_in_place() {
    let origin = Origin::start();
    let running = Running::before(&origin);
    running.get("/a");
    let look = format!("{} status --admin {}", env!("CARGO_BIN_EXE_forebay"), running.admin);
    let mut terminal = Command::new("script")
        .args(["--quiet", "--flush", "--return", "--command", &look, "/dev/null"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("`script` of util-linux is there");
    let mut screen = terminal.stdout.take().expect("piped");
    let (mut seen, mut piece) = (String::new(), [0; 4096]);
    // Three screens: the second one counts what came since the first.
    while seen.matches(HOME).count() < 4 {
        if seen.matches(HOME).count() == 1 {
            running.get("/a");
        }
        let count = screen.read(&mut piece).expect("readable");
        assert!(count > 0, "it ended by itself:\n{seen}");
        seen.push_str(&String::from_utf8_lossy(&piece[..count]));
    }
    // It ends with its edge, and says so.
    running.signal("TERM");
    running.end();
    screen.read_to_string(&mut seen).expect("text");
    let end = terminal.wait().expect("ours");
    assert_eq!(end.code(), Some(1), "{seen}");
    assert!(seen.contains("error: cannot reach a running forebay"), "{seen}");
    let screens: Vec<&str> = seen.split(HOME).skip(1).collect();
    for screen in &screens[..3] {
        for part in ["serving for", "route", "origin", "newest changes", "well"] {
            assert!(screen.contains(part), "{part:?} is missing in {screen:?}");
        }
        // Each line clears its rest, and what is below the last one goes.
        assert_eq!(
            screen.matches("\x1b[K\r\n").count(),
            screen.matches('\n').count(),
            "{screen:?}"
        );
        assert!(screen.contains("\x1b[J"), "{screen:?}");
        assert!(!screen.contains("\x1b[2J"), "it flickers: {screen:?}");
    }
}
