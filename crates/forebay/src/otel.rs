//! The standard variables of OpenTelemetry to settings. A value that is none is told and ignored, as the
//! specification has it: what a platform sets for all programs must not keep one of them from starting. `forebay check`
//! says no to it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use forebay_edge::config::file::Problem;
use forebay_edge::config::otlp::{
    self, Collector, Fields, METRIC_INTERVAL, MOST_TOGETHER, MOST_WAITING, Metrics, Otlp,
    SPAN_DELAY, Sampler, Traces,
};
use http::{HeaderName, HeaderValue};

/// Who we are if nothing says else.
const SERVICE: &str = "forebay";

const ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";

/// Reads variables.
pub(crate) struct Environment<'a> {
    read: &'a dyn Fn(&str) -> Option<String>,
    /// What is wrong with them.
    pub(crate) problems: Vec<Problem>,
}

/// The settings, if the environment names a collector; and what is wrong.
pub(crate) fn read(read: &dyn Fn(&str) -> Option<String>) -> (Option<Arc<Otlp>>, Vec<Problem>) {
    let mut environment = Environment { read, problems: Vec::new() };
    let otlp = environment.otlp();
    (otlp.map(Arc::new), environment.problems)
}

/// Of the process.
pub(crate) fn of_process() -> (Option<Arc<Otlp>>, Vec<Problem>) {
    read(&|name| std::env::var(name).ok())
}

/// What is sent.
#[derive(Debug, Clone, Copy)]
struct Signal {
    /// As it stands in variables.
    variable: &'static str,
    path: &'static str,
}

const TRACES: Signal = Signal { variable: "TRACES", path: "v1/traces" };
const METRICS: Signal = Signal { variable: "METRICS", path: "v1/metrics" };

impl Environment<'_> {
    fn otlp(&mut self) -> Option<Otlp> {
        if self.get("OTEL_SDK_DISABLED").is_some_and(|it| it.eq_ignore_ascii_case("true")) {
            return None;
        }
        let traces = self.collector(TRACES).map(|collector| Traces {
            collector,
            sampler: self.sampler(),
            most_waiting: self.number("OTEL_BSP_MAX_QUEUE_SIZE", MOST_WAITING, 1 << 16),
            most_together: self.number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", MOST_TOGETHER, 1 << 13),
            delay: self.milliseconds("OTEL_BSP_SCHEDULE_DELAY", SPAN_DELAY),
        });
        let metrics = self.collector(METRICS).map(|collector| Metrics {
            collector,
            interval: self.milliseconds("OTEL_METRIC_EXPORT_INTERVAL", METRIC_INTERVAL),
        });
        if traces.is_none() && metrics.is_none() {
            return None;
        }
        Some(Otlp { traces, metrics, resource: self.resource() })
    }

    /// The value of a variable; an empty one is none.
    fn get(&self, name: &str) -> Option<String> {
        (self.read)(name).filter(|value| !value.trim().is_empty())
    }

    /// `OTEL_EXPORTER_OTLP_TRACES_…` goes before `OTEL_EXPORTER_OTLP_…`; with the name that was found.
    fn of_signal(&self, signal: Signal, what: &str) -> Option<(String, String)> {
        let own = format!("OTEL_EXPORTER_OTLP_{}_{what}", signal.variable);
        let all = format!("OTEL_EXPORTER_OTLP_{what}");
        [own, all].into_iter().find_map(|name| Some((self.get(&name)?, name)))
    }

    fn collector(&mut self, signal: Signal) -> Option<Collector> {
        let exporter = format!("OTEL_{}_EXPORTER", signal.variable);
        match self.get(&exporter).as_deref().map(str::trim) {
            None | Some("otlp") => {}
            Some("none") => return None,
            Some(other) => {
                self.wrong(&exporter, other, "`otlp` or `none`");
                return None;
            }
        }
        let (url, variable) = self.of_signal(signal, "ENDPOINT")?;
        // The one for all is a base; the one for this signal is taken as it is.
        let is_base = variable == "OTEL_EXPORTER_OTLP_ENDPOINT";
        let Some(place) = place(&url, is_base.then_some(signal.path)) else {
            // What stands before an `@` is a secret.
            let shown = url.rsplit('@').next().unwrap_or_default();
            self.wrong(&variable, shown, "a URL such as `http://collector:4318`");
            return None;
        };
        if let Some((protocol, variable)) = self.of_signal(signal, "PROTOCOL")
            && protocol.trim() != "http/protobuf"
        {
            self.wrong(&variable, &protocol, "`http/protobuf`, which is used");
        }
        let gzip =
            self.of_signal(signal, "COMPRESSION").filter(|(value, _)| value.trim() != "none");
        if let Some((value, variable)) = gzip.as_ref().filter(|(value, _)| value.trim() != "gzip") {
            self.wrong(variable, value, "`gzip` or `none`");
        }
        let timeout = self.of_signal(signal, "TIMEOUT").map(|(_, variable)| variable);
        Some(Collector {
            authorities: self.of_signal(signal, "CERTIFICATE").map(|(path, _)| PathBuf::from(path)),
            fields: self.fields(signal),
            timeout: timeout.map_or(otlp::TIMEOUT, |it| self.milliseconds(&it, otlp::TIMEOUT)),
            is_gzipped: gzip.is_some_and(|(value, _)| value.trim() == "gzip"),
            ..place
        })
    }

    /// `name=value,…`, values percent-encoded.
    fn fields(&mut self, signal: Signal) -> Fields {
        let Some((text, variable)) = self.of_signal(signal, "HEADERS") else {
            return Fields::default();
        };
        let mut fields = Vec::new();
        for pair in text.split(',').filter(|pair| !pair.trim().is_empty()) {
            let field = pair.split_once('=').and_then(|(name, value)| {
                let value = decoded(value.trim())?;
                let name = HeaderName::from_bytes(name.trim().as_bytes()).ok()?;
                let mut value = HeaderValue::from_str(&value).ok()?;
                value.set_sensitive(true);
                Some((name, value))
            });
            match field {
                Some(field) => fields.push(field),
                // What stands there may be a secret.
                None => self.problem(&variable, "a field should be `name=value`".to_owned()),
            }
        }
        Fields(fields)
    }

    fn sampler(&mut self) -> Sampler {
        const NAME: &str = "OTEL_TRACES_SAMPLER";
        const ARGUMENT: &str = "OTEL_TRACES_SAMPLER_ARG";
        let Some(name) = self.get(NAME) else { return Sampler::default() };
        let (heeds_parent, base) = match name.trim().strip_prefix("parentbased_") {
            Some(base) => (true, base),
            None => (false, name.trim()),
        };
        let ratio = match base {
            "always_on" => 1.0,
            "always_off" => 0.0,
            "traceidratio" => match self.get(ARGUMENT).map(|text| (text.trim().parse(), text)) {
                None => 1.0,
                Some((Ok(ratio), _)) if (0.0..=1.0).contains(&ratio) => ratio,
                Some((_, text)) => {
                    self.wrong(ARGUMENT, &text, "a number from 0 to 1");
                    1.0
                }
            },
            _ => {
                self.wrong(NAME, &name, "`always_on`, `always_off`, `traceidratio`, or one of them behind `parentbased_`");
                return Sampler::default();
            }
        };
        Sampler { heeds_parent, ratio }
    }

    fn resource(&mut self) -> Vec<(String, String)> {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let mut resource = vec![
            ("telemetry.sdk.name".to_owned(), "forebay".to_owned()),
            ("telemetry.sdk.language".into(), "rust".into()),
            ("telemetry.sdk.version".into(), version.clone()),
            ("service.name".into(), SERVICE.into()),
            ("service.version".into(), version),
            ("service.instance.id".into(), instance()),
        ];
        // Where there is no such file nobody asks for the name.
        if let Ok(host) = std::fs::read_to_string("/proc/sys/kernel/hostname") {
            resource.push(("host.name".into(), host.trim().to_owned()));
        }
        let mut put =
            |name: String, value: String| match resource.iter_mut().find(|it| it.0 == name) {
                Some(known) => known.1 = value,
                None => resource.push((name, value)),
            };
        let text = self.get(ATTRIBUTES).unwrap_or_default();
        for pair in text.split(',').filter(|pair| !pair.trim().is_empty()) {
            let parts = pair.split_once('=');
            match parts.and_then(|(name, value)| Some((name.trim(), decoded(value.trim())?))) {
                Some((name, value)) if !name.is_empty() => put(name.to_owned(), value),
                _ => self.wrong(ATTRIBUTES, pair, "`name=value`"),
            }
        }
        if let Some(name) = self.get("OTEL_SERVICE_NAME") {
            put("service.name".into(), name.trim().to_owned());
        }
        resource
    }

    fn milliseconds(&mut self, name: &str, default: Duration) -> Duration {
        const MOST: u64 = 86_400_000;
        let Some(text) = self.get(name) else { return default };
        if let Ok(ms @ 1..=MOST) = text.trim().parse() {
            return Duration::from_millis(ms);
        }
        self.wrong(name, &text, "milliseconds as a whole number");
        default
    }

    fn number(&mut self, name: &str, default: usize, most: usize) -> usize {
        let Some(text) = self.get(name) else { return default };
        match text.trim().parse() {
            Ok(number) if (1..=most).contains(&number) => number,
            _ => {
                self.wrong(name, &text, &format!("a whole number from 1 to {most}"));
                default
            }
        }
    }

    fn wrong(&mut self, name: &str, value: &str, expected: &str) {
        self.problem(name, format!("`{value}` should be {expected}"));
    }

    fn problem(&mut self, name: &str, text: String) {
        let place = format!("environment `{name}`");
        let hint = Some(format!("change `{name}` or unset it; until then it is ignored"));
        let problem = Problem { place, text, hint };
        // What holds for traces and metrics is told once.
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }
}

/// Where a URL leads; with the path of a signal behind it if it is a base.
fn place(url: &str, behind: Option<&str>) -> Option<Collector> {
    let uri: http::Uri = url.trim().parse().ok()?;
    let is_tls = match uri.scheme_str()? {
        "http" => false,
        "https" => true,
        _ => return None,
    };
    let authority = uri.authority()?;
    // Credentials belong into fields.
    if authority.host().is_empty() || authority.as_str().contains('@') {
        return None;
    }
    let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
    let named = uri.path_and_query().map_or("/", |path| path.as_str());
    let path = match behind {
        Some(behind) => format!("{}/{behind}", uri.path().trim_end_matches('/')),
        None => named.to_owned(),
    };
    let usual = if is_tls { 443 } else { 80 };
    Some(Collector {
        is_tls,
        host,
        port: authority.port_u16().unwrap_or(usual),
        path,
        authorities: None,
        fields: Fields::default(),
        timeout: otlp::TIMEOUT,
        is_gzipped: false,
    })
}

/// Undoes percent-encoding.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, then @ ..] = rest {
        rest = then;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let [high, low, then @ ..] = rest else { return None };
        let digit = |digit: u8| char::from(digit).to_digit(16);
        bytes.push(u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()?);
        rest = then;
    }
    String::from_utf8(bytes).ok()
}

/// Tells this process from others that have the same name.
fn instance() -> String {
    let id = forebay_edge::identity::new_id();
    let id = std::str::from_utf8(&id).unwrap_or_default();
    let part = |from, to| id.get(from..to).unwrap_or_default();
    [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-")
}

#[cfg(test)]
#[path = "otel_tests.rs"]
mod tests;
