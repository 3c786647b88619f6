use std::os::unix::fs::symlink;

use super::*;
use crate::config::acme::DIRECTORY;
use crate::listen::self_signed;

fn settings(folder: &Path, directory: &str) -> Acme {
    Acme {
        certificates: vec![vec!["a.example".into(), "b.example".into()], vec!["c.example".into()]],
        directory: directory.to_owned(),
        authorities: None,
        contact: Vec::new(),
        folder: folder.join("acme"),
        challenges: Vec::new(),
        binding: None,
    }
}

fn pem(names: &[&str]) -> String {
    match self_signed(names.iter().copied()).expect("made") {
        Certificate::Pem { chain, key } => format!("{}{chain}", key.0),
        Certificate::Files { .. } => panic!("it is made in memory"),
    }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it is there").permissions().mode() & 0o777
}

#[test]
fn what_is_kept_is_ours_alone_and_found_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = settings(folder.path(), DIRECTORY);
    let state = State::of(&settings);
    state.check(&settings).expect("nothing there is nothing wrong");
    state.make().expect("made");
    let text = pem(&["a.example", "b.example"]);
    let kept = state.keep(&settings.certificates[0], &text).expect("kept");
    let found = state.certificates(&settings).expect("good");
    assert!(found[0].as_ref().is_some_and(|found| found.covers(&settings.certificates[0])));
    assert!(found[1].is_none());
    assert!(kept.lifetime().is_some());
    let own = folder.path().join("acme/acme-v02.api.letsencrypt.org-directory");
    let file = own.join("a.example.pem");
    assert_eq!((mode(&folder.path().join("acme")), mode(&own), mode(&file)), (0o700, 0o700, 0o600));
    // Somebody opened it for others.
    fs::set_permissions(&file, Permissions::from_mode(0o644)).expect("ours");
    fs::set_permissions(&own, Permissions::from_mode(0o755)).expect("ours");
    state.certificates(&settings).expect("good");
    state.make().expect("made");
    assert_eq!((mode(&own), mode(&file)), (0o700, 0o600));
}

#[test]
fn what_is_not_ours_is_refused_and_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = settings(folder.path(), DIRECTORY);
    let state = State::of(&settings);
    state.make().expect("made");
    let own = folder.path().join("acme/acme-v02.api.letsencrypt.org-directory");
    let other_account = r#"{"directory":"https://other.example/","credentials":{"id":"x","key_pkcs8":"AA","directory":null}}"#;
    let half = pem(&["a.example"]);
    for (file, content, said) in [
        ("account.json", "", "holds no account of ours"),
        ("account.json", "{}", "holds no account of ours"),
        ("account.json", other_account, "is of another directory: `https://other.example/`"),
        ("a.example.pem", "", "holds no certificate that can be used"),
        ("a.example.pem", &half[..half.len() / 2], "holds no certificate that can be used"),
        ("a.example.pem", &pem(&["x.example"]), "is not for `a.example`"),
    ] {
        let path = own.join(file);
        fs::write(&path, content).expect("written");
        let bad = state.check(&settings).expect_err(said);
        let place = path.display().to_string();
        assert!(bad.to_string().contains(said) && bad.to_string().contains(&place), "{bad}");
        assert!(bad.hint().contains(&format!("mv {place} {place}.old")), "{}", bad.hint());
        assert_eq!(fs::read_to_string(&path).expect("still there"), content);
        fs::remove_file(&path).expect("ours");
    }
    state.check(&settings).expect("as before");
}

#[test]
fn what_was_not_asked_for_is_not_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = settings(folder.path(), DIRECTORY);
    let state = State::of(&settings);
    state.make().expect("made");
    let both = names(&["a.example", "b.example"]);
    for text in [pem(&["a.example"]), pem(&["x.example"]), String::new()] {
        state.keep(&both, &text).expect_err("it is not what was asked for");
    }
    assert!(state.certificates(&settings).expect("good").iter().all(Option::is_none));
}

#[test]
fn a_new_file_takes_the_place_of_the_old_one_whatever_a_crash_left() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.pem");
    let elsewhere = folder.path().join("elsewhere");
    fs::write(&elsewhere, "untouched").expect("written");
    symlink(&elsewhere, folder.path().join("a.new")).expect("a link");
    for text in ["one", "two"] {
        write(&path, text.as_bytes()).expect("written");
        assert_eq!(fs::read_to_string(&path).expect("there"), text);
    }
    assert_eq!(mode(&path), 0o600);
    assert_eq!(fs::read_to_string(&elsewhere).expect("there"), "untouched");
    assert!(!folder.path().join("a.new").exists());
}

#[test]
fn one_process_has_the_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = State::of(&settings(folder.path(), DIRECTORY));
    state.make().expect("made");
    let lock = state.lock().expect("it works").expect("nobody has it");
    assert!(state.lock().expect("it works").is_none());
    drop(lock);
    assert!(state.lock().expect("it works").is_some());
}

#[test]
fn each_directory_has_a_folder_of_its_own_within() {
    for (directory, folder) in [
        (
            "https://acme-v02.api.letsencrypt.org/directory",
            "acme-v02.api.letsencrypt.org-directory",
        ),
        ("https://127.0.0.1:14000/dir", "127.0.0.1-14000-dir"),
        ("https://../../etc/", "-..-etc"),
    ] {
        assert_eq!(folder_name(directory), folder);
    }
}

#[test]
fn failures_are_remembered_until_there_is_a_certificate() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = State::of(&settings(folder.path(), DIRECTORY));
    state.make().expect("made");
    assert_eq!(state.pause("a.example").expect("readable"), None);
    let pause = Pause {
        failures: 3,
        why: "it said 429".into(),
        next_attempt: SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(2_000_000_000),
        told_until: None,
        asked: "this".into(),
    };
    state.keep_pause("a.example", Some(&pause)).expect("kept");
    assert_eq!(state.pause("a.example").expect("readable"), Some(pause));
    assert_eq!(mode(&state.pause_path("a.example")), 0o600);
    fs::write(state.pause_path("a.example"), "{").expect("ours");
    assert_eq!(state.pause("a.example").expect("readable"), None);
    state.keep_pause("a.example", None).expect("forgotten");
    state.keep_pause("a.example", None).expect("it was not there");
    assert!(!state.pause_path("a.example").exists());
}
