//! What a stored object costs the process. A test program of its own: it reads the resident set.

use std::time::Duration;

use bytes::Bytes;
use forebay_edge::cache::rules::{Freshness, Rule};
use forebay_edge::cache::store::{Memory, Object, Parts};
use forebay_edge::config::cache::Visibility;
use forebay_edge::exchange::Encoding;
use http::{HeaderMap, HeaderValue, StatusCode};

const OBJECTS: u64 = 100_000;
/// The bar of the benchmark with a million of them.
const MAX_BYTES_EACH: u64 = 1_600;

#[test]
fn a_stored_kilobyte_costs_at_most_sixteen_hundred_bytes() {
    let memory = Memory::new(1 << 30, 16 << 20);
    let mut fields = HeaderMap::new();
    fields.insert("etag", HeaderValue::from_static("\"0123456789abcdef\""));
    // 1,254 bytes of lines and content.
    let filler = "x".repeat(1_254 - 1_024 - 26 - 9);
    fields.insert("x-fill", HeaderValue::from_str(&filler).expect("it is plain ASCII"));
    let hour = Duration::from_secs(3_600);
    let freshness = Freshness::new(Rule::MaxAge, hour, Duration::ZERO);
    let before = resident_bytes();
    for n in 0..OBJECTS {
        let body = [Bytes::from(vec![b'x'; 1_024])];
        let object = Object::build(&Parts {
            key: format!("http://shop.example/object/{n:06}").as_bytes(),
            secondary: b"",
            status: StatusCode::OK,
            encoding: Encoding::Identity,
            stored_at_ms: n,
            freshness,
            fields: &fields,
            tags: Visibility::Hidden,
            body: &body,
        });
        memory.insert(memory.ticket(), object.expect("it fits")).expect("it is taken");
    }
    let grown = resident_bytes() - before;
    let counted = memory.statistics();
    assert_eq!(counted.objects, OBJECTS);
    assert!(grown / OBJECTS <= MAX_BYTES_EACH, "{} B each", grown / OBJECTS);
    // The store counts at least what the process pays, or its bound would be none.
    assert!(counted.bytes >= grown, "counted {}, grown {grown}", counted.bytes);
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.expect("the second word is a number") * 4_096
}
