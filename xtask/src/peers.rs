//! Programs that tests talk to: found, installed where we may, or named with the command to type.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::{cargo::root, steps};

/// Packages of programs that tests of the workspace talk to: an authority for certificates, a store of jobs.
const OF_THE_WORKSPACE: [&str; 2] = ["pebble", "redis-server"];
/// Package of the browser.
const BROWSER: &str = "chromium";
/// Programs that are one, in the order in which the referee looks for them.
const BROWSERS: [&str; 4] =
    ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// A folder of `tests/peers` with a `run` script and, mostly, a list of Debian packages.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) name: String,
    pub(crate) run: PathBuf,
    pub(crate) packages: Vec<String>,
}

/// Every peer, by name.
pub(crate) fn all() -> Vec<Peer> {
    let Ok(folders) = fs::read_dir(root().join("tests/peers")) else { return Vec::new() };
    let mut peers: Vec<Peer> = folders
        .flatten()
        .filter_map(|folder| {
            let run = folder.path().join("run");
            let list = fs::read_to_string(folder.path().join("packages.txt")).unwrap_or_default();
            run.is_file().then(|| Peer {
                name: folder.file_name().to_string_lossy().into_owned(),
                run,
                packages: list.split_whitespace().map(str::to_owned).collect(),
            })
        })
        .collect();
    peers.sort_by(|a, b| a.name.cmp(&b.name));
    peers
}

/// Brings the packages of these peers and of the workspace; says what it did.
pub(crate) fn bring(peers: &[Peer]) -> Result<String, String> {
    let of_peers = peers.iter().flat_map(|peer| &peer.packages).map(String::as_str);
    let mut packages: Vec<&str> = of_peers.chain(OF_THE_WORKSPACE).collect();
    packages.sort_unstable();
    packages.dedup();
    let missing: Vec<&str> = packages.into_iter().filter(|name| !is_there(name)).collect();
    if missing.is_empty() {
        return Ok("all packages found".into());
    }
    let list = missing.join(" ");
    let by_hand = by_hand(&missing);
    let Some(become_root) = way_to_root() else { return Err(by_hand) };
    steps::say(&format!("installing {list} with apt-get …"));
    // Some machines know the packages already, and a mirror may be away: the install decides.
    let updated = steps::output(&mut apt(become_root, &["update"]));
    let mut install = apt(become_root, &["install", "-y", "--no-install-recommends"]);
    steps::output(install.args(&missing)).map_err(|error| {
        let update = updated.err().unwrap_or_default();
        format!("{by_hand}\n\n{update}\n{error}")
    })?;
    Ok(format!("installed {list}"))
}

/// What somebody can type who may install packages.
fn by_hand(missing: &[&str]) -> String {
    let list = missing.join(" ");
    let mut text = format!(
        "missing packages: {list}\n\nhint: sudo apt-get update && sudo apt-get install -y --no-install-recommends {list}"
    );
    if missing.contains(&BROWSER) {
        text.push_str(
            "\n      a browser that is there already does as well, as one of chromium, chromium-browser, \
             google-chrome\n      or google-chrome-stable in PATH, or by its path in CHROMIUM. Ubuntu has no \
             such package:\n      sudo snap install chromium",
        );
    }
    text
}

/// A package, or for the browser any program that does its work.
fn is_there(package: &str) -> bool {
    is_installed(package) || (package == BROWSER && browser().is_some())
}

fn browser() -> Option<String> {
    let named = std::env::var("CHROMIUM").ok();
    first_that_runs(named.into_iter().chain(BROWSERS.map(str::to_owned)))
}

/// Ubuntu has a program of that name that only says what to install: one that is there runs.
fn first_that_runs(mut names: impl Iterator<Item = String>) -> Option<String> {
    names.find(|name| {
        let asked = Command::new(name)
            .arg("--version")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        asked.is_ok_and(|status| status.success())
    })
}

fn is_installed(package: &str) -> bool {
    let asked = Command::new("dpkg-query")
        .args(["-W", "-f=${db:Status-Status}", package])
        .stderr(Stdio::null())
        .output();
    asked.is_ok_and(|answer| answer.stdout == b"installed")
}

/// How to become root without a question, where there is apt-get at all.
fn way_to_root() -> Option<&'static [&'static str]> {
    let succeeds = |program: &str, arguments: &[&str]| {
        Command::new(program).args(arguments).output().ok().filter(|answer| answer.status.success())
    };
    succeeds("apt-get", &["--version"])?;
    if succeeds("id", &["-u"])?.stdout.trim_ascii() == b"0" {
        return Some(&["env"]);
    }
    succeeds("sudo", &["-n", "true"]).map(|_| ["sudo", "-n", "env"].as_slice())
}

fn apt(become_root: &[&str], arguments: &[&str]) -> Command {
    let mut words = become_root.iter();
    let mut command = Command::new(words.next().unwrap_or(&"env"));
    command.args(words).args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "-q"]).args(arguments);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_that_is_missing_is_named_with_what_else_would_do() {
        let both = by_hand(&["chromium", "puma"]);
        for part in ["install -y --no-install-recommends chromium puma", "CHROMIUM", "snap install"]
        {
            assert!(both.contains(part), "{part:?} is missing in:\n{both}");
        }
        assert!(!by_hand(&["puma"]).contains("CHROMIUM"));
    }

    #[test]
    fn the_first_program_that_runs_is_taken() {
        let names = ["no-such-browser", "rustc", "cargo"].map(str::to_owned);
        assert_eq!(first_that_runs(names.into_iter()).as_deref(), Some("rustc"));
        assert_eq!(first_that_runs(std::iter::empty()), None);
    }
}
