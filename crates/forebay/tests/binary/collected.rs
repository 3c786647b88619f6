//! What a collector gets of a running edge that the environment tells where it is.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use super::support::{Origin, Running, config, forebay, wait_for};

type Got = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

/// Keeps heads and contents of all messages.
fn collector() -> (u16, Got) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let got = Got::default();
    let kept = Arc::clone(&got);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let kept = Arc::clone(&kept);
            std::thread::spawn(move || drop(keep(stream, &kept)));
        }
    });
    (port, got)
}

fn keep(mut stream: TcpStream, kept: &Got) -> std::io::Result<()> {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            head.extend_from_slice(&byte);
        }
        let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length = length.and_then(|it| it.parse().ok()).expect("a length");
        let mut content = vec![0; length];
        stream.read_exact(&mut content)?;
        kept.lock().expect("no panic").push((head, content));
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?;
    }
}

#[test]
fn check_says_no_to_a_variable_that_would_be_ignored() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("forebay.toml");
    std::fs::write(&file, "[[origin]]\nname = \"app\"\nservers = [\"http://127.0.0.1:9\"]\n")
        .expect("written");
    let check = |more: &[&str], variables: &[(&str, &str)]| {
        let name = file.to_string_lossy();
        let mut command = forebay(&[&["check", "--config", &name], more].concat());
        command.envs([("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")]);
        let output = command.envs(variables.iter().copied()).output().expect("it starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    assert_eq!(check(&[], &[]), (Some(0), "ok: 1 route\n".into(), String::new()));
    let bad = [("OTEL_TRACES_SAMPLER_ARG", "2"), ("OTEL_TRACES_SAMPLER", "traceidratio")];
    let said = "error: environment `OTEL_TRACES_SAMPLER_ARG`: `2` should be a number from 0 to 1\n\n\
                hint: change `OTEL_TRACES_SAMPLER_ARG` or unset it; until then it is ignored\n";
    assert_eq!(check(&[], &bad), (Some(1), String::new(), said.into()));
    let (code, data, _) = check(&["--json"], &bad);
    let json: serde_json::Value = serde_json::from_str(&data).expect("JSON");
    assert_eq!((code, &json["ok"]), (Some(1), &false.into()), "{json:#}");
    assert_eq!(json["problems"][0]["place"], "environment `OTEL_TRACES_SAMPLER_ARG`");
    // What would keep it from starting.
    let tls = ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://127.0.0.1:9");
    let lost = [tls, ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/no/such.pem")];
    let (code, _, talk) = check(&[], &lost);
    assert!(code == Some(1) && talk.contains("/no/such.pem"), "{talk}");
}

fn has(content: &[u8], text: &str) -> bool {
    content.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn the_variables_of_opentelemetry_lead_to_a_collector_and_the_end_waits_for_the_last_of_it() {
    let origin = Origin::start();
    let (port, got) = collector();
    let endpoint = format!("http://localhost:{port}/base");
    let running = Running::with_config_and(
        &config(&origin, ""),
        &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
            ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=one%2Ctwo"),
            ("OTEL_SERVICE_NAME", "front-of-test"),
            ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test"),
            // Longer than the test: what comes, comes at the end.
            ("OTEL_BSP_SCHEDULE_DELAY", "600000"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "600000"),
            ("OTEL_TRACES_SAMPLER", "sometimes"),
        ],
    );
    let mut ids = String::new();
    for _ in 0..3 {
        let answer = running.get("/a");
        let id = answer.lines().find_map(|line| line.strip_prefix("x-request-id: "));
        writeln!(ids, "{}", id.expect("an id")).expect("a String takes everything");
    }
    assert!(got.lock().expect("no panic").is_empty());
    assert!(
        running.said.contains("`OTEL_TRACES_SAMPLER`: `sometimes` should be"),
        "{}",
        running.said
    );
    running.signal("TERM");
    assert!(running.end().success());
    let got = got.lock().expect("no panic");
    let paths: Vec<&str> = got.iter().filter_map(|(head, _)| head.split(' ').nth(1)).collect();
    assert_eq!(paths.len(), 2, "{paths:?}");
    for path in ["/base/v1/traces", "/base/v1/metrics"] {
        let found = got.iter().find(|(head, _)| head.starts_with(&format!("post {path} ")));
        let (head, content) = found.unwrap_or_else(|| panic!("no {path} in {paths:?}"));
        assert!(head.contains("\r\napi-key: one,two\r\n"), "{head}");
        assert!(has(content, "front-of-test") && has(content, "deployment.environment"));
        let is_traces = path.ends_with("traces");
        assert!(ids.lines().all(|id| has(content, id) == is_traces), "{path}");
    }
}

#[test]
fn a_jobs_run_is_a_span_of_the_trace_that_its_payload_carries() {
    const TRACE: [u8; 16] = [0x0a; 16];
    let origin = Origin::start();
    let (port, got) = collector();
    let endpoint = format!("http://localhost:{port}");
    let script = r#"echo "$TRACEPARENT" >> traces; [ "$FOREBAY_JOB_CLASS" != Fails ]"#;
    let command = serde_json::json!(["sh", "-c", script]);
    let running = Running::with_config_and(
        &config(&origin, &format!("[jobs.exec]\ncommand = {command}\n")),
        &[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)],
    );
    let trace = "0a".repeat(16);
    for (class, flags) in [("Works", "01"), ("Fails", "01"), ("Unseen", "00")] {
        let pushed = forebay(&["jobs", "push", class, "--config", "forebay.toml"])
            .current_dir(running.folder.path())
            .env("TRACEPARENT", format!("00-{trace}-00000000000000b7-{flags}"))
            .status()
            .expect("it starts");
        assert!(pushed.success());
    }
    let traces = wait_for("all runs", || {
        let text = std::fs::read_to_string(running.path("traces")).unwrap_or_default();
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        (lines.len() == 3).then_some(lines)
    });
    // What is asked within a run stands below its span; what nobody traces goes on as it came.
    let ours = traces.iter().filter(|it| !it.contains("-00000000000000b7-"));
    let ours: Vec<&String> = ours.collect();
    assert!(ours.len() == 2 && traces.iter().all(|it| it.contains(&trace)), "{traces:?}");
    running.signal("TERM");
    assert!(running.end().success());
    let got = got.lock().expect("no panic");
    let spans: Vec<&Vec<u8>> = got
        .iter()
        .filter(|(head, _)| head.starts_with("post /v1/traces "))
        .map(|it| &it.1)
        .collect();
    let all = spans.iter().flat_map(|it| it.iter().copied()).collect::<Vec<u8>>();
    let is_in = |bytes: &[u8]| all.windows(bytes.len()).any(|window| window == bytes);
    assert!(is_in(&TRACE), "its trace");
    for text in ["process default", "Works", "Fails", "Exit 1", "messaging.message.id"] {
        assert!(is_in(text.as_bytes()), "{text}");
    }
    assert!(!is_in(b"Unseen"), "nobody makes spans of it");
    for own in ours {
        let span = u64::from_str_radix(&own[36..52], 16).expect("hex");
        assert!(is_in(&span.to_be_bytes()), "{own}");
    }
}
