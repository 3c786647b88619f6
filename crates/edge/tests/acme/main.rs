//! Certificates of a real authority: issued by both challenges, put in force on open listeners, renewed, kept
//! over restarts; and what happens while the authority is away or refuses.

mod authority;
mod front;
mod world;

use std::fs;
use std::sync::Arc;

use authority::{Habits, Place, free_port, mode};
use forebay_edge::config::acme::{Binding, Challenge};
use forebay_edge::config::listen::Secret;
use forebay_edge::listen::self_signed;
use forebay_edge::listen::tls::Managed;
use forebay_edge::view;
use forebay_signals::clock;
use front::{Does, Front};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use world::{Plan, Serving, ask, run, until};

/// DER of a name in a certificate, as good as the name itself for these tests.
fn names(certificate: &[u8], name: &str) -> bool {
    certificate.windows(name.len()).any(|window| window == name.as_bytes())
}

async fn until_held(serving: &Serving, count: usize) {
    let held = || serving.standing().iter().filter(|of| of.is_held).count();
    until("certificates", || {
        let failures: Vec<_> = serving.standing().into_iter().filter_map(|of| of.failure).collect();
        // Three good ones in a row may be refused by chance.
        let is_chance = |why: &String| why.contains("badNonce");
        assert!(failures.iter().all(is_chance), "{failures:?}");
        if !failures.is_empty() {
            serving.reload();
        }
        held() == count
    })
    .await;
}

fn orders(serving: &Serving) -> String {
    let page = view::metrics(&serving.edge);
    let lines = page.lines().filter(|line| line.starts_with("forebay_edge_acme_orders_total"));
    lines.map(|line| line.replace("forebay_edge_acme_orders_total", "")).collect()
}

#[test]
fn both_challenges_bring_certificates_that_are_in_force_at_once() {
    if !authority::is_there() {
        return;
    }
    run(async {
        for proof in [Challenge::Http01, Challenge::TlsAlpn01] {
            let place = Place::new();
            let plan =
                Plan::new(&place, &[&["a.example", "www.a.example"], &["b.example"]], &[proof]);
            let mut serving = plan.open().expect("it opens");
            // Without a certificate clear text is served, and a handshake is refused.
            assert!(serving.get("/").await.starts_with("HTTP/1.1 418 "));
            assert!(serving.shown("a.example").await.is_none());
            let _authority =
                place.start(serving.ports, &Habits { refuses_nonces: 20, ..Habits::default() });
            let open = TcpStream::connect(("127.0.0.1", serving.ports.http)).await.expect("open");
            serving.keep();
            until_held(&serving, 2).await;
            assert!(orders(&serving).starts_with("{outcome=\"issued\"} 2"));
            for (name, also) in [("a.example", "www.a.example"), ("www.a.example", "a.example")] {
                let shown = serving.shown(name).await.expect("in force");
                assert!(names(&shown, also) && names(&shown, name), "{name}");
            }
            assert!(names(&serving.shown("b.example").await.expect("in force"), "b.example"));
            let stream = serving.handshake("b.example", &["http/1.1"]).await.expect("in force");
            assert!(ask(stream, "/").await.starts_with("HTTP/1.1 421 "), "it is asked for another");
            let stream = serving.handshake("a.example", &["http/1.1"]).await.expect("in force");
            assert!(ask(stream, "/").await.starts_with("HTTP/1.1 418 "));
            // A connection from before goes on.
            assert!(ask(open, "/").await.starts_with("HTTP/1.1 418 "));
            // Nothing is left of the challenges.
            assert!(serving.handshake("a.example", &["acme-tls/1"]).await.is_err());
            let days = view::metrics(&serving.edge);
            assert!(days.contains("certificate_days_left{name=\"a.example\"}"), "{days}");
            // Kept for us alone.
            let own = plan.own_folder();
            assert_eq!((mode(&plan.acme.folder), mode(&own)), (0o700, 0o700));
            for entry in fs::read_dir(&own).expect("it is there") {
                let path = entry.expect("readable").path();
                assert_eq!(mode(&path), 0o600, "{}", path.display());
            }
            serving.end().await;
        }
    });
}

#[test]
fn a_restart_keeps_account_and_certificates() {
    if !authority::is_there() {
        return;
    }
    run(async {
        let place = Place::new();
        let mut plan = Plan::new(&place, &[&["a.example"]], &[Challenge::TlsAlpn01]);
        let mut first = plan.open().expect("it opens");
        let authority = place.start(first.ports, &Habits::default());
        let ports = first.ports;
        first.keep();
        until_held(&first, 1).await;
        let shown = first.shown("a.example").await.expect("in force");
        let account = fs::read(plan.own_folder().join("account.json")).expect("kept");
        // A second process with the same folder uses what is there, and orders nothing.
        let mut second = plan.open().expect("it opens");
        second.keep();
        assert_eq!(second.shown("a.example").await.as_ref(), Some(&shown));
        until("its look", || second.standing().iter().all(|of| of.is_held)).await;
        first.end().await;
        second.end().await;
        assert_eq!(place.log().matches("Issued certificate").count(), 1, "{}", place.log());
        // Another name joins: the account is the same.
        plan.acme.certificates.push(vec!["b.example".into()]);
        plan.ports = Some(ports);
        let mut third = plan.open().expect("it opens");
        assert_eq!(third.shown("a.example").await.as_ref(), Some(&shown), "before any look");
        third.keep();
        until_held(&third, 2).await;
        assert_eq!(third.shown("a.example").await.as_ref(), Some(&shown));
        assert!(names(&third.shown("b.example").await.expect("in force"), "b.example"));
        third.end().await;
        assert_eq!(fs::read(plan.own_folder().join("account.json")).expect("kept"), account);
        assert!(!place.log().contains("There are now 2 accounts"), "{}", place.log());
        // This authority forgets everything with its process: it is said, and the file is kept.
        drop(authority);
        plan.acme.certificates.push(vec!["c.example".into()]);
        let mut fourth = plan.open().expect("it opens");
        let _authority = place.start(ports, &Habits::default());
        fourth.keep();
        until("its failure", || fourth.standing().iter().any(|of| of.failures == 1)).await;
        let why = fourth.standing()[2].failure.clone().expect("it failed");
        assert!(why.contains("accountDoesNotExist"), "{why}");
        assert_eq!(fs::read(plan.own_folder().join("account.json")).expect("kept"), account);
        fourth.end().await;
    });
}

#[test]
fn a_short_certificate_is_renewed_by_itself_before_it_ends() {
    if !authority::is_there() {
        return;
    }
    run(async {
        let place = Place::new();
        let plan = Plan::new(&place, &[&["a.example"]], &[Challenge::TlsAlpn01]);
        let mut serving = plan.open().expect("it opens");
        let habits = Habits { life: Some(12), ..Habits::default() };
        let _authority = place.start(serving.ports, &habits);
        serving.keep();
        until_held(&serving, 1).await;
        let old = serving.shown("a.example").await.expect("in force");
        let renew_at = serving.standing()[0].renew_at.expect("it knows");
        let ends_at = view::status(&serving.edge).certificates[0].ends_at;
        assert!((3..=6).contains(&(ends_at - renew_at)), "{renew_at} {ends_at}");
        until("a renewal", || orders(&serving).starts_with("{outcome=\"issued\"} 2")).await;
        let now = clock::wall().duration_since(std::time::UNIX_EPOCH).expect("later").as_secs();
        assert!((renew_at..ends_at).contains(&now), "{renew_at} {now} {ends_at}");
        assert_ne!(serving.shown("a.example").await.expect("in force"), old);
        serving.end().await;
    });
}

#[test]
fn an_authority_that_has_had_enough_is_left_alone_whatever_an_operator_does() {
    if !authority::is_there() {
        return;
    }
    run(async {
        let place = Arc::new(Place::new());
        let front = Front::before(&place, Does::Refuses(86_400)).await;
        let mut plan = Plan::new(&place, &[&["a.example"]], &[Challenge::Http01]);
        plan.acme.directory.clone_from(&front.directory);
        let mut serving = plan.open().expect("it opens");
        let _authority = place.start(serving.ports, &Habits::default());
        serving.keep();
        until("its failure", || serving.standing().iter().any(|of| of.failures == 1)).await;
        let why = serving.standing()[0].failure.clone();
        assert_eq!(why.as_deref(), Some("too many (rateLimited)"));
        // Another name, so that the look behind the reload can be seen.
        plan.acme.certificates.push(vec!["b.example".into()]);
        let next = serving.edge.prepare(plan.config()).expect("good");
        serving.edge.reload(next).expect("good");
        until("a look", || serving.standing().get(1).is_some_and(|of| of.failures == 1)).await;
        let standing = &serving.standing()[0];
        let now = clock::wall().duration_since(std::time::UNIX_EPOCH).expect("later").as_secs();
        assert_eq!(standing.failures, 1, "not asked again");
        assert!(standing.next_attempt_at.is_some_and(|at| at > now + 86_000), "{standing:?}");
        serving.end().await;
    });
}

#[test]
fn a_challenge_is_shown_to_nobody_but_an_authority() {
    run(async {
        let place = Place::new();
        let plan = Plan::new(&place, &[&["a.example"]], &[Challenge::TlsAlpn01]);
        let serving = plan.open().expect("it opens");
        let own = self_signed(["a.example"]).expect("made");
        let own = Managed::load(&own, "a.example").expect("good");
        let certificates = serving.edge.entrance.certificates();
        certificates.put(&[own]);
        let usual = serving.shown("a.example").await.expect("in force");
        let key = rcgen::KeyPair::generate().expect("a key");
        let params = rcgen::CertificateParams::new(["a.example".to_owned()]).expect("a name");
        let proof = params.self_signed(&key).expect("made");
        certificates.show_challenge("a.example", &proof, &key).expect("shown");
        let mut stream = serving.handshake("A.example", &["acme-tls/1"]).await.expect("shown");
        let shown = stream.get_ref().1.peer_certificates().expect("shown").to_vec();
        assert_eq!(shown, [proof.der().clone()]);
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.expect("it is closed as it should be");
        assert_eq!(rest, b"", "nothing is served behind it");
        for protocols in [&[][..], &["h2"], &["http/1.1"], &["acme-tls/1", "h2"]] {
            let stream = serving.handshake("a.example", protocols).await.expect("in force");
            assert_ne!(stream.get_ref().1.alpn_protocol(), Some(&b"acme-tls/1"[..]));
            let shown = stream.get_ref().1.peer_certificates().expect("shown").to_vec();
            assert_eq!(shown, std::slice::from_ref(&usual), "{protocols:?}");
        }
        assert!(serving.handshake("b.example", &["acme-tls/1"]).await.is_err(), "another name");
        certificates.hide_challenge("a.example");
        assert!(serving.handshake("a.example", &["acme-tls/1"]).await.is_err(), "no longer");
        serving.end().await;
    });
}

#[test]
fn an_authority_that_is_away_is_told_and_asked_again() {
    if !authority::is_there() {
        return;
    }
    run(async {
        let place = Place::new();
        let plan = Plan::new(&place, &[&["a.example"]], &[Challenge::Http01]);
        let mut serving = plan.open().expect("it opens");
        serving.keep();
        until("its failure", || serving.standing().iter().any(|of| of.failures == 1)).await;
        let standing = serving.standing();
        let sentence = standing[0].sentence().expect("it failed");
        let begin = "no certificate for `a.example` yet after 1 attempt: ";
        assert!(sentence.starts_with(begin) && sentence.contains("refused"), "{sentence}");
        assert!(standing[0].next_attempt_at.is_some() && !standing[0].is_held);
        let status = view::status(&serving.edge);
        assert_eq!(status.acme, standing);
        let told = |entry: &forebay_signals::journal::Entry| {
            entry.who == "acme"
                && entry.what.starts_with(begin)
                && entry.what.contains("; next attempt in ")
        };
        assert!(status.journal.iter().any(told), "{:?}", status.journal);
        let page = view::metrics(&serving.edge);
        assert!(page.contains("forebay_edge_acme_failures{name=\"a.example\"} 1"), "{page}");
        assert_eq!(orders(&serving), "{outcome=\"issued\"} 0{outcome=\"failed\"} 1");
        // It is there again, and an operator does not want to wait.
        let _authority = place.start(serving.ports, &Habits::default());
        serving.reload();
        until("a certificate", || serving.standing().iter().any(|of| of.is_held)).await;
        assert_eq!(serving.standing()[0].sentence(), None);
        assert!(serving.shown("a.example").await.is_some());
        serving.end().await;
    });
}

#[test]
fn a_challenge_that_fails_says_what_the_authority_saw_and_the_other_one_is_next() {
    if !authority::is_there() {
        return;
    }
    run(async {
        let place = Place::new();
        let plan = Plan::new(&place, &[&["a.example"]], &[Challenge::Http01, Challenge::TlsAlpn01]);
        let mut serving = plan.open().expect("it opens");
        // The authority looks for pages where nobody listens.
        let ports = authority::Ports { http: free_port(), ..serving.ports };
        let _authority = place.start(ports, &Habits::default());
        serving.keep();
        until("its failure", || serving.standing().iter().any(|of| of.failures == 1)).await;
        let why = serving.standing()[0].failure.clone().expect("it failed");
        assert!(why.starts_with("http-01 of `a.example`: ") && why.contains("refused"), "{why}");
        // Nothing is left of the challenge.
        assert!(serving.get("/.well-known/acme-challenge/x").await.starts_with("HTTP/1.1 418 "));
        serving.reload();
        until("a certificate", || serving.standing().iter().any(|of| of.is_held)).await;
        serving.end().await;
    });
}

#[test]
fn an_authority_that_wants_a_bound_account_gets_one() {
    const KEY: &str = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";
    if !authority::is_there() {
        return;
    }
    run(async {
        let place = Place::new();
        let mut plan = Plan::new(&place, &[&["a.example"]], &[Challenge::Http01]);
        let habits = Habits { binding: Some(("kid-1", KEY)), ..Habits::default() };
        let mut serving = plan.open().expect("it opens");
        let authority = place.start(serving.ports, &habits);
        serving.keep();
        until("its failure", || serving.standing().iter().any(|of| of.failures == 1)).await;
        let why = serving.standing()[0].failure.clone().expect("it failed");
        assert!(why.contains("externalAccountRequired"), "{why}");
        serving.end().await;
        drop(authority);
        plan.acme.binding = Some(Binding { key_id: "kid-1".into(), key: Secret(KEY.into()) });
        let mut serving = plan.open().expect("it opens");
        let _authority = place.start(serving.ports, &habits);
        serving.keep();
        until_held(&serving, 1).await;
        serving.end().await;
    });
}

#[test]
fn an_authority_says_when_to_renew_and_a_failed_renewal_keeps_what_is_there() {
    if !authority::is_there() {
        return;
    }
    run(async {
        let place = Arc::new(Place::new());
        let first = Arc::<std::sync::OnceLock<String>>::default();
        let known = Arc::clone(&first);
        // The first certificate it hears of should have been renewed long ago; all others have a month.
        let when = move |identifier: &str| {
            let is_first = known.get_or_init(|| identifier.to_owned()) == identifier;
            if is_first { -7_200 } else { 30 * 86_400 }
        };
        let info = Front::before(&place, Does::SaysWhen(Box::new(when))).await;
        let mut plan = Plan::new(&place, &[&["a.example"]], &[Challenge::Http01]);
        plan.acme.directory.clone_from(&info.directory);
        let mut serving = plan.open().expect("it opens");
        let authority = place.start(serving.ports, &Habits::default());
        serving.keep();
        until_held(&serving, 1).await;
        let old = serving.shown("a.example").await.expect("in force");
        until("the question", || !info.asked.lock().expect("no panic").is_empty()).await;
        // The authority goes, and with it the attempt that is due by now; an operator lets it come at once.
        drop(authority);
        until("it is due", || {
            serving.standing()[0].renew_at.is_some_and(|at| {
                let since = std::time::UNIX_EPOCH + std::time::Duration::from_secs(at);
                since <= clock::wall()
            })
        })
        .await;
        serving.reload();
        until("its failure", || serving.standing().iter().any(|of| of.failures == 1)).await;
        let sentence = serving.standing()[0].sentence().expect("it failed");
        assert!(
            sentence.starts_with("certificate of `a.example` not renewed after 1 "),
            "{sentence}"
        );
        assert_eq!(serving.shown("a.example").await.as_ref(), Some(&old), "it serves on");
        let certificates = view::status(&serving.edge).certificates;
        assert!(certificates[0].failure.is_some() && !certificates[0].is_overdue);
        serving.end().await;

        // It is renewed by itself once an edge finds it due.
        let mut serving = plan.open().expect("it opens");
        assert_eq!(serving.shown("a.example").await.as_ref(), Some(&old));
        let open = serving.handshake("a.example", &["http/1.1"]).await.expect("in force");
        fs::remove_file(plan.own_folder().join("account.json")).expect("that authority forgets");
        let _authority = place.start(serving.ports, &Habits::default());
        serving.keep();
        // It waits as the edge before it did, until an operator asks.
        serving.reload();
        let is_new = || orders(&serving).starts_with("{outcome=\"issued\"} 1");
        until("a renewal", is_new).await;
        let new = serving.shown("a.example").await.expect("in force");
        assert_ne!(new, old);
        assert!(ask(open, "/").await.starts_with("HTTP/1.1 418 "), "a connection goes on");
        until("the question", || {
            let asked = info.asked.lock().expect("no panic");
            asked.iter().any(|identifier| Some(identifier) != first.get())
        })
        .await;
        serving.end().await;
    });
}
