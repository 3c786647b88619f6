//! Prints what tags cost: memory of each stored 1 KB object by the number of its tags, and the time of
//! counting, of a soft and of a hard purge.
//!
//! `cargo run --release -p forebay-edge --example purge_by_tag [tagged objects] [others] [tags each]`.

use std::io::{self, Write};
use std::time::Duration;

use bytes::Bytes;
use forebay_edge::cache::rules::{Freshness, Rule};
use forebay_edge::cache::store::{Effect, Memory, Object, Parts, Selection};
use forebay_edge::cache::tags::{SURROGATE_KEY, Tag};
use forebay_edge::config::cache::Visibility;
use forebay_edge::exchange::Encoding;
use forebay_signals::clock;
use http::{HeaderMap, HeaderValue, StatusCode};

fn main() -> io::Result<()> {
    let mut numbers = std::env::args().skip(1).map(|text| text.parse::<u64>().ok());
    let mut next = |default| numbers.next().flatten().unwrap_or(default);
    let (tagged, others, tags) = (next(100_000), next(0), next(3));
    let memory = Memory::new(64 << 30, 16 << 20);
    let names: Vec<String> = (1..tags).map(|n| format!("product-{n:06}")).collect();
    let names = format!("catalogue {}", names.join(" "));
    let before = memory.statistics().bytes;
    fill(&memory, "tagged", tagged, &names)?;
    let counted = (memory.statistics().bytes - before) / tagged.max(1);
    fill(&memory, "other", others, "")?;
    let by_tag = || {
        let mut selection = Selection::default();
        selection.add_tag(Tag::of(b"catalogue"));
        selection
    };
    let mut said = format!("{tagged} objects with {tags} tags, {counted} B each, {others} without");
    let mut time = |what: &str, act: &dyn Fn() -> u64| {
        let began = clock::now();
        let count = act();
        let took = clock::now().saturating_duration_since(began).as_secs_f64() * 1e3;
        said = format!("{said}\n{what:<8} {count:>8} in {took:6.1} ms");
    };
    time("counted", &|| memory.count(&by_tag()));
    time("stale", &|| memory.purge(by_tag(), Effect::Stale, 1_000));
    time("begun", &|| memory.begin_purge(by_tag(), Effect::Stale, 1_000).has_keys().into());
    // What is under way would be walked for with the next.
    memory.purge(by_tag(), Effect::Stale, 1_000);
    let gone = memory.begin_purge(by_tag(), Effect::Gone, 1_000);
    time("gone", &|| {
        let (began, mut said) = (clock::now(), String::new());
        memory.finish_purge(&gone, |_| {
            let took = clock::now().saturating_duration_since(began).as_secs_f64() * 1e3;
            said = format!("told in {took:.1} ms; freed, with that:");
        });
        drop(writeln!(io::stderr(), "{said}"));
        gone.taken()
    });
    time("none", &|| memory.purge(by_tag(), Effect::Gone, 1_000));
    writeln!(io::stdout(), "{said}")
}

fn fill(memory: &Memory, kind: &str, count: u64, tags: &str) -> io::Result<()> {
    let hour = Duration::from_secs(3_600);
    let mut fields = HeaderMap::new();
    fields.insert("etag", HeaderValue::from_static("\"0123456789abcdef\""));
    if !tags.is_empty() {
        fields.insert(SURROGATE_KEY, HeaderValue::from_str(tags).map_err(io::Error::other)?);
    }
    for n in 0..count {
        let object = Object::build(&Parts {
            key: format!("http://127.0.0.1:8080/1024/{kind}-{n:07}").as_bytes(),
            secondary: b"",
            status: StatusCode::OK,
            encoding: Encoding::Identity,
            stored_at_ms: n,
            freshness: Freshness::new(Rule::MaxAge, hour, Duration::ZERO),
            fields: &fields,
            tags: Visibility::Hidden,
            body: &[Bytes::from(vec![b'x'; 1_024])],
        });
        let object = object.map_err(io::Error::other)?;
        memory.insert(memory.ticket(), object).map_err(io::Error::other)?;
    }
    Ok(())
}
