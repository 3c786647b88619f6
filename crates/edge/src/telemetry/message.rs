//! Messages of OTLP: what stands around spans, and metrics.

use std::time::{Duration, SystemTime};

use forebay_signals::histogram::Reading;
use forebay_signals::prometheus::{BOUNDS_US, Family, Sample, Value};

use crate::trace::nanos;
use crate::trace::wire::Message;

/// `AggregationTemporality`: since the start.
const CUMULATIVE: u64 = 2;

/// Who we are, which stands around everything.
#[derive(Debug, Clone)]
pub(super) struct Envelope {
    resource: Message,
    scope: Message,
}

impl Envelope {
    pub(super) fn new(resource: &[(String, String)]) -> Envelope {
        let mut about = Message::default();
        for (name, value) in resource {
            about.text_attribute(1, name, value);
        }
        let mut scope = Message::default();
        scope.bytes(1, b"forebay");
        scope.bytes(2, env!("CARGO_PKG_VERSION").as_bytes());
        Envelope { resource: about, scope }
    }

    /// `ExportTraceServiceRequest` of spans that are written already.
    pub(super) fn spans(&self, spans: &[Vec<u8>]) -> Vec<u8> {
        self.around(spans.iter().map(Vec::as_slice))
    }

    /// `ExportMetricsServiceRequest`, and how many points it has.
    pub(super) fn metrics(
        &self,
        families: &[Family],
        began: SystemTime,
        now: SystemTime,
    ) -> (Vec<u8>, u64) {
        let times = Times { began: nanos(began), now: nanos(now) };
        let full: Vec<&Family> = families.iter().filter(|of| !of.samples.is_empty()).collect();
        let metrics: Vec<Vec<u8>> = full.iter().map(|of| times.metric(of).finish()).collect();
        let points = full.iter().map(|of| of.samples.len() as u64).sum();
        (self.around(metrics.iter().map(Vec::as_slice)), points)
    }

    /// Traces and metrics are built alike: things in a scope in a resource.
    fn around<'t>(&self, things: impl Iterator<Item = &'t [u8]>) -> Vec<u8> {
        let mut in_scope = Message::default();
        in_scope.message(1, &self.scope);
        things.for_each(|thing| in_scope.bytes(2, thing));
        let mut in_resource = Message::default();
        in_resource.message(1, &self.resource);
        in_resource.message(2, &in_scope);
        let mut all = Message::default();
        all.message(1, &in_resource);
        all.finish()
    }
}

/// When counting began, and now.
#[derive(Clone, Copy)]
struct Times {
    began: u64,
    now: u64,
}

impl Times {
    /// `Metric`.
    fn metric(self, family: &Family) -> Message {
        let mut data = Message::default();
        for sample in &family.samples {
            data.message(1, &self.point(sample));
        }
        let mut metric = Message::default();
        metric.bytes(1, family.name.as_bytes());
        metric.bytes(2, family.help.as_bytes());
        metric.bytes(3, unit(&family.name).as_bytes());
        match family.kind.as_str() {
            "counter" => {
                data.number(2, CUMULATIVE);
                data.number(3, 1);
                metric.message(7, &data);
            }
            "histogram" => {
                data.number(2, CUMULATIVE);
                metric.message(9, &data);
            }
            _ => metric.message(5, &data),
        }
        metric
    }

    /// `NumberDataPoint` or `HistogramDataPoint`.
    fn point(self, sample: &Sample) -> Message {
        let mut point = Message::default();
        point.fixed64(2, self.began);
        point.fixed64(3, self.now);
        let labels_in = match &sample.value {
            Value::Whole(number) => {
                let number = i64::try_from(*number).unwrap_or(i64::MAX);
                point.fixed64(6, number.cast_unsigned());
                7
            }
            Value::Real(number) => {
                point.double(4, *number);
                7
            }
            Value::Histogram(reading) => {
                histogram(&mut point, reading);
                9
            }
        };
        for (name, value) in &sample.labels {
            point.text_attribute(labels_in, name, value);
        }
        point
    }
}

fn histogram(point: &mut Message, reading: &Reading) {
    let bounds = BOUNDS_US.map(Duration::from_micros);
    point.fixed64(4, reading.count());
    point.double(5, reading.sum().as_secs_f64());
    let up_to = bounds.iter().map(|bound| reading.at_most(*bound)).chain([reading.count()]);
    let up_to: Vec<u64> = up_to.collect();
    let before = std::iter::once(0).chain(up_to.iter().copied());
    point.packed(6, up_to.iter().zip(before).map(|(up_to, before)| up_to - before));
    point.packed(7, bounds.iter().map(|bound| bound.as_secs_f64().to_bits()));
}

/// Units of UCUM.
fn unit(name: &str) -> &'static str {
    let name = name.strip_suffix("_total").unwrap_or(name);
    match name.rsplit('_').next() {
        Some("seconds") => "s",
        Some("bytes") => "By",
        _ => "1",
    }
}
