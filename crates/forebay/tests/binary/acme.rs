//! Certificates of a real authority, as an operator gets them: by a config file, a command, and a look.

use std::fs;

use super::authority::{self, Habits, Place, Ports, free_port, mode};
use super::support::{Origin, Running, config, wait_for};

/// A config whose certificates come from `place`.
fn asking(place: &Place, origin: &Origin, tls: u16) -> String {
    let acme = format!(
        "[acme]\ndomains = [\"shop.example\"]\nagree_to_terms = true\ndirectory = \"{}\"\n\
         authorities = \"{}\"\nfolder = \"kept\"\n",
        place.directory(),
        place.root.display()
    );
    let text = config(origin, &acme);
    let both = format!("[\"127.0.0.1:0\", \"https://127.0.0.1:{tls}\"]");
    text.replace("[\"127.0.0.1:0\"]", &both)
}

#[test]
fn an_operator_sees_what_an_authority_refuses_and_what_it_gives() {
    if !authority::is_there() {
        return;
    }
    let (place, origin) = (Place::new(), Origin::start());
    let tls = free_port();
    let running = Running::with_config(&asking(&place, &origin, tls));
    assert!(running.get("/a").ends_with("/a"), "clear text is served");
    let failure = || running.status()["acme"][0]["failure"].as_str().map(str::to_owned);
    let why = wait_for("a failure", failure);
    assert!(why.contains("refused"), "{why}");
    let look = running.operate(&["status", "--once"]);
    let warning = "WARNING: no certificate for `shop.example` yet after 1 attempt: ";
    assert!(look.data.contains(warning), "{look:?}");
    assert!(
        look.data.contains("; next attempt in 2 min") || look.data.contains("in 3 min"),
        "{look:?}"
    );

    let _authority = place.start(Ports { http: running.port, tls }, &Habits::default());
    let reload = running.operate(&["reload"]);
    assert_eq!(reload.code, Some(0), "{reload:?}");
    let held = || (running.status()["acme"][0]["is_held"] == true).then_some(());
    wait_for("a certificate", held);
    let look = running.operate(&["status", "--once"]);
    assert!(
        !look.data.contains("WARNING") && look.data.contains("`shop.example` issued"),
        "{look:?}"
    );
    let status = running.status();
    assert_eq!(status["certificates"][0]["name"], "shop.example", "{status:#}");
    let days = status["certificates"][0]["days_left"].as_i64();
    assert!(days.is_some_and(|days| (88..=90).contains(&days)), "{status:#}");

    // The folder is beside the config file, and nobody else's.
    let kept = running.path("kept");
    let own = fs::read_dir(&kept).expect("it is there").next().expect("one").expect("readable");
    assert_eq!((mode(&kept), mode(&own.path())), (0o700, 0o700));
    let certificate = own.path().join("shop.example.pem");
    assert_eq!(mode(&certificate), 0o600);

    // What is broken is refused with one sentence, by a check, a reload and a start; and kept.
    fs::write(&certificate, "torn").expect("ours");
    let reload = running.operate(&["reload"]);
    let sentence = format!("`{}` holds no certificate that can be used", certificate.display());
    let own_sentence = sentence.replace(&kept.display().to_string(), "kept");
    let is_said = |text: &str| text.contains(&sentence) || text.contains(&own_sentence);
    assert!(reload.code == Some(1) && is_said(&reload.talk), "{reload:?}");
    assert_eq!(fs::read_to_string(&certificate).expect("kept"), "torn");
    assert_eq!(running.status()["certificates"][0]["name"], "shop.example", "it serves on");
    let file = running.path("forebay.toml").display().to_string();
    for words in [["check", "--config", &file], ["run", "--config", &file]] {
        let refused = super::support::outcome(&words);
        assert!(refused.code == Some(1) && is_said(&refused.talk), "{refused:?}");
    }
}
