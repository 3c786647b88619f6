//! Where clients are: who is shown it, what is stored by it, and what a broken database does not do.

use std::io::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use forebay_edge::act;
use forebay_edge::config::Config;
use forebay_edge::config::geo::Geo as Settings;
use forebay_edge::config::policy::Policy;
use forebay_edge::config::route::Route;
use forebay_edge::exchange::OwnLines;
use forebay_edge::geo::{self, Geo};
use forebay_signals::journal::Journal;
use tempfile::TempDir;

use super::mmdb::{Value, database};
use super::support::{Answers, always, request, with_world};
use Value::{List, Long, Map, Number, Short, Text};

const PAGE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nCache-Control: s-maxage=60\r\n\r\npage";

const MUNICH: &str = "192.0.2.1";
const BERLIN: &str = "192.0.2.200";
const PARIS: &str = "198.51.100.7";
const NOWHERE: &str = "203.0.113.9";

fn named(name: &'static str) -> (&'static str, Value) {
    ("names", Map(vec![("en", Text(name)), ("ru", Text("?"))]))
}

fn city(code: &'static str, country: &'static str, city: &'static str) -> Value {
    Map(vec![
        ("city", Map(vec![named(city)])),
        ("country", Map(vec![("iso_code", Text(code)), named(country)])),
        (
            "location",
            Map(vec![
                ("latitude", Long(48.1371)),
                ("longitude", Long(11.5754)),
                ("metro_code", Number(819)),
                ("time_zone", Text("Europe/Berlin")),
            ]),
        ),
        ("postal", Map(vec![("code", Text("80331"))])),
        ("subdivisions", List(vec![Map(vec![("iso_code", Text("BY")), named("Bavaria")])])),
    ])
}

fn nested() -> Vec<u8> {
    database(&[
        ("192.0.2.0/25", city("DE", "Germany", "München")),
        ("192.0.2.128/25", city("DE", "Germany", "Berlin")),
        ("198.51.100.0/24", city("FR", "France", "Paris")),
        ("2001:db8::/32", city("AT", "Austria", "Wien")),
    ])
}

fn flat(code: &'static str, city: &'static str) -> Value {
    Map(vec![
        ("city", Text(city)),
        ("country_code", Text(code)),
        ("latitude", Short(51.4161)),
        ("longitude", Short(-0.7525)),
        ("postcode", Text("")),
        ("state1", Text("England")),
        ("timezone", Text("Europe/London")),
    ])
}

/// A folder with one database, and settings that name it.
fn folder(bytes: &[u8]) -> (TempDir, Settings) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("city.mmdb");
    std::fs::write(&path, bytes).expect("written");
    (folder, Settings { databases: vec![path], domains: Vec::new() })
}

/// As updaters do: written beside it and renamed over it.
fn replace(path: &Path, bytes: &[u8]) {
    let beside = path.with_extension("new");
    std::fs::write(&beside, bytes).expect("written");
    std::fs::rename(beside, path).expect("renamed");
}

fn of(client: &str, path: &str, fields: &str) -> String {
    request("GET", path, &format!("X-Forwarded-For: {client}\r\n{fields}"))
}

fn told(geo: &Geo, address: &str) -> String {
    let mut own = OwnLines::default();
    geo.tell(address.parse().expect("an address"), &mut own);
    let mut lines: Vec<_> = std::str::from_utf8(own.as_bytes()).expect("ASCII").lines().collect();
    lines.sort_unstable();
    lines.join("\n").replace("cloudfront-viewer-", "")
}

fn country(geo: &Geo, address: &str) -> Option<String> {
    geo.country(address.parse::<IpAddr>().expect("an address")).map(|country| country.to_string())
}

/// One route with this policy; whoever connects may say for whom it asks.
fn locate(config: &mut Config, settings: &Settings, policy: Option<Arc<Policy>>) {
    config.geo = settings.clone();
    config.admit.trusted_proxies = vec!["127.0.0.1".parse().expect("an address")];
    config.routes[0].policy = policy;
}

fn by_country() -> Arc<Policy> {
    let mut policy = Policy::clone(&Policy::html());
    policy.key.by_country = true;
    Arc::new(policy)
}

/// Lines of the head about the client's place.
fn places(head: &str) -> Vec<&str> {
    let mut lines: Vec<_> = head
        .lines()
        .filter(|line| line.to_ascii_lowercase().starts_with("cloudfront-viewer-"))
        .collect();
    lines.sort_unstable();
    lines
}

#[test]
fn an_answer_for_one_client_is_asked_for_with_all_that_is_known() {
    let (_folder, settings) = folder(&nested());
    let edit = |config: &mut Config| locate(config, &settings, Some(Policy::pass()));
    with_world(always(PAGE), edit, |world| async move {
        let lies = "CloudFront-Viewer-Country: US\r\nCloudFront-Viewer-ASN: 1\r\n";
        world.ask(&of(MUNICH, "/", lies)).await;
        let head = world.last_head();
        let expected = [
            "cloudfront-viewer-city: M%C3%BCnchen",
            "cloudfront-viewer-country-name: Germany",
            "cloudfront-viewer-country-region-name: Bavaria",
            "cloudfront-viewer-country-region: BY",
            "cloudfront-viewer-country: DE",
            "cloudfront-viewer-latitude: 48.1371",
            "cloudfront-viewer-longitude: 11.5754",
            "cloudfront-viewer-metro-code: 819",
            "cloudfront-viewer-postal-code: 80331",
            "cloudfront-viewer-time-zone: Europe/Berlin",
        ];
        assert_eq!(places(&head), expected);
        world.ask(&of(NOWHERE, "/", lies)).await;
        assert_eq!(places(&world.last_head()), [""; 0], "nothing is known, and lies are no better");
    });
}

#[test]
fn a_stored_page_differs_by_country_and_by_nothing_finer() {
    let (_folder, settings) = folder(&nested());
    let edit = |config: &mut Config| locate(config, &settings, Some(by_country()));
    with_world(always(PAGE), edit, |world| async move {
        let lie = "CloudFront-Viewer-Country: FR\r\n";
        world.ask(&of(MUNICH, "/", lie)).await;
        assert_eq!(places(&world.last_head()), ["cloudfront-viewer-country: DE"]);
        let hit = world.ask(&of(BERLIN, "/", "")).await;
        assert!(hit.contains("Forebay; hit"), "another city of the country: {hit}");
        world.ask(&of(PARIS, "/", "")).await;
        assert_eq!(places(&world.last_head()), ["cloudfront-viewer-country: FR"]);
        world.ask(&of(NOWHERE, "/", lie)).await;
        assert_eq!(places(&world.last_head()), [""; 0]);
        for client in [BERLIN, PARIS, NOWHERE] {
            let hit = world.ask(&of(client, "/", "")).await;
            assert!(hit.contains("Forebay; hit"), "{client}: {hit}");
        }
        assert_eq!(world.asked(), 3, "one for each country, and one for none");
    });
}

#[test]
fn an_answer_that_may_be_shared_is_asked_for_without_a_place() {
    const ALONE: &str =
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nCache-Control: private\r\n\r\npage";
    let (_folder, settings) = folder(&nested());
    for policy in [None, Some(Policy::html())] {
        let edit = |config: &mut Config| locate(config, &settings, policy);
        let answers: Answers = Arc::new(|head| {
            let answer = if head.starts_with("GET /alone ") { ALONE } else { PAGE };
            (Duration::ZERO, answer.to_owned())
        });
        with_world(answers, edit, |world| async move {
            let lie = "CloudFront-Viewer-City: Paris\r\n";
            world.ask(&of(MUNICH, "/", lie)).await;
            assert_eq!(places(&world.last_head()), [""; 0]);
            // The second goes alone, since the first could not be shared: it is shown no more than the first.
            for asked in [2, 3] {
                world.ask(&of(MUNICH, "/alone", lie)).await;
                assert_eq!(world.asked(), asked);
                assert_eq!(places(&world.last_head()), [""; 0]);
            }
        });
    }
}

#[test]
fn a_field_of_a_trusted_proxy_counts_where_there_is_no_database() {
    let edit = |config: &mut Config| locate(config, &Settings::default(), Some(Policy::pass()));
    with_world(always(PAGE), edit, |world| async move {
        let said = "CloudFront-Viewer-Country: US\r\n";
        world.ask(&of(MUNICH, "/", said)).await;
        assert_eq!(places(&world.last_head()), ["cloudfront-viewer-country: US"]);
    });
    let edit = |config: &mut Config| config.routes[0].policy = Some(Policy::pass());
    with_world(always(PAGE), edit, |world| async move {
        world.ask(&request("GET", "/", "CloudFront-Viewer-Country: US\r\n")).await;
        assert_eq!(places(&world.last_head()), [""; 0], "and not that of a stranger");
    });
}

#[test]
fn a_route_takes_the_countries_that_it_names() {
    let (_folder, settings) = folder(&nested());
    let edit = |config: &mut Config| {
        locate(config, &settings, None);
        let near = ["DE", "AT"].map(|code| code.parse().expect("a code")).to_vec();
        let rewrite = Some("/near".into());
        let rest = config.routes[0].clone();
        let near = Route { name: "near".into(), countries: near, rewrite, ..rest.clone() };
        config.routes = vec![near, rest];
    };
    with_world(always(PAGE), edit, |world| async move {
        for (client, expected) in
            [(MUNICH, "GET /near "), (PARIS, "GET / "), (NOWHERE, ""), ("2001:db8::1", "")]
        {
            let asked = world.asked();
            world.ask(&of(client, "/", "")).await;
            let is_stored = expected.is_empty();
            assert_eq!(world.asked() == asked, is_stored, "{client}: a page for each route");
            assert!(is_stored || world.last_head().starts_with(expected), "{client}");
        }
        let why = act::why(&world.edge, "http://shop.example/", &[], None).expect("an explanation");
        assert_eq!(why.route.as_deref(), Some("default"), "we ourselves are nowhere");
        let from = MUNICH.parse().ok();
        let why = act::why(&world.edge, "http://shop.example/", &[], from).expect("an explanation");
        assert_eq!((why.route.as_deref(), why.decision.as_str()), (Some("near"), "hit"));
        let asks = "the route asks for country DE, country AT";
        assert!(why.parts.iter().any(|part| part == asks), "{:?}", why.parts);
    });
}

#[test]
fn who_asks_the_domain_of_another_country_is_told_and_the_page_is_the_same() {
    let (_folder, mut settings) = folder(&nested());
    let domain = |code: &str, host: &str| (code.parse().expect("a code"), host.to_owned());
    settings.domains =
        vec![domain("DE", "shop.example"), domain("CH", "shop.example"), domain("FR", "shop.fr")];
    let edit = |config: &mut Config| locate(config, &settings, None);
    with_world(always(PAGE), edit, |world| async move {
        let hint = |answer: &str| answer.contains("server-timing: domain;desc=\"shop.fr\"\r\n");
        let silent = |answer: &str| !answer.contains("server-timing");
        assert!(silent(&world.ask(&of(MUNICH, "/", "")).await));
        let hit = world.ask(&of(PARIS, "/", "")).await;
        assert!(hit.contains("Forebay; hit") && hint(&hit), "{hit}");
        assert!(silent(&world.ask(&of(NOWHERE, "/", "")).await));
        assert!(silent(&world.ask(&of("2001:db8::1", "/", "")).await), "nobody speaks for Austria");
        let elsewhere = of(PARIS, "/", "").replace("shop.example", "other.example");
        assert!(silent(&world.ask(&elsewhere).await), "not a host for a country");
    });
}

#[test]
fn flat_databases_are_read_too_in_two_files_and_with_short_numbers() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = [
        ("four.mmdb", database(&[("192.0.2.0/24", flat("GB", "Bracknell"))])),
        ("six.mmdb", database(&[("2001:db8::/32", flat("IE", "Dublin"))])),
    ];
    let databases = files.map(|(name, bytes)| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).expect("written");
        path
    });
    let geo = Geo::open(&Settings { databases: databases.to_vec(), ..Settings::default() }, None)
        .expect("good ones");
    let expected = "city: Bracknell\ncountry-region-name: England\ncountry: GB\n\
                    latitude: 51.4161\nlongitude: -0.7525\ntime-zone: Europe/London";
    assert_eq!(told(&geo, MUNICH), expected);
    assert_eq!(told(&geo, "::ffff:192.0.2.1"), expected, "an IPv4 address in another dress");
    assert_eq!(country(&geo, "2001:db8::1").as_deref(), Some("IE"));
    assert_eq!(country(&geo, PARIS), None);
}

#[test]
fn odd_values_take_nothing_from_the_others() {
    let odd = Map(vec![
        ("city", List(vec![Text("x")])),
        ("country", Map(vec![("iso_code", Text("de"))])),
        ("country_code", Text("AT")),
        ("location", Map(vec![("latitude", Long(f64::NAN)), ("longitude", Text("east"))])),
        ("state1", Text("Wien")),
    ]);
    let (_folder, settings) = folder(&database(&[("192.0.2.0/24", odd)]));
    let geo = Geo::open(&settings, None).expect("well formed");
    assert_eq!(told(&geo, MUNICH), "country-region-name: Wien", "`de` is no code");
}

#[test]
fn a_new_file_is_in_force_and_a_broken_one_is_refused_whole() {
    let (_folder, settings) = folder(&nested());
    let path = &settings.databases[0];
    let geo = Geo::open(&settings, None).expect("a good one");
    assert!(!geo.refresh().expect("the same file"));

    let mut broken = nested();
    // Not a record of the tree points where it should.
    broken[..60].fill(0xff);
    let half = nested()[..nested().len() / 2].to_vec();
    let journal = Journal::default();
    let mut told = String::new();
    for bytes in [&broken[..], &half, b"", b"no database"] {
        replace(path, bytes);
        assert!(geo.refresh().is_err());
        assert_eq!(country(&geo, MUNICH).as_deref(), Some("DE"), "the one before stays");
        geo::note(Some(geo.refresh()), &journal, &mut told);
        geo::note(Some(geo.refresh()), &journal, &mut told);
    }
    let entries = journal.newest(10);
    assert!(entries[0].what.ends_with("; the one before stays"), "{entries:?}");
    assert!(entries.len() <= 4, "each trouble is told once: {entries:?}");

    replace(path, &database(&[("192.0.2.0/24", city("IT", "Italy", "Bozen"))]));
    geo::note(Some(geo.refresh()), &journal, &mut told);
    assert_eq!(journal.newest(1)[0].what, "a database was replaced and is in force");
    assert_eq!(country(&geo, MUNICH).as_deref(), Some("IT"));
    assert_eq!(country(&geo, PARIS), None);
}

#[test]
fn a_reload_reads_changed_files_and_is_refused_with_a_broken_one() {
    let (_folder, settings) = folder(&nested());
    let path = settings.databases[0].clone();
    let edit = |config: &mut Config| locate(config, &settings, Some(by_country()));
    with_world(always(PAGE), edit, |world| async move {
        let config = world.edge.snapshot().config.clone();
        replace(&path, b"no database");
        let next = world.edge.prepare(config.clone()).expect("good origins");
        let refused = world.edge.reload(next).expect_err("a broken database");
        assert!(refused.to_string().contains("city.mmdb"), "{refused}");
        world.ask(&of(MUNICH, "/", "")).await;
        assert_eq!(places(&world.last_head()), ["cloudfront-viewer-country: DE"]);
        replace(&path, &database(&[("192.0.2.0/24", city("IT", "Italy", "Bozen"))]));
        world.reload(config);
        world.ask(&of(MUNICH, "/", "")).await;
        assert_eq!(places(&world.last_head()), ["cloudfront-viewer-country: IT"]);
    });
}

/// `MaxMind`'s own test database, if it lies where the variable says or beside the tree.
fn golden() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/geo");
    let folder = std::env::var_os("FOREBAY_GEO_DATA").map_or_else(beside, PathBuf::from);
    let path = folder.join("GeoIP2-City-Test.mmdb");
    path.exists().then_some(path)
}

#[test]
fn the_test_database_of_maxmind_gives_every_field() {
    let Some(path) = golden() else {
        let words = "skipped: no GeoIP2-City-Test.mmdb in FOREBAY_GEO_DATA or ../shared/data/geo";
        writeln!(std::io::stderr(), "{words}").expect("stderr is open");
        return;
    };
    let geo = Geo::open(&Settings { databases: vec![path], ..Settings::default() }, None)
        .expect("a good one");
    let expected = "city: Milton\ncountry-name: United States\ncountry-region-name: Washington\n\
                    country-region: WA\ncountry: US\nlatitude: 47.2513\nlongitude: -122.3149\n\
                    metro-code: 819\npostal-code: 98354\ntime-zone: America/Los_Angeles";
    assert_eq!(told(&geo, "216.160.83.56"), expected);
}
