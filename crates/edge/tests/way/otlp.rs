//! Traces and metrics by OTLP: what a collector gets, read by a reader of its own, and what becomes of it when the
//! collector refuses, stalls or is gone.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use forebay_edge::config::Config;
use forebay_edge::config::otlp::{Collector, Fields, Metrics, Otlp, Sampler, Traces};
use forebay_edge::telemetry;
use forebay_signals::clock;
use forebay_signals::drain::Drain;
use tokio::net::TcpListener;

use super::collector::{BUSY, Got, Listening, TAKEN, WRONG, collect};
use super::protobuf::Read;
use super::support::{Answers, GET, POST, World, always, request, until, with_world};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nCache-Control: s-maxage=60\r\n\r\nhi";

fn collector(port: u16, path: &str) -> Collector {
    let key = ("api-key".parse().expect("a name"), "secret".parse().expect("a value"));
    Collector {
        is_tls: false,
        host: "127.0.0.1".into(),
        port,
        path: path.into(),
        authorities: None,
        fields: Fields(vec![key]),
        timeout: Duration::from_secs(2),
        is_gzipped: false,
    }
}

fn traces(port: u16) -> Traces {
    Traces {
        collector: collector(port, "/v1/traces"),
        sampler: Sampler::default(),
        most_waiting: 64,
        most_together: 16,
        delay: Duration::from_millis(20),
    }
}

fn otlp(traces: Option<Traces>, metrics: Option<Metrics>) -> Arc<Otlp> {
    let resource = vec![("service.name".to_owned(), "edge-of-test".to_owned())];
    Arc::new(Otlp { traces, metrics, resource })
}

/// A world that sends to a collector that answers so; `edit` may change what is sent.
fn with_collector<T, F>(
    answers: Answers,
    told: &'static [&'static str],
    edit: impl FnOnce(&mut Config, u16),
    test: T,
) where
    T: FnOnce(World, Listening, Drain, telemetry::Sending) -> F,
    F: Future<Output = ()>,
{
    let listening = Arc::new(Mutex::new(None));
    let filled = Arc::clone(&listening);
    let edit = move |config: &mut Config| {
        let collector = Listening::start(told);
        config.otlp = Some(otlp(Some(traces(collector.port)), None));
        edit(config, collector.port);
        *filled.lock().expect("no panic") = Some(collector);
    };
    with_world(answers, edit, |world| {
        let collector = listening.lock().expect("no panic").take().expect("it is started");
        let gone = Drain::default();
        let sending = telemetry::start(&world.edge, &gone).expect("it starts");
        test(world, collector, gone, sending)
    });
}

fn counted(world: &World, what: &str, kind: &str) -> u64 {
    let text = forebay_edge::view::metrics(&world.edge);
    let name = format!("forebay_edge_telemetry_{what}_total{{kind=\"{kind}\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&name)?.parse().ok()).unwrap_or_default()
}

fn journal(world: &World) -> String {
    format!("{:?}", world.edge.journal.newest(50))
}

/// The span that has this attribute.
fn with(spans: &[Read], name: &str, value: &str) -> Read {
    let found = spans.iter().find(|span| span.attribute(9, name).as_deref() == Some(value));
    found.unwrap_or_else(|| panic!("no span with {name}={value} in {spans:#?}")).clone()
}

const PARENT: &str = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n";
const UNSAMPLED: &str = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00\r\n";

#[test]
fn a_request_and_its_question_to_the_origin_are_two_spans_of_one_trace() {
    with_collector(
        always(OK),
        &[TAKEN],
        |_, _| (),
        |world, collector, gone, sending| async move {
            let path = "/a?b=1&sig=secret";
            let told = format!("{PARENT}User-Agent: test/1\r\n");
            assert!(world.ask(&request("GET", path, &told)).await.ends_with("hi"));
            let asked = world.last_head();
            assert!(world.ask(&request("GET", path, UNSAMPLED)).await.contains("; hit"));
            assert!(world.ask(&request("GET", path, "")).await.contains("; hit"));
            until("three spans", || collector.things().len() >= 3).await;
            let head = &collector.heads()[0];
            assert!(head.starts_with("post /v1/traces http/1.1\r\n"), "{head}");
            for line in ["content-type: application/x-protobuf", "api-key: secret"] {
                assert!(head.contains(line), "{head}");
            }
            let content = collector.got.lock().expect("no panic")[0].1.clone();
            let resource = Read::of(&content).one(1).one(1);
            assert_eq!(resource.attribute(1, "service.name").as_deref(), Some("edge-of-test"));

            let spans = collector.things();
            let (server, client) =
                (with(&spans, "forebay.cache", "miss"), with(&spans, "forebay.origin", "app"));
            assert_eq!(server.hex(1), "4bf92f3577b34da6a3ce929d0e0e4736");
            assert_eq!((server.hex(4).as_str(), server.number(6)), ("00f067aa0ba902b7", 2));
            assert_eq!((server.text(5).as_str(), server.number(16)), ("GET default", 0x301));
            assert_eq!((client.hex(1), client.hex(4)), (server.hex(1), server.hex(2)));
            assert_eq!((client.text(5).as_str(), client.number(6)), ("GET app", 3));
            let ours = format!("traceparent: 00-{}-{}-01", client.hex(1), client.hex(2));
            assert!(asked.to_ascii_lowercase().contains(&ours), "{ours}: {asked}");
            for (name, value) in [
                ("http.request.method", "GET"),
                ("url.scheme", "http"),
                ("url.path", "/a"),
                ("url.query", "b=1&sig=REDACTED"),
                ("server.address", "shop.example"),
                ("server.port", "80"),
                ("client.address", "127.0.0.1"),
                ("network.peer.address", "127.0.0.1"),
                ("network.protocol.version", "1.1"),
                ("user_agent.original", "test/1"),
                ("http.response.status_code", "200"),
                ("forebay.route", "default"),
                ("forebay.bytes", "2"),
            ] {
                assert_eq!(server.attribute(9, name).as_deref(), Some(value), "{name}");
            }
            let url = client.attribute(9, "url.full").expect("it is there");
            assert!(
                url.starts_with("http://127.0.0.1:") && url.ends_with("/a?b=1&sig=REDACTED"),
                "{url}"
            );
            assert_eq!(client.attribute(9, "http.response.status_code").as_deref(), Some("200"));
            let times = |span: &Read| (span.number(7), span.number(8));
            let ((began, ended), (asks, answered)) = (times(&server), times(&client));
            assert!(
                began < ended && asks <= answered && answered - asks < ended - began + 1_000_000
            );

            let hit = with(&spans, "forebay.cache", "hit");
            assert_eq!((hit.hex(4), hit.number(16)), (String::new(), 0x101), "a trace of its own");
            assert_eq!(hit.attribute(9, "forebay.request_id"), Some(hit.hex(1)));
            assert!(!spans.iter().any(|span| span.0.iter().any(|(field, _)| *field == 15)));
            gone.begin();
            sending.finish().await;
            assert_eq!(
                (counted(&world, "sent", "spans"), counted(&world, "dropped", "spans")),
                (3, 0)
            );
        },
    );
}

#[test]
fn who_waits_for_the_question_of_another_links_to_its_span() {
    let answers: Answers = Arc::new(|_| (Duration::from_secs(1), OK.to_owned()));
    with_collector(
        answers,
        &[TAKEN],
        |_, _| (),
        |world, collector, gone, sending| async move {
            let told = request("GET", "/a", PARENT);
            let (one, other) = tokio::join!(world.ask(&told), world.ask(GET));
            assert!(one.ends_with("hi") && other.ends_with("hi"), "{one} {other}");
            assert_eq!(world.asked(), 1);
            gone.begin();
            sending.finish().await;
            let spans = collector.things();
            let links = |span: &Read| span.all(13);
            let (question, waited) =
                (with(&spans, "forebay.origin", "app"), with(&spans, "forebay.cache", "collapsed"));
            let [link] = &links(&waited)[..] else { panic!("one link of {waited:#?}") };
            assert_eq!((link.hex(1), link.hex(2)), (question.hex(1), question.hex(2)));
            assert_eq!(link.number(6), 0x101);
            assert_ne!(waited.hex(1), question.hex(1), "each has its own trace");
            assert!(links(&with(&spans, "forebay.cache", "miss")).is_empty());
        },
    );
}

#[test]
fn what_fails_is_a_failed_span_and_the_origin_is_told_who_is_not_sampled() {
    let answers: Answers = Arc::new(|head| {
        let status = if head.starts_with("POST") { "500 No" } else { "404 No" };
        (Duration::ZERO, format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n"))
    });
    with_collector(
        answers,
        &[TAKEN],
        |_, _| (),
        |world, collector, gone, sending| async move {
            world.ask(&request("GET", "/a", UNSAMPLED)).await;
            let asked = world.last_head().to_ascii_lowercase();
            let trace = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-";
            let line = asked.lines().find(|line| line.starts_with(trace)).expect("a trace");
            assert!(line.ends_with("-00") && !line.contains("00f067aa0ba902b7"), "{line}");
            world.ask(POST).await;
            world.ask(&request("GET", "/b", "")).await;
            world.ask(&request("BREW", "/c", "")).await;
            gone.begin();
            sending.finish().await;
            let spans = collector.things();
            assert_eq!(spans.len(), 6, "{spans:#?}");
            let failed = |span: &Read| {
                let status = span.all(15).first().map(|status| status.number(3));
                (status, span.attribute(9, "error.type"))
            };
            let (server, client) =
                (with(&spans, "url.path", "/a"), with(&spans, "forebay.origin", "app"));
            let bad = (Some(2), Some("500".to_owned()));
            assert_eq!((failed(&server), failed(&client)), (bad.clone(), bad));
            let (server, client) = (
                with(&spans, "url.path", "/b"),
                spans.iter().find(|span| {
                    span.attribute(9, "url.full").is_some_and(|url| url.ends_with("/b"))
                }),
            );
            assert_eq!(failed(&server), (None, None), "a 404 is the client's fault");
            assert_eq!(failed(client.expect("a span")), (Some(2), Some("404".into())));
            let odd = with(&spans, "url.path", "/c");
            assert_eq!(odd.attribute(9, "http.request.method").as_deref(), Some("_OTHER"));
            assert_eq!(odd.attribute(9, "http.request.method_original").as_deref(), Some("BREW"));
            assert_eq!(odd.text(5), "HTTP default");
        },
    );
}

#[test]
fn a_busy_collector_is_asked_again_and_a_wrong_one_is_not() {
    with_collector(
        always(OK),
        &[BUSY, TAKEN, WRONG, TAKEN],
        |_, _| (),
        |world, collector, gone, sending| async move {
            world.ask(POST).await;
            until("it is taken", || counted(&world, "sent", "spans") == 2).await;
            let got = collector.got.lock().expect("no panic").clone();
            assert_eq!((got.len(), &got[0].1), (2, &got[1].1), "the same once more");
            world.ask(POST).await;
            until("it is given up", || counted(&world, "dropped", "spans") == 2).await;
            world.ask(POST).await;
            until("it is taken", || counted(&world, "sent", "spans") == 4).await;
            assert_eq!(collector.heads().len(), 4);
            let journal = journal(&world);
            assert!(journal.contains("spans are not taken by `127.0.0.1:"), "{journal}");
            assert!(journal.contains("it answers 503") && journal.contains("400"), "{journal}");
            assert_eq!(journal.matches("are taken again").count(), 2, "{journal}");
            gone.begin();
            sending.finish().await;
        },
    );
}

#[test]
fn a_collector_that_stalls_costs_dropped_spans_and_nothing_else() {
    let patient = |config: &mut Config, port| {
        let mut settings = traces(port);
        settings.collector.timeout = Duration::from_secs(5);
        config.otlp = Some(otlp(Some(settings), None));
    };
    with_collector(always(OK), &[""], patient, |world, _collector, gone, sending| async move {
        let began = clock::now();
        for _ in 0..150 {
            assert!(world.ask(GET).await.ends_with("hi"));
        }
        assert!(clock::now() - began < Duration::from_secs(10));
        until("a full queue", || counted(&world, "dropped", "spans") > 0).await;
        until("a line in the journal", || journal(&world).contains("spans are not taken")).await;
        assert_eq!(journal(&world).matches("not taken").count(), 1);
        gone.begin();
        let began = clock::now();
        sending.finish().await;
        assert!(
            clock::now() - began < Duration::from_millis(4_500),
            "the end does not wait for it"
        );
        assert_eq!(counted(&world, "sent", "spans"), 0);
        assert_eq!(counted(&world, "dropped", "spans"), 151, "each request, and the fill");
    });
}

#[test]
fn a_collector_that_is_not_there_is_found_when_it_comes() {
    with_collector(
        always(OK),
        &[TAKEN],
        |config, _| {
            // A port that nobody has.
            let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr());
            config.otlp = Some(otlp(Some(traces(port.expect("a free port").port())), None));
        },
        |world, _, gone, sending| async move {
            assert!(world.ask(GET).await.ends_with("hi"));
            until("a line in the journal", || journal(&world).contains("spans are not taken"))
                .await;
            let otlp = world.edge.snapshot().config.otlp.clone().expect("settings");
            let port = otlp.traces.as_ref().expect("traces").collector.port;
            let late = TcpListener::bind(("127.0.0.1", port)).await.expect("it is free");
            let got = Got::default();
            let kept = Arc::clone(&got);
            tokio::spawn(async move {
                while let Ok((stream, _)) = late.accept().await {
                    tokio::spawn(collect(stream, Arc::clone(&kept), &[TAKEN]));
                }
            });
            until("the spans of before", || counted(&world, "sent", "spans") == 2).await;
            assert!(journal(&world).contains("spans are taken again"));
            gone.begin();
            sending.finish().await;
        },
    );
}

#[test]
fn metrics_are_the_families_of_prometheus_and_come_once_more_at_the_end() {
    with_collector(
        always(OK),
        &[TAKEN],
        |config, port| {
            let mut to = collector(port, "/v1/metrics");
            to.is_gzipped = true;
            let metrics = Metrics { collector: to, interval: Duration::from_secs(600) };
            config.otlp = Some(otlp(None, Some(metrics)));
        },
        |world, collector, gone, sending| async move {
            for _ in 0..3 {
                assert!(world.ask(GET).await.ends_with("hi"));
            }
            gone.begin();
            sending.finish().await;
            let head = collector.heads().concat();
            assert!(
                head.contains("content-encoding: gzip") && head.starts_with("post /v1/metrics")
            );
            {
                let mut got = collector.got.lock().expect("no panic");
                let mut content = Vec::new();
                let mut reader = flate2::read::GzDecoder::new(&got[0].1[..]);
                std::io::Read::read_to_end(&mut reader, &mut content).expect("gzip");
                got[0].1 = content;
            }
            let metrics = collector.things();
            let metric = |name: &str| {
                let found = metrics.iter().find(|metric| metric.text(1) == name);
                found.unwrap_or_else(|| panic!("no {name}")).clone()
            };
            let requests = metric("forebay_edge_requests_total").one(7);
            assert_eq!((requests.number(2), requests.number(3)), (2, 1), "cumulative, monotonic");
            let point = requests.all(1).into_iter().find(|point| {
                point.attribute(7, "status").as_deref() == Some("2xx")
                    && point.attribute(7, "route").as_deref() == Some("default")
            });
            let point = point.expect("a point");
            assert_eq!(point.number(6), 3);
            assert!(point.number(2) < point.number(3), "it began before now");
            assert!(!metric("forebay_edge_connections").all(5).is_empty(), "a gauge");
            let seconds = metric("forebay_edge_request_seconds");
            assert_eq!(seconds.text(3), "s");
            let point = seconds.one(9).one(1);
            let (counts, bounds) = (point.bytes(6), point.bytes(7));
            assert_eq!((point.number(4), counts.len(), bounds.len()), (3, 15 * 8, 14 * 8));
            let counts =
                counts.chunks(8).map(|eight| u64::from_le_bytes(eight.try_into().expect("8")));
            assert_eq!(counts.sum::<u64>(), 3);
            let bound = f64::from_le_bytes(bounds[..8].try_into().expect("8"));
            assert!((bound - 0.000_1).abs() < 1e-9, "{bound}");

            // The families are those of the page.
            let page = forebay_edge::view::metrics(&world.edge);
            let told: Vec<&str> =
                page.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
            for line in told.iter().filter(|line| !line.contains("telemetry")) {
                let name = line.split(' ').next().expect("a name");
                let has_samples = page.lines().any(|line| line.starts_with(name));
                assert!(!has_samples || metrics.iter().any(|it| it.text(1) == name), "{name}");
            }
        },
    );
}

#[test]
fn a_collector_behind_tls_is_believed_by_its_authority_alone() {
    let key = rcgen::KeyPair::generate().expect("a key");
    let certificate = rcgen::CertificateParams::new(vec!["localhost".into()]).expect("parameters");
    let certificate = certificate.self_signed(&key).expect("signed");
    let authorities = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(authorities.path(), certificate.pem()).expect("written");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let settings = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            rustls::pki_types::PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        )
        .expect("a certificate");
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(settings));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    listener.set_nonblocking(true).expect("it can be");
    for trusts in [true, false] {
        let mut to = traces(port);
        to.collector.is_tls = true;
        to.collector.host = "localhost".into();
        to.collector.authorities = trusts.then(|| authorities.path().to_owned());
        let (acceptor, listener) = (acceptor.clone(), listener.try_clone().expect("a socket"));
        let edit = move |config: &mut Config| config.otlp = Some(otlp(Some(to), None));
        with_world(always(OK), edit, |world| async move {
            let got = Got::default();
            let kept = Arc::clone(&got);
            let listener = TcpListener::from_std(listener).expect("within a runtime");
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let (acceptor, kept) = (acceptor.clone(), Arc::clone(&kept));
                    tokio::spawn(async move {
                        if let Ok(stream) = acceptor.accept(stream).await {
                            collect(stream, kept, &[TAKEN]).await;
                        }
                    });
                }
            });
            let gone = Drain::default();
            let sending = telemetry::start(&world.edge, &gone).expect("it starts");
            assert!(world.ask(GET).await.ends_with("hi"));
            gone.begin();
            sending.finish().await;
            let (sent, dropped) =
                (counted(&world, "sent", "spans"), counted(&world, "dropped", "spans"));
            assert_eq!(
                (sent, dropped),
                if trusts { (2, 0) } else { (0, 2) },
                "{}",
                journal(&world)
            );
            assert_eq!(got.lock().expect("no panic").is_empty(), !trusts);
        });
    }
}
