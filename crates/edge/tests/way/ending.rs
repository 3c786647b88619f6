//! Certificates that end soon, as operators see them.

use std::time::{Duration, UNIX_EPOCH};

use forebay_edge::config::listen::{Certificate, Secret};
use forebay_edge::{expiry, view};
use forebay_signals::clock;
use forebay_signals::drain::Drain;
use rcgen::{CertificateParams, KeyPair, date_time_ymd};

use super::support::{always, with_world};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// A certificate that began so many hours ago and ends in so many.
fn made(name: &str, began: u64, ends: i64) -> Certificate {
    let now = clock::wall().duration_since(UNIX_EPOCH).expect("after 1970");
    let hours = |hours: u64| Duration::from_secs(hours * 3600);
    let at = |since: Duration| date_time_ymd(1970, 1, 1) + since;
    let end = hours(ends.unsigned_abs());
    let before = |time| now.checked_sub(time).expect("long after 1970");
    let end = if ends < 0 { before(end) } else { now + end };
    let mut params = CertificateParams::new([name.to_owned()]).expect("names");
    (params.not_before, params.not_after) = (at(before(hours(began))), at(end));
    let key = KeyPair::generate().expect("a key");
    let chain = params.self_signed(&key).expect("made").pem();
    Certificate::Pem { chain, key: Secret(key.serialize_pem()) }
}

#[test]
fn certificates_that_end_are_told_by_status_metrics_and_journal() {
    let certificates = vec![
        made("well.example", 240, 1908),
        made("late.example", 2040, 108),
        made("late.example", 240, 1908),
        made("over.example", 2160, -60),
    ];
    let settings =
        |config: &mut forebay_edge::config::Config| config.listen.certificates = certificates;
    with_world(always(OK), settings, |world| async move {
        let status = view::status(&world.edge);
        let told: Vec<_> = status
            .certificates
            .iter()
            .map(|certificate| {
                (certificate.name.as_str(), certificate.days_left, certificate.is_overdue)
            })
            .collect();
        let expected =
            [("over.example", -3, true), ("late.example", 4, true), ("well.example", 79, false)];
        assert_eq!(told, expected);
        let metrics = view::metrics(&world.edge);
        for (name, days, _) in expected {
            let line = format!("forebay_edge_certificate_days_left{{name=\"{name}\"}} {days}\n");
            assert!(metrics.contains(&line), "{metrics}");
        }
        let gone = Drain::default();
        gone.begin();
        expiry::warn(&world.edge, &gone).await;
        let journal = world.edge.journal.newest(10);
        let said: Vec<_> = journal.iter().filter(|entry| entry.who == "listen").collect();
        let sentences: Vec<&str> = said.iter().map(|entry| entry.what.as_str()).collect();
        assert_eq!(
            sentences,
            [
                "certificate of `late.example` ends in 4 days",
                "certificate of `over.example` has ended; clients refuse it",
            ]
        );
    });
}
