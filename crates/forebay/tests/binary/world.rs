//! A wall clock that jumps, and a name that goes away: `world.c` stands between the executable and the C
//! library, so that both happen for real, and to this process alone.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use super::support::{Origin, Running, config, wait_for, write};

/// The folder that the executable's world is read from.
struct World {
    folder: TempDir,
    library: PathBuf,
}

impl World {
    fn make() -> World {
        let folder = tempfile::tempdir().expect("a folder");
        let library = folder.path().join("world.so");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/binary/world.c");
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(&library)
            .args([source, "-ldl"])
            .output()
            .expect("a C compiler is there");
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        World { folder, library }
    }

    fn set(&self, name: &str, value: &str) {
        // Whole or not at all: it is read at any moment.
        let new = self.folder.path().join("new");
        write(&new, value);
        fs::rename(&new, self.folder.path().join(name)).expect("ours");
    }

    fn unset(&self, name: &str) {
        fs::remove_file(self.folder.path().join(name)).expect("it was set");
    }

    fn start(&self, config: &str) -> Running {
        let folder = self.folder.path().to_string_lossy().into_owned();
        let library = self.library.to_string_lossy().into_owned();
        Running::with_config_and(config, &[("LD_PRELOAD", &library), ("WORLD", &folder)])
    }
}

/// A field's value.
fn field<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let lines = answer.split("\r\n\r\n").next()?.lines().filter_map(|line| line.split_once(": "));
    lines.into_iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

fn age(answer: &str) -> u64 {
    field(answer, "age")
        .and_then(|age| age.parse().ok())
        .unwrap_or_else(|| panic!("no age: {answer}"))
}

#[test]
fn a_wall_clock_that_jumps_ages_nothing() {
    let origin = Origin::start();
    let world = World::make();
    let running = world.start(&config(&origin, ""));
    assert!(running.get("/a").contains("; stored"));
    let year = |answer: &str| {
        field(answer, "date").and_then(|date| date.split(' ').nth(3)).map(str::to_owned)
    };
    let before = year(&running.get("/missing-is-stored-too")).expect("a date");
    // Two years to the future and ten to the past, with an answer that is fresh for a minute in between.
    for (seconds, differs) in [("63072000", true), ("-315360000", true), ("0", false)] {
        world.set("wall", seconds);
        let hit = running.get("/a");
        assert!(hit.contains("cache-status: Forebay; hit; ttl="), "{seconds}: {hit}");
        assert!(age(&hit) < 60, "{seconds}: {hit}");
        assert_eq!(
            origin.asked(),
            2 + usize::from(seconds == "-315360000") + 2 * usize::from(seconds == "0")
        );
        // The edge's own dates follow the clock: the jump has happened.
        let new = running.get(&format!("/at/{seconds}"));
        assert!(new.contains("; stored"), "{seconds}: {new}");
        assert_eq!(year(&new).expect("a date") != before, differs, "{seconds}: {new}");
        let hit = running.get(&format!("/at/{seconds}"));
        assert!(hit.contains("cache-status: Forebay; hit") && age(&hit) < 60, "{seconds}: {hit}");
    }
    // What was stored under each of the clocks is as old as it is.
    for path in ["/a", "/at/63072000", "/at/-315360000"] {
        let hit = running.get(path);
        assert!(hit.contains("cache-status: Forebay; hit") && age(&hit) < 60, "{path}: {hit}");
    }
}

#[test]
fn a_name_that_goes_away_keeps_its_last_address() {
    let origin = Origin::start();
    let world = World::make();
    world.set("name", "127.0.0.1");
    let named = origin.url().replace("127.0.0.1", "moved.test");
    let more = "resolve_every = \"50ms\"\npool_idle_timeout = \"50ms\"\n";
    let text = config(&origin, more).replace(&origin.url(), &named);
    let running = world.start(&text);
    assert!(running.get("/a").ends_with("/a"));
    world.unset("name");
    let last_error = || {
        let status = running.status();
        status["origins"][0]["servers"][0]["last_error"]["what"].as_str().map(str::to_owned)
    };
    let error = wait_for("a lookup that fails", last_error);
    assert!(error.contains("Name or service not known"), "{error}");
    for turn in 0..20 {
        let path = format!("/gone/{turn}");
        let answer = running.get(&path);
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with(&path), "{answer}");
    }
    let server = &running.status()["origins"][0]["servers"][0];
    assert_eq!(
        server["is_healthy"], true,
        "a name server that is down is no fault of the server: {server:#}"
    );
    // A reload that changes nothing may not take the origin away either.
    let reload = running.operate(&["reload"]);
    assert!(running.get("/after").ends_with("/after"), "{reload:?}");
    // It comes back.
    world.set("name", "127.0.0.1");
    assert_eq!(running.operate(&["reload"]).code, Some(0));
    assert!(running.get("/back").ends_with("/back"));
}
