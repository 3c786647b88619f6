//! Metrics as `DogStatsD` has them: counters as what they grew by, gauges, durations as values with a rate.

use std::collections::HashMap;
use std::fmt::Write;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use forebay_signals::clock;
use forebay_signals::drain::Drain;
use forebay_signals::histogram::Reading;
use forebay_signals::prometheus::{Family, Sample, Value};
use tokio::net::{UdpSocket, UnixDatagram};

use crate::config::statsd::{Agent, Statsd, Timings};
use crate::edge::Edge;
use crate::view;

/// A datagram that is not fragmented on the common path: 1,500 bytes without heads, and some for tunnels.
const MOST_UDP_BYTES: usize = 1_432;
/// What agents read of a Unix datagram.
const MOST_UNIX_BYTES: usize = 8_192;
/// Time that one sending may take; an agent that reads nothing fills its socket.
const PATIENCE: Duration = Duration::from_secs(1);
/// Time between two looks whether there is an agent in the settings.
const LOOK: Duration = Duration::from_secs(1);

/// Sends until `gone`, and once more then.
pub(super) async fn run(edge: Arc<Edge>, gone: Drain) {
    let mut known = Known::default();
    let mut due: Option<Instant> = None;
    let mut is_heard = true;
    loop {
        let settings = edge.snapshot().config.statsd.clone();
        let Some(agent) = &settings.agent else {
            due = None;
            tokio::select! {
                () = gone.begun() => return,
                () = clock::sleep(LOOK) => continue,
            }
        };
        let at = *due.get_or_insert_with(|| clock::now() + settings.interval);
        let wake = at.min(clock::now() + LOOK);
        let is_last = tokio::select! {
            () = gone.begun() => true,
            () = clock::sleep_until(wake) => false,
        };
        if !is_last && clock::now() < at {
            continue;
        }
        due = None;
        let lines = known.lines(&view::families(&edge), &settings);
        let outcome = send(agent, &lines).await;
        let sent = &edge.telemetry.statsd;
        sent.sent.add(outcome.sent as u64);
        sent.dropped.add((lines.len() - outcome.sent) as u64);
        tell(&edge, outcome.error, &mut is_heard);
        if is_last {
            return;
        }
    }
}

/// One line in the journal when the agent goes, and one when it is back.
fn tell(edge: &Edge, error: Option<io::Error>, is_heard: &mut bool) {
    match error {
        Some(error) if *is_heard => {
            edge.journal.write("telemetry", format!("the statsd agent takes nothing: {error}"));
            *is_heard = false;
        }
        None if !*is_heard => {
            edge.journal.write("telemetry", "the statsd agent takes metrics again");
            *is_heard = true;
        }
        _ => {}
    }
}

/// What was told before: counters are told as what they grew by.
///
/// By family and labels as they are, not as they are sent: two that an agent is told as one still grow each by
/// itself, and other tags begin nothing anew. It holds what was there the last time and nothing else, so that it
/// is no larger than `/metrics` however often routes and origins get other names.
#[derive(Debug, Default)]
struct Known {
    counts: HashMap<Key, i128>,
    histograms: HashMap<Key, Reading>,
}

type Key = (String, Vec<(String, String)>);

impl Known {
    /// Lines without their ends.
    fn lines(&mut self, families: &[Family], settings: &Statsd) -> Vec<String> {
        let before = std::mem::take(self);
        let mut lines = Vec::new();
        for family in families {
            for sample in &family.samples {
                self.write(&before, family, sample, settings, &mut lines);
            }
        }
        lines
    }

    fn write(
        &mut self,
        before: &Known,
        family: &Family,
        sample: &Sample,
        settings: &Statsd,
        lines: &mut Vec<String>,
    ) {
        let name = name(&family.name, &settings.prefix);
        let tags = tags(&sample.labels, &settings.tags);
        let key = || (family.name.clone(), sample.labels.clone());
        match &sample.value {
            Value::Whole(number) if family.kind == "counter" => {
                let key = key();
                let known = before.counts.get(&key).copied().unwrap_or(0);
                self.counts.insert(key, *number);
                // A counter that went back began anew.
                let grew = if *number >= known { number - known } else { *number };
                if grew > 0 {
                    lines.push(format!("{name}:{grew}|c{tags}"));
                }
            }
            Value::Whole(number) => lines.push(format!("{name}:{number}|g{tags}")),
            Value::Real(number) => lines.push(format!("{name}:{number}|g{tags}")),
            Value::Histogram(reading) => {
                let key = key();
                let none = Reading::default();
                for (duration, count) in reading.since(before.histograms.get(&key).unwrap_or(&none))
                {
                    lines.push(timing(&name, duration, count, settings.timings) + &tags);
                }
                self.histograms.insert(key, reading.clone());
            }
        }
    }
}

/// One value that stands for `count`.
fn timing(name: &str, duration: Duration, count: u64, timings: Timings) -> String {
    let seconds = duration.as_secs_f64();
    let mut line = match timings {
        Timings::Distribution => format!("{name}:{seconds}|d"),
        Timings::Histogram => format!("{name}:{seconds}|h"),
        Timings::Timer => format!("{name}:{}|ms", seconds * 1_000.0),
    };
    if count > 1 {
        // Agents count 1 / rate and cut it: written as large as would be, it would be one too few.
        #[expect(clippy::cast_precision_loss, reason = "a count of this size is rounded anyway")]
        let rate = 1.0 / (count as f64 + 0.01);
        write!(line, "|@{rate:.12}").expect("writing to a String does not fail");
    }
    line
}

/// `forebay_edge_requests_total` is `edge.requests` behind the prefix.
fn name(family: &str, prefix: &str) -> String {
    let name = family.strip_prefix("forebay_").unwrap_or(family);
    let name = name.strip_suffix("_total").unwrap_or(name);
    match name.strip_prefix("edge_") {
        Some(name) => format!("{prefix}edge.{name}"),
        None => format!("{prefix}{name}"),
    }
}

/// `|#name:value,…`, or nothing.
fn tags(labels: &[(String, String)], more: &[String]) -> String {
    let labels = labels.iter().map(|(name, value)| {
        let value = value.replace(|c: char| c.is_control() || matches!(c, ',' | '|' | '#'), "_");
        format!("{name}:{value}")
    });
    let all: Vec<String> = labels.chain(more.iter().cloned()).collect();
    if all.is_empty() { String::new() } else { format!("|#{}", all.join(",")) }
}

/// How a sending went.
#[derive(Debug, Default)]
struct Outcome {
    /// Lines that were taken.
    sent: usize,
    /// Why others were not.
    error: Option<io::Error>,
}

/// Sends all lines, as many in a datagram as fit.
async fn send(agent: &Agent, lines: &[String]) -> Outcome {
    let most = match agent {
        Agent::Udp(..) => MOST_UDP_BYTES,
        Agent::Unix(_) => MOST_UNIX_BYTES,
    };
    let until = clock::now() + PATIENCE;
    let mut outcome = Outcome::default();
    let late = || io::Error::new(io::ErrorKind::TimedOut, "it does not keep up");
    let left = |until: Instant| until.saturating_duration_since(clock::now());
    let opened = clock::timeout(left(until), Wire::open(agent)).await;
    let wire = match opened.unwrap_or_else(|_| Err(late())) {
        Ok(wire) => wire,
        Err(error) => return Outcome { sent: 0, error: Some(error) },
    };
    for (datagram, count) in datagrams(lines, most) {
        let sent = clock::timeout(left(until), wire.send(datagram.as_bytes())).await;
        match sent.unwrap_or_else(|_| Err(late())) {
            Ok(()) => outcome.sent += count,
            Err(error) => {
                let is_late = error.kind() == io::ErrorKind::TimedOut;
                outcome.error.get_or_insert(error);
                if is_late {
                    break;
                }
            }
        }
    }
    outcome
}

/// Lines put together, with how many there are in each; a line that fits nowhere is left out.
fn datagrams(lines: &[String], most: usize) -> Vec<(String, usize)> {
    let mut all: Vec<(String, usize)> = Vec::new();
    for line in lines.iter().filter(|line| line.len() <= most) {
        match all.last_mut() {
            Some((datagram, count)) if datagram.len() + 1 + line.len() <= most => {
                datagram.push('\n');
                datagram.push_str(line);
                *count += 1;
            }
            _ => all.push((line.clone(), 1)),
        }
    }
    all
}

/// A socket for one sending: an agent that was started anew has another one behind the same name.
enum Wire {
    Udp(UdpSocket),
    Unix(UnixDatagram),
}

impl Wire {
    async fn open(agent: &Agent) -> io::Result<Wire> {
        match agent {
            Agent::Udp(host, port) => {
                let mut found = tokio::net::lookup_host((host.as_str(), *port)).await?;
                let none = || io::Error::new(io::ErrorKind::NotFound, "the name has no address");
                let to = found.next().ok_or_else(none)?;
                let any: SocketAddr = match to {
                    SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
                    SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
                };
                let socket = UdpSocket::bind(any).await?;
                socket.connect(to).await?;
                Ok(Wire::Udp(socket))
            }
            Agent::Unix(path) => {
                let socket = UnixDatagram::unbound()?;
                socket.connect(path)?;
                Ok(Wire::Unix(socket))
            }
        }
    }

    async fn send(&self, datagram: &[u8]) -> io::Result<()> {
        match self {
            Wire::Udp(socket) => socket.send(datagram).await.map(drop),
            Wire::Unix(socket) => socket.send(datagram).await.map(drop),
        }
    }
}

#[cfg(test)]
mod tests {
    use forebay_signals::histogram::Histogram;
    use forebay_signals::prometheus::Page;

    use super::*;

    fn page(requests: u64, open: i64, histogram: &Histogram) -> Vec<Family> {
        let mut page = Page::default();
        page.family("forebay_edge_requests_total", "counter", "Requests.");
        page.sample("forebay_edge_requests_total", &[("route", "a|b,c#d")], requests);
        page.family("forebay_edge_connections", "gauge", "Open.");
        page.sample("forebay_edge_connections", &[], open);
        page.family("forebay_edge_request_seconds", "histogram", "Time.");
        page.histogram("forebay_edge_request_seconds", &[], histogram);
        page.families()
    }

    #[test]
    fn counters_are_told_as_what_they_grew_by() {
        let (mut known, histogram) = (Known::default(), Histogram::default());
        let settings = Statsd { tags: vec!["env:test".into()], ..Statsd::default() };
        histogram.record(Duration::from_micros(7));
        assert_eq!(
            known.lines(&page(5, 2, &histogram), &settings),
            [
                "forebay.edge.requests:5|c|#route:a_b_c_d,env:test",
                "forebay.edge.connections:2|g|#env:test",
                "forebay.edge.request_seconds:0.000007|d|#env:test",
            ]
        );
        assert_eq!(
            known.lines(&page(5, 0, &histogram), &settings),
            ["forebay.edge.connections:0|g|#env:test"],
            "what did not grow is not told, a gauge is"
        );
        histogram.record(Duration::from_micros(7));
        let again = known.lines(&page(12, 0, &histogram), &settings);
        assert!(again[0].starts_with("forebay.edge.requests:7|c"), "{again:?}");
        assert_eq!(again[2], "forebay.edge.request_seconds:0.000007|d|#env:test");
        let anew = known.lines(&page(3, 0, &histogram), &settings);
        assert!(anew[0].starts_with("forebay.edge.requests:3|c"), "{anew:?}");
    }

    #[test]
    fn what_an_agent_is_told_under_one_name_grows_each_by_itself() {
        const NAME: &str = "forebay_edge_requests_total";
        let page = |counts: [u64; 2]| {
            let mut page = Page::default();
            page.family(NAME, "counter", "Requests.");
            page.sample(NAME, &[("route", "a,b")], counts[0]);
            page.sample(NAME, &[("route", "a|b")], counts[1]);
            page.families()
        };
        let (mut known, settings) = (Known::default(), Statsd::default());
        let line = |grew: u64| format!("forebay.edge.requests:{grew}|c|#route:a_b");
        assert_eq!(known.lines(&page([5, 3]), &settings), [line(5), line(3)]);
        assert_eq!(known.lines(&page([5, 3]), &settings), [""; 0], "nothing grew");
        assert_eq!(known.lines(&page([5, 7]), &settings), [line(4)]);
    }

    #[test]
    fn other_tags_begin_nothing_anew_and_what_is_gone_is_forgotten() {
        const NAME: &str = "forebay_edge_origin_requests_total";
        let page = |origin: &str, count: u64| {
            let mut page = Page::default();
            page.family(NAME, "counter", "Requests.");
            page.sample(NAME, &[("origin", origin)], count);
            page.families()
        };
        let (mut known, mut settings) = (Known::default(), Statsd::default());
        known.lines(&page("app", 5), &settings);
        settings.tags = vec!["env:test".into()];
        let again = known.lines(&page("app", 6), &settings);
        assert_eq!(again, ["forebay.edge.origin_requests:1|c|#origin:app,env:test"]);
        for nth in 0..100 {
            known.lines(&page(&format!("app-{nth}"), 1), &settings);
        }
        assert_eq!(known.counts.len(), 1);
    }

    #[test]
    fn a_rate_gives_back_the_count_in_double_and_in_single_precision() {
        for count in (2..2_000).chain([9_999, 65_536]) {
            let line = timing("t", Duration::from_millis(5), count, Timings::Timer);
            let rate = line.strip_prefix("t:5|ms|@").expect("a timer with a rate");
            let double = 1.0 / rate.parse::<f64>().expect("a number");
            assert_eq!(format!("{:.0}", double.trunc()), count.to_string(), "{line}");
        }
    }

    #[test]
    fn datagrams_are_as_full_as_they_may_be_and_no_fuller() {
        let lines: Vec<String> = (10..200).map(|n| "x".repeat(n)).collect();
        let all = datagrams(&lines, 150);
        assert!(all.iter().all(|(datagram, _)| datagram.len() <= 150));
        let (first, count) = &all[0];
        assert_eq!(first.split('\n').count(), *count);
        let told: usize = all.iter().map(|(_, count)| count).sum();
        assert_eq!(told, lines.iter().filter(|line| line.len() <= 150).count());
    }
}
