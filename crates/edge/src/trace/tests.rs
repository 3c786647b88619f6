use http::HeaderValue;

use super::*;
use crate::config::otlp::Collector;
use crate::identity::TRACEPARENT;

fn traces(heeds_parent: bool, ratio: f64, most_waiting: usize) -> Traces {
    Traces {
        collector: Collector {
            is_tls: false,
            host: "localhost".into(),
            port: 4318,
            path: "/v1/traces".into(),
            authorities: None,
            fields: crate::config::otlp::Fields::default(),
            timeout: crate::config::otlp::TIMEOUT,
            is_gzipped: false,
        },
        sampler: Sampler { heeds_parent, ratio },
        most_waiting,
        most_together: 512,
        delay: crate::config::otlp::SPAN_DELAY,
    }
}

fn sampled(tracer: &Tracer, parent: Option<&'static str>) -> bool {
    let mut exchange = crate::exchange::example("http://shop.example/", "192.0.2.1");
    exchange.id = identity::new_id();
    if let Some(parent) = parent {
        exchange.head.fields.insert(TRACEPARENT, HeaderValue::from_static(parent));
    }
    tracer.meet(&mut exchange);
    exchange.stamps.is_traced
}

const YES: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const NO: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

#[test]
fn a_parent_decides_if_it_is_heeded_and_the_share_decides_else() {
    for (heeds, ratio, expected) in [
        (true, 0.0, [true, false, false]),
        (true, 1.0, [true, false, true]),
        (false, 0.0, [false, false, false]),
        (false, 1.0, [true, true, true]),
    ] {
        let tracer = Tracer::new(&traces(heeds, ratio, 1));
        let got = [Some(YES), Some(NO), None].map(|parent| sampled(&tracer, parent));
        assert_eq!(got, expected, "{heeds} {ratio}");
    }
    let tracer = Tracer::new(&traces(true, 0.25, 1));
    let count = (0..4_000).filter(|_| sampled(&tracer, None)).count();
    assert!((850..1_150).contains(&count), "a quarter of 4000: {count}");
}

#[test]
fn a_queue_that_is_full_drops_and_counts() {
    let tracer = Tracer::new(&traces(true, 1.0, 3));
    for nth in 0..5 {
        if let Some(place) = tracer.place() {
            place.send(vec![nth]);
        }
    }
    assert_eq!(tracer.dropped.value(), 2);
    let mut spans = tracer.spans().expect("the first who asks");
    assert!(tracer.spans().is_none());
    for nth in 0..3 {
        assert_eq!(spans.try_recv(), Ok(vec![nth]));
    }
    assert!(spans.try_recv().is_err());
}

#[test]
fn credentials_in_a_query_are_not_told() {
    assert_eq!(
        span::without_secrets("a=1&sig=abc&Signature=x%3D&b&sigma=2"),
        "a=1&sig=REDACTED&Signature=REDACTED&b&sigma=2"
    );
}
