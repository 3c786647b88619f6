//! `[statsd]`.

use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::problem::Wrong;
use super::reader::Reader;
use super::reference::STATSD;
use super::setting::{Positive, Setting, text, word};
use crate::config::statsd::{Agent, Statsd, Timings};

const AGENT_HINT: &str = "write `127.0.0.1:8125`, or `unix:/var/run/datadog/dsd.socket`";
const PREFIX_HINT: &str = "write letters, digits, `.`, `-` and `_`, such as `forebay.`";
const TAG_HINT: &str = "write `env:production`: no comma, no `|`, no `#`, 200 bytes at most";
/// More often is noise, less often is no monitoring.
const INTERVALS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(600)];
const MOST_TAG_BYTES: usize = 200;

/// A tag as it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Tag(String);

pub(super) fn read(reader: &mut Reader<'_>) -> Statsd {
    let section = &reader.section(&STATSD);
    let defaults = Statsd::default();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    Statsd {
        agent: reader.get::<Option<Agent>>(section, "address", None),
        prefix: reader.get_where(section, "prefix", defaults.prefix, |prefix: &String| {
            let is_fine = prefix.len() <= MOST_TAG_BYTES && prefix.chars().all(is_plain);
            let wrong = || Wrong::new(format!("is no part of a name: `{prefix}`"));
            if is_fine { Ok(()) } else { Err(wrong().hint(PREFIX_HINT)) }
        }),
        tags: reader
            .get::<Vec<Tag>>(section, "tags", Vec::new())
            .into_iter()
            .map(|tag| tag.0)
            .collect(),
        interval: reader
            .get_where(section, "interval", Positive(defaults.interval), |interval| {
                let [least, most] = INTERVALS;
                if (least..=most).contains(&interval.0) {
                    return Ok(());
                }
                let wrong = Wrong::new(format!("is out of range: {}", interval.show()));
                Err(wrong.hint("write a time from \"1s\" to \"10m\""))
            })
            .0,
        timings: reader.get(section, "timings", defaults.timings),
    }
}

impl Setting for Agent {
    fn read(value: &Spanned<DeValue<'_>>) -> Result<Agent, Wrong> {
        let text = text(value, "an address", AGENT_HINT)?;
        let wrong = || Wrong::new(format!("is not an address: `{text}`")).hint(AGENT_HINT);
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return if path.is_empty() { Err(wrong()) } else { Ok(Agent::Unix(path.into())) };
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let port = port.parse().ok().filter(|port| *port > 0).ok_or_else(wrong)?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() || host.contains(['/', ' ']) {
            return Err(wrong());
        }
        Ok(Agent::Udp(host.to_owned(), port))
    }

    fn show(&self) -> String {
        match self {
            Agent::Udp(host, port) => format!("\"{host}:{port}\""),
            Agent::Unix(path) => format!("\"unix:{}\"", path.display()),
        }
    }
}

impl Setting for Tag {
    fn read(value: &Spanned<DeValue<'_>>) -> Result<Tag, Wrong> {
        let text = text(value, "a tag", TAG_HINT)?;
        let is_bad = |c: char| c.is_control() || matches!(c, ',' | '|' | '#');
        if text.is_empty() || text.len() > MOST_TAG_BYTES || text.contains(is_bad) {
            return Err(Wrong::new(format!("is not a tag: `{text}`")).hint(TAG_HINT));
        }
        Ok(Tag(text.to_owned()))
    }

    fn show(&self) -> String {
        format!("\"{}\"", self.0)
    }
}

const TIMINGS: [(&str, Timings); 3] = [
    ("distribution", Timings::Distribution),
    ("histogram", Timings::Histogram),
    ("timer", Timings::Timer),
];

impl Setting for Timings {
    fn read(value: &Spanned<DeValue<'_>>) -> Result<Timings, Wrong> {
        word(value, &TIMINGS)
    }

    fn show(&self) -> String {
        let name = TIMINGS.iter().find(|(_, timings)| timings == self);
        format!("\"{}\"", name.map_or("distribution", |(name, _)| *name))
    }
}
