use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Component, Path};

use proptest::prelude::*;
use rustix::io::Errno;

use super::path::Wanted;
use super::root::{Root, Way};

#[test]
fn a_path_is_decoded_once_and_names_what_may_be_seen() {
    let path = |sent: &str| Wanted::parse(sent).map(|it| it.path().display().to_string());
    for (sent, read) in [
        ("/", ""),
        ("/a", "a"),
        ("/a/b/", "a/b"),
        ("/a%20b/c%25", "a b/c%"),
        ("/%41", "A"),
        ("/a..b", "a..b"),
        ("/..%2Fetc".replace("%2F", "x").as_str(), ""),
        ("/.well-known/acme-challenge/x", ".well-known/acme-challenge/x"),
        ("/%2Ewell-known/x", ".well-known/x"),
    ] {
        let expected = (!sent.starts_with("/..")).then(|| read.to_owned());
        assert_eq!(path(sent), expected, "`{sent}`");
    }
    for refused in [
        "",
        "a",
        "//",
        "//a",
        "/a//b",
        "/.",
        "/..",
        "/a/..",
        "/a/../b",
        "/%2e%2e/a",
        "/%2E./a",
        "/.git/config",
        "/a/.env",
        "/a/%2eenv",
        "/a/.well-known/x",
        "/.well-known/.x",
        "/.well-known/../a",
        "/a%2fb",
        "/a%2Fb",
        "/a%5cb",
        "/a\\b",
        "/a%00",
        "/a%0a",
        "/%7f",
        "/%",
        "/%4",
        "/%zz",
        "/%252e%252e%2fa",
    ] {
        assert_eq!(path(refused), None, "`{refused}`");
    }
    assert_eq!(path(&format!("/{}", "a".repeat(255))).map(|it| it.len()), Some(255));
    assert_eq!(path(&format!("/{}", "a".repeat(256))), None);
}

proptest! {
    #[test]
    fn whatever_is_asked_for_stays_below_and_is_not_hidden(path in "(/|%2[eEfF]|%5[cC]|\\.|%00|a|%|\\\\|\\PC){0,24}") {
        let Some(wanted) = Wanted::parse(&path) else { return Ok(()) };
        for (place, component) in wanted.path().components().enumerate() {
            let Component::Normal(name) = component else {
                return Err(TestCaseError::fail(format!("{component:?} of `{path}`")));
            };
            let name = name.to_string_lossy();
            prop_assert!(!name.starts_with('.') || (place == 0 && name == ".well-known"));
            prop_assert!(!name.contains(['\0', '\\', '/']));
        }
        // As many names as were sent: nothing was cut, nothing came out of a decoded slash.
        let sent = path.split('/').filter(|name| !name.is_empty()).count();
        prop_assert_eq!(wanted.path().components().count(), sent);
    }

    #[test]
    fn every_plain_name_can_be_asked_for(name in "[^./\\\\\\x00-\\x1f\\x7f][^/\\\\\\x00-\\x1f\\x7f]{0,30}") {
        let sent = name.bytes().fold(String::new(), |text, byte| format!("{text}%{byte:02x}"));
        let wanted = Wanted::parse(&format!("/x/{sent}"));
        prop_assert_eq!(wanted.map(|it| it.path().to_owned()), Some(Path::new("x").join(&name)));
    }
}

/// A folder with links of all kinds, and one outside.
fn folders() -> (tempfile::TempDir, std::path::PathBuf) {
    let all = tempfile::tempdir().expect("a folder");
    let inside = all.path().join("public");
    fs::create_dir_all(inside.join("below")).expect("written");
    fs::create_dir_all(all.path().join("secret")).expect("written");
    fs::write(all.path().join("secret/key"), "secret").expect("written");
    fs::write(inside.join("below/page"), "page").expect("written");
    symlink("below", inside.join("folder-within")).expect("linked");
    symlink("below/page", inside.join("within")).expect("linked");
    symlink("../secret/key", inside.join("out")).expect("linked");
    symlink("../secret", inside.join("folder-out")).expect("linked");
    symlink(all.path().join("secret/key"), inside.join("absolute")).expect("linked");
    symlink("/proc/self/root/etc/hostname", inside.join("magic")).expect("linked");
    symlink("loop", inside.join("loop")).expect("linked");
    (all, inside)
}

#[test]
fn no_link_leads_out_of_the_folder() {
    let (_all, inside) = folders();
    let root = Root::open(&inside).expect("it opens");
    let is_file = |name: &str| matches!(root.enter(Path::new(name)).unwrap(), Way::File(_));
    assert!(is_file("below/page") && is_file("within") && is_file("folder-within/page"));
    for out in ["out", "folder-out/key", "absolute", "magic", "loop", "../secret/key"] {
        assert!(!is_file(out), "{out}");
    }
    assert!(matches!(root.enter(Path::new("")).unwrap(), Way::Folder));
}

#[test]
fn without_the_kernels_help_no_link_is_followed_at_all() {
    let (_all, inside) = folders();
    let root = Root::open(&inside).expect("it opens");
    assert!(root.step_by_step(Path::new("below/page")).is_ok());
    for link in ["within", "folder-within/page", "out", "folder-out/key", "absolute"] {
        let error = root.step_by_step(Path::new(link)).unwrap_err();
        assert!(matches!(error, Errno::LOOP | Errno::NOTDIR), "{link}: {error}");
    }
    assert_eq!(root.step_by_step(Path::new("../secret/key")).unwrap_err(), Errno::XDEV);
}

#[test]
fn what_is_no_plain_file_is_not_served_and_makes_nobody_wait() {
    let (_all, inside) = folders();
    let made = std::process::Command::new("mkfifo").arg(inside.join("pipe")).status();
    assert!(made.expect("coreutils are there").success());
    let _socket = std::os::unix::net::UnixListener::bind(inside.join("socket")).expect("bound");
    let root = Root::open(&inside).expect("it opens");
    for special in ["pipe", "socket"] {
        let way = root.enter(Path::new(special)).expect("no fault");
        assert!(matches!(way, Way::Nothing), "{special}: {way:?}");
    }
}
