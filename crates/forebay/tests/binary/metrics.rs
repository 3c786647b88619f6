//! `/metrics`, read by a strict reader of the Prometheus text format, version 0.0.4.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use super::support::{Origin, Running, ask, config, wait_for};

#[derive(Debug, Default)]
pub(crate) struct Family {
    help: Option<String>,
    kind: Option<String>,
    /// Name and labels to value, in order.
    pub(crate) samples: Vec<(String, BTreeMap<String, String>, f64)>,
}

pub(crate) type Families = BTreeMap<String, Family>;

/// Reads a page; panics where it is not in the format.
fn read(text: &str) -> Families {
    assert!(text.ends_with('\n'), "the last line has no end");
    let mut families = Families::new();
    let mut open = String::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap_or_else(|| panic!("no text: {line}"));
            assert!(!families.contains_key(name), "{name} comes twice or in two places");
            assert!(!help.trim().is_empty() && !help.contains('\\'), "{line}");
            name.clone_into(&mut open);
            families.entry(open.clone()).or_default().help = Some(help.into());
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap_or_else(|| panic!("no kind: {line}"));
            assert_eq!(name, open, "TYPE without its HELP");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            let family = families.get_mut(name).expect("it has a HELP");
            assert!(family.samples.is_empty() && family.kind.is_none(), "{line} comes late");
            family.kind = Some(kind.into());
        } else {
            assert!(
                !line.starts_with('#') && !line.is_empty(),
                "neither comment nor sample: {line:?}"
            );
            let (name, labels, value) = sample(line);
            let family = families.get_mut(&open).unwrap_or_else(|| panic!("no family: {line}"));
            let kind = family.kind.as_deref().unwrap_or_else(|| panic!("no TYPE: {line}"));
            let belongs = match kind {
                "histogram" => {
                    ["_bucket", "_sum", "_count"].iter().any(|end| name == format!("{open}{end}"))
                }
                _ => name == open,
            };
            assert!(belongs, "{name} stands under {open}");
            assert!(kind != "counter" || name.ends_with("_total"), "a counter's name: {name}");
            let is_new = !family.samples.iter().any(|(n, l, _)| *n == name && *l == labels);
            assert!(is_new, "twice: {line}");
            family.samples.push((name, labels, value));
        }
    }
    families
}

fn sample(line: &str) -> (String, BTreeMap<String, String>, f64) {
    let end = line.find(['{', ' ']).unwrap_or_else(|| panic!("no value: {line}"));
    let (name, mut rest) = line.split_at(end);
    let is_name = |text: &str| {
        !text.is_empty()
            && !text.starts_with(|first: char| first.is_ascii_digit())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    assert!(is_name(name), "{line}");
    let mut labels = BTreeMap::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (label, after) =
                rest.split_once("=\"").unwrap_or_else(|| panic!("no label: {line}"));
            assert!(is_name(label), "{label:?} in {line}");
            let (value, after) =
                quoted(after).unwrap_or_else(|| panic!("no end of a value: {line}"));
            assert!(labels.insert(label.to_owned(), value).is_none(), "{label} twice: {line}");
            rest = after;
            match rest.strip_prefix(',') {
                Some(more) => rest = more,
                None => break,
            }
        }
        rest = rest.strip_prefix('}').unwrap_or_else(|| panic!("labels do not end: {line}"));
    }
    let value =
        rest.strip_prefix(' ').unwrap_or_else(|| panic!("no space before the value: {line}"));
    let value = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
    (name.to_owned(), labels, value)
}

/// A value to its closing quote, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match characters.next()?.1 {
                'n' => '\n',
                same @ ('\\' | '"') => same,
                _ => return None,
            }),
            other => value.push(other),
        }
    }
    None
}

pub(crate) fn page(running: &Running) -> Families {
    let answer = ask(running.admin_port(), "localhost", "/metrics");
    let (head, text) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
    read(text)
}

#[test]
fn metrics_are_in_the_format_and_count_upwards() {
    let origin = Origin::start();
    // A label that has to be escaped.
    let odd = "[[origin]]\nname = \"odd\"\nservers = ['unix:/no/such \"folder\" \\here']\n\n\
               [[route]]\nname = \"odd\"\npath = \"/odd\"\norigin = \"odd\"\n";
    let running = Running::with_config(&config(&origin, odd));
    let before = page(&running);
    for path in ["/a", "/a", "/odd", "/b"] {
        running.get(path);
    }
    let after = page(&running);
    for (name, family) in &after {
        assert!(family.help.is_some() && family.kind.is_some(), "{name}: {family:?}");
        if family.kind.as_deref() == Some("histogram") {
            check_histogram(name, family);
        }
    }
    let servers: BTreeSet<&str> = after["forebay_edge_origin_healthy"]
        .samples
        .iter()
        .map(|(_, labels, _)| labels["server"].as_str())
        .collect();
    assert!(servers.contains("/no/such \"folder\" \\here"), "{servers:?}");
    let mut grown = 0;
    for (name, family) in
        before.iter().filter(|(_, family)| family.kind.as_deref() != Some("gauge"))
    {
        for (sample, labels, old) in &family.samples {
            let now = after[name].samples.iter().find(|(n, l, _)| n == sample && l == labels);
            let (_, _, new) = now.unwrap_or_else(|| panic!("{sample} {labels:?} is gone"));
            assert!(new >= old, "{sample} {labels:?} fell from {old} to {new}");
            grown += usize::from(new > old);
        }
    }
    assert!(grown >= 6, "{grown} counters saw four requests");
}

/// Buckets rise, the last one is the count.
fn check_histogram(name: &str, family: &Family) {
    let of = |end: &str| {
        let name = format!("{name}{end}");
        family.samples.iter().filter(move |(sample, _, _)| *sample == name)
    };
    for (_, labels, count) in of("_count") {
        let buckets: Vec<(f64, f64)> = of("_bucket")
            .filter(|(_, l, _)| labels.iter().all(|(key, value)| l.get(key) == Some(value)))
            .map(|(_, l, value)| (l["le"].parse().expect("a bound"), *value))
            .collect();
        assert!(buckets.len() > 2, "{name}: {buckets:?}");
        assert!(buckets.is_sorted(), "{name}: {buckets:?}");
        assert!(buckets.is_sorted_by_key(|(_, value)| *value), "{name}: {buckets:?}");
        assert_eq!(buckets.last(), Some(&(f64::INFINITY, *count)), "{name}");
        assert_eq!(of("_sum").filter(|(_, l, _)| l == labels).count(), 1, "{name}");
    }
}

#[test]
fn metrics_that_documents_name_exist() {
    let origin = Origin::start();
    let jobs = "[jobs.exec]\ncommand = [\"true\"]\n";
    let running = Running::with_config(&config(&origin, jobs));
    // Numbers of jobs are there once the store has answered.
    let known = wait_for("the store's numbers", || {
        Some(page(&running)).filter(|known| known.contains_key("forebay_jobs_processes"))
    });
    let mut waiting = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")];
    let mut named = 0;
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting.extend(
                fs::read_dir(&path).expect("ours").map(|entry| entry.expect("ours").path()),
            );
        } else if path.extension().is_some_and(|end| end == "md") {
            let text = fs::read_to_string(&path).expect("text");
            let edge = text.match_indices("forebay_edge_");
            for (at, begin) in edge.chain(text.match_indices("forebay_jobs_")) {
                let rest = &text[at..];
                let is_end = |c: char| !c.is_ascii_lowercase() && c != '_';
                let name = &rest[..rest.find(is_end).unwrap_or(rest.len())];
                assert!(known.contains_key(name), "{}: `{name}` is no metric", path.display());
                named += usize::from(name.len() > begin.len());
            }
        }
    }
    assert!(named > 10, "the documents are where this test looks for them");
}
