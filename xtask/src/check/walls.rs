//! The walls between crates and between rooms.
//!
//! Crates are judged by what cargo knows of their dependencies, rooms by the paths of modules that
//! stand in their files.

use super::source::{Source, without_comments};
use super::verdict;
use crate::cargo::{Metadata, Package};

/// What each crate may import of ours. A crate that is not here may import none.
const CRATES: [(&str, &[&str]); 11] = [
    ("forebay-signals", &[]),
    ("forebay-shop", &["forebay-signals"]),
    ("forebay-redis", &["forebay-signals"]),
    ("forebay-edge", &["forebay-signals"]),
    ("forebay-jobs", &["forebay-signals", "forebay-redis"]),
    ("forebay-availability", &["forebay-signals"]),
    (
        "forebay-console",
        &["forebay-signals", "forebay-edge", "forebay-jobs", "forebay-availability"],
    ),
    (
        "forebay",
        &[
            "forebay-signals",
            "forebay-shop",
            "forebay-redis",
            "forebay-edge",
            "forebay-jobs",
            "forebay-availability",
            "forebay-console",
        ],
    ),
    ("xtask", &["forebay-signals"]),
    ("forebay-bench-edge", &["forebay-signals", "forebay-edge"]),
    ("forebay-bench-jobs", &["forebay-signals", "forebay-jobs", "forebay-redis"]),
];
/// What any crate may import for its tests: a real application to talk to.
const FOR_TESTS: &str = "forebay-shop";

/// Rooms of the edge, in the order of the request's way.
const ROOMS: [&str; 7] = ["listen", "admit", "route", "cache", "compress", "files", "origin"];
/// What lies under the rooms: they may import it, and it imports no room.
const GROUND: [&str; 7] = ["exchange", "http1", "config", "error", "identity", "hashing", "trace"];
/// Where the edge lies.
const EDGE: &str = "crates/edge/src/";

/// Crates that read neither arguments nor environment: the binary does, and hands over values.
const DEAF: [&str; 6] = ["signals", "edge", "jobs", "availability", "redis", "console"];

/// All walls.
pub(super) fn check(metadata: &Metadata, files: &[Source]) -> Result<String, String> {
    let mut problems = crates(&metadata.packages);
    problems.extend(rooms(files));
    problems.extend(deaf(files));
    verdict(&problems, format!("{} rooms, {} files", ROOMS.len(), files.len()))
}

fn crates(packages: &[Package]) -> Vec<String> {
    let ours: Vec<&Package> = packages.iter().filter(|package| package.is_ours).collect();
    let mut problems = Vec::new();
    for package in &ours {
        let allowed =
            CRATES.iter().find(|(name, _)| *name == package.name).map_or(&[][..], |(_, list)| list);
        for dependency in &package.dependencies {
            let name = dependency.name.as_str();
            let is_ours = ours.iter().any(|package| package.name == name);
            // Itself with a feature that only its tests need is no wall crossed.
            let is_for_tests = dependency.is_dev && (name == FOR_TESTS || name == package.name);
            if is_ours && !allowed.contains(&name) && !is_for_tests {
                problems.push(format!("crate `{}` must not import `{name}`", package.name));
            }
        }
    }
    problems
}

fn rooms(files: &[Source]) -> Vec<String> {
    let edge: Vec<(&Source, &str)> =
        files.iter().filter_map(|file| Some((file, file.path.strip_prefix(EDGE)?))).collect();
    let modules: Vec<&str> = edge.iter().map(|(_, path)| first_module(path)).collect();
    let mut problems = Vec::new();
    for (file, path) in &edge {
        let here = first_module(path);
        let is_room = ROOMS.contains(&here);
        if !is_room && !GROUND.contains(&here) {
            continue;
        }
        for module in imports(&without_comments(&file.text), depth(path)) {
            let is_module = modules.contains(&module.as_str());
            let is_fine = module == here || !is_module || GROUND.contains(&module.as_str());
            if !is_fine {
                let kind = if is_room { "room" } else { "ground" };
                problems.push(format!("{}: {kind} `{here}` must not import `{module}`", file.path));
            }
        }
    }
    problems.sort();
    problems.dedup();
    problems
}

fn deaf(files: &[Source]) -> Vec<String> {
    let is_deaf = |file: &&Source| {
        // A test may start itself again as another process, and tells it what to be.
        !file.path.contains("/tests/")
            && DEAF.iter().any(|name| file.path.starts_with(&format!("crates/{name}/src/")))
    };
    let asks = |file: &&Source| {
        let code = without_comments(&file.text);
        ["env::args", "env::var"].iter().any(|call| code.contains(call))
    };
    let problem =
        |file: &Source| format!("{}: only the binary reads arguments and environment", file.path);
    files.iter().filter(is_deaf).filter(asks).map(problem).collect()
}

/// `cache/store/memory.rs` and `cache.rs` both lie in `cache`.
fn first_module(path: &str) -> &str {
    let first = path.split('/').next().unwrap_or_default();
    first.strip_suffix(".rs").unwrap_or(first)
}

/// How many `super::` lead from a file to the crate's root.
fn depth(path: &str) -> usize {
    let folders = path.matches('/').count();
    if path.ends_with("/mod.rs") { folders } else { folders + 1 }
}

/// First names of all paths in `code` that begin at the crate's root.
fn imports(code: &str, depth: usize) -> Vec<String> {
    let up = format!("{}::", vec!["super"; depth].join("::"));
    let mut names = Vec::new();
    for prefix in ["crate::", up.as_str()] {
        for (at, _) in code.match_indices(prefix) {
            let before = code.get(..at).unwrap_or_default();
            // `mycrate::x` is another path; `super::super::x` is longer than the one we look for.
            let is_start = !before.ends_with(|letter: char| {
                letter.is_alphanumeric() || letter == '_' || letter == ':'
            });
            if is_start {
                names.extend(first_names(code.get(at + prefix.len()..).unwrap_or_default()));
            }
        }
    }
    names
}

/// `cache::x` gives `cache`; `{cache::{x, y}, config}` gives both.
fn first_names(rest: &str) -> Vec<String> {
    let name = |text: &str| {
        let text = text.trim_start();
        let end = text.find(|letter: char| !letter.is_alphanumeric() && letter != '_');
        text.get(..end.unwrap_or(text.len())).unwrap_or_default().to_owned()
    };
    let Some(group) = rest.strip_prefix('{') else { return vec![name(rest)] };
    let mut names = Vec::new();
    let (mut open, mut start) = (1, 0);
    for (at, letter) in group.char_indices() {
        match letter {
            '{' => open += 1,
            '}' => open -= 1,
            _ => {}
        }
        if (letter == ',' && open == 1) || open == 0 {
            names.push(name(group.get(start..at).unwrap_or_default()));
            start = at + 1;
        }
        if open == 0 {
            break;
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cargo::{Dependency, root};

    fn source(path: &str, text: &str) -> Source {
        Source { path: format!("crates/edge/src/{path}"), text: text.into() }
    }

    /// A house with every room, and one file more.
    fn house(path: &str, text: &str) -> Vec<String> {
        let mut files: Vec<Source> =
            ROOMS.iter().map(|room| source(&format!("{room}/mod.rs"), "")).collect();
        files.extend(
            ["exchange/mod.rs", "error.rs", "pipeline/mod.rs"].map(|path| source(path, "")),
        );
        files.push(source(path, text));
        rooms(&files)
    }

    #[test]
    fn a_room_that_imports_another_is_found() {
        for text in [
            "use crate::origin::Pool;",
            "use crate::{error::Error, origin::{Pool, Server}};",
            "use crate::{\n    exchange,\n    origin,\n};",
            "fn f() { crate::origin::fetch(); }",
            "use super::super::super::origin::Pool;",
        ] {
            let problems = house("cache/lookup/deep.rs", text);
            assert_eq!(
                problems,
                ["crates/edge/src/cache/lookup/deep.rs: room `cache` must not import `origin`"],
                "{text}"
            );
        }
        assert_eq!(house("cache/fill.rs", "use super::super::origin;").len(), 1);
        assert_eq!(house("admit/rate.rs", "use crate::pipeline::Snapshot;").len(), 1);
    }

    #[test]
    fn a_room_may_import_itself_and_the_ground() {
        for text in [
            "use crate::cache::key::Key;",
            "use crate::{error::Error, exchange::{Answer, Body}};",
            "use super::origin::Names; // cache::origin is a folder of ours",
            "// as crate::origin does",
            "use mycrate::origin::Pool;",
        ] {
            assert_eq!(house("cache/lookup.rs", text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn the_ground_imports_no_room_and_the_pipeline_imports_all() {
        assert_eq!(house("exchange/body.rs", "use crate::cache::Key;").len(), 1);
        assert!(house("pipeline/pass.rs", "use crate::{cache, origin};").is_empty());
    }

    #[test]
    fn engines_do_not_import_each_other() {
        let package = |name: &str, dependencies: &[(&str, bool)]| Package {
            name: name.into(),
            is_ours: true,
            dependencies: dependencies
                .iter()
                .map(|(name, is_dev)| Dependency { name: (*name).into(), is_dev: *is_dev })
                .collect(),
            features: Vec::new(),
        };
        let found = crates(&[
            package("forebay-signals", &[]),
            package("forebay-jobs", &[("forebay-signals", false)]),
            package("forebay-shop", &[]),
            package(
                "forebay-edge",
                &[("forebay-jobs", true), ("forebay-shop", true), ("serde", false)],
            ),
        ]);
        assert_eq!(found, ["crate `forebay-edge` must not import `forebay-jobs`"]);
    }

    #[test]
    fn libraries_do_not_read_the_environment() {
        let asks = source("listen/mod.rs", "let port = std::env::var(\"PORT\");");
        assert_eq!(deaf(&[asks]).len(), 1);
        assert!(deaf(&[source("listen/mod.rs", "// std::env::var is for the binary")]).is_empty());
    }

    #[test]
    fn the_walls_of_this_house_stand() {
        let files = super::super::source::rust_files(&root()).expect("the sources are readable");
        assert!(files.iter().any(|file| file.path == "crates/edge/src/lib.rs"));
        assert_eq!(rooms(&files), Vec::<String>::new());
        assert_eq!(deaf(&files), Vec::<String>::new());
        let metadata = crate::cargo::metadata().expect("cargo knows the workspace");
        assert_eq!(crates(&metadata.packages), Vec::<String>::new());
    }
}
