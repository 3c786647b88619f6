//! Bad input: one clear sentence with the place, the value and the remedy; exit 1.

use std::net::TcpListener;

use super::support::{Origin, config, outcome, write};

/// Runs it with these words and expects it to refuse with all of these in what it says.
fn refused(words: &[&str], expected: &[&str]) {
    let got = outcome(words);
    assert_eq!(got.code, Some(1), "{words:?}: {got:?}");
    assert!(got.data.is_empty(), "talk belongs on stderr: {got:?}");
    for part in expected {
        assert!(got.talk.contains(part), "{part:?} is missing in:\n{}", got.talk);
    }
    assert!(got.talk.contains("\nhint: "), "no remedy in:\n{}", got.talk);
    assert!(!got.talk.contains("panicked"), "{}", got.talk);
}

#[test]
fn without_an_application_it_says_how_to_name_one() {
    refused(&["run"], &["error: there is no application to stand before"]);
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();
    let run = ["run", "--origin", "http://127.0.0.1:9", "--admin", "127.0.0.1:0"];
    refused(&[&run[..], &["--listen", &address]].concat(), &["cannot listen on", &address]);
    let run = ["run", "--origin", "http://127.0.0.1:9", "--listen", "127.0.0.1:0"];
    refused(&[&run[..], &["--admin", &address]].concat(), &["cannot bind", &address]);
}

#[test]
fn an_origin_that_does_not_resolve_is_named() {
    let run = ["run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    let origin = ["--origin", "http://no-such-host.invalid"];
    refused(&[&run[..], &origin].concat(), &["no-such-host.invalid", "does not resolve"]);
}

#[test]
fn a_config_file_is_refused_with_place_and_remedy() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("forebay.toml");
    let name = file.to_string_lossy().into_owned();
    refused(&["check", "--config", &name], &["cannot read", &name]);
    let origin = Origin::start();
    write(&file, &config(&origin, "[cache]\nmemry = \"1GiB\"\n"));
    refused(&["check", "--config", &name], &["memry", "memory", "forebay.toml:"]);
    refused(&["run", "--config", &name, "--admin", "127.0.0.1:0"], &["memry"]);
    let missing = "\"https://127.0.0.1:0\"]\ncertificates = \
                   [{ chain = \"/no/such/chain.pem\", key = \"/no/such/key.pem\" }]\n";
    let with_tls = config(&origin, "").replacen("\"127.0.0.1:0\"]\n", missing, 1);
    write(&file, &with_tls);
    refused(&["check", "--config", &name], &["/no/such/chain.pem"]);
}

#[test]
fn a_word_that_it_does_not_know_is_not_our_failure() {
    let got = outcome(&["statsu"]);
    assert_eq!(got.code, Some(1), "{got:?}");
    assert!(got.talk.contains("status"), "it offers the nearest: {got:?}");
    let got = outcome(&["run", "--orign", "http://127.0.0.1:9"]);
    assert_eq!(got.code, Some(1), "{got:?}");
    assert!(got.talk.contains("--origin"), "{got:?}");
}

#[test]
fn an_operator_who_reaches_nobody_is_told_where_he_asked() {
    for verb in [&["status", "--once"][..], &["reload"], &["cache", "why", "http://a/"]] {
        let words = [verb, &["--admin", "127.0.0.1:9"]].concat();
        refused(&words, &["cannot reach a running forebay at `127.0.0.1:9`"]);
    }
}
