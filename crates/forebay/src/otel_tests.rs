use super::*;

/// Settings and problems of these variables.
fn of(variables: &[(&str, &str)]) -> (Option<Otlp>, Vec<String>) {
    let (otlp, problems) = read(&|name| {
        let known = variables.iter().find(|(known, _)| *known == name);
        known.map(|(_, value)| (*value).to_owned())
    });
    (otlp.map(|otlp| (*otlp).clone()), problems.iter().map(ToString::to_string).collect())
}

const BASE: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector");

#[test]
fn nothing_is_sent_unless_a_collector_is_named() {
    assert_eq!(of(&[]), (None, vec![]));
    assert_eq!(of(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "")]), (None, vec![]));
    assert_eq!(of(&[BASE, ("OTEL_SDK_DISABLED", "TRUE")]), (None, vec![]));
    let none = [BASE, ("OTEL_TRACES_EXPORTER", "none"), ("OTEL_METRICS_EXPORTER", "none")];
    assert_eq!(of(&none), (None, vec![]));
}

#[test]
fn one_base_serves_both_and_each_may_have_its_own() {
    let (otlp, problems) = of(&[BASE]);
    let otlp = otlp.expect("a collector");
    let (traces, metrics) = (otlp.traces.expect("traces"), otlp.metrics.expect("metrics"));
    assert!(problems.is_empty(), "{problems:?}");
    assert_eq!(traces.collector.path, "/v1/traces");
    assert_eq!((metrics.collector.path.as_str(), metrics.collector.port), ("/v1/metrics", 80));
    assert_eq!(traces.sampler, Sampler { heeds_parent: true, ratio: 1.0 });

    let (otlp, problems) = of(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://all.example:4318/otlp/"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://[::1]:9/own?a=b"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%20b, x-team = shop ,"),
        ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "x-only=metrics"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "2500"),
        ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/etc/ca.pem"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "15000"),
        ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "0.05"),
    ]);
    assert!(problems.is_empty(), "{problems:?}");
    let otlp = otlp.expect("collectors");
    let (traces, metrics) = (otlp.traces.expect("traces"), otlp.metrics.expect("metrics"));
    let to = &traces.collector;
    assert_eq!((to.host.as_str(), to.port, to.path.as_str()), ("::1", 9, "/own?a=b"));
    assert!(!to.is_tls && to.is_gzipped && to.timeout == Duration::from_millis(2_500));
    let fields: Vec<_> = to.fields.0.iter().map(|(name, value)| (name.as_str(), value)).collect();
    assert_eq!(
        fields,
        [
            ("api-key", &"a b".parse().expect("a value")),
            ("x-team", &"shop".parse().expect("a value"))
        ]
    );
    assert_eq!(format!("{:?}", to.fields), "[\"api-key\", \"x-team\"]", "secrets are not shown");
    assert_eq!(traces.sampler, Sampler { heeds_parent: true, ratio: 0.05 });
    let to = &metrics.collector;
    assert_eq!((to.host.as_str(), to.path.as_str()), ("all.example", "/otlp/v1/metrics"));
    assert!(to.is_tls && !to.is_gzipped && to.authorities.is_some());
    assert_eq!((to.fields.0.len(), metrics.interval), (1, Duration::from_secs(15)));
}

#[test]
fn who_we_are_is_said_by_the_more_special_variable() {
    let name = |variables: &[(&str, &str)]| {
        let resource = of(&[&[BASE], variables].concat()).0.expect("a collector").resource;
        let of = |name: &str| {
            let known = resource.iter().filter(|(known, _)| known == name);
            known.map(|(_, value)| value.clone()).collect::<Vec<String>>()
        };
        (of("service.name"), of("deployment.environment"))
    };
    let all = ("OTEL_RESOURCE_ATTRIBUTES", "service.name=edge%2C1,deployment.environment=prod");
    assert_eq!(name(&[]).0, ["forebay"]);
    assert_eq!(name(&[all]), (vec!["edge,1".into()], vec!["prod".into()]));
    assert_eq!(name(&[all, ("OTEL_SERVICE_NAME", "front")]).0, ["front"]);
}

#[test]
fn what_is_wrong_is_told_and_ignored() {
    for (variable, value, expected) in [
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "collector:4318", "a URL"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://user:secret@collector", "a URL"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd", "gzip"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s", "milliseconds"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "secret", "name=value"),
        ("OTEL_TRACES_SAMPLER", "sometimes", "always_on"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "0", "milliseconds"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "-1", "a whole number"),
        ("OTEL_RESOURCE_ATTRIBUTES", "a", "name=value"),
        ("OTEL_TRACES_EXPORTER", "zipkin", "`otlp` or `none`"),
    ] {
        let (otlp, problems) = of(&[BASE, (variable, value)]);
        assert!(otlp.is_some(), "{variable}");
        let told = problems.iter().all(|problem| problem.contains(expected));
        assert!(told && !problems.is_empty(), "{variable}: {problems:?}");
        assert!(!problems.concat().contains("secret"), "{problems:?}");
    }
    let bad = [BASE, ("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "1.5")];
    let (otlp, problems) = of(&bad);
    assert_eq!(problems.len(), 1);
    let sampler = otlp.and_then(|otlp| otlp.traces).expect("traces").sampler;
    assert_eq!(sampler, Sampler { heeds_parent: false, ratio: 1.0 });
}
