use std::path::Path;

use rustls::SignatureScheme;

use super::*;

fn write(folder: &Path, name: &str, text: &str) -> std::path::PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("written");
    path
}

fn pem(names: &[&str]) -> (String, String) {
    match self_signed(names.iter().copied()).expect("made") {
        Certificate::Pem { chain, key } => (chain, key.0),
        Certificate::Files { .. } => panic!("it is made in memory"),
    }
}

fn load(names: &[&[&str]]) -> Certificates {
    let made: Vec<_> =
        names.iter().map(|n| self_signed(n.iter().copied()).expect("made")).collect();
    Certificates::load(&made).expect("loaded")
}

#[test]
fn names_come_from_the_certificate_exact_before_wildcard_before_default() {
    let certificates =
        load(&[&["default.example"], &["Shop.example", "*.shop.example"], &["a.shop.example"]]);
    let table = certificates.table.load();
    let schemes = [SignatureScheme::ECDSA_NISTP256_SHA256];
    let index = |name: Option<&str>| {
        let key = table.choose(name, &schemes).expect("there is a default");
        table.all().iter().position(|entry| Arc::ptr_eq(&entry.key, &key))
    };
    for (name, expected) in [
        (Some("shop.example"), 1),
        (Some("b.shop.example"), 1),
        (Some("a.shop.example"), 2),
        (Some("x.b.shop.example"), 0),
        (Some("other.example"), 0),
        (None, 0),
    ] {
        assert_eq!(index(name), Some(expected), "{name:?}");
    }
}

#[test]
fn a_connection_speaks_for_the_hosts_of_its_certificate_alone() {
    let certificates = load(&[&["default.example"], &["shop.example", "*.shop.example"]]);
    for (server_name, host, expected) in [
        (Some("shop.example"), "shop.example", true),
        (Some("shop.example"), "b.shop.example", true),
        (Some("shop.example"), "x.b.shop.example", false),
        (Some("shop.example"), "default.example", false),
        (Some("shop.example"), "nobody.example", false),
        (Some("nobody.example"), "nobody.example", true),
        (None, "default.example", true),
        (None, "127.0.0.1", true),
        (None, "[::1]", true),
        (None, "nobody.example", true),
        (None, "shop.example", false),
    ] {
        let covers = certificates.covers(server_name, host);
        assert_eq!(covers, expected, "{server_name:?} {host}");
    }
}

#[test]
fn each_fault_names_the_file_and_the_remedy() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let ((chain, key), (_, other_key)) = (pem(&["a.example"]), pem(&["b.example"]));
    let chain = write(folder, "chain.pem", &chain);
    let key = write(folder, "key.pem", &key);
    let other = write(folder, "other.pem", &other_key);
    let empty = write(folder, "empty.pem", "");
    let broken = write(
        folder,
        "broken.pem",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    );
    let missing = folder.join("missing.pem");
    Certificates::load(&[Certificate::Files { chain: chain.clone(), key: key.clone() }])
        .expect("a good one");
    let faults = [
        (&missing, &key, "cannot read `F/missing.pem`", "ls -l F/missing.pem"),
        (&empty, &key, "`F/empty.pem` holds no certificate", "leaf first"),
        (&broken, &key, "the certificate in `F/broken.pem` cannot be used", "openssl x509"),
        (&chain, &missing, "cannot read `F/missing.pem`", "ls -l F/missing.pem"),
        (&chain, &empty, "`F/empty.pem` holds no private key", "openssl pkey"),
        (&chain, &chain, "`F/chain.pem` holds no private key", "openssl pkey"),
        (
            &chain,
            &other,
            "the private key `F/other.pem` does not belong to `F/chain.pem`",
            "openssl x509 -in F/chain.pem -noout -pubkey",
        ),
    ];
    for (chain, key, text, remedy) in faults {
        let files = Certificate::Files { chain: chain.clone(), key: key.clone() };
        let error = Certificates::load(&[files]).expect_err(text);
        let place = folder.display().to_string();
        assert_eq!(error.to_string().replace(&place, "F"), text);
        let hint = error.hint().replace(&place, "F");
        assert!(hint.contains(remedy), "{hint}");
    }
}

#[test]
fn a_bad_reload_changes_nothing_and_a_good_one_takes_over_what_is_the_same() {
    let (a, b) = (self_signed(["a.example"]).expect("made"), self_signed(["b.example"]));
    let certificates = Certificates::load(std::slice::from_ref(&a)).expect("loaded");
    let before = Arc::clone(&certificates.table.load().all()[0]);
    let missing = Certificate::Files { chain: "/missing".into(), key: "/missing".into() };
    certificates.prepare(&[missing]).expect_err("it is missing");
    assert!(certificates.covers(Some("a.example"), "a.example"));
    let prepared = certificates.prepare(&[b.expect("made"), a]).expect("both are good");
    assert_eq!(certificates.count(), 1, "not yet in force");
    certificates.swap(prepared);
    assert_eq!(certificates.count(), 2);
    assert!(Arc::ptr_eq(&before, &certificates.table.load().all()[1]), "not parsed again");
}
